"""Targets and delegations in the TUF client workflow (§4.5, §5.6.7, §5.7): which roles are asked and in which order, what
is downloaded and under which name, and what is never written."""
import hashlib
import json
import os

import pytest

from tuf_repository import Key, drip, endless, in_days, status

OK = None


def prefixes(*paths, size=2):
    return [hashlib.sha256(path.encode()).hexdigest()[:size] for path in paths]


# ---- the search (§5.6.7)

GRAPHS = {  # (delegator, role, more) in order; the roles that a search for "missing" asks for
    "one": ([("targets", "A", {})], "A"),
    "two": ([("targets", "A", {}), ("targets", "B", {})], "AB"),
    "two-levels": ([("targets", "A", {}), ("targets", "B", {}), ("B", "C", {})], "ABC"),
    "depth-first": ([("targets", "A", {}), ("targets", "B", {}), ("A", "C", {}), ("A", "D", {})], "ACDB"),
    "three-levels": ([("targets", "A", {}), ("targets", "B", {}), ("A", "C", {}), ("C", "D", {}), ("D", "E", {})], "ACDEB"),
    "terminating-first": ([("targets", "A", {"terminating": True}), ("targets", "B", {}), ("A", "C", {})], "AC"),
    "terminating-last": ([("targets", "A", {}), ("targets", "B", {"terminating": True}), ("targets", "C", {})], "AB"),
    "terminating-below": ([("targets", "A", {}), ("targets", "B", {}), ("A", "C", {"terminating": True}), ("A", "D", {}),
                           ("C", "E", {})], "ACE"),
    "terminating-after-siblings-below": ([("targets", "A", {}), ("targets", "B", {}), ("A", "C", {}), ("A", "D", {}),
                                          ("A", "E", {"terminating": True}), ("A", "F", {})], "ACDE"),
    "terminating-elsewhere": ([("targets", "A", {"terminating": True, "paths": ["*.py"]}), ("targets", "B", {})], "B"),
    "no-path": ([("targets", "A", {"paths": []}), ("targets", "B", {})], "B"),
    "path-of-another": ([("targets", "A", {"paths": ["*.py"]}), ("targets", "B", {}), ("A", "C", {})], "B"),
    "path-lost-below": ([("targets", "A", {}), ("targets", "B", {}), ("A", "C", {"paths": ["*.py"]}), ("C", "D", {})], "AB"),
    "prefix": ([("targets", "A", {"paths": None, "path_hash_prefixes": prefixes("missing")})], "A"),
    "prefix-of-another": ([("targets", "A", {"paths": None, "path_hash_prefixes": prefixes("other", size=8)}),
                           ("targets", "B", {"paths": None, "path_hash_prefixes": prefixes("other", "missing", size=4)})], "B"),
    "neither-path-nor-prefix": ([("targets", "A", {"paths": None}), ("targets", "B", {})], "B"),
    "circle": ([("targets", "A", {}), ("targets", "B", {}), ("B", "C", {}), ("C", "D", {}), ("D", "B", {})], "ABCD"),
    "itself": ([("targets", "A", {}), ("A", "A", {})], "A"),
    "two-to-a-third": ([("targets", "A", {}), ("targets", "B", {}), ("A", "C", {}), ("B", "C", {})], "ACB"),
    "to-a-third-by-another-path": ([("targets", "A", {}), ("targets", "B", {}), ("A", "C", {"paths": ["*.py"]}),
                                    ("B", "C", {})], "ABC"),
}


def build(repository, delegations):
    for delegator, role, more in delegations:
        repository.delegate(delegator, role, **more)
    repository.publish_all(*[role for role in repository.signed if role not in repository.published])


@pytest.mark.parametrize("delegations, order", GRAPHS.values(), ids=GRAPHS.keys())
def test_roles_are_asked_in_order_of_appearance_depth_first(tuf, delegations, order):
    build(tuf.repository, delegations)
    assert tuf.download("missing") == "missing"
    assert "".join(tuf.visited()) == order
    assert tuf.download("missing") == "missing"
    assert tuf.visited() == []  # all of them are stored now
    assert tuf.got() == {}


def tree(repository):
    """targets → A for documents; targets → B for releases → C for x, D for y."""
    build(repository, [("targets", "A", {"paths": ["*.doc", "*.md"]}), ("targets", "B", {"paths": ["releases/*/*"]}),
                       ("B", "C", {"paths": ["releases/x/*"]}), ("B", "D", {"paths": ["releases/y/*.zip"]})])
    for role, path in (("targets", "top"), ("A", "README.md"), ("A", "stray"), ("C", "releases/x/1"),
                       ("D", "releases/y/1.zip"), ("D", "releases/z/1.zip"), ("D", "releases/y/1.tar")):
        repository.add_target(path, path.encode(), role)
    repository.publish_all("A", "C", "D")


@pytest.mark.parametrize("path, found, order", [
    ("top", True, ""), ("README.md", True, "A"), ("releases/x/1", True, "BC"), ("releases/y/1.zip", True, "BD"),
    ("releases/z/1.zip", False, "B"), ("releases/y/1.tar", False, "B"), ("stray", False, ""), ("dir/README.md", False, "")])
def test_a_target_needs_every_role_on_its_way_to_speak_for_it(tuf, path, found, order):
    tree(tuf.repository)
    assert tuf.download(path) == (OK if found else "missing")
    assert "".join(tuf.visited()) == order
    assert tuf.got() == ({path: path.encode()} if found else {})


PATTERNS = [("*", "a", True), ("*", "a/b", False), ("*/*", "a/b", True), ("*.tgz", "foo.tgz", True), ("*.tgz", "a/foo.tgz", False),
            ("a/*.tgz", "a/foo.tgz", True), ("a/*.tgz", "a/foo.txt", False), ("v-?.tgz", "v-2.tgz", True),
            ("v-?.tgz", "v-alpha.tgz", False), ("?", "/", False), ("a?b", "a/b", False), ("foo.tgz", "foo.tgz", True),
            ("foo.tgz", "foo.tgz2", False), ("foo.tgz", "xfoo.tgz", False), ("", "a", False), ("[ab]c", "bc", True),
            ("[!ab]c", "bc", False), ("[a-c]x", "bx", True), ("a**b", "axxb", True), ("**/b", "a/c/b", False),
            ("*a*a*a*a*a*a*b", "a" * 200, False), ("ä?", "äö", True), ("A", "a", False), ("a.c", "abc", False)]


@pytest.mark.parametrize("pattern, path, match", PATTERNS, ids=lambda value: str(value)[:20].replace("/", "_") or "empty")
def test_patterns_do_not_cross_a_slash(tuf, pattern, path, match):
    build(tuf.repository, [("targets", "A", {"paths": [pattern]})])
    tuf.download(path)
    assert tuf.visited() == (["A"] if match else [])


def test_the_first_delegation_that_knows_a_target_wins(tuf):
    repository = tuf.repository
    build(repository, [("targets", "A", {}), ("targets", "B", {})])
    repository.add_target("t", b"by B", "B")
    repository.add_target("t", b"by A", "A")
    repository.publish_all("A", "B")
    assert tuf.download("t") == OK
    assert tuf.got() == {"t": b"by A"}
    assert tuf.visited() == ["A"]


@pytest.mark.parametrize("count, found", [(32, True), (33, False)])
def test_at_most_32_roles_are_visited(tuf, count, found):
    repository = tuf.repository
    key = Key()
    for at in range(count):
        repository.delegate("targets", "r%d" % at, key=key if at == 0 else None)
    repository.add_target("t", b"last", "r%d" % (count - 1))
    repository.publish_all(*["r%d" % at for at in range(count)])
    assert tuf.download("t") == (OK if found else "missing")
    assert len(tuf.visited()) == 32


@pytest.mark.parametrize("role", ["?", "#", "%", "a b", "/slash", "../up", "..", ".", "dir/role", "%2e%2e%2fup", "ä☃", "a.b.c",
                                  "1.targets", "timestamp ", "C:\\x", "~", "-o", "'", "a\nb"])
def test_roles_with_odd_names_are_quoted(tuf, role):
    import urllib.parse
    repository = tuf.repository
    build(repository, [("targets", role, {})])
    repository.add_target("t", b"content", role)
    repository.publish_all(role)
    before = set(tuf.metadata.parent.rglob("*"))
    assert tuf.download("t") == OK
    quoted = urllib.parse.quote(role, safe="")
    assert "metadata/2.%s.json" % quoted in repository.asked
    assert tuf.has(role) == repository.served(role)
    assert {path.parent for path in set(tuf.metadata.parent.rglob("*")) - before} <= {tuf.metadata, tuf.targets}
    assert tuf.download("t") == OK
    assert tuf.asked() == ["2.root", "timestamp"]


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "targets", ""])
def test_a_top_level_role_cannot_be_delegated(tuf, role):
    repository = tuf.repository
    repository["targets"]["delegations"] = {"keys": {}, "roles": [
        {"name": role, "keyids": [], "threshold": 1, "terminating": False, "paths": ["*"]}]}
    repository.publish_all()
    assert tuf.refresh() == "format"
    assert "targets" not in tuf.stored()


DELEGATIONS = {
    "threshold-0": lambda one: one.update(threshold=0),
    "threshold-negative": lambda one: one.update(threshold=-1),
    "threshold-text": lambda one: one.update(threshold="1"),
    "no-threshold": lambda one: one.pop("threshold"),
    "no-name": lambda one: one.pop("name"),
    "no-keyids": lambda one: one.pop("keyids"),
    "keyids-of-numbers": lambda one: one.update(keyids=[1]),
    "paths-and-prefixes": lambda one: one.update(path_hash_prefixes=["00"]),
    "paths-text": lambda one: one.update(paths="*"),
    "paths-of-numbers": lambda one: one.update(paths=[1]),
    "terminating-text": lambda one: one.update(terminating="no"),
    "name-too-long": lambda one: one.update(name="x" * 4000),
}


@pytest.mark.parametrize("change", DELEGATIONS.values(), ids=DELEGATIONS.keys())
def test_a_malformed_delegation_makes_the_file_unreadable(tuf, change):
    repository = tuf.repository
    build(repository, [("targets", "A", {})])
    change(repository["targets"]["delegations"]["roles"][0])
    repository.publish_all()
    assert tuf.download("missing") in ("format", "length")
    assert "targets" not in tuf.stored()


def test_a_role_delegated_twice_in_one_file_is_refused(tuf):
    build(tuf.repository, [("targets", "A", {}), ("targets", "A", {})])
    assert tuf.refresh() == "format"


# ---- a delegated role's own checks

def delegated(repository, path="t", content=b"content", **more):
    build(repository, [("targets", "A", more)])
    repository.add_target(path, content, "A")
    repository.publish_all("A")


@pytest.mark.parametrize("how", ["unsigned", "another-key", "flipped", "threshold-2"])
def test_a_delegated_role_needs_its_delegators_threshold(tuf, how):
    repository = tuf.repository
    delegated(repository)
    if how == "unsigned":
        repository.change("A", lambda envelope: envelope.update(signatures=[]))
    elif how == "another-key":
        repository.signers["A"] = [Key()]
        repository.publish_all("A")
    elif how == "flipped":
        repository.change("A", lambda envelope: envelope["signed"]["targets"]["t"].update(length=7, x=1))
    else:
        repository.role("A", "targets")["threshold"] = 2
        repository.publish_all()
    assert tuf.download("t") == "signature"
    assert "A" not in tuf.stored()
    assert tuf.got() == {}


def test_a_delegated_role_signed_by_the_targets_key_is_refused(tuf):
    repository = tuf.repository
    delegated(repository)
    repository.signers["A"] = repository.signers["targets"]
    repository.publish_all("A")
    assert tuf.download("t") == "signature"


@pytest.mark.parametrize("code", [403, 404])
def test_a_delegated_role_that_is_not_there_ends_the_search(tuf, code):
    repository = tuf.repository
    delegated(repository)
    repository.delegate("targets", "B")
    repository.add_target("t", b"by B", "B")
    repository.publish_all("B")
    repository.serve("A", status(code))
    assert tuf.download("t") == "missing"
    assert tuf.visited() == ["A"]
    assert tuf.got() == {}


def test_a_delegated_role_that_the_snapshot_does_not_name_ends_the_search(tuf):
    repository = tuf.repository
    delegated(repository)
    del repository["snapshot"]["meta"]["A.json"]
    repository.publish("snapshot", "timestamp")
    assert tuf.download("t") == "mix"
    assert tuf.visited() == []


def test_a_delegated_role_of_another_version_than_stated_is_refused(tuf):
    repository = tuf.repository
    delegated(repository)
    repository.publish("A")
    repository.files["metadata/2.A.json"] = repository.served("A")
    assert tuf.download("t") == "mix"


@pytest.mark.parametrize("line, name", [({"length": 10}, "length"), ({"hashes": {"sha256": "0" * 64}}, "hash")])
def test_a_delegated_role_is_what_the_snapshot_states(tuf, line, name):
    repository = tuf.repository
    delegated(repository)
    repository["snapshot"]["meta"]["A.json"].update(line)
    repository.publish("snapshot", "timestamp")
    assert tuf.download("t") == name
    assert "A" not in tuf.stored()


def test_an_expired_delegated_role_is_refused_and_not_stored(tuf):
    repository = tuf.repository
    delegated(repository)
    repository["A"]["expires"] = in_days(-1)
    repository.publish_all("A")
    assert tuf.refresh() == OK
    assert tuf.download("t") == "freeze"
    assert tuf.got() == {} and "A" not in tuf.stored()


def test_a_stored_delegated_role_that_expired_is_used_no_more(tuf):
    repository = tuf.repository
    delegated(repository)
    repository["A"]["expires"] = in_days(7)
    repository.add_target("u", b"more", "A")
    repository.publish_all("A")
    assert tuf.download("t") == OK
    assert tuf.download("u", days=18) == "freeze"
    repository["A"]["expires"] = in_days(28)
    repository.publish_all("A")
    assert tuf.download("u", days=18) == OK
    assert tuf.got() == {"t": b"content", "u": b"more"}


def test_a_delegated_role_is_fetched_again_when_its_version_rises(tuf):
    repository = tuf.repository
    delegated(repository)
    assert tuf.download("t") == OK
    repository.add_target("u", b"new", "A")
    repository.publish_all("A")
    assert tuf.download("u") == OK
    assert tuf.visited() == ["A"]
    assert tuf.stored()["A"] == 3


def test_a_stored_delegated_role_is_checked_against_the_delegator_in_force(tuf):
    """The key was taken out of the delegation: what it signed before is worth nothing, though it lies on the disk."""
    repository = tuf.repository
    delegated(repository)
    assert tuf.download("t") == OK
    repository.role("A", "targets")["keyids"].clear()
    repository.add_key("A", delegator="targets", signs=False)
    repository.publish_all()
    (tuf.targets / "t").unlink()
    assert tuf.download("t") == "signature"
    assert tuf.got() == {}


def test_a_role_trusted_by_one_delegator_is_not_trusted_through_another(tuf):
    """targets → A → C (its key), targets → B → C (another key): the stored C is good below A and nowhere else."""
    repository = tuf.repository
    build(repository, [("targets", "A", {"paths": ["a*"]}), ("targets", "B", {"paths": ["b*"]}), ("A", "C", {"paths": ["a*"]}),
                       ("B", "C", {"paths": ["b*"], "key": Key()})])
    repository.add_target("a", b"by C", "C")
    repository.add_target("b", b"by C too", "C")
    repository.publish_all("C")
    assert tuf.download("a") == OK
    assert tuf.download("b") == "signature"
    assert tuf.download("a", "b") == "signature"
    assert tuf.got() == {"a": b"by C"}


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_stored_delegated_role_that_is_damaged_is_fetched_again(tuf, content):
    repository = tuf.repository
    delegated(repository)
    assert tuf.download("t") == OK
    path = tuf.metadata / "A.json"
    path.unlink() if content is None else path.write_bytes(content)
    (tuf.targets / "t").unlink()
    assert tuf.download("t") == OK
    assert tuf.visited() == ["A"]


def test_delegated_roles_of_every_key_type(tuf):
    repository = tuf.repository
    for role, kind in (("A", "ecdsa"), ("B", "rsa"), ("C", "ed25519")):
        repository.delegate("targets", role, paths=[role], key=Key(kind))
        repository.add_target(role, role.encode(), role)
    repository.publish_all("A", "B", "C")
    assert tuf.download("A", "B", "C") == OK
    assert tuf.got() == {"A": b"A", "B": b"B", "C": b"C"}


# ---- downloads (§5.7)

def offer(repository, **targets):
    for path, content in targets.items():
        repository.add_target(path, content)
    repository.publish_all()


def test_a_download_refreshes_first(tuf):
    offer(tuf.repository, t=b"content")
    assert tuf.download("t") == OK
    assert tuf.asked()[:4] == ["2.root", "timestamp", "2.snapshot", "2.targets"]
    assert tuf.got() == {"t": b"content"}


def test_a_target_that_is_not_there_leaves_the_metadata_fresh(tuf):
    assert tuf.download("nothing of the kind") == "missing"
    assert tuf.asked() == ["2.root", "timestamp", "1.snapshot", "1.targets"]
    assert tuf.stored() == {"root": 1, "timestamp": 1, "snapshot": 1, "targets": 1}


def test_a_refresh_downloads_no_target(tuf):
    offer(tuf.repository, t=b"content")
    assert tuf.refresh() == OK
    assert tuf.got() == {}


def test_a_target_that_is_here_is_not_fetched_again(tuf):
    offer(tuf.repository, t=b"content")
    assert tuf.download("t") == OK
    before = os.stat(tuf.targets / "t")
    assert tuf.download("t") == OK
    assert tuf.asked() == ["2.root", "timestamp"]
    assert os.stat(tuf.targets / "t").st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("content", [b"Content", b"", b"content and more", b"conten"])
def test_a_target_that_is_here_and_wrong_is_fetched_again(tuf, content):
    offer(tuf.repository, t=b"content")
    (tuf.targets / "t").write_bytes(content)
    assert tuf.download("t") == OK
    assert tuf.asked()[-1].startswith("targets/")
    assert tuf.got() == {"t": b"content"}


def test_a_target_that_changes_replaces_the_old_one(tuf):
    for at in range(3):
        offer(tuf.repository, t=b"version %d" % at)
        assert tuf.download("t") == OK
        assert tuf.got() == {"t": b"version %d" % at}


def test_several_targets_are_handled_in_order_by_one_updater(tuf):
    repository = tuf.repository
    delegated(repository)
    offer(repository, b=b"B", a=b"A")
    assert tuf.download("b", "t", "a", "b") == OK
    names = [name if not name.startswith("targets/") else name[-1] for name in tuf.asked()]
    assert names == ["2.root", "timestamp", "4.snapshot", "4.targets", "b", "2.A", "t", "a"]


def test_several_targets_after_one_option(tuf):
    offer(tuf.repository, a=b"A", b=b"B")
    assert tuf.run("--metadata-url", tuf.server.url + "/metadata/", "--metadata-dir", tuf.metadata, "--target-dir", tuf.targets,
                   "--target-base-url", tuf.server.url + "/targets", "--target-name", "a", "b", "download") == OK
    assert tuf.got() == {"a": b"A", "b": b"B"}


def test_the_first_target_that_fails_ends_the_download(tuf):
    offer(tuf.repository, a=b"A", c=b"C")
    assert tuf.download("a", "b", "c") == "missing"
    assert tuf.got() == {"a": b"A"}


@pytest.mark.parametrize("path", ["dir/t", "a/b/c/d/e", "a b", "per%20cent", "100%", "q?x=1", "hash#tag", "ä/☃", "plus+and&more",
                                  "t.", ".hidden", "-o", "a:b", "semi;colon", "back\\slash", "'quote\"", "download"])
def test_targets_with_odd_names(tuf, path):
    offer(tuf.repository, **{path: b"content"})
    assert tuf.download(path) == OK
    assert tuf.got() == {path: b"content"}
    assert tuf.download(path) == OK
    assert not tuf.asked()[-1].startswith("targets/")


@pytest.mark.parametrize("path", ["../t", "/t", "a/../../t", "..", ".", "a//b", "a/", "./t", "a/./b", "a\nb", "a\x1bb"])
@pytest.mark.parametrize("consistent", [True, False], ids=["hashed-names", "plain-names"])
def test_a_path_that_leads_outside_is_refused(tuf, path, consistent):
    tuf.repository["root"]["consistent_snapshot"] = consistent
    tuf.repository.publish("root")
    offer(tuf.repository, **{path: b"content"})
    assert tuf.refresh() == OK
    assert tuf.download(path) == "path"
    assert tuf.got() == {}
    assert not any(name.startswith("targets/") for name in tuf.asked())
    assert not (tuf.targets.parent / "t").exists()


@pytest.mark.parametrize("path", ["", "x" * 5000])
def test_a_path_of_impossible_length_is_refused(tuf, path):
    line = {"length": 1, "hashes": {"sha256": "0" * 64}}
    tuf.repository["targets"]["targets"][path] = line
    tuf.repository.publish_all()
    assert tuf.refresh() == "format"


def test_links_in_the_target_directory_are_replaced_not_followed(tuf, tmp_path):
    offer(tuf.repository, t=b"content")
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    (tuf.targets / "t").symlink_to(victim)
    assert tuf.download("t") == OK
    assert victim.read_bytes() == b"untouched"
    assert not (tuf.targets / "t").is_symlink()


@pytest.mark.parametrize("answer, name", [
    (b"malice!", "hash"), (b"conten", "length"), (b"content and more", "length"), (b"", "length"), (status(404), "missing"),
    (status(403), "missing"), (status(500), "mirror"), (endless(b"content"), "length")],
    ids=["other", "shorter", "longer", "empty", "404", "403", "500", "endless"])
def test_what_is_not_the_target_is_never_written(tuf, answer, name):
    repository = tuf.repository
    offer(repository, t=b"content")
    where = repository.target_names("t", repository["targets"]["targets"]["t"])[0]
    repository.files[where] = answer
    assert tuf.download("t") == name
    assert tuf.got() == {}
    repository.files[where] = b"content"
    assert tuf.download("t") == OK


def test_a_substitute_does_not_replace_the_target_that_is_here(tuf):
    repository = tuf.repository
    offer(repository, t=b"content")
    assert tuf.download("t") == OK
    repository["targets"]["targets"]["t"]["hashes"]["sha256"] = "1" * 64
    repository.files["targets/%s.t" % ("1" * 64)] = b"malice!"
    repository.publish_all()
    assert tuf.download("t") == "hash"
    assert tuf.got() == {"t": b"content"}


def test_a_slow_target_is_left(tuf):
    repository = tuf.repository
    offer(repository, t=b"content" * 10)
    where = repository.target_names("t", repository["targets"]["targets"]["t"])[0]
    repository.files[where] = drip(b"content" * 10, 0.3)
    assert tuf.download("t", words=("--stall", 2)) == "slow"
    assert tuf.got() == {}


def test_an_empty_target(tuf):
    offer(tuf.repository, t=b"")
    assert tuf.download("t") == OK
    assert tuf.got() == {"t": b""}


@pytest.mark.parametrize("algorithms", [("sha256",), ("sha512",), ("sha256", "sha512"), ("sha512", "sha256"),
                                        ("md5", "sha256"), ("sha512", "sha1")], ids="-".join)
def test_hashes_of_several_kinds(tuf, algorithms):
    line = tuf.repository.add_target("t", b"content", algorithms=algorithms)
    tuf.repository.publish_all()
    assert tuf.download("t") == OK
    assert tuf.asked()[-1] in ["targets/%s.t" % one for one in line["hashes"].values()]
    assert tuf.got() == {"t": b"content"}
    assert tuf.download("t") == OK
    assert tuf.asked()[-1] == "timestamp"


@pytest.mark.parametrize("wrong", ["sha256", "sha512"])
def test_every_known_hash_must_hold(tuf, wrong):
    line = tuf.repository.add_target("t", b"content", algorithms=("sha256", "sha512"))
    line["hashes"][wrong] = "1" * len(line["hashes"][wrong])
    tuf.repository.files.update({name: b"content" for name in tuf.repository.target_names("t", line)})
    tuf.repository.publish_all()
    assert tuf.download("t") == "hash"
    assert tuf.got() == {}


def test_a_target_with_hashes_that_nobody_knows_cannot_be_had_but_harms_no_other(tuf):
    repository = tuf.repository
    line = repository.add_target("t", b"content", algorithms=("md5",))
    line["hashes"] = {"unknown-hash": "ab" * 64}
    offer(repository, good=b"good")
    assert tuf.download("t") == "hash"
    assert tuf.got() == {}
    assert tuf.download("good") == OK


LINES = {
    "no-length": lambda line: line.pop("length"),
    "length-negative": lambda line: line.update(length=-1),
    "length-text": lambda line: line.update(length="7"),
    "no-hashes": lambda line: line.pop("hashes"),
    "hash-short": lambda line: line.update(hashes={"sha256": "00"}),
    "hash-long": lambda line: line.update(hashes={"sha256": "0" * 66}),
    "hash-no-hexadecimal": lambda line: line.update(hashes={"sha256": "g" * 64}),
    "hash-number": lambda line: line.update(hashes={"sha256": 1}),
    "sha512-short": lambda line: line.update(hashes={"sha512": "0" * 64}),
    "custom-text": lambda line: line.update(custom="x"),
}


@pytest.mark.parametrize("change", LINES.values(), ids=LINES.keys())
def test_a_malformed_target_makes_the_file_unreadable(tuf, change):
    offer(tuf.repository, t=b"content")
    change(tuf.repository["targets"]["targets"]["t"])
    tuf.repository.publish_all()
    assert tuf.download("t") in ("format", "length")
    assert tuf.got() == {} and "targets" not in tuf.stored()


def test_a_whole_repository_signed_with_ecdsa(tuf):
    repository = tuf.repository
    old = repository.signers["root"]
    for role in ("root", "timestamp", "snapshot", "targets"):
        repository.rotate(role, Key("ecdsa"))
    repository.signers["root"] += old
    repository.delegate("targets", "A", key=Key("ecdsa"))
    repository.add_target("dir/t", b"content", "A")
    repository["targets"]["delegations"]["roles"][0]["paths"] = ["dir/*"]
    repository.publish_all("root", "A")
    assert tuf.download("dir/t") == OK
    assert json.loads(tuf.has("root"))["signed"]["version"] == 2
    assert tuf.got() == {"dir/t": b"content"}
