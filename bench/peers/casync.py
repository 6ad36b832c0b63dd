"""casync: the chunks of the new tree that the old one's store has not, and the new index. The device makes the others
again from its old tree (--seed)."""
import shutil

from cost import Cost
from pairs import call, emptied

WITH = ["--with=permissions", "--with=symlinks"]


def make_store(pair, side):
    store, index = emptied(pair.work / ("casync." + side)), pair.work / (side + ".caidx")
    return store, index, Cost().run(["casync", "make", *WITH, "--store=%s" % store, index, pair.work / side])


def chunks(store):
    return {str(path.relative_to(store)): path for path in store.rglob("*.cacnk")}


def make(pair):
    old, _, _ = make_store(pair, "old")
    new, index, cost = make_store(pair, "new")
    for name in chunks(new).keys() & chunks(old).keys():
        (new / name).unlink()
    size = sum(path.stat().st_size for path in chunks(new).values()) + index.stat().st_size
    shutil.rmtree(old)
    return size, cost


def apply(cost, pair, into):
    cost.run(["casync", "extract", *WITH, "--store=%s" % (pair.work / "casync.new"), "--seed=%s" % pair.old,
              pair.work / "new.caidx", into])
    return cost.run(["sync", "-f", into])


def ready_whole(pair):
    """The new release alone: its store and its index."""
    if not (pair.work / "whole.caidx").exists():
        call("casync", "make", *WITH, "--store=%s" % emptied(pair.work / "casync.whole"), pair.work / "whole.caidx", pair.new)


def extract_whole(cost, pair, into):
    cost.run(["casync", "extract", *WITH, "--store=%s" % (pair.work / "casync.whole"), pair.work / "whole.caidx", into])
    return cost.run(["sync", "-f", into])
