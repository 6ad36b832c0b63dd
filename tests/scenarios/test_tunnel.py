"""The tunnel: opened by the appliance alone, closed at will, resumed where it broke, stock ssh in its place."""
import os
import signal
import subprocess
import time

import pytest

from house import Appliance, Refused, wait_until


def test_tunnel_closed_before_the_push(box, shop):
    box.hook("tunnel", "close")
    wait_until("the tunnel is gone", lambda: not box.connected())
    identity = shop.centre.book("box1", "2.0")
    row = wait_until("it says why", lambda: (lambda r: r if "tunnel" in r["why"] else None)(shop.centre.upgrade(identity)))
    assert row["code"] == 69
    assert box.current() == "1.0"
    box.open_tunnel()
    shop.centre.wait(identity, "committed")


def test_tunnel_closed_in_the_middle_resumes(box, shop):
    """What was fetched before the break is not fetched again."""
    files = {"share/part-%d" % i: os.urandom(4_000_000) for i in range(16)}
    shop.publisher.ship(shop.centre, shop.publisher.pack("4.0", files=files))
    identity = shop.centre.book("box1", "4.0")
    staging = box.root / "releases" / ".staging-4.0"
    hub = shop.centre.roles()["hub"]
    wait_until("some files are there", lambda: list(staging.glob("tree/share/part-*")), pause=0.002)
    os.kill(hub, signal.SIGSTOP)
    try:
        before = shop.centre.upgrade(identity)
        box.hook("tunnel", "close")
        assert len(list(staging.glob("tree/share/part-*"))) < len(files), "too fast to be interrupted"
    finally:
        os.kill(hub, signal.SIGCONT)
    wait_until("the tunnel is gone", lambda: not box.connected())
    assert staging.exists()
    box.open_tunnel()
    after = shop.centre.wait(identity, "committed")
    assert after["bytes_done"] >= before["bytes_done"]
    assert box.current() == "4.0"


def test_scope_status_grants_no_upgrade(box, shop):
    box.hook("tunnel", "close")
    wait_until("the tunnel is gone", lambda: not box.connected())
    box.open_tunnel("--scope", "status")
    identity = shop.centre.book("box1", "2.0")
    time.sleep(1)
    assert box.current() == "1.0"
    assert shop.centre.upgrade(identity)["state"] != "committed"
    box.hook("tunnel", "close")
    wait_until("the tunnel is gone", lambda: not box.connected())
    box.open_tunnel("--scope", "status,upgrade")
    shop.centre.wait(identity, "committed")


def test_tunnel_time_is_kept(box, shop):
    box.hook("tunnel", "close")
    box.open_tunnel("--for", "2s")
    wait_until("it closes by itself", lambda: not box.connected(), 20)
    with pytest.raises(Refused) as refusal:
        box.hook("tunnel", "open", "--for", "80h")
    assert refusal.value.code == 64


def test_centre_may_close_but_not_open(box, shop):
    shop.centre.nightshift("tunnel", "close", "box1")
    wait_until("closed", lambda: "closed" in box.hook("tunnel", "status").stdout or not box.connected())


def test_stock_ssh_serves_as_the_tunnel(shop):
    """ssh -N -R 1:HOOK_SOCKET APPLIANCE@hub reaches the same dialogue."""
    box = Appliance(shop, shop.centre, shop.publisher)
    box.adopt(shop.bundles["1.0"])
    box.join()
    box.serve()
    shop.centre.open_window("box1")
    key = box.directory / "key"
    key.write_bytes((box.state / "link" / "appliance_key").read_bytes())
    key.chmod(0o600)
    log = open(box.directory / "ssh.log", "ab")
    ssh = subprocess.Popen(["ssh", "-N", "-F", "none", "-p", str(shop.centre.port), "-i", str(key), "-o", "IdentitiesOnly=yes",
                            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
                            "-o", "ExitOnForwardFailure=yes", "-R", "1:%s" % (box.state / "hook.sock"), "box1@127.0.0.1"],
                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    shop.processes.append(ssh)
    wait_until("the tunnel is known", box.connected)
    assert shop.centre.ask("tunnel", "list")[0]["transport"] == "forward"
    shop.centre.wait(shop.centre.book("box1", "2.0"), "committed")
    assert box.current() == "2.0"


def test_join_code_works_once(shop):
    box = Appliance(shop, shop.centre, shop.publisher)
    code = shop.centre.nightshift("appliance", "add", "box1", "--contract", "c-1", "--product", "demo").stdout.strip()
    box.hook("join", code)
    other = Appliance(shop, shop.centre, shop.publisher, "other")
    with pytest.raises(Refused) as refusal:
        other.hook("join", code)
    assert refusal.value.code in (65, 69, 77)


def test_mistyped_join_code(shop):
    box = Appliance(shop, shop.centre, shop.publisher)
    code = shop.centre.nightshift("appliance", "add", "box1", "--contract", "c-1", "--product", "demo").stdout.strip()
    wrong = code[:-3] + ("0" if code[-3] != "0" else "1") + code[-2:]
    with pytest.raises(Refused) as refusal:
        box.hook("join", wrong)
    assert refusal.value.code == 64


def test_join_refuses_another_root(shop):
    box = Appliance(shop, shop.centre, shop.publisher)
    shop.publisher.release("repo", "init", shop.publisher.directory / "other", "--product", "demo", "--root-key",
                           shop.publisher.key("alice"), "--root-threshold", 1, "--targets-key", shop.publisher.key("bob", True),
                           "--targets-threshold", 1, "--snapshot-key", shop.publisher.key("snapshot", True), "--timestamp-key",
                           shop.centre.directory / "keys" / "timestamp.pub", "--order-key",
                           shop.centre.directory / "keys" / "order.pub", "--entitlement-key",
                           shop.centre.directory / "keys" / "entitlement.pub")
    (box.directory / "root.json").write_bytes((shop.publisher.directory / "other" / "metadata" / "1.root.json").read_bytes())
    code = shop.centre.nightshift("appliance", "add", "box1", "--contract", "c-1", "--product", "demo").stdout.strip()
    with pytest.raises(Refused) as refusal:
        box.hook("join", code)
    assert refusal.value.code == 65 and "root" in refusal.value.text


def test_revoked_appliance_is_cut_off(box, shop):
    shop.centre.nightshift("appliance", "revoke", "box1")
    wait_until("the tunnel is gone", lambda: not box.connected())
    assert box.product() == "demo 1.0"


def test_unreachable_daemon_is_69(house, shop):
    shop.centre.stop()
    assert shop.centre.nightshift("status", check=False).returncode == 69
