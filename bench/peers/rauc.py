"""RAUC. Whole: a signed plain bundle, installed by its service into the other slot, which it formats, fills and unmounts.
Adaptive: the 4 KiB blocks of the new slot image that the old one has not (block-hash-index). That installs through NBD and
device mapper, which not every machine has, so its bytes are counted from the images: of a squashfs as it lies, of an ext4
compressed by zstd -19 in one stream, which is kinder than the bundle's own blocks."""
import contextlib
import hashlib
import os
import pathlib
import subprocess
import tempfile
import time

from cost import Broken, Cost
from pairs import call, emptied, stale
from peers.certificate import certificate
from peers.tars import full
from volume import device, mounted

BLOCK = 4096
HEADROOM = 1.15  # of an ext4 over the bytes of its files
PATIENCE = 10  # seconds for the service to answer

MANIFEST = """[update]
compatible=bench
version=new

[bundle]
format=plain

[image.tree]
filename=%s
"""

SYSTEM = """[system]
compatible=bench
bootloader=custom
mountprefix={directory}/mnt
statusfile={directory}/status

[handlers]
bootloader-custom-backend={directory}/boot-loader

[keyring]
path={trusted}

[slot.tree.0]
device={slots[0]}
type=ext4
bootname=A

[slot.tree.1]
device={slots[1]}
type=ext4
bootname=B
"""

BOOT_LOADER = """#!/bin/sh
case $1 in
get-primary | get-current) echo A ;;
get-state) echo good ;;
esac
"""

BUS = """<busconfig>
<listen>unix:path=%s/bus</listen>
<auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/></policy>
</busconfig>
"""


def bundle(pair):
    return pair.work / "new.raucb"


def make_bundle(pair):
    """The archive is that of the row "full", packed and signed."""
    archive, parts = full(pair), emptied(pair.work / "rauc")
    (parts / archive.name).hardlink_to(archive)
    (parts / "manifest.raucm").write_text(MANIFEST % archive.name)
    signer, key = certificate(pair)
    bundle(pair).unlink(missing_ok=True)
    cost = Cost().run(["rauc", "bundle", "--cert=%s" % signer, "--key=%s" % key, "--mksquashfs-args=-comp zstd", parts,
                       bundle(pair)])
    return bundle(pair).stat().st_size, cost


def ready(pair):
    if stale(bundle(pair), full(pair)):
        make_bundle(pair)


@contextlib.contextmanager
def service(before, slots, trusted):
    """RAUC's service on a bus of its own, on a device that runs from the first slot: (its pid, the environment of its
    clients)."""
    with tempfile.TemporaryDirectory(prefix="rauc-") as name, contextlib.ExitStack() as ending:
        directory = pathlib.Path(name)
        (directory / "mnt").mkdir()
        (directory / "system.conf").write_text(SYSTEM.format(directory=directory, slots=slots, trusted=trusted))
        (directory / "boot-loader").write_text(BOOT_LOADER)
        (directory / "boot-loader").chmod(0o755)
        (directory / "bus.conf").write_text(BUS % directory)
        environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=%s/bus" % directory}

        def begin(*command):
            process = subprocess.Popen([str(word) for word in (*before, *command)], env=environment, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            ending.callback(process.wait)
            ending.callback(process.terminate)
            return process

        begin("dbus-daemon", "--nofork", "--config-file=%s/bus.conf" % directory)
        wait_until((directory / "bus").exists)
        process = begin("rauc", "-c", directory / "system.conf", "service", "--override-boot-slot=A")
        wait_until(lambda: subprocess.run(["rauc", "status"], env=environment, capture_output=True).returncode == 0)
        yield process.pid, environment


def wait_until(ready_now):
    end = time.monotonic() + PATIENCE
    while not ready_now():
        if time.monotonic() > end:
            raise Broken("RAUC's service or its bus does not answer")
        time.sleep(0.05)


def install(cost, pair, into, beside=None):
    """Into a slot of its own (its image lies in `beside`); what stands there then is copied to `into`, at no cost in the row,
    to be compared like the other trees."""
    with device(beside=beside) as running, device(beside=beside) as other:
        with service(cost.before, (running, other), certificate(pair)[0]) as (pid, environment):
            cost.run(["rauc", "install", bundle(pair)], env=environment, servants=[pid])
        with mounted(other, "-o", "ro") as slot:
            call("cp", "-a", "%s/." % slot, into)
    (into / "lost+found").rmdir()
    return cost


def new_blocks(old, new, out):
    """Bytes of the new image's blocks that the old image lacks, written to `out`."""
    with open(old, "rb") as image:
        known = {hashlib.blake2b(block, digest_size=16).digest() for block in iter(lambda: image.read(BLOCK), b"")}
    total = 0
    with open(new, "rb") as image, open(out, "wb") as kept:
        for block in iter(lambda: image.read(BLOCK), b""):
            name = hashlib.blake2b(block, digest_size=16).digest()
            if name not in known:
                known.add(name)
                kept.write(block)
                total += len(block)
    return total


def make_squashfs(pair):
    images = {side: pair.work / (side + ".squashfs") for side in ("old", "new")}
    for side, image in images.items():
        cost = Cost().run(["mksquashfs", pair.work / side, image, "-noappend", "-comp", "zstd", "-Xcompression-level", "19",
                           "-all-root", "-no-xattrs", "-all-time", "0", "-mkfs-time", "0", "-quiet", "-no-progress"])
    size = new_blocks(images["old"], images["new"], pair.work / "blocks")
    return size, cost


def make_ext4(pair):
    images = {side: pair.work / (side + ".ext4") for side in ("old", "new")}
    for side, image in images.items():
        tree = pair.work / side
        entries = sum(1 for _ in tree.rglob("*"))
        kilobytes = int((pair.size() * HEADROOM + entries * 4096) / 1024) + 16384
        image.unlink(missing_ok=True)
        cost = Cost().run(["mke2fs", "-q", "-F", "-t", "ext4", "-b", BLOCK, "-N", entries + 1024, "-m", "0",
                           "-U", "00000000-0000-4000-8000-000000000000", "-E",
                           "hash_seed=00000000-0000-4000-8000-000000000000", "-d", tree, image, "%dk" % kilobytes])
    blocks = pair.work / "blocks"
    new_blocks(images["old"], images["new"], blocks)
    packed = pair.work / "blocks.zst"
    call("zstd", "-q", "-f", "-19", "-T0", "--long=27", blocks, "-o", packed)
    for image in images.values():
        image.unlink()
    return packed.stat().st_size, cost
