"""What others send for the same upgrade. Each tool makes its bytes from the old and the new tree and, where it runs here,
builds the new tree from them on a device that has the old one."""
import dataclasses
import typing


@dataclasses.dataclass(frozen=True)
class Tool:
    """make(pair) gives (bytes to send, Cost); apply(cost, pair, into) adds to a Cost what building the new tree in `into`
    takes, durable, and returns it. `lacks` names what our row has and this one does not: "s"ignature, "d"urability by itself, "f"iles verified each."""

    name: str
    make: typing.Callable
    apply: typing.Optional[typing.Callable] = None
    lacks: str = ""
    rival: bool = True  # counts as a peer tool; the others are yardsticks
    tree_most: float = float("inf")  # bytes of a tree above which nobody waits for it


def tools():
    from peers import casync, files, ostree, rauc, swupdate, tars
    return [
        Tool("full, tar + zstd -19", tars.make_full, tars.apply_full, "s d f", rival=False),
        Tool("OSTree new objects", ostree.make_objects, ostree.apply_objects, "s"),
        Tool("OSTree static delta", ostree.make_delta, ostree.apply_delta, "s", tree_most=60e6),
        Tool("casync new chunks", casync.make, casync.apply, "s d"),
        Tool("SWUpdate, whole image", swupdate.make, swupdate.install, "f"),
        Tool("RAUC, whole bundle", rauc.make_bundle, rauc.install, "f"),
        Tool("RAUC adaptive, squashfs", rauc.make_squashfs, None, "f"),
        Tool("RAUC adaptive, ext4", rauc.make_ext4, None, "f"),
        Tool("xdelta3 -9 (Mender)", tars.make_xdelta, tars.apply_xdelta, "s d f"),
        Tool("bsdiff", tars.make_bsdiff, tars.apply_bsdiff, "s d f", tree_most=30e6),
        Tool("zstd -19 --patch-from", tars.make_zstd, tars.apply_zstd, "s d f"),
        Tool("zstd -19 file by file", files.make, None, "s d f", rival=False),
    ]
