"""Support, and what its end means: updates are blocked, the product runs on, rollback always works."""
import pytest

from house import Appliance, Refused


@pytest.fixture
def sold(shop):
    """A box whose support ends on 2027-01-31."""
    shop.centre.contract("c-9", "2027-01-31", "premium")
    box = Appliance(shop, shop.centre, shop.publisher)
    box.install(shop.bundles["1.0"], "c-9")
    return box


def into(shop, box, moment):
    """Everybody's clock moves; the repository's metadata is signed anew, as it would have been."""
    box.stop()
    shop.centre.stop()
    shop.clock.set_to(moment)
    shop.centre.start()
    shop.publisher.release("sign", shop.publisher.repository, "--key", shop.publisher.key("alice"), check=False)
    box.serve()
    box.open_tunnel()


def test_booking_after_the_lapse_is_refused(sold, shop):
    into(shop, sold, "2027-02-01T00:00:30Z")
    with pytest.raises(Refused) as refusal:
        shop.centre.book("box1", "2.0")
    assert refusal.value.code == 77
    assert "2027-01-31" in refusal.value.text and "renew" in refusal.value.text
    assert sold.product() == "demo 1.0"


def test_last_day_counts(sold, shop):
    into(shop, sold, "2027-01-31T12:00:00Z")
    shop.centre.wait(shop.centre.book("box1", "2.0"), "committed")


def test_lapse_holds_a_booking_and_renewal_frees_it(sold, shop):
    shop.centre.open_window("box1", "[window w]\nzone = UTC\nrule = once 2027-02-10T01:30\nduration = 2h\n")
    identity = shop.centre.book("box1", "2.0")
    row = shop.centre.upgrade(identity)
    assert row["state"] == "held" and row["held_for"] == "entitlement"
    assert "2027-01-31" in row["why"]
    shop.centre.nightshift("contract", "renew", "c-9", "--until", "2028-01-31")
    shop.centre.wait(identity, "booked", "staging", "staged")


def test_rollback_needs_no_support(sold, shop):
    shop.centre.wait(shop.centre.book("box1", "2.0"), "committed")
    into(shop, sold, "2027-02-01T00:00:30Z")
    sold.hook("rollback")
    assert sold.current() == "1.0" and sold.product() == "demo 1.0"


def test_pull_while_entitled(sold, shop):
    sold.hook("pull")
    assert sold.current() == "2.0" and sold.product() == "demo 2.0"
    sold.hook("check")


def test_pull_to_a_named_version(sold, shop):
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.0"))
    sold.hook("pull", "--to", "2.0")
    assert sold.current() == "2.0"


def test_pull_needs_no_open_tunnel(sold, shop):
    sold.hook("tunnel", "close")
    sold.hook("pull")
    assert sold.current() == "2.0"


def test_pull_after_the_lapse(sold, shop):
    into(shop, sold, "2027-02-01T00:00:30Z")
    done = sold.hook("pull", check=False)
    assert done.returncode == 77, done
    assert "2027-01-31" in done.stderr
    assert sold.current() == "1.0" and sold.product() == "demo 1.0"


def test_standard_tier_may_pull_but_is_not_managed(shop):
    shop.centre.contract("c-2", "2099-12-31")
    box = Appliance(shop, shop.centre, shop.publisher)
    box.install(shop.bundles["1.0"], "c-2")
    with pytest.raises(Refused) as refusal:
        shop.centre.book("box1", "2.0")
    assert refusal.value.code == 77 and "premium" in refusal.value.text
    box.hook("pull")
    assert box.current() == "2.0"


def test_altered_entitlement_is_refused(sold, shop):
    """A stolen orchestrator that issues entitlements under a key of its own: the hook refuses by name."""
    keys = shop.centre.directory / "keys"
    shop.centre.stop()
    for name in ("entitlement", "entitlement.pub"):
        (keys / name).unlink()
    shop.run("nightshift-release", "key", "new", keys / "entitlement", "--no-passphrase")
    shop.centre.start()
    sold.open_tunnel()
    row = shop.centre.wait(shop.centre.book("box1", "2.0"), "needs-human")
    assert row["code"] == 65 and "signature" in row["why"], row["why"]
    assert sold.current() == "1.0"


def test_altered_order_is_refused(sold, shop):
    keys = shop.centre.directory / "keys"
    shop.centre.stop()
    for name in ("order", "order.pub"):
        (keys / name).unlink()
    shop.run("nightshift-release", "key", "new", keys / "order", "--no-passphrase")
    shop.centre.start()
    sold.open_tunnel()
    row = shop.centre.wait(shop.centre.book("box1", "2.0"), "needs-human")
    assert row["code"] == 65, row["why"]
    assert sold.current() == "1.0" and sold.product() == "demo 1.0"
