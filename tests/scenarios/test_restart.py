"""Releases that restart the machine: the appliance goes down in the middle of its upgrade, everything of it, and comes
back with another boot id. The support centre loses it, asks, and hears how it ended."""
import os
import signal
import subprocess
import threading

import pytest

from house import ALWAYS_OPEN, PROGRAMS, SECONDS, Appliance, tree_matches, wait_until

BOOT_ID = "/proc/sys/kernel/random/boot_id"
# As a machine does: first what was interrupted, then everything else. A release that holds share/deaf breaks the network.
START = """#!/bin/sh
mount --bind {directory}/boot_id %s || exit 1
{hook} --config {configuration} resume
[ -e {root}/current/share/deaf ] && alone="unshare --net"
$alone {hook} --config {configuration} serve
""" % BOOT_ID


def namespaces():
    """Why there can be no machine here, or None."""
    if os.geteuid() != 0:
        return "root (a machine in namespaces)"
    words = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc", "mount", "--bind", "/proc/version", BOOT_ID]
    done = subprocess.run(words, capture_output=True, timeout=SECONDS)
    return None if done.returncode == 0 else "unshare, mount (a machine in namespaces)"


class Machine(Appliance):
    """An appliance whose every process lives in one process namespace: ending its first ends them all, as a power cut
    does. The configured reboot command asks for it."""

    def __init__(self, house, centre, publisher, name="box1"):
        directory = house.directory / name
        asked = directory / "reboot-asked"
        super().__init__(house, centre, publisher, name, units="reboot = /bin/touch %s\nreboot_within = %ds\n" % (asked, SECONDS))
        text = self.configuration.read_text()
        self.configuration.write_text(text + "[hub]\njitter = 0\nback_within = 8s\n")
        self.asked, self.boots, self.ends, self.power = asked, 0, threading.Event(), threading.Lock()
        self.script = self.directory / "start"
        self.script.write_text(START.format(directory=self.directory, hook=PROGRAMS["appliance-hook"], root=self.root,
                                            configuration=self.configuration))
        self.script.chmod(0o755)
        self.thread = threading.Thread(target=self.attend, daemon=True)

    def power_on(self):
        self.boots += 1
        (self.directory / "boot_id").write_text("00000000-0000-4000-8000-%012d\n" % self.boots)
        self.process = self.house.start("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", self.script,
                                        log=self.log)

    def restart(self):
        with self.power:
            self.house.stop(self.process, signal.SIGKILL)
            self.asked.unlink(missing_ok=True)
            self.power_on()

    def attend(self):
        while not self.ends.wait(0.05):
            if self.asked.exists():
                self.restart()

    def inside(self, *words):
        """A command of the appliance's own, which goes down with it."""
        first = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()[0]
        return subprocess.run(["nsenter", "--target", first, "--pid", "--mount", str(PROGRAMS["appliance-hook"]), "--config",
                               str(self.configuration), *words], capture_output=True, text=True, timeout=SECONDS)

    def serve(self, variables=None):
        self.power_on()
        self.thread.start()
        wait_until("the hook answers", lambda: (self.state / "control.sock").exists())

    def close(self):
        self.ends.set()
        self.thread.join(SECONDS)
        self.house.stop(self.process, signal.SIGKILL)


@pytest.fixture
def machine(shop):
    missing = namespaces()
    if missing:
        pytest.skip(missing)
    machine = Machine(shop, shop.centre, shop.publisher)
    machine.adopt(shop.bundles["1.0"])
    machine.join()
    machine.serve()
    machine.hook("tunnel", "permanent", "on")
    wait_until("the tunnel is known", machine.connected)
    shop.centre.open_window(machine.name, ALWAYS_OPEN)
    yield machine
    machine.close()


def whole(machine, version):
    assert machine.current() == version
    assert tree_matches(machine.root / "releases" / version, machine.manifest(version)) is None
    assert machine.product() == "demo " + version


def receipt_of(shop, identity):
    receipt = shop.centre.ask("upgrade", "report", identity)["receipt"]
    return receipt.get("signed", receipt)


def test_commits_over_a_restart(machine, shop):
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.0", "--reboot"))
    identity = shop.centre.book("box1", "3.0")
    row = shop.centre.wait(identity, "committed", seconds=2 * SECONDS)
    whole(machine, "3.0")
    assert machine.boots == 2
    states = [event["to"] for event in row["events"]]
    wanted = iter(states)
    assert all(state in wanted for state in ("running", "unknown", "running", "committed")), states
    receipt = receipt_of(shop, identity)
    assert receipt["outcome"] == "committed" and receipt["confirmed"] is True
    steps = {step["name"]: step["result"] for step in receipt["steps"]}
    assert steps["reboot"] == steps["boot"] == steps["health"] == steps["tunnel"] == "ok", steps
    # And the next one, without a restart.
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.1"))
    shop.centre.wait(shop.centre.book("box1", "3.1"), "committed")
    assert machine.boots == 2


def test_never_back_at_the_tunnel_goes_back_by_itself(machine, shop):
    """The new version breaks the network: nobody can tell the appliance anything, and it goes back all the same."""
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.0", "--reboot", "--network", files={"share/deaf": b"\n"}))
    identity = shop.centre.book("box1", "3.0")
    wait_until("it restarted", lambda: machine.boots == 2, 2 * SECONDS)
    row = shop.centre.wait(identity, "rolled-back", seconds=2 * SECONDS)
    assert "tunnel" in row["why"], row["why"]
    assert machine.boots == 3
    whole(machine, "1.0")
    assert receipt_of(shop, identity)["outcome"] == "rolled-back"
    assert "3.0" in machine.hook("quarantine", "list").stdout


def test_power_is_lost_again_while_it_is_checked(machine, shop):
    """Once more than asked for: the run goes on where it was."""
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.0", "--reboot"))
    identity = shop.centre.book("box1", "3.0")
    wait_until("it came back", lambda: "the machine came back" in machine.log.read_text(), 2 * SECONDS)
    machine.restart()
    shop.centre.wait(identity, "committed", seconds=2 * SECONDS)
    whole(machine, "3.0")


def test_rollback_restarts_as_well(machine, shop):
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.0", "--reboot"))
    shop.centre.wait(shop.centre.book("box1", "3.0"), "committed", seconds=2 * SECONDS)
    machine.inside("rollback")
    wait_until("it is back", lambda: machine.status()["state"] == "rolled-back")
    assert machine.boots == 3
    whole(machine, "1.0")
