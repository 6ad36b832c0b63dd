"""A yardstick, no tool: each changed file as a zstd patch of its old self (else of one of its name), the others in one
archive. No names, hashes or order are counted: a tool must send more."""
from cost import Cost
from pairs import call, regular_files

ZSTD = ["zstd", "-q", "-f", "-19"]


def same(old, new):
    return old.stat().st_size == new.stat().st_size and old.read_bytes() == new.read_bytes()


def changed_files(pair):
    """(name, path in the new tree, old path to patch or None) of what no old file has."""
    before, after = regular_files(pair.old), regular_files(pair.new)
    names = {path.name: path for path in before.values()}
    sizes = {}
    for path in before.values():
        sizes.setdefault(path.stat().st_size, []).append(path)
    for name, path in after.items():
        if any(same(other, path) for other in sizes.get(path.stat().st_size, [])):
            continue
        base = before.get(name) or names.get(path.name)
        yield name, path, base if base is not None and base.stat().st_size > 0 else None


def make(pair):
    cost, total, added = Cost(), 0, []
    patch = pair.work / "patch.file"
    for name, path, base in changed_files(pair):
        if base is None:
            added.append(name)
            continue
        cost.run([*ZSTD, "--long=30", "--patch-from=%s" % base, path, "-o", patch])
        total += patch.stat().st_size
    if added:
        (pair.work / "added").write_text("\n".join(added))
        archive = pair.work / "added.tar"
        call("tar", "-cf", archive, "-C", pair.new, "-T", pair.work / "added")
        cost.run([*ZSTD, "--long=27", archive, "-o", patch])
        total += patch.stat().st_size
    return total, cost
