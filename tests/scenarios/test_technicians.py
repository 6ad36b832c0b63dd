"""technicians.json: release engineers say who may log in where a customer grants it, appliances follow, and a list that they
did not sign is refused."""
import io
import json
import tarfile

import pytest

from house import Appliance, Refused


@pytest.fixture
def people(shop):
    """Public keys of technicians, by name."""
    keys = {}
    for name in ("tom", "tina"):
        shop.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name + "@desk", "-f", shop.directory / name)
        keys[name] = shop.directory / (name + ".pub")
    return keys


def ship(shop):
    shop.publisher.sign()
    shop.publisher.publish()
    shop.centre.nightshift("release", "import", shop.publisher.repository)


def change(shop, *words, **options):
    return shop.publisher.release("repo", "technicians", shop.publisher.repository, *words, **options)


def kept(box):
    """What the appliance keeps: {name: key line}; None without a file."""
    path = box.state / "trust" / "technicians.json"
    if not path.exists():
        return None
    document = json.loads(path.read_text())
    assert document["_type"] == "technicians"
    return {row["name"]: row["key"] for row in document["technicians"]}


def line(path):
    return " ".join(path.read_text().split()[:2])


def test_list_is_followed(box, shop, people):
    box.hook("check")
    assert kept(box) is None and box.status()["technicians"] == 0

    change(shop, "--add", "tom=%s" % people["tom"], "tina=%s" % people["tina"])
    shop.publisher.sign("alice")
    with pytest.raises(Refused) as refused:
        shop.publisher.publish()
    assert refused.value.code == 65, "one engineer cannot list anybody"
    ship(shop)
    box.hook("check")
    assert kept(box) == {name: line(path) for name, path in people.items()}
    assert box.status()["technicians"] == 2
    assert "technicians who are listed: 2" in box.hook("status").stdout

    # An upgrade looks as well.
    change(shop, "--remove", "tom")
    ship(shop)
    shop.centre.wait(shop.centre.book(box.name, "2.0"), "committed")
    assert kept(box) == {"tina": line(people["tina"])} and box.status()["technicians"] == 1

    # What somebody wrote there by hand is replaced at the next look.
    (box.state / "trust" / "technicians.json").write_text(json.dumps({"_type": "technicians", "technicians": [
        {"name": "eve", "key": line(people["tom"])}]}))
    box.hook("check")
    assert list(kept(box)) == ["tina"]

    change(shop, "--remove", "tina")
    ship(shop)
    box.hook("check")
    assert kept(box) is None and box.status()["technicians"] == 0


def test_altered_list_is_refused(box, shop, people):
    change(shop, "--add", "tom=%s" % people["tom"])
    ship(shop)
    box.hook("check")
    change(shop, "--add", "tina=%s" % people["tina"], "--remove", "tom")
    ship(shop)
    for path in (shop.centre.directory / "releases" / "targets").glob("*.technicians.json"):
        path.write_bytes(path.read_bytes().replace(b"tina", b"evil"))
    done = box.hook("check", check=False)
    assert done.returncode == 65 and "technicians.json" in done.stderr, done
    # Neither the list that was altered nor the one from which tom was taken off.
    assert kept(box) is None
    assert box.hook("check", check=False).returncode == 65


def test_altered_list_is_not_imported(shop, people):
    change(shop, "--add", "tom=%s" % people["tom"])
    shop.publisher.sign()
    shop.publisher.publish()
    for path in (shop.publisher.repository / "targets").glob("*.technicians.json"):
        path.write_bytes(path.read_bytes().replace(b"tom", b"eve"))
    assert shop.centre.nightshift("release", "import", shop.publisher.repository, check=False).returncode == 65
    verified = shop.publisher.release("verify", shop.publisher.repository, "--root",
                                      shop.publisher.repository / "metadata" / "1.root.json", check=False)
    assert verified.returncode == 65


def test_list_as_a_file(shop, people):
    whole = shop.directory / "technicians.json"

    def write(*rows):
        whole.write_text(json.dumps({"_type": "technicians", "technicians": [
            {"name": name, "key": people[key].read_text().strip()} for name, key in rows]}))

    write(("tom", "tom"), ("tina", "tina"))
    change(shop, whole)
    assert [row["name"] for row in json.loads(change(shop, "--json").stdout)] == ["tina", "tom"]
    write(("joe", "tom"))
    change(shop, whole)
    # Another key for somebody, in one go.
    change(shop, "--remove", "joe", "--add", "joe=%s" % people["tina"])
    fingerprint = shop.run("ssh-keygen", "-l", "-f", people["tina"]).stdout.split()[1]
    assert json.loads(change(shop, "--json").stdout) == [{"name": "joe", "fingerprint": fingerprint}]

    for words, code in ((("--remove", "tom"), 64), (("--add", "joe=%s" % people["tom"]), 65),
                        (("--add", "tim=%s" % people["tina"]), 65), (("--add", people["tom"]), 64),
                        (("--add", "../x=%s" % people["tom"]), 65), ((whole, "--remove", "joe"), 64),
                        (("--add", "tim=%s" % shop.publisher.key("alice", True)), 65)):
        assert change(shop, *words, check=False).returncode == code, words
    write(("tom", "tom"), ("tom", "tina"))
    assert change(shop, whole, check=False).returncode == 65
    assert [row["name"] for row in json.loads(change(shop, "--json").stdout)] == ["joe"]


def test_list_travels_in_a_file(shop, people):
    """Without a network: the list comes on the stick, an altered one is refused before anything changes."""
    box = Appliance(shop, shop.centre, shop.publisher)
    box.adopt(shop.bundles["1.0"])
    box.join()
    change(shop, "--add", "tom=%s" % people["tom"])
    ship(shop)
    stick, altered = shop.directory / "stick.bundle", shop.directory / "altered.bundle"
    shop.centre.nightshift("release", "export", "2.0", "--appliance", box.name, "-o", stick)
    with tarfile.open(stick) as source, tarfile.open(altered, "w", format=tarfile.PAX_FORMAT) as target:
        for member in source:
            content = source.extractfile(member).read()
            if member.name.endswith(".technicians.json"):
                content = content.replace(b"tom", b"eve")
            target.addfile(member, io.BytesIO(content))
    refused = box.hook("apply", altered, check=False)
    assert refused.returncode == 65 and "technicians.json" in refused.stderr, refused
    assert kept(box) is None and box.current() == "1.0"
    box.hook("apply", stick)
    assert list(kept(box)) == ["tom"] and box.current() == "2.0"
