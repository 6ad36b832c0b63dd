"""A journaled ext4 of its own for what a bench writes. Times of files are told there and nowhere else: an ext4 without a
journal looks past inodes that were freed a moment ago, so that delete-and-extract slows by itself, and its fsync is
another one. Loop-mounted with direct I/O, so that its pages are cached once."""
import contextlib
import pathlib
import subprocess
import tempfile


def _run(*command):
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@contextlib.contextmanager
def volume(gigabytes=8, beside=None):
    """The root of a mounted, empty file system; `beside` is where its image lies (a temporary directory)."""
    with tempfile.TemporaryDirectory(dir=beside, prefix="volume-") as directory:
        image, root = pathlib.Path(directory, "image"), pathlib.Path(directory, "root")
        root.mkdir()
        with open(image, "wb") as file:
            file.truncate(gigabytes << 30)
        _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
        device = _run("losetup", "-f", "--show", "--direct-io=on", image)
        try:
            _run("mount", device, root)
            try:
                yield root
            finally:
                _run("umount", root)
        finally:
            _run("losetup", "-d", device)


def drop_caches():
    """What was written goes to the disk, then nothing of it is left in memory."""
    _run("sync")
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
