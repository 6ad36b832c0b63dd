"""RAUC's adaptive update fetches the 4 KiB blocks of the new slot image that the old one has not (block-hash-index). It
installs through NBD and device mapper, which not every machine has, so its bytes are counted from the images: of a squashfs
as it lies, of an ext4 compressed by zstd -19 in one stream, which is kinder than the bundle's own blocks."""
import hashlib

from cost import Cost
from pairs import call

BLOCK = 4096
HEADROOM = 1.15  # of an ext4 over the bytes of its files


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
