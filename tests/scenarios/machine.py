"""An appliance that is a machine: every process of it lives in namespaces that end all at once, as power does, and each
start has a boot id of its own. The needs are root and `unshare`; elsewhere such tests are skipped by name."""
import contextlib
import os
import pathlib
import signal
import subprocess
import threading

import pytest

from house import PROGRAMS, SECONDS, Appliance, wait_until

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


@contextlib.contextmanager
def installed(kind, shop):
    """A machine of that kind at 1.0, in use; a skip where there can be none."""
    missing = kind.missing()
    if missing:
        pytest.skip(missing)
    machine = kind(shop, shop.centre, shop.publisher)
    try:
        machine.install(shop.bundles["1.0"])
        yield machine
    finally:
        machine.close()


class Machine(Appliance):
    """An appliance whose every process lives in one process namespace: ending its first ends them all, as a power cut
    does. The configured reboot command asks for it."""
    missing = staticmethod(namespaces)

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

    def open_tunnel(self):
        """For good: one that was opened for a time does not come back after a restart."""
        self.hook("tunnel", "permanent", "on")
        wait_until("the tunnel is known", self.connected)

    def close(self):
        self.ends.set()
        if self.process:
            self.thread.join(SECONDS)
            self.house.stop(self.process, signal.SIGKILL)


PACKAGING = pathlib.Path(__file__).parents[2] / "packaging" / "systemd"
SYSTEMD = "/lib/systemd/systemd"
# What systemd may not do here, whatever it believes to be: restart or set the real machine, or mount over it.
FORBIDDEN = ",".join("-" + name for name in ("sys_boot", "sys_admin", "sys_rawio", "sys_module", "sys_time", "mknod", "net_admin"))
SYSTEMD_START = """#!/bin/sh
set -e
mount --bind {directory}/boot_id %s
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd /run/lock
mount -t tmpfs tmpfs /run/lock
mount -t cgroup2 none /sys/fs/cgroup
touch /run/console
mount --bind /run/console /dev/console
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=test SYSTEMD_UNIT_PATH={units} SYSTEMD_GENERATOR_PATH=/nonexistent \\
    setpriv --bounding-set %s %s --system --unit=multi-user.target --show-status=no
""" % (BOOT_ID, FORBIDDEN, SYSTEMD)
TARGETS = ("sysinit", "basic", "local-fs", "network-online", "multi-user", "shutdown", "umount", "final")
PRODUCT = """[Unit]
After=appliance-hook-resume.service
[Service]
ExecStart=/bin/sh -c 'cp {root}/current/share/version {directory}/runs; [ ! -e {root}/current/share/sick ] && exec sleep 1000000'
[Install]
WantedBy=multi-user.target
"""


def control_group():
    """Where groups of our own can be made, or None."""
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        if line.split()[2] == "cgroup2":
            return pathlib.Path(line.split()[1])
    return None


def systemd():
    """Why there can be no systemd as the first process of a machine here, or None."""
    if not os.access(SYSTEMD, os.X_OK) or not control_group():
        return "systemd (as the first process of a machine)"
    return namespaces()


class SystemdMachine(Machine):
    """The same under a real systemd, with the units of our packaging: `systemctl reboot` ends it by itself."""
    missing = staticmethod(systemd)

    def __init__(self, house, centre, publisher, name="box1"):
        super().__init__(house, centre, publisher, name)
        text = self.configuration.read_text()
        self.configuration.write_text(text.replace("backend = command\nreboot = /bin/touch %s\n" % self.asked,
                                                   "backend = systemd\nstop = demo.service\n")
                                      + "[probe unit]\ntype = unit\ntarget = demo.service\ntimes = 2\ninterval = 1\ndeadline = 6s\n")
        self.units = self.directory / "units"
        (self.units / "multi-user.target.wants").mkdir(parents=True)
        for target in TARGETS:
            self.unit(target + ".target", "[Unit]\nDefaultDependencies=no\n")
        self.unit("reboot.target", "[Unit]\nDefaultDependencies=no\nRequires=systemd-reboot.service\n"
                                   "After=systemd-reboot.service\nAllowIsolate=yes\n")
        self.unit("systemd-reboot.service", "[Unit]\nDefaultDependencies=no\nSuccessAction=reboot-force\n"
                                            "Requires=shutdown.target umount.target final.target\n"
                                            "After=shutdown.target umount.target final.target\n")
        for unit in ("appliance-hook.service", "appliance-hook-resume.service"):
            text = (PACKAGING / unit).read_text()
            text = text.replace("/usr/sbin/appliance-hook", "%s --config %s" % (PROGRAMS["appliance-hook"], self.configuration))
            text = text.replace("/var/lib/appliance-hook", str(self.state))
            self.unit(unit, text.replace("[Service]\n", "[Service]\nStandardOutput=append:%s\nStandardError=inherit\n" % self.log))
        self.unit("demo.service", PRODUCT.format(root=self.root, directory=self.directory))
        self.script.write_text(SYSTEMD_START.format(directory=self.directory, units=self.units))
        self.group = control_group() / ("nightshift-%d-%s" % (os.getpid(), self.directory.parent.name))

    def unit(self, name, text):
        (self.units / name).write_text(text)
        if "WantedBy=multi-user.target" in text:
            (self.units / "multi-user.target.wants" / name).symlink_to("../" + name)

    def power_on(self):
        self.boots += 1
        (self.directory / "boot_id").write_text("00000000-0000-4000-8000-%012d\n" % self.boots)
        self.group.mkdir(exist_ok=True)
        enter = "echo $$ > %s/cgroup.procs; exec unshare --mount --pid --fork --kill-child --mount-proc --uts --ipc --cgroup %s"
        self.process = self.house.start("sh", "-c", enter % (self.group, self.script), log=self.directory / "systemd.log")

    def attend(self):
        while not self.ends.wait(0.05):
            if self.process.poll() is not None:
                self.restart()

    def systemctl(self, *words):
        first = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()[0]
        return subprocess.run(["nsenter", "--target", first, "--pid", "--mount", "systemctl", *words], capture_output=True,
                              text=True, timeout=SECONDS)

    def runs(self):
        return (self.directory / "runs").read_text().strip()

    def close(self):
        super().close()
        for directory, _, _ in os.walk(self.group, topdown=False):
            wait_until("the group is empty", lambda: not (pathlib.Path(directory) / "cgroup.procs").read_text())
            os.rmdir(directory)
