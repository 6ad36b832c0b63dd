"""Releases that restart the machine: the appliance goes down in the middle of its upgrade, everything of it, and comes
back with another boot id. The support centre loses it, asks, and hears how it ended."""
import pytest

from house import SECONDS, tree_matches, wait_until
from machine import Machine, installed


@pytest.fixture
def machine(shop):
    with installed(Machine, shop) as machine:
        yield machine


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
    assert all(state in wanted for state in ("running", "unknown", "committed")), states
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
