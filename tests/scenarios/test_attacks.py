"""Attacks by their names: those that the TUF specification and the Uptane standard list, and those that happened
to other clients. Each meets our TUF client over HTTP, is refused, leaves what was trusted before, and what is honest goes
through afterwards."""
import copy
import hashlib
import json
import os

import pytest

from tuf_repository import TOP, Key, Repository, Server, drip, endless

OK = None


def offer(tuf, **contents):
    for path, content in contents.items():
        tuf.repository.add_target(path, content)
    tuf.repository.publish_all()


# ---- the list of the TUF specification (§1.5)

def test_arbitrary_software_installation(tuf):
    """A repository of the attacker's own, well formed and well signed, in place of ours; then single roles of it."""
    offer(tuf, app=b"ours")
    assert tuf.download("app") == OK
    evil = Repository()
    evil.add_target("app", b"evil")
    evil.publish("root")
    evil.publish_all()
    ours = dict(tuf.repository.files)
    tuf.repository.files.update(evil.files)
    assert tuf.download("app") == "signature"
    tuf.repository.files = ours
    repository = tuf.repository
    for role in ("root", "timestamp", "snapshot", "targets"):
        if role == "root":
            repository.publish("root")
        repository.publish_all()
        good = repository.served(role)
        kept, repository.signers[role] = repository.signers[role], evil.signers[role]
        repository.publish(role, bump=False)
        assert tuf.refresh() == "signature", role
        repository.signers[role] = kept
        repository.serve(role, good)
        assert tuf.refresh() == OK
    assert tuf.download("app") == OK and tuf.got() == {"app": b"ours"}


def test_endless_data(tuf):
    offer(tuf, app=b"ours")
    where = tuf.repository.target_names("app", tuf.repository["targets"]["targets"]["app"])[0]
    tuf.repository.files[where] = endless(first=b"ours")
    assert tuf.download("app") == "length"
    assert tuf.got() == {}
    tuf.repository.files[where] = b"ours"
    tuf.repository.serve("timestamp", endless(b" " * 65536, first=tuf.repository.served("timestamp")))
    assert tuf.refresh() == "length"


def test_extraneous_dependencies(tuf):
    """A signed target that speaks of others makes nobody fetch them, and what nobody signed for cannot be had."""
    tuf.repository.add_target("app", b"ours", depends=["evil"], requires="evil >= 1")
    tuf.repository.files["targets/%s.evil" % hashlib.sha256(b"evil").hexdigest()] = b"evil"
    tuf.repository.publish_all()
    assert tuf.download("app") == OK
    assert not any("evil" in name for name in tuf.asked())
    assert tuf.download("evil") not in (OK, "killed")
    assert tuf.got() == {"app": b"ours"}


@pytest.mark.parametrize("rotated", [("timestamp",), ("snapshot",), ("timestamp", "snapshot")])
def test_fast_forward(tuf, rotated):
    """Stolen online keys number snapshot and timestamp beyond reach; rotating a key brings them back."""
    repository = tuf.repository
    honest = copy.deepcopy(repository.signed), dict(repository.files)
    repository["snapshot"]["version"] = repository["timestamp"]["version"] = 2 ** 52
    repository["targets"]["version"] = 2 ** 52
    repository.publish_all()
    assert tuf.refresh() == OK and tuf.stored()["targets"] == 2 ** 52 + 1
    repository.signed, repository.files = honest
    repository.published.update(TOP)
    offer(tuf, app=b"ours")
    assert tuf.refresh() == "version"
    for role in rotated:
        repository.rotate(role)
    repository.publish("root")
    offer(tuf, app=b"ours")
    # The timestamp's own number forgotten, the snapshot's is too: either key's rotation drops both.
    assert tuf.download("app") == OK
    assert tuf.stored()["timestamp"] < 100 and tuf.stored()["targets"] < 100


def test_indefinite_freeze(tuf):
    """The same good answers for ever, while the vendor publishes behind them."""
    offer(tuf, app=b"old")
    assert tuf.refresh() == OK
    assert tuf.refresh(days=29) == OK
    assert tuf.refresh(days=31) == "freeze"
    assert tuf.stored()["targets"] == 2


def test_malicious_mirrors(tuf, tmp_path):
    """A mirror that lies about every file in turn keeps nobody from the next mirror's."""
    offer(tuf, app=b"ours")
    tuf.repository.publish("root")
    mirror = Server(Repository())
    mirror.repository.files = dict(tuf.repository.files)
    honest = tuf.server
    try:
        for name, content in tuf.repository.files.items():
            mirror.repository.files[name] = content[:-1] + b"?"
            tuf.server = mirror
            lied = tuf.download("app")
            assert lied is OK or lied in ("format", "hash", "signature", "length", "version"), (name, lied)
            mirror.repository.files[name] = content
            tuf.server = honest
            assert tuf.download("app") == OK and tuf.got() == {"app": b"ours"}
    finally:
        mirror.stop()


@pytest.mark.parametrize("hashes", [False, True])
def test_mix_and_match(tuf, hashes):
    """Good files that were never published together."""
    tuf.repository.line_hashes = hashes
    offer(tuf, app=b"one")
    first = dict(tuf.repository.files)
    assert tuf.refresh() == OK
    offer(tuf, app=b"two")
    tuf.repository.files[tuf.repository.name("targets")] = first["metadata/2.targets.json"]
    assert tuf.download("app") in ("version", "hash", "mix")
    assert tuf.stored()["targets"] == 2


def test_rollback(tuf):
    """The whole repository of yesterday, every file of it good."""
    offer(tuf, app=b"one")
    yesterday = dict(tuf.repository.files)
    offer(tuf, app=b"two")
    assert tuf.download("app") == OK
    tuf.repository.files = yesterday
    assert tuf.refresh() == "version"
    assert tuf.stored()["targets"] == 3 and tuf.got() == {"app": b"two"}


def test_key_compromise(tuf):
    """One key of two signs nothing; after its rotation it signs nothing together with the other one either."""
    repository = tuf.repository
    stolen = repository.signers["targets"][0]
    other = repository.add_key("targets")
    repository.role("targets")["threshold"] = 2
    repository.publish("root")
    offer(tuf, app=b"ours")
    assert tuf.refresh() == OK
    repository.signers["targets"] = [stolen]
    offer(tuf, app=b"evil")
    assert tuf.download("app") == "signature"
    repository.role("targets")["keyids"].remove(stolen.id)
    fresh = repository.add_key("targets", signs=False)
    repository.publish("root")
    repository.signers["targets"] = [stolen, other]
    offer(tuf, app=b"evil")
    assert tuf.download("app") == "signature"
    repository.signers["targets"] = [fresh, other]
    offer(tuf, app=b"ours")
    assert tuf.download("app") == OK and tuf.got() == {"app": b"ours"}


def test_wrong_software_installation(tuf):
    """Good software that was signed under another name."""
    offer(tuf, mail=b"the mail server", wiki=b"the wiki, as long")
    lines = tuf.repository["targets"]["targets"]
    mail, wiki = (tuf.repository.target_names(path, lines[path])[0] for path in ("mail", "wiki"))
    tuf.repository.files[mail] = tuf.repository.files[wiki]
    assert tuf.download("mail") in ("hash", "length")
    assert tuf.got() == {}


# ---- what Uptane adds

def test_slow_retrieval(tuf):
    offer(tuf, app=b"ours" * 20)
    where = tuf.repository.target_names("app", tuf.repository["targets"]["targets"]["app"])[0]
    tuf.repository.files[where] = drip(b"ours" * 20, 0.3)
    assert tuf.download("app", words=("--stall", 1)) == "slow"
    assert tuf.got() == {}


def test_drop_request(tuf):
    """Cannot be prevented; it never becomes anything worse than the age of the last good refresh."""
    offer(tuf, app=b"ours")
    assert tuf.refresh() == OK
    before = tuf.stored()
    tuf.repository.files.clear()
    assert tuf.refresh() in ("missing", "mirror")
    assert tuf.stored() == before
    assert tuf.refresh(days=31) not in (OK, "killed")


# ---- what went wrong in other clients

def test_tough_cve_2026_6966_one_signature_counted_twice(tuf):
    """One signature twice; one key under two ids; one key id listed twice: one signer all the same."""
    repository = tuf.repository
    thief = repository.signers["targets"][0]
    second = Key(name="another-name", secret=thief.secret)
    repository.add_key("targets", second, signs=False)
    repository.role("targets")["keyids"] += [thief.id, thief.id]
    repository.add_key("targets", signs=False)
    repository.role("targets")["threshold"] = 2
    repository.publish("root")
    for signers in ([thief], [thief, thief], [thief, second], [second, second]):
        repository.signers["targets"] = signers
        offer(tuf, app=b"evil")
        assert tuf.refresh() in ("signature", "format")
        assert "targets" not in tuf.stored()


def test_tough_cve_2026_6967_expiry_and_hash_skipped_for_delegations(tuf):
    repository = tuf.repository
    repository.line_hashes = True
    repository.delegate("targets", "partner", ["p*"])
    repository.add_target("parts", b"ours", role="partner")
    repository["partner"]["expires"] = "2020-01-01T00:00:00Z"
    repository.publish_all("partner")
    assert tuf.download("parts") == "freeze"
    repository["partner"]["expires"] = repository["root"]["expires"]
    repository.publish_all("partner")
    good = repository.served("partner")
    repository.serve("partner", good + b" ")
    assert tuf.download("parts") in ("hash", "length")
    repository.serve("partner", good)
    assert tuf.download("parts") == OK


@pytest.mark.parametrize("path", ["../escaped", "/tmp/escaped", "a/../../escaped", "..", "a\\..\\escaped", "."])
def test_tough_cve_2026_6968_target_path_escapes(tuf, path, tmp_path):
    tuf.repository.add_target(path, b"evil")
    for name in list(tuf.repository.files):
        if "escaped" in name:
            tuf.repository.files["targets/" + name.rsplit("/", 1)[-1]] = tuf.repository.files[name]
    tuf.repository.publish_all()
    tuf.download(path)
    for found in tmp_path.rglob("*escaped*"):
        assert tuf.targets in found.parents, found
    assert not os.path.exists("/tmp/escaped")


def test_python_tuf_ghsa_wjw6_2cqr_j4qr_role_name_as_a_path(tuf, tmp_path):
    repository = tuf.repository
    for role in ("../root", "..", "a/b", "%2e%2e%2froot"):
        repository.delegate("targets", role, ["*"], terminating=False)
        repository.add_target("app-" + hashlib.sha256(role.encode()).hexdigest()[:4], b"ours", role=role)
        repository.publish(role)
    repository.publish_all()
    before = tuf.has("root")
    tuf.download("nothing-of-that-name")
    assert tuf.has("root") == before
    assert {path.parent for path in tmp_path.rglob("*.json")} <= {tuf.metadata, tuf.metadata / "root_history", tmp_path}


def test_tough_cve_2025_2885_root_version_skipped(tuf):
    repository = tuf.repository
    repository["root"]["version"] = 3
    repository.files["metadata/2.root.json"] = json.dumps(repository.envelope("root")).encode()
    assert tuf.refresh() == "version"
    assert tuf.stored() == {"root": 1}


def test_tough_cve_2025_2888_refused_timestamp_kept(tuf):
    """A timestamp that was refused may not stop the updates that follow."""
    offer(tuf, app=b"one")
    assert tuf.refresh() == OK
    good = tuf.repository.served("timestamp")
    tuf.repository["timestamp"]["version"] = 1000
    tuf.repository["timestamp"]["expires"] = "2020-01-01T00:00:00Z"
    tuf.repository.publish("timestamp")
    assert tuf.refresh() == "freeze"
    tuf.repository.serve("timestamp", good)
    assert tuf.refresh() == OK
    assert tuf.stored()["timestamp"] == 2


def test_python_tuf_cve_2020_15163_refused_root_kept(tuf):
    """Root 2 lacks its own signature: it is not kept, and the good root 2 is taken."""
    repository = tuf.repository
    old = repository.signers["root"][:]
    repository.rotate("root")
    new = repository.signers["root"][:]
    repository.signers["root"] = old
    repository.publish("root")
    assert tuf.refresh() == "signature"
    assert tuf.stored()["root"] == 1
    repository.signers["root"] = old + new
    repository.publish("root", bump=False)
    assert tuf.refresh() == OK and tuf.stored()["root"] == 2


def test_go_tuf_cve_2022_29173_rollback_compared_with_nothing(tuf):
    """What a new client was given first is what the second look is compared with, across a restart and a failed refresh."""
    offer(tuf, app=b"one")
    offer(tuf, app=b"two")
    assert tuf.refresh() == OK
    tuf.repository["timestamp"]["version"] = 1
    tuf.repository.publish("timestamp", bump=False)
    assert tuf.refresh() == "version"
    assert tuf.refresh() == "version"
    assert tuf.stored()["timestamp"] == 3


@pytest.mark.parametrize("threshold", [0, -1])
def test_go_tuf_cve_2026_23992_threshold_of_zero(tuf, threshold):
    tuf.repository.role("targets")["threshold"] = threshold
    tuf.repository.signers["targets"] = []
    tuf.repository.publish("root")
    offer(tuf, app=b"evil")
    assert tuf.refresh() in ("format", "length")
    assert tuf.stored() == {"root": 1}


def test_python_tuf_cve_2020_6173_thousands_of_signatures(tuf):
    def swell(envelope):
        envelope["signatures"] += [{"keyid": "%064x" % at, "sig": "00" * 64} for at in range(2000)]
    tuf.repository.publish("root")
    good = tuf.repository.served("root")
    tuf.repository.change("root", swell)
    assert tuf.refresh() in ("length", "format")
    tuf.repository.serve("root", good)
    assert tuf.refresh() == OK


def test_go_tuf_cve_2026_23991_crash_before_any_signature(tuf):
    for text in (b"", b"null", b"{}", b'{"signed":null,"signatures":null}', b'{"signatures":[null]}',
                 b'{"signed":{"_type":{}},"signatures":[{"keyid":[],"sig":{}}]}'):
        for role in TOP:
            tuf.repository.publish_all("root")
            good = tuf.repository.served(role)
            tuf.repository.serve(role, text)
            assert tuf.refresh() in ("format", "length")
            tuf.repository.serve(role, good)
    assert tuf.refresh() == OK


def test_notary_python_tuf_2977_role_trusted_through_another_delegator(tuf):
    """A role's file that one delegator's keys signed is not believed through another delegator with other keys."""
    repository = tuf.repository
    repository.delegate("targets", "a", ["*"])
    repository.delegate("targets", "b", ["*"])
    repository.delegate("a", "shared", ["*"])
    stranger = Key()
    repository["b"]["delegations"] = {"keys": {stranger.id: stranger.public}, "roles": [
        {"name": "shared", "keyids": [stranger.id], "threshold": 1, "terminating": False, "paths": ["*"]}]}
    repository["a"]["delegations"]["roles"][0]["paths"] = ["x*"]
    repository.add_target("app", b"evil", role="shared")
    repository.publish_all("shared", "a", "b")
    assert tuf.download("app") != OK
    assert tuf.got() == {}
