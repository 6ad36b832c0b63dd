"""A journaled ext4 of its own for what a bench writes. Times of files are told there and nowhere else: an ext4 without a
journal looks past inodes that were freed a moment ago, so that delete-and-extract slows by itself, and its fsync is
another one. Loop-mounted with direct I/O, so that its pages are cached once."""
import contextlib
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile


def _run(*command):
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@contextlib.contextmanager
def device(gigabytes=8, beside=None):
    """An empty block device; `beside` is where its image lies (a temporary directory)."""
    with tempfile.TemporaryDirectory(dir=beside, prefix="volume-") as directory:
        image = pathlib.Path(directory, "image")
        with open(image, "wb") as file:
            file.truncate(gigabytes << 30)
        name = _run("losetup", "-f", "--show", "--direct-io=on", image)
        try:
            yield name
        finally:
            _run("losetup", "-d", name)


@contextlib.contextmanager
def mounted(name, *options):
    """The root of what lies on a device."""
    with tempfile.TemporaryDirectory(prefix="root-") as root:
        _run("mount", *options, name, root)
        try:
            yield pathlib.Path(root)
        finally:
            _run("umount", root)


@contextlib.contextmanager
def volume(gigabytes=8, beside=None):
    """The root of a mounted, empty file system on a device of its own."""
    with device(gigabytes, beside) as name:
        _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", name)
        with mounted(name) as root:
            yield root


def ends_in_order():
    """A bench that is ended from outside unmounts what it has mounted."""
    def end(number, _):
        signal.signal(number, signal.SIG_IGN)  # a second one must not break into that
        sys.exit("ended from outside")
    signal.signal(signal.SIGTERM, end)


def drop_caches():
    """What was written goes to the disk, then nothing of it is left in memory."""
    _run("sync")
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")


@contextlib.contextmanager
def held(paths):
    """A warm cache is one that holds: files that were only read may be gone again before they are needed. These, and those
    of the trees among them, are locked in memory."""
    with tempfile.TemporaryDirectory(prefix="held-") as directory:
        holder = pathlib.Path(directory, "pid")
        _run("vmtouch", "-q", "-l", "-d", "-w", "-m", "64G", "-P", holder, *paths)
        process = os.pidfd_open(int(holder.read_text()))
        try:
            yield
        finally:
            signal.pidfd_send_signal(process, signal.SIGTERM)
            select.select([process], [], [], 10)  # what it maps keeps its file system mounted
            os.close(process)
