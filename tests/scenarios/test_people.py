"""Who may: roles from the first command, a second person where policy asks for one, nobody approves himself."""
import os
import pwd

import pytest

from house import Appliance, Centre, Publisher

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="root (several unix users)")
PEOPLE = {"tom": ("daemon", "technician"), "tina": ("games", "technician"), "abe": ("mail", "approver"), "ann": ("news", "accounts"),
          "otto": ("backup", "auditor")}


@pytest.fixture
def staff(shop):
    key = shop.directory / "id.pub"
    key.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHeM3BxyLpsnJqLySsqZIiPQXGRtKSqnh1f1hPWUv8dP somebody\n")
    for name, (login, role) in PEOPLE.items():
        shop.centre.nightshift("technician", "add", name, "--login", login, "--key", key, "--role", role)

    def ask(name, *words, check=True):
        login = PEOPLE[name][0]
        return shop.centre.nightshift(*words, user=pwd.getpwnam(login).pw_uid, check=check)
    return ask


@root_only
def test_roles(staff, shop):
    assert staff("ann", "customer", "add", "beta").returncode == 0
    for name, words in (("tom", ("contract", "renew", "c-1", "--until", "2098-01-01")),
                        ("otto", ("customer", "add", "gamma")),
                        ("ann", ("appliance", "add", "x", "--contract", "c-1", "--product", "demo")),
                        ("tom", ("technician", "remove", "abe")),
                        ("tom", ("release", "unhalt", "2.0"))):
        done = staff(name, *words, check=False)
        assert done.returncode == 77, (name, words, done.returncode, done.stderr)
    assert staff("otto", "audit", "verify").returncode == 0
    assert staff("tom", "release", "halt", "2.0", "--reason", "looks wrong").returncode == 0
    assert staff("abe", "release", "unhalt", "2.0").returncode == 0


@root_only
def test_stranger_is_refused(shop):
    done = shop.centre.nightshift("customer", "list", user=pwd.getpwnam("lp").pw_uid, check=False)
    assert done.returncode == 77


@root_only
def test_nobody_approves_himself(house):
    centre = Centre(house, policy="[policy]\napprovals = second-person\n")
    publisher = Publisher(house)
    publisher.create(centre)
    centre.start()
    centre.sell()
    house.centre, house.publisher = centre, publisher
    first, second = publisher.pack("1.0"), publisher.pack("2.0")
    publisher.ship(centre, first, second)
    key = house.directory / "id.pub"
    key.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHeM3BxyLpsnJqLySsqZIiPQXGRtKSqnh1f1hPWUv8dP somebody\n")
    centre.nightshift("technician", "add", "abe", "--login", "mail", "--key", key, "--role", "approver")
    centre.nightshift("technician", "add", "tom", "--login", "daemon", "--key", key, "--role", "technician")
    box = Appliance(house, centre, publisher)
    box.install(first)
    identity = centre.book("box1", "2.0")
    assert centre.upgrade(identity)["state"] == "requested"
    own = centre.nightshift("upgrade", "approve", identity, check=False)
    assert own.returncode == 77 and "other" in own.stderr
    technician = centre.nightshift("upgrade", "approve", identity, user=pwd.getpwnam("daemon").pw_uid, check=False)
    assert technician.returncode == 77
    assert box.current() == "1.0"
    centre.nightshift("upgrade", "approve", identity, user=pwd.getpwnam("mail").pw_uid)
    centre.wait(identity, "committed")
    assert centre.upgrade(identity)["approved_by"] == "abe"


def test_declined_booking_does_not_run(box, shop):
    shop.centre.open_window("box1", "[window far]\nzone = UTC\nrule = once 2031-01-05T01:30\nduration = 2h\n")
    identity = shop.centre.book("box1", "2.0")
    shop.centre.nightshift("upgrade", "abort", identity)
    assert shop.centre.wait(identity, "cancelled")["state"] == "cancelled"
    shop.centre.open_window("box1")
    shop.centre.wait(shop.centre.book("box1", "2.0"), "committed")


def test_pause_and_resume(box, shop):
    shop.centre.open_window("box1", "[window far]\nzone = UTC\nrule = once 2031-01-05T01:30\nduration = 2h\n")
    identity = shop.centre.book("box1", "2.0")
    shop.centre.nightshift("upgrade", "pause", identity)
    assert shop.centre.upgrade(identity)["state"] == "held"
    shop.centre.nightshift("upgrade", "resume", identity)
    assert shop.centre.upgrade(identity)["state"] in ("booked", "staging", "staged")


def test_notice_asks_the_customer(box, shop):
    shop.centre.open_window("box1", "[window w]\nzone = UTC\nrule = weekly MO,TU,WE,TH,FR,SA,SU 00:00\nduration = 24h\nnotice = 72h\n")
    identity = shop.centre.book("box1", "2.0")
    row = shop.centre.upgrade(identity)
    assert row["state"] == "requested" and row["needs"] == "customer"


def test_two_nodes_of_a_pair_never_at_once(shop):
    boxes = []
    for name in ("node-a", "node-b"):
        box = Appliance(shop, shop.centre, shop.publisher, name, probe="/bin/sleep 0.3")
        box.install(shop.bundles["1.0"], "c-1", "--ha-group", "pair")
        boxes.append(box)
    booked = [shop.centre.book(box.name, "2.0") for box in boxes]
    for identity in booked:
        shop.centre.wait(identity, "committed")
    spans = []
    for identity in booked:
        events = shop.centre.upgrade(identity)["events"]
        spans.append((next(e["seq"] if "seq" in e else e["at"] for e in events if e["to"] == "running"),
                      [e for e in events if e["to"] in ("running", "committed")]))
    first, second = sorted((span[1][0]["at"], span[1][-1]["at"]) for span in spans)
    assert first[1] <= second[0], (first, second)
