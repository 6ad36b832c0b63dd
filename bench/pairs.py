"""The payloads: releases at two versions as pairs.json fixes them, fetched once with the machine's package clients."""
import json
import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
SIDES = ("old", "new")
NAMED_MOST = 6  # packages that a heading names


class Failed(SystemExit):
    """A program that a bench needs ended with something else than 0."""


class NotServed(SystemExit):
    """A pair that cannot be fetched: mostly a version that archives have dropped since."""


def call(*command, **options):
    """Its words are shown when it fails."""
    made = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if made.returncode != 0:
        raise Failed("%s ended with %d: %s" % (command[0], made.returncode, made.stdout.decode(errors="replace")[-2000:]))


def emptied(path):
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def stale(made, source):
    """Whether it is missing, or older than what it was made of."""
    return not made.exists() or made.stat().st_mtime < source.stat().st_mtime


class Pair:
    """One entry of pairs.json and its folder: the trees `old` and `new`, and what is made of them."""

    def __init__(self, entry, work):
        self.name, self.what, self.entry = entry["name"], entry["what"], entry
        self.work = work / self.name
        self.old, self.new = self.work / "old", self.work / "new"

    def fetch(self):
        self.work.mkdir(parents=True, exist_ok=True)
        for side in SIDES:
            try:
                fetch(self.entry, side, self.work / side)
            except Failed as refused:
                raise NotServed("pair %s is not measured: %s does not serve its %s release as bench/pairs.json fixes it\n%s" % (
                    self.name, self.entry["client"], side, refused)) from None
        return self

    def tar(self, side):
        """The tree in one archive that is the same whenever it is made."""
        tar = self.work / (side + ".tar")
        if not tar.exists():
            part = tar.with_suffix(".part")
            call("tar", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--format=gnu", "-cf", part, "-C", self.work / side, ".")
            part.rename(tar)
        return tar

    def size(self):
        return sum(path.stat().st_size for path in regular_files(self.new).values())

    def sentence(self):
        packages = [as_list(self.entry[side]) for side in SIDES]
        versions = [", ".join(names) if len(names) <= NAMED_MOST else "%d packages" % len(names) for names in packages]
        return "%s: %s -> %s (%s)" % (self.name, *versions, self.what)


def load(work, names=()):
    entries = json.loads((HERE / "pairs.json").read_text())
    unknown = set(names) - {entry["name"] for entry in entries}
    if unknown:
        raise SystemExit("no such pair in pairs.json: %s" % ", ".join(sorted(unknown)))
    return [Pair(entry, work) for entry in entries if not names or entry["name"] in names]


def as_list(packages):
    return packages.split() if isinstance(packages, str) else packages


def fetch(entry, side, tree):
    """The packages of a side, and those of both, unpacked into one tree."""
    if tree.exists():
        return
    scratch = emptied(tree.with_name(tree.name + ".part"))
    out = emptied(scratch / "out")
    CLIENTS[entry["client"]](as_list(entry[side]) + entry.get("both", []), scratch, out)
    for pattern in entry.get("drop", []):
        for path in out.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    settle(out)
    out.rename(tree)
    shutil.rmtree(scratch)


def fetch_npm(packages, scratch, out):
    call("npm", "pack", "--loglevel=error", *packages, cwd=scratch)
    call("tar", "xzf", next(scratch.glob("*.tgz")), "-C", out, "--strip-components=1")


def fetch_npm_tree(packages, _, out):
    call("npm", "install", "--loglevel=error", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", out, *packages)


def fetch_apt(packages, scratch, out):
    call("apt-get", "download", "-q", *packages, cwd=scratch)
    for package in sorted(scratch.glob("*.deb")):
        call("dpkg-deb", "-x", package, out)


CLIENTS = {"npm": fetch_npm, "npm-install": fetch_npm_tree, "apt": fetch_apt}


def settle(tree):
    """What a release may hold: absolute links become relative ones, no file is set-id."""
    for path in tree.rglob("*"):
        if path.is_symlink():
            if os.path.isabs(os.readlink(path)):
                target = os.path.relpath(str(tree) + os.readlink(path), path.parent)
                path.unlink()
                path.symlink_to(target)
        elif path.stat().st_mode & 0o7000:
            path.chmod(path.stat().st_mode & 0o777)


def regular_files(tree):
    return {str(path.relative_to(tree)): path for path in sorted(tree.rglob("*"))
            if path.is_file() and not path.is_symlink()}


def same_trees(made, new):
    call("diff", "-r", "--no-dereference", made, new)
