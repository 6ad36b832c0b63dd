"""Power cuts and killed processes: one whole version stands afterwards, old or new, and the hook says which."""
import os
import signal
import subprocess
import time

import pytest

from house import Appliance, tree_matches, wait_until

POINTS = os.environ.get("NIGHTSHIFT_POINTS", "").split() or None


def whole(box):
    version = box.current()
    assert tree_matches(box.root / "releases" / version, box.manifest(version)) is None
    assert box.product() == "demo " + version
    return version


def passed_points(shop):
    """The points of one whole pull, in the order in which they are first passed."""
    box = Appliance(shop, shop.centre, shop.publisher, "counter")
    box.adopt(shop.bundles["1.0"])
    box.join()
    log = box.directory / "points"
    log.touch()
    log.chmod(0o666)
    box.hook("pull", variables={"NIGHTSHIFT_FAULT_LOG": str(log)})
    assert box.current() == "2.0"
    return list(dict.fromkeys(name for name in log.read_text().split() if name.startswith("act.")))


def test_killed_at_points_of_the_switch(shop):
    """A pull, killed at a sample of the points it passes: `resume` brings a whole version, and the next pull succeeds."""
    points = passed_points(shop)
    assert len(points) >= 10, points
    sample = points if os.environ.get("NIGHTSHIFT_FULL") else points[:: max(1, len(points) // 12)]
    outcomes = {}
    for number, point in enumerate(sample):
        box = Appliance(shop, shop.centre, shop.publisher, "box-%d" % number)
        box.adopt(shop.bundles["1.0"])
        box.join()
        box.hook("pull", variables={"NIGHTSHIFT_FAULT": point + "=kill"}, check=False)
        box.hook("resume")
        version = whole(box)
        status = box.status()
        assert status["version"] == version, (point, status)
        assert status["state"] in ("idle", "receiving", "staged", "committed", "rolled-back"), (point, status)
        outcomes[point] = version
        if version == "1.0":
            box.hook("quarantine", "list")
            again = box.hook("pull", check=False)
            if again.returncode != 0:
                assert "quarantine" in again.stderr, (point, again.stderr)
            else:
                assert whole(box) == "2.0", point
    print(outcomes)
    assert len(outcomes) >= 10
    assert set(outcomes.values()) <= {"1.0", "2.0"}


def test_hook_killed_while_serving(box, shop):
    """SIGKILL of the whole hook in the middle of a switch, then resume at boot."""
    slow = box.directory / "slow"
    identity = shop.centre.book("box1", "2.0")
    wait_until("it is on its way", lambda: shop.centre.upgrade(identity)["state"] in ("staged", "due", "running", "committed"))
    box.stop(signal.SIGKILL)
    box.hook("resume")
    version = whole(box)
    box.serve()
    box.open_tunnel()
    row = shop.centre.wait(identity, "committed", "rolled-back")
    assert whole(box) == ("2.0" if row["state"] == "committed" else "1.0")
    assert version in ("1.0", "2.0") and not slow.exists()


def test_orchestrator_killed_while_running_goes_on(box, shop):
    identity = shop.centre.book("box1", "2.0")
    wait_until("it runs", lambda: shop.centre.upgrade(identity)["state"] in ("staging", "staged", "due", "running", "committed"))
    shop.centre.stop(signal.SIGKILL)
    shop.centre.start()
    shop.centre.wait(identity, "committed")
    assert whole(box) == "2.0"


@pytest.mark.parametrize("role", ["hub", "engine", "signer", "api"])
def test_a_role_that_dies_comes_back(box, shop, role):
    before = shop.centre.roles()
    os.kill(before[role], signal.SIGKILL)
    wait_until("it is there again", lambda: shop.centre.roles().get(role) not in (None, before[role]))
    wait_until("the hook says HELLO again",
               lambda: shop.centre.nightshift("status", check=False).returncode == 0 and box.connected())
    shop.centre.wait(shop.centre.book("box1", "2.0"), "committed")
    assert whole(box) == "2.0"


@pytest.mark.parametrize("role", ["link", "check"])
def test_a_part_of_the_hook_that_dies_comes_back(box, shop, role):
    def pid():
        for line in subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True).stdout.splitlines():
            number, parent, arguments = line.split(None, 2)
            if int(parent) == box.process.pid and arguments.startswith("appliance-hook: " + role):
                return int(number)
        return None
    before = pid()
    os.kill(before, signal.SIGKILL)
    wait_until("it is there again", lambda: pid() not in (None, before))
    shop.centre.wait(shop.centre.book("box1", "2.0"), "committed")
    assert whole(box) == "2.0"


def test_resume_twice_changes_nothing(box, shop):
    shop.centre.wait(shop.centre.book("box1", "2.0"), "committed")
    for _ in range(2):
        box.hook("resume")
        assert whole(box) == "2.0"


def test_rollback_after_commit(box, shop):
    shop.centre.wait(shop.centre.book("box1", "2.0"), "committed")
    box.hook("rollback")
    assert whole(box) == "1.0"


def test_ordered_rollback(box, shop):
    identity = shop.centre.book("box1", "2.0")
    shop.centre.wait(identity, "committed")
    back = shop.centre.nightshift("upgrade", "rollback", identity, "--reason", "the customer asked").stdout.strip()
    row = shop.centre.upgrade(back)
    if row["state"] == "requested":
        pytest.skip("a second person (approval of an ordered rollback is tested in test_people)")
    shop.centre.wait(back, "committed", "rolled-back")
    assert whole(box) == "1.0"


def test_data_is_restored_with_the_code(shop):
    """A release that migrates data and then fails its health: code and data are the old ones, what was written is kept."""
    data = shop.directory / "data"
    data.mkdir()
    (data / "db").write_text("old")
    box = Appliance(shop, shop.centre, shop.publisher, extra="", units="")
    text = box.configuration.read_text()
    box.configuration.write_text(text + "[data]\ndirs = %s\n" % data)
    hooks = shop.directory / "hooks"
    hooks.mkdir()
    hook = hooks / "post-switch"
    hook.write_text("#!/bin/sh\necho new > %s/db\n" % data)
    hook.chmod(0o755)
    shop.publisher.ship(shop.centre, shop.publisher.pack("2.1", "--data-migration", "--hooks", hooks, healthy=False))
    box.adopt(shop.bundles["1.0"])
    box.join()
    done = box.hook("pull", "--to", "2.1", check=False)
    assert done.returncode != 0
    assert whole(box) == "1.0"
    assert (data / "db").read_text() == "old"
    kept = list((box.state / "demo" / "discarded").rglob("db"))
    assert kept and kept[0].read_text() == "new\n"


def test_full_disk_is_a_clear_refusal(shop):
    """A file system too small for the new tree: refused before anything is fetched, the old version runs on."""
    if os.geteuid() != 0:
        pytest.skip("root (a small tmpfs)")
    small = shop.directory / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(small)], capture_output=True).returncode != 0:
        pytest.skip("mount (a small tmpfs)")
    try:
        box = Appliance(shop, shop.centre, shop.publisher)
        box.configuration.write_text(box.configuration.read_text().replace("product_root = root", "product_root = %s" % small)
                                     .replace("%s/current" % box.root, "%s/current" % small))
        box.root = small
        box.adopt(shop.bundles["1.0"])
        box.join()
        shop.publisher.ship(shop.centre, shop.publisher.pack("5.0", files={"share/large": os.urandom(8_000_000)}))
        done = box.hook("pull", check=False)
        assert done.returncode == 73 and "room" in done.stderr, done
        assert whole(box) == "1.0"
    finally:
        time.sleep(0.1)
        subprocess.run(["umount", "-l", str(small)])


@pytest.mark.parametrize("how", ["join", "serve"])
def test_join_killed_after_the_hub_answered(shop, how):
    """The code is spent: what stands on the disk is enough for the same command again, and for serve alone."""
    box = Appliance(shop, shop.centre, shop.publisher)
    code = shop.centre.nightshift("appliance", "add", box.name, "--contract", "c-1", "--product",
                                  shop.publisher.product).stdout.strip()
    box.adopt(shop.bundles["1.0"])
    log = box.directory / "points"
    log.touch()
    log.chmod(0o666)
    # The third file that a join puts in place is the first that its reader sees; the two before are its own.
    box.hook("join", code, variables={"NIGHTSHIFT_FAULT": "file.rename:3=kill", "NIGHTSHIFT_FAULT_LOG": str(log)}, check=False)
    assert "file.rename" in log.read_text()
    assert (box.state / "joining.json").exists() and not (box.state / "link" / "hub.json").exists()
    if how == "join":
        assert "joined as box1" in box.hook("join", code).stdout
        again = box.hook("join", code, check=False)
        assert again.returncode == 77 and "ask your vendor for a new one" in again.stderr, again
    box.serve()
    assert not list(box.state.glob("joining.[jk]*"))
    box.open_tunnel()
