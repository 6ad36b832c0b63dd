"""Keys that go: the signer's own, and those that a thief has used."""
import shutil

from house import wait_until


def rotate(publisher, role, added, removed):
    publisher.release("root", "rotate", publisher.repository, "--role", role, "--add", publisher.key(added, True),
                      "--remove", publisher.key(removed, True))
    publisher.release("sign", publisher.repository, "--key", publisher.key("root"))


def renew_signer_keys(shop):
    """Other order and entitlement keys at the signer; returns the public halves."""
    keys = shop.centre.directory / "keys"
    for name in ("order", "entitlement"):
        for path in (keys / name, keys / (name + ".pub")):
            path.rename(path.with_name("old-" + path.name))
        shop.publisher.release("key", "new", keys / name, "--no-passphrase")
    shop.centre.restart()
    return keys / "order.pub", keys / "entitlement.pub"


def test_signer_keys_change_and_appliances_follow(box, shop):
    """Keys that authority.json does not name give no order; once the engineers have signed them, they do."""
    order, entitlement = renew_signer_keys(shop)
    wait_until("the tunnel is back", box.connected)
    identity = shop.centre.book("box1", "2.0")
    row = shop.centre.wait(identity, "needs-human", "held")
    assert row["code"] in (65, 77) and box.current() == "1.0", row["why"]
    shop.publisher.release("repo", "authority", shop.publisher.repository, "--order-key", order, "--entitlement-key",
                           entitlement)
    shop.publisher.sign()
    shop.publisher.publish()
    shop.centre.nightshift("release", "import", shop.publisher.repository)
    if row["state"] == "needs-human":
        shop.centre.nightshift("upgrade", "retry", identity)
    shop.centre.wait(identity, "committed")
    assert box.current() == "2.0"
    assert "3.0" not in [row["version"] for row in shop.centre.ask("release", "list")]
    listed = [receipt for receipt in shop.centre.ask("receipt", "list") if receipt["upgrade"] == identity]
    assert len(listed) == 1 and listed[0]["outcome"] == "committed"


def test_release_of_a_thief_is_forgotten_when_his_keys_go(box, shop):
    """Targets and snapshot keys were stolen: 99.0.0 is signed, imported, and numbered far ahead. New keys under a new root
    bring the shop back: it is in no list any more, and the way to 2.0 is open, at the orchestrator and at the appliance."""
    publisher = shop.publisher
    own = publisher.directory / "own"
    shutil.copytree(publisher.repository, own, symlinks=True)
    publisher.add(publisher.pack("99.0.0", "--stop"))
    publisher.sign()
    publisher.publish()
    for _ in range(3):
        publisher.release("sign", publisher.repository, "--key", publisher.key("alice"), "--renew")
        publisher.sign("bob")
        publisher.publish()
    shop.centre.nightshift("release", "import", publisher.repository)
    assert "99.0.0" in [row["version"] for row in shop.centre.ask("release", "list")]
    assert "99.0.0" in box.hook("check").stdout
    shutil.rmtree(publisher.repository)
    own.rename(publisher.repository)
    keys = shop.centre.directory / "keys"
    for path in (keys / "timestamp", keys / "timestamp.pub"):
        shutil.move(path, publisher.directory / ("old-" + path.name))
    publisher.release("key", "new", keys / "timestamp", "--no-passphrase")
    shutil.copy(keys / "timestamp.pub", publisher.key("timestamp-2", True))
    for name in ("carol", "snapshot-2"):
        publisher.release("key", "new", publisher.key(name), "--no-passphrase")
    rotate(publisher, "targets", "carol", "alice")
    rotate(publisher, "snapshot", "snapshot-2", "snapshot")
    # What the signer has stamped of the thief's binds its key: it has another one from now on.
    rotate(publisher, "timestamp", "timestamp-2", "old-timestamp")
    shop.centre.restart()
    wait_until("the tunnel is back", box.connected)
    publisher.release("sign", publisher.repository, "--key", publisher.key("carol"))
    publisher.sign("bob")
    publisher.release("publish", publisher.repository, "--snapshot-key", publisher.key("snapshot-2"))
    shop.centre.nightshift("release", "import", publisher.repository)
    assert [row["version"] for row in shop.centre.ask("release", "list")] == ["1.0", "2.0"]
    shop.centre.wait(shop.centre.book("box1", "2.0"), "committed")
    assert box.current() == "2.0"
    assert "99.0.0" not in box.hook("check").stdout


def test_timestamp_is_renewed_daily_and_its_end_is_told(shop):
    """The signer's timestamp lives seven days: renewed after one; without a signer's key `status` says what ends when."""
    timestamp = shop.centre.directory / "releases" / "metadata" / "timestamp.json"
    first = timestamp.read_bytes()
    assert shop.centre.ask("status")["warnings"] == []
    shop.centre.restart()
    assert timestamp.read_bytes() == first  # not yet a day old
    shop.centre.stop()
    shop.clock.offset = 26 * 3600
    shop.centre.start()
    wait_until("the timestamp is renewed", lambda: timestamp.read_bytes() != first)
    shop.centre.stop()
    shop.clock.offset = 65 * 24 * 3600
    shop.centre.start()
    wait_until("the snapshot's end is told",
               lambda: [row["what"] for row in shop.centre.ask("status")["warnings"]] == ["snapshot"])
    assert "snapshot" in shop.centre.nightshift("status").stdout


def test_boxes_that_run_a_yanked_release_are_listed(box, shop):
    shop.publisher.release("yank", shop.publisher.repository, "1.0", "--reason", "it leaks")
    shop.publisher.sign()
    shop.publisher.publish()
    shop.centre.nightshift("release", "import", shop.publisher.repository)
    withdrawn = shop.centre.ask("status")["withdrawn"]
    assert [(row["appliance"], row["version"], row["reason"]) for row in withdrawn] == [("box1", "1.0", "it leaks")]
    listed = {row["version"]: row["running"] for row in shop.centre.ask("release", "list")}
    assert listed == {"1.0": 1, "2.0": 0}
