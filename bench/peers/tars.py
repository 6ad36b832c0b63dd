"""Patches between the archives of the two trees: zstd, xdelta3, bsdiff. The device keeps the old archive as a file."""
from cost import Cost
from pairs import call

LIMIT = 3600
ZSTD = ["zstd", "-q", "-f", "-19"]


def unpack(cost, into, *commands):
    """The archive that the commands print, unpacked and durable."""
    cost.run(*commands, ["tar", "xf", "-", "-C", into])
    return cost.run(["sync", "-f", into])


def full_path(pair):
    return pair.work / "new.tar.zst"


def make_full(pair):
    part = pair.work / "new.part.zst"
    cost = Cost().run([*ZSTD, "--long=27", "-T0", pair.tar("new"), "-o", part], limit=LIMIT)
    part.touch()  # zstd gives it the time of what it packed
    part.rename(full_path(pair))
    return full_path(pair).stat().st_size, cost


def full(pair):
    """The archive, made if it is missing."""
    if not full_path(pair).exists():
        make_full(pair)
    return full_path(pair)


def apply_full(cost, pair, into):
    return unpack(cost, into, ["zstd", "-q", "-d", "-c", "--long=27", full_path(pair)])


def make_zstd(pair):
    patch = pair.work / "patch.zst"
    cost = Cost().run([*ZSTD, "--long=30", "--patch-from=%s" % pair.tar("old"), pair.tar("new"), "-o", patch], limit=LIMIT)
    return patch.stat().st_size, cost


def apply_zstd(cost, pair, into):
    return unpack(cost, into, ["zstd", "-q", "-d", "-c", "--long=30", "--patch-from=%s" % pair.tar("old"),
                                 pair.work / "patch.zst"])


def window(pair):
    """The whole old archive, so that xdelta3 may copy from anywhere in it."""
    return max(pair.tar("old").stat().st_size, 1 << 26)


def make_xdelta(pair):
    patch = pair.work / "patch.xdelta"
    cost = Cost().run(["xdelta3", "-e", "-f", "-9", "-S", "lzma", "-B", window(pair), "-s", pair.tar("old"), pair.tar("new"),
                       patch], limit=LIMIT)
    return patch.stat().st_size, cost


def apply_xdelta(cost, pair, into):
    return unpack(cost, into, ["xdelta3", "-d", "-c", "-B", window(pair), "-s", pair.tar("old"), pair.work / "patch.xdelta"])


def make_bsdiff(pair):
    patch = pair.work / "patch.bsdiff"
    cost = Cost().run(["bsdiff", pair.tar("old"), pair.tar("new"), patch], limit=LIMIT)
    return patch.stat().st_size, cost


def apply_bsdiff(cost, pair, into):
    made = into.with_name(into.name + ".tar")
    cost.run(["bspatch", pair.tar("old"), made, pair.work / "patch.bsdiff"])
    unpack(cost, into, ["cat", made])
    call("rm", made)
    return cost
