"""What must not happen: altered parts, missing signatures, downgrades, wrong hours. Each refused by name, nothing changed."""
import json
import pathlib
import sqlite3

import pytest

from house import Appliance, Refused, tree_matches, wait_until


def refused(code, *text):
    class Check:
        def __enter__(self):
            return self

        def __exit__(self, kind, error, trace):
            assert kind is Refused, "not refused"
            assert error.code == code, (error.code, error.text)
            for word in text:
                assert word in error.text, error.text
            return True
    return Check()


def flip(path, position=None):
    data = bytearray(pathlib.Path(path).read_bytes())
    position = len(data) // 2 if position is None else position
    data[position] ^= 1
    pathlib.Path(path).write_bytes(bytes(data))


def change_json(path, change):
    document = json.loads(pathlib.Path(path).read_text())
    change(document)
    pathlib.Path(path).write_text(json.dumps(document))


def only(pattern, directory):
    found = sorted(pathlib.Path(directory).glob(pattern))
    assert found, (pattern, directory)
    return found[-1]


def test_one_signature_short(shop):
    bundle = shop.publisher.pack("3.0")
    shop.publisher.add(bundle)
    shop.publisher.sign("alice")
    with refused(65, "1"):
        shop.publisher.publish()
    shop.publisher.sign("alice")
    with refused(65):
        shop.publisher.publish()
    shop.publisher.sign("bob")
    shop.publisher.publish()


def test_stranger_cannot_sign(shop):
    shop.publisher.release("key", "new", shop.publisher.key("mallory"), "--no-passphrase")
    shop.publisher.add(shop.publisher.pack("3.0"))
    shop.publisher.sign("alice")
    done = shop.publisher.release("sign", shop.publisher.repository, "--key", shop.publisher.key("mallory"), check=False)
    assert done.returncode == 65
    with refused(65):
        shop.publisher.publish()


@pytest.mark.parametrize("part", ["targets", "snapshot", "root", "manifest", "blob"])
def test_import_refuses_altered(shop, part):
    """Any altered part in the repository: nothing is taken."""
    publisher, repository = shop.publisher, shop.publisher.repository
    publisher.add(publisher.pack("3.0"))
    publisher.sign()
    publisher.publish()
    victims = {"targets": "metadata/*.targets.json", "snapshot": "metadata/*.snapshot.json", "root": "metadata/*.root.json",
               "manifest": "targets/*/3.0/*.manifest.json"}
    if part == "blob":
        manifest = json.loads(only("targets/*/3.0/*.manifest.json", repository).read_text())
        path = repository / "blobs" / manifest["blobs"][0]["hash"]
        taken = shop.centre.directory / "releases" / "blobs" / path.name
        assert not taken.exists()
    else:
        path = only(victims[part], repository)
    flip(path)
    if part == "root":
        # The root that was pinned at the first import is the only one believed; a damaged copy of it changes nothing
        # for this centre, but must not be published from here.
        shop.centre.nightshift("release", "import", repository, check=False)
    else:
        with refused(65):
            shop.centre.nightshift("release", "import", repository)
        assert not any(row["version"] == "3.0" for row in shop.centre.ask("release", "list"))


@pytest.mark.parametrize("part", ["manifest", "blob", "timestamp", "snapshot", "targets"])
def test_hook_refuses_altered(box, shop, part):
    """A thief at the centre alters what it serves: the hook refuses, the box runs on at 1.0."""
    releases = shop.centre.directory / "releases"
    manifest_path = only("targets/*/2.0/*.manifest.json", releases)
    path = {"manifest": lambda: manifest_path,
            "blob": lambda: releases / "blobs" / json.loads(manifest_path.read_text())["blobs"][0]["hash"],
            "timestamp": lambda: releases / "metadata" / "timestamp.json",
            "snapshot": lambda: only("metadata/*.snapshot.json", releases),
            "targets": lambda: only("metadata/*.targets.json", releases)}[part]()
    flip(path)
    identity = shop.centre.book("box1", "2.0")
    row = shop.centre.wait(identity, "needs-human", "held")
    assert row["state"] == "needs-human" and row["code"] == 65, row
    assert box.current() == "1.0" and box.product() == "demo 1.0"
    assert not (box.root / "releases" / "2.0").exists()


def test_downgrade_is_refused(box, shop):
    shop.centre.wait(shop.centre.book("box1", "2.0"), "committed")
    with refused(65, "older"):
        shop.centre.book("box1", "1.0")
    assert box.current() == "2.0"


def test_unknown_release_is_refused(box, shop):
    done = shop.centre.nightshift("upgrade", "book", "box1", "--to", "9.9", check=False)
    assert done.returncode in (64, 65) and "9.9" in done.stderr


def test_mandatory_stop_is_not_skipped(box, shop):
    shop.publisher.ship(shop.centre, shop.publisher.pack("2.5", "--stop"), shop.publisher.pack("3.0"))
    with refused(65, "2.5"):
        shop.centre.book("box1", "3.0")
    shop.centre.wait(shop.centre.book("box1", "2.5"), "committed")
    shop.centre.wait(shop.centre.book("box1", "3.0"), "committed")


def test_min_from(box, shop):
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.0", "--min-from", "2.0"))
    with refused(65, "2.0"):
        shop.centre.book("box1", "3.0")


def test_outside_the_window(box, shop):
    shop.centre.open_window("box1", "[window far]\nzone = UTC\nrule = once 2031-01-05T01:30\nduration = 2h\n")
    with refused(75):
        shop.centre.book("box1", "2.0", "--at", "2031-01-05T05:00")
    identity = shop.centre.book("box1", "2.0")
    wait_until("it is staged", lambda: shop.centre.upgrade(identity)["state"] == "staged")
    row = shop.centre.upgrade(identity)
    assert "2031-01-05" in row["why"], row["why"]
    assert box.current() == "1.0"
    show = shop.centre.nightshift("upgrade", "show", identity).stdout
    assert row["why"] in show.splitlines()[0]
    why = shop.centre.nightshift("appliance", "why", "box1").stdout
    assert "2031-01-05" in why.splitlines()[0]


def test_no_window_no_booking(box, shop):
    bare = Appliance(shop, shop.centre, shop.publisher, "bare")
    bare.adopt(shop.bundles["1.0"])
    bare.join()
    bare.serve()
    bare.open_tunnel()
    done = shop.centre.nightshift("upgrade", "book", "bare", "--to", "2.0", check=False)
    assert done.returncode == 75 and "window" in done.stderr


def test_the_boxs_own_window_is_kept(box, shop):
    """The customer's own window at the box: the orchestrator's order does not open it."""
    own = box.directory / "own.ini"
    own.write_text("[window own]\nzone = UTC\nrule = once 2031-01-05T01:30\nduration = 2h\n")
    box.hook("window", "set", own)
    assert "2031-01-05" in box.hook("window", "show").stdout
    identity = shop.centre.book("box1", "2.0")
    row = wait_until("the hook says no", lambda: (lambda r: r if r["code"] == 75 and "own" in r["why"] else None)(
        shop.centre.upgrade(identity)))
    assert row["state"] not in ("committed", "running")
    assert box.current() == "1.0"
    box.hook("window", "clear")
    shop.centre.wait(identity, "committed")


def test_freeze_holds(box, shop):
    freeze = shop.centre.directory / "freeze.ini"
    freeze.write_text("[freeze now]\nscope = vendor\nzone = UTC\nfrom = 2020-01-01T00:00\nto = 2060-01-01T00:00\nblocks = all\n"
                      "reason = Year end\n")
    shop.centre.nightshift("freeze", "add", freeze)
    done = shop.centre.nightshift("upgrade", "book", "box1", "--to", "2.0", check=False)
    assert done.returncode == 75, done
    shop.centre.nightshift("freeze", "remove", "now")
    shop.centre.wait(shop.centre.book("box1", "2.0"), "committed")


def test_halted_release_is_not_run(box, shop):
    shop.centre.nightshift("release", "halt", "2.0", "--reason", "a defect")
    done = shop.centre.nightshift("upgrade", "book", "box1", "--to", "2.0", check=False)
    assert done.returncode in (65, 75) and "halt" in done.stderr
    assert box.hook("pull", check=False).returncode != 70
    assert box.current() == "1.0"


def test_yanked_release_is_refused_from_the_next_import(box, shop):
    shop.publisher.release("yank", shop.publisher.repository, "2.0", "--reason", "a defect")
    shop.publisher.sign()
    shop.publisher.publish()
    shop.centre.nightshift("release", "import", shop.publisher.repository)
    with refused(65, "yanked"):
        shop.centre.book("box1", "2.0")


def test_second_booking_while_one_is_open(box, shop):
    shop.centre.open_window("box1", "[window far]\nzone = UTC\nrule = once 2031-01-05T01:30\nduration = 2h\n")
    shop.centre.book("box1", "2.0")
    with refused(75):
        shop.centre.book("box1", "2.0")


def test_altered_ledger_or_store_is_no_way_in(box, shop):
    """The thief writes the store: a version that was never signed does not reach the box."""
    with sqlite3.connect(shop.centre.directory / "store.db") as store:
        store.execute("UPDATE release SET sha256 = zeroblob(32) WHERE version = '2.0'")
    identity = shop.centre.book("box1", "2.0")
    row = shop.centre.wait(identity, "needs-human", "committed")
    if row["state"] == "committed":
        assert tree_matches(box.root / "releases" / "2.0", box.manifest("2.0")) is None
    else:
        assert box.current() == "1.0"


@pytest.mark.parametrize("broken", ["[window w]\nzone = Europe/Londn\nrule = weekly SU 01:30\nduration = 2h\n",
                                    "[window w]\nzone = UTC\nrule = weekly SU 25:30\nduration = 2h\n",
                                    "[window w]\nzone = UTC\nrule = weekly SU 01:30\nduration = 2h\ncolour = red\n",
                                    "[window w]\nzone = UTC\nzone = UTC\nrule = weekly SU 01:30\nduration = 2h\n",
                                    "[window w]\nzone = Europe/London\nrule = once 2027-03-28T01:30\nduration = 2h\n"])
def test_broken_windows_change_nothing(box, shop, broken):
    before = shop.centre.nightshift("window", "show", "box1", "--next", "3").stdout
    path = shop.centre.directory / "broken.ini"
    path.write_text(broken)
    with refused(65):
        shop.centre.nightshift("window", "set", "box1", path)
    after = shop.centre.nightshift("window", "show", "box1", "--next", "3").stdout
    assert before.splitlines()[-1][:10] == after.splitlines()[-1][:10]
