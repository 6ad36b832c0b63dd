"""The main job: signed, booked, pushed in the window, switched, checked, committed; and what stands afterwards."""
import json
import os
import shutil
import subprocess

from house import PROGRAMS, Appliance, tree_matches, wait_until


def test_whole_job(box, shop):
    identity = shop.centre.book("box1", "2.0")
    row = shop.centre.wait(identity, "committed")
    assert row["from_version"] == "1.0" and row["to_version"] == "2.0"
    assert box.current() == "2.0"
    assert box.product() == "demo 2.0"
    assert tree_matches(box.root / "releases" / "2.0", box.manifest("2.0")) is None
    report = shop.centre.ask("upgrade", "report", identity)
    receipt = report["receipt"]
    signed = receipt["signed"] if "signed" in receipt else receipt
    assert signed["outcome"] == "committed" and signed["from"] == "1.0" and signed["to"] == "2.0"


def test_history_reads_as_a_story(box, shop):
    identity = shop.centre.book("box1", "2.0")
    shop.centre.wait(identity, "committed")
    states = [event["to"] for event in shop.centre.upgrade(identity)["events"]]
    wanted = iter(states)
    assert all(state in wanted for state in ("booked", "staging", "staged", "due", "running", "committed")), states


def test_two_upgrades_in_a_row(box, shop):
    shop.centre.wait(shop.centre.book("box1", "2.0"), "committed")
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.0"))
    shop.centre.wait(shop.centre.book("box1", "3.0"), "committed")
    assert box.current() == "3.0" and box.product() == "demo 3.0"


def test_store_restored_from_a_backup_goes_on(box, shop):
    """The restored store has given out fewer fences than the appliance has seen: HELLO tells it."""
    centre = shop.centre
    subprocess.run(["sqlite3", str(centre.directory / "store.db"), ".backup '%s'" % (centre.directory / "backup.db")], check=True)
    centre.wait(centre.book("box1", "2.0"), "committed")
    centre.stop()
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        (centre.directory / name).unlink(missing_ok=True)
    shutil.copy(centre.directory / "backup.db", centre.directory / "store.db")
    centre.start()
    shop.publisher.ship(centre, shop.publisher.pack("3.0"))
    wait_until("the hook calls again", box.connected)
    centre.wait(centre.book("box1", "3.0"), "committed")
    assert box.current() == "3.0"


def test_failing_health_rolls_back(box, shop):
    shop.publisher.ship(shop.centre, shop.publisher.pack("2.1", healthy=False))
    identity = shop.centre.book("box1", "2.1")
    row = shop.centre.wait(identity, "rolled-back")
    assert "health" in row["why"]
    assert box.current() == "1.0" and box.product() == "demo 1.0"


def test_quarantined_release_is_refused_by_the_hook(box, shop):
    shop.publisher.ship(shop.centre, shop.publisher.pack("2.1", healthy=False))
    shop.centre.wait(shop.centre.book("box1", "2.1"), "rolled-back")
    wait_until("the hook calls again", box.connected)
    plan = shop.centre.nightshift("upgrade", "plan", "box1", "--to", "2.1", check=False)
    assert plan.returncode != 0 and "quarantine" in (plan.stdout + plan.stderr)
    row = shop.centre.wait(shop.centre.book("box1", "2.1"), "needs-human")
    assert row["code"] == 65 and "quarantine" in row["why"]
    assert "2.1" in box.hook("quarantine", "list").stdout
    assert box.current() == "1.0"


def test_three_appliances_one_centre(shop):
    boxes = []
    for name in ("one", "two", "three"):
        box = Appliance(shop, shop.centre, shop.publisher, name)
        box.install(shop.bundles["1.0"])
        boxes.append(box)
    booked = [shop.centre.book(box.name, "2.0") for box in boxes]
    for identity in booked:
        shop.centre.wait(identity, "committed")
    assert [box.product() for box in boxes] == ["demo 2.0"] * 3


def test_unchanged_files_are_not_fetched(box, shop):
    """Only the blobs that carry changed contents travel: of 15 MB at most two blobs."""
    large = {"share/large-%d" % i: os.urandom(5_000_000) for i in range(3)}
    shop.publisher.ship(shop.centre, shop.publisher.pack("2.0.1", files=large))
    shop.centre.wait(shop.centre.book("box1", "2.0.1"), "committed")
    shop.publisher.ship(shop.centre, shop.publisher.pack("2.0.2", files=large))
    identity = shop.centre.book("box1", "2.0.2")
    row = shop.centre.wait(identity, "committed")
    assert row["bytes_done"] < 9_000_000, row["bytes_done"]
    assert tree_matches(box.root / "releases" / "2.0.2", box.manifest("2.0.2")) is None


def test_large_release_travels_in_blobs(box, shop):
    files = {"share/part-%d" % i: os.urandom(3_000_000) for i in range(12)}
    shop.publisher.ship(shop.centre, shop.publisher.pack("4.0", files=files))
    row = shop.centre.wait(shop.centre.book("box1", "4.0"), "committed")
    assert row["bytes_done"] == row["bytes"] and row["blobs"] >= 7
    assert tree_matches(box.root / "releases" / "4.0", box.manifest("4.0")) is None


def test_audit_chain_holds_and_names_an_edited_row(box, shop):
    centre = shop.centre
    centre.wait(centre.book("box1", "2.0"), "committed")
    assert centre.nightshift("audit", "verify").returncode == 0
    subprocess.run(["sqlite3", str(centre.directory / "store.db"), "UPDATE audit SET actor = 'nobody' WHERE seq = 5"], check=True)
    found = centre.nightshift("audit", "verify", check=False)
    assert found.returncode == 65 and "5" in found.stderr


def test_listing_contract(box, shop):
    """Every listing is JSON on demand, an array of objects."""
    for words in (("customer", "list"), ("contract", "list"), ("appliance", "list"), ("release", "list"), ("upgrade", "list"),
                  ("tunnel", "list"), ("technician", "list"), ("freeze", "list"), ("audit", "show"), ("renewals",)):
        rows = shop.centre.ask(*words)
        assert isinstance(rows, list), words
    assert isinstance(shop.centre.ask("status"), dict)
    assert json.loads(box.hook("status", "--json").stdout)["version"] == "1.0"


def test_processes_are_apart(box, shop):
    """Each role its own process; the hub holds sockets only; link and check are not root; act has no network socket."""
    roles = shop.centre.roles()
    assert {"hub", "api", "engine", "signer"} <= set(roles)
    for name in os.listdir("/proc/%d/fd" % roles["hub"]):
        target = os.readlink("/proc/%d/fd/%s" % (roles["hub"], name))
        if int(name) > 2:
            assert target.startswith(("socket:", "anon_inode:")), target
    hook = {}
    for line in subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True).stdout.splitlines():
        pid, arguments = line.split(None, 1)
        if arguments.startswith("appliance-hook: ") and in_house(int(pid), box.process.pid):
            hook[arguments.split()[1].rstrip(":")] = int(pid)
    assert {"link", "check", "act"} <= set(hook), hook
    if os.geteuid() == 0:
        uids = {name: int(status_field(pid, "Uid")) for name, pid in hook.items()}
        assert uids["link"] != 0 and uids["check"] != 0 and uids["link"] != uids["check"] and uids["act"] == 0
        assert int(status_field(roles["hub"], "Uid")) != 0
    assert status_field(hook["check"], "Seccomp") == "2"
    network = network_inodes()
    for name in ("check", "act"):
        sockets = {os.readlink("/proc/%d/fd/%s" % (hook[name], fd)) for fd in os.listdir("/proc/%d/fd" % hook[name])}
        assert not sockets & network, name


def in_house(pid, ancestor):
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = int(status_field(pid, "PPid"))
        except FileNotFoundError:
            return False
    return False


def status_field(pid, field):
    for line in open("/proc/%d/status" % pid):
        if line.startswith(field + ":"):
            return line.split()[1]
    return None


def network_inodes():
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in open("/proc/net/" + table).read().splitlines()[1:]:
            found.add("socket:[%s]" % line.split()[9])
    return found


def test_only_hub_and_api_listen(box, shop):
    pids = set(shop.centre.roles().values()) | {shop.centre.process.pid}
    listening = set()
    for line in open("/proc/net/tcp").read().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A":
            listening.add(("socket:[%s]" % fields[9], int(fields[1].split(":")[1], 16)))
    mine = {port for inode, port in listening for pid in pids
            for fd in os.listdir("/proc/%d/fd" % pid) if os.readlink("/proc/%d/fd/%s" % (pid, fd)) == inode}
    assert mine == {shop.centre.port}
    hook_pids = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and in_house(int(pid), box.process.pid)]
    inodes = {inode for inode, _ in listening}
    for pid in hook_pids:
        for fd in os.listdir("/proc/%d/fd" % pid):
            assert os.readlink("/proc/%d/fd/%s" % (pid, fd)) not in inodes


def test_programs_tell_their_usage():
    for program in PROGRAMS.values():
        assert subprocess.run([program, "--help"], capture_output=True).returncode == 0
        wrong = subprocess.run([program, "no-such-thing"], capture_output=True, text=True)
        assert wrong.returncode == 64 and wrong.stderr and not wrong.stdout
