"""Releases marked `network`: their machine stays up, and the tunnel counts. It has to be lost and come back, for a line that
nobody has used since may be dead without anybody's knowing."""
import pytest

from house import Appliance, wait_until

LONG, SHORT = "10m", "3s"  # longer than the silence after which a line counts without having been lost; and soon over


def appliance(shop, back_within):
    box = Appliance(shop, shop.centre, shop.publisher)
    box.configuration.write_text(box.configuration.read_text() + "[hub]\njitter = 0\nback_within = %s\n" % back_within)
    box.install(shop.bundles["1.0"])
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.0", "--network"))
    return box


@pytest.fixture
def patient(shop):
    return appliance(shop, LONG)


@pytest.fixture
def hasty(shop):
    return appliance(shop, SHORT)


def asks_for_the_tunnel(box):
    """The product is started and healthy: what is left is the tunnel."""
    journal = box.state / "demo" / "journal"
    return any('"step":"tunnel"' in line and '"result"' not in line for line in journal.read_text().splitlines())


def begin(box, centre):
    identity = centre.book(box.name, "3.0")
    wait_until("the tunnel is asked for", lambda: asks_for_the_tunnel(box))
    assert box.current() == "3.0" and box.product() == "demo 3.0"
    return identity


def receipt_of(centre, identity):
    receipt = centre.ask("upgrade", "report", identity)["receipt"]
    return receipt.get("signed", receipt)


def test_commits_when_the_tunnel_is_back(patient, shop):
    identity = begin(patient, shop.centre)
    shop.centre.nightshift("tunnel", "close", patient.name)
    row = shop.centre.wait(identity, "committed")
    assert "unknown" in [event["to"] for event in row["events"]]
    receipt = receipt_of(shop.centre, identity)
    assert receipt["outcome"] == "committed" and receipt["confirmed"] is True
    assert {step["name"]: step["result"] for step in receipt["steps"]}["tunnel"] == "ok"
    assert patient.current() == "3.0" and patient.connected()


def test_goes_back_when_the_tunnel_is_not(hasty, shop):
    """The support centre cannot be reached any more: without it and without a word from anybody."""
    identity = begin(hasty, shop.centre)
    shop.centre.stop()
    wait_until("it went back", lambda: hasty.status()["state"] == "rolled-back")
    assert hasty.current() == "1.0" and hasty.product() == "demo 1.0"
    assert "3.0" in hasty.hook("quarantine", "list").stdout
    shop.centre.start()
    row = shop.centre.wait(identity, "rolled-back")
    assert "tunnel" in row["why"], row["why"]
    assert receipt_of(shop.centre, identity)["outcome"] == "rolled-back"


def test_one_that_the_customer_closes_is_not_waited_for(patient, shop):
    identity = begin(patient, shop.centre)
    patient.hook("tunnel", "close")
    wait_until("it is committed", lambda: patient.status()["state"] == "committed")
    assert patient.current() == "3.0"
    patient.open_tunnel()
    row = shop.centre.wait(identity, "committed")
    assert receipt_of(shop.centre, identity)["confirmed"] is False, row
