"""Appliances without a network: a file goes there, receipts come back."""
import io
import json
import tarfile

import pytest

from house import Appliance, Refused


@pytest.fixture
def island(shop):
    """An appliance at 1.0 that has joined and whose tunnel was never opened."""
    appliance = Appliance(shop, shop.centre, shop.publisher)
    appliance.adopt(shop.bundles["1.0"])
    appliance.join()
    return appliance


def export(centre, version="2.0", appliance="box1", name="stick", *options):
    path = centre.house.directory / (name + ".bundle")
    centre.nightshift("release", "export", version, "--appliance", appliance, "-o", path, *options)
    return path


def members(path):
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def rewrite(path, content):
    """An archive of these members; None leaves one out."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in ["manifest.json"] + [name for name in content if name != "manifest.json"]:
            if content[name] is None:
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content[name])
            archive.addfile(info, io.BytesIO(content[name]))


def refused(appliance, path, code, *words, why=""):
    before = appliance.current()
    done = appliance.hook("apply", path, check=False)
    assert done.returncode == code, (why, done.stderr)
    for word in words:
        assert word in done.stderr, done.stderr
    assert appliance.current() == before


def test_a_stick_there_and_receipts_back(island, shop):
    path = export(shop.centre)
    assert {"offline.json", "entitlement.json", "metadata/1.root.json"} <= set(members(path))
    assert "metadata/timestamp.json" not in members(path)
    shop.centre.stop()
    island.hook("apply", path)
    assert island.current() == "2.0" and island.product() == "demo 2.0"
    receipts = island.directory / "receipts.json"
    island.hook("receipt", "export", "-o", receipts)
    shop.centre.start()
    assert [row["version"] for row in shop.centre.ask("appliance", "list")] == [""]
    rows = shop.centre.ask("receipt", "import", receipts)
    assert [(row["appliance"], row["to"], row["outcome"], row["new"]) for row in rows] == [
        ("box1", "2.0", "committed", True)]
    assert [row["version"] for row in shop.centre.ask("appliance", "list")] == ["2.0"]
    assert any(row["action"] == "receipt import" and row["object"] == "box1" for row in shop.centre.ask("audit", "show"))
    # a second time is no news, and an altered one is none at all
    assert not shop.centre.ask("receipt", "import", receipts)[0]["new"]
    forged = json.loads(receipts.read_text())
    forged[0]["signed"]["to"] = "9.9"
    receipts.write_text(json.dumps(forged))
    done = shop.centre.nightshift("receipt", "import", receipts, check=False)
    assert done.returncode == 65 and "signed" in done.stderr


def test_through_a_running_serve_and_online_again(island, shop):
    path = export(shop.centre)
    island.serve()
    island.hook("apply", path)
    assert island.current() == "2.0"
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.0"))
    island.hook("pull")
    assert island.current() == "3.0"


def test_online_after_a_stick_that_was_newer(island, shop):
    """The stick brings a snapshot ahead of the timestamp that is stored: a later refresh goes on from there."""
    island.serve()
    island.hook("check")
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.0"))
    island.hook("apply", export(shop.centre, "3.0"))
    assert island.current() == "3.0"
    stamp = json.loads((island.state / "trust" / "metadata" / "timestamp.json").read_text())
    snapshot = json.loads((island.state / "trust" / "metadata" / "snapshot.json").read_text())
    assert stamp["signed"]["meta"]["snapshot.json"]["version"] < snapshot["signed"]["version"]
    assert "3.0" in island.hook("pull").stdout


def test_altered_files_are_refused(island, shop):
    path = export(shop.centre)
    island.serve()
    whole = members(path)
    blob = next(name for name in whole if name.startswith("blobs/"))
    snapshot = next(name for name in whole if name.endswith(".snapshot.json"))
    targets = next(name for name in whole if name.endswith(".targets.json"))
    grant = json.loads(whole["offline.json"])
    grant["signed"]["expires"] = "2099-01-01T00:00:00Z"
    other = json.loads(whole["offline.json"])
    other["signed"]["version"] = "1.0"
    # What was accepted once is not asked for again: the metadata comes first, the blobs last.
    for name, content in ((snapshot, whole[snapshot].replace(b'"version": ', b'"version":  ', 1) + b" "),
                          (snapshot, None), (targets, whole[targets][:-10]), (targets, None),
                          ("offline.json", json.dumps(grant).encode()), ("offline.json", json.dumps(other).encode()),
                          ("offline.json", b"{}"), ("offline.json", None), ("offline.json", whole["entitlement.json"]),
                          ("entitlement.json", None), ("entitlement.json", whole["offline.json"]),
                          ("manifest.json", whole["manifest.json"].replace(b"demo", b"dEmo", 1)),
                          (blob, bytes([whole[blob][0] ^ 1]) + whole[blob][1:]), (blob, None)):
        rewrite(path, dict(whole, **{name: content}))
        refused(island, path, 65, why=name)
    path.write_bytes(path.read_bytes()[:5000])
    refused(island, path, 65)
    path.write_text("no archive")
    refused(island, path, 65)
    rewrite(path, whole)
    island.hook("apply", path)
    assert island.current() == "2.0"


def test_another_appliances_file(island, shop):
    other = Appliance(shop, shop.centre, shop.publisher, "box2")
    other.adopt(shop.bundles["1.0"])
    other.join()
    path = export(shop.centre, appliance="box2")
    refused(island, path, 65, "not for this one")
    # nor with this one's own grant beside it
    mine = members(export(shop.centre, name="mine"))
    rewrite(path, dict(members(path), **{"offline.json": mine["offline.json"]}))
    refused(island, path, 77, "another appliance")


def test_expired(island, shop):
    path = export(shop.centre, "2.0", "box1", "short", "--valid", "2h")
    shop.clock.offset = 3 * 3600
    refused(island, path, 65, "could be applied until")
    shop.clock.offset = 0
    with pytest.raises(Refused) as refusal:
        export(shop.centre, "2.0", "box1", "long", "--valid", "91d")
    assert refusal.value.code == 64
    island.hook("apply", path)
    assert island.current() == "2.0"


def test_clock_below_the_floor(island, shop):
    path = export(shop.centre)
    shop.clock.set_to("2020-01-01T00:00:00Z")
    refused(island, path, 65, "clock")


def test_lapsed_support(island, shop):
    path = export(shop.centre)
    # at the centre: nothing is exported for who is not entitled
    import datetime
    past = (datetime.date.today() - datetime.timedelta(days=3)).isoformat()
    shop.centre.contract("c-2", past, "premium")
    late = Appliance(shop, shop.centre, shop.publisher, "late")
    late.adopt(shop.bundles["1.0"])
    late.join("c-2")
    with pytest.raises(Refused) as refusal:
        export(shop.centre, appliance="late", name="none")
    assert refusal.value.code == 77 and past in refusal.value.text
    assert path.exists()


def test_support_that_ends_before_the_file_is_applied(shop):
    import datetime
    soon = (datetime.date.today() + datetime.timedelta(days=2)).isoformat()
    shop.centre.contract("c-2", soon)
    box = Appliance(shop, shop.centre, shop.publisher)
    box.adopt(shop.bundles["1.0"])
    box.join("c-2")
    path = export(shop.centre)
    shop.clock.offset = 4 * 86400
    refused(box, path, 77, soon, "renew")
    shop.clock.offset = 0
    box.hook("apply", path)
    assert box.current() == "2.0"


def test_an_older_export_after_a_newer_version(island, shop):
    old = export(shop.centre, name="old")
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.0"))
    same = export(shop.centre, name="same")
    island.hook("apply", export(shop.centre, "3.0", "box1", "new"))
    assert island.current() == "3.0"
    refused(island, old, 65, "older")
    refused(island, same, 65, "older")


def test_own_window_holds(island, shop):
    window = island.directory / "own.ini"
    window.write_text("[window once]\nzone = UTC\nrule = once 2099-01-01T00:00\nduration = 2h\n")
    island.hook("window", "set", window)
    refused(island, export(shop.centre), 75, "window")


def test_halted_and_unknown_releases_are_not_exported(island, shop):
    with pytest.raises(Refused) as refusal:
        export(shop.centre, "7.0")
    assert refusal.value.code == 65
    shop.centre.nightshift("release", "halt", "2.0", "--reason", "a bad feeling")
    with pytest.raises(Refused) as refusal:
        export(shop.centre)
    assert refusal.value.code == 75 and "halted" in refusal.value.text


def test_the_signer_counts_exports(island, shop):
    (shop.centre.directory / "signer.limits").write_text("[limits]\nexports = 1\n")
    shop.centre.restart()
    export(shop.centre)
    with pytest.raises(Refused) as refusal:
        export(shop.centre)
    assert refusal.value.code == 75 and "offline" in refusal.value.text
