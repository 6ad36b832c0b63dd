"""The hook under a real systemd, with the units of our packaging: stop, start, unit probes, the watcher as a transient
unit, `resume` before the product at boot, and `systemctl reboot`."""
import pytest

from house import SECONDS, wait_until
from machine import SystemdMachine, installed


@pytest.fixture
def machine(shop):
    with installed(SystemdMachine, shop) as machine:
        yield machine


def test_units_are_stopped_and_started(machine, shop):
    assert machine.runs() == "1.0"
    shop.centre.wait(shop.centre.book("box1", "2.0"), "committed")
    assert machine.current() == machine.runs() == "2.0" and machine.boots == 1
    assert machine.systemctl("is-active", "demo.service").returncode == 0
    # Its unit ends as soon as it was started: the unit's state says so, whatever the program answers.
    shop.publisher.ship(shop.centre, shop.publisher.pack("2.1", files={"share/sick": b"\n"}))
    row = shop.centre.wait(shop.centre.book("box1", "2.1"), "rolled-back")
    assert "probe unit" in row["why"], row["why"]
    assert machine.current() == machine.runs() == "2.0"
    assert machine.systemctl("is-active", "demo.service").returncode == 0
    assert "watcher" not in machine.log.read_text()


def test_restarts_by_systemd(machine, shop):
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.0", "--reboot"))
    shop.centre.wait(shop.centre.book("box1", "3.0"), "committed", seconds=2 * SECONDS)
    assert machine.current() == machine.runs() == "3.0" and machine.boots == 2
    # Back over a restart, too.
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.1", "--reboot", files={"share/sick": b"\n"}))
    row = shop.centre.wait(shop.centre.book("box1", "3.1"), "rolled-back", seconds=2 * SECONDS)
    assert "probe unit" in row["why"], row["why"]
    assert machine.boots == 4
    wait_until("the product runs", lambda: machine.systemctl("is-active", "demo.service").returncode == 0)
    assert machine.current() == machine.runs() == "3.0"
    assert "watcher" not in machine.log.read_text()
