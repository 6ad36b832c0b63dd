"""OSTree: the objects of the new commit that the old one has not, and its static delta. The device has a repository with
the old commit; the new tree is checked out with hard links into that. Commits are not signed here."""
from cost import Cost
from pairs import call, emptied

LIMIT = 1800
REF = "nightshift-bench"


def ostree(repository, *words):
    return ["ostree", "--repo=%s" % repository, *words]


def commit(repository, tree):
    return ostree(repository, "commit", "--branch=" + REF, "--owner-uid=0", "--owner-gid=0", "--no-xattrs",
                  "--timestamp=@0", "--tree=dir=%s" % tree)


def objects(repository):
    return {str(path.relative_to(repository)): path.stat().st_size for path in (repository / "objects").rglob("*.*")}


def new_repository(path, mode):
    call(*ostree(emptied(path), "init", "--mode=" + mode))
    return path


def make_objects(pair):
    archive, device = pair.work / "ostree", pair.work / "ostree.device"
    new_repository(archive, "archive")
    call(*commit(archive, pair.old))
    before = objects(archive)
    new_repository(device, "bare")
    call(*ostree(device, "pull-local", archive, REF))
    cost = Cost().run(commit(archive, pair.new))
    return sum(size for name, size in objects(archive).items() if name not in before), cost


def device_in(pair, into):
    """The device's repository, on the file system where the tree is to stand: a copy, as each try changes it."""
    device = into.with_name(into.name + ".ostree")
    call("rm", "-rf", device)
    call("cp", "-a", pair.work / "ostree.device", device)
    call("sync", "-f", device)
    return device


def check_out(cost, device, into):
    into.rmdir()
    cost.run(ostree(device, "checkout", "-H", REF, into))
    return cost.run(["sync", "-f", into])


def apply_objects(cost, pair, into):
    device = device_in(pair, into)
    cost.run(ostree(device, "pull-local", pair.work / "ostree", REF))
    return check_out(cost, device, into)


def make_delta(pair):
    patch = pair.work / "patch.ostree"
    cost = Cost().run(ostree(pair.work / "ostree", "static-delta", "generate", "--inline", "--min-fallback-size=0",
                             "--from=%s^" % REF, "--to=" + REF, "--filename=%s" % patch), limit=LIMIT)
    return patch.stat().st_size, cost


def apply_delta(cost, pair, into):
    device = device_in(pair, into)
    cost.run(ostree(device, "static-delta", "apply-offline", pair.work / "patch.ostree"))
    revision = (pair.work / "ostree" / "refs" / "heads" / REF).read_text().strip()
    call(*ostree(device, "reset", REF, revision))
    return check_out(cost, device, into)


def ready_whole(pair):
    """The new release alone, in an archive repository."""
    repository = pair.work / "ostree.whole"
    if not repository.exists():
        part = new_repository(pair.work / "ostree.part", "archive")
        call(*commit(part, pair.new))
        part.rename(repository)


def pull_whole(cost, pair, into):
    """To a device that has nothing, whose repository lies beside the tree."""
    device = new_repository(into.with_name(into.name + ".ostree"), "bare")
    cost.run(ostree(device, "pull-local", pair.work / "ostree.whole", REF))
    return check_out(cost, device, into)
