"""Ours: the delta, the metadata beside it, and the hook's own way of building the tree (bench/stage.c)."""
import shutil

from cost import Cost
from pairs import SIDES, call, emptied

KEYS = ("root", "targets", "second", "snapshot", "timestamp", "order", "entitlement")


class Ours:
    def __init__(self, build):
        self.release = build / "release" / "nightshift-release"
        self.stage = build / "bench" / "stage"

    def bundle(self, pair, side):
        bundle = pair.work / (side + ".bundle")
        if not bundle.exists():
            part = pair.work / (side + ".part.bundle")
            call(self.release, "pack", pair.work / side, "--product", "bench", "--version", side, "-o", part)
            part.rename(bundle)
        return bundle

    def make(self, pair):
        delta = pair.work / "delta"
        bundles = [self.bundle(pair, side) for side in SIDES]
        cost = Cost().run([self.release, "delta", *bundles, "-o", delta])
        return delta.stat().st_size, cost

    def apply(self, cost, pair, into):
        """`stage` makes `tree` in the folder that it is given."""
        staging = emptied(into.with_name(into.name + ".staging"))
        bundles = [self.bundle(pair, side) for side in SIDES]
        cost.run([self.stage, staging, pair.old, *bundles, pair.work / "delta"])
        cost.run(["sync", "-f", staging])
        into.rmdir()
        (staging / "tree").rename(into)
        shutil.rmtree(staging)
        return cost

    def metadata(self, pair):
        """Bytes of signed metadata that an appliance on the old release fetches for the new one: the new timestamp,
        snapshot and targets of a repository of these two releases and the delta, two engineers signing."""
        work = emptied(pair.work / "repository.work")
        repository = work / "repository"

        def release(*words):
            call(self.release, *words, cwd=work)

        for key in KEYS:
            release("key", "new", key, "--no-passphrase")
        release("repo", "init", repository, "--product", "bench", "--root-key", "root", "--root-threshold", 1,
                "--targets-key", "targets.pub", "--targets-key", "second.pub", "--targets-threshold", 2,
                *[word for role in KEYS[3:] for word in ("--%s-key" % role, role + ".pub")])
        shutil.copy(pair.work / "delta", work / "old..new.delta")
        for files in ([self.bundle(pair, "old")], [self.bundle(pair, "new"), "old..new.delta"]):
            release("add", repository, *files)
            for key in ("targets", "second"):
                release("sign", repository, "--key", key)
            release("publish", repository, "--snapshot-key", "snapshot", "--timestamp-key", "timestamp")
        names = ("timestamp.json", "2.snapshot.json", "2.targets.json")
        size = sum((repository / "metadata" / name).stat().st_size for name in names)
        shutil.rmtree(work)
        return size
