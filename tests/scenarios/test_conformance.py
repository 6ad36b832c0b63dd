"""The client workflow of TUF 1.0 §5 for the four top-level roles, through the program that the public conformance suite
drives: what is accepted, what is refused and by which name, what is stored, and what is asked for."""
import json
import subprocess

import pytest
from securesystemslib.exceptions import FormatError

from tuf_repository import PROGRAM, TOP, Key, in_days, status

OK = None
ALL = {"root": 1, "timestamp": 1, "snapshot": 1, "targets": 1}


def flip(text):
    return text[:-1] + ("0" if text[-1] != "0" else "1")


# ---- init, what is stored, what is asked for

def test_init_stores_the_root_as_it_is_and_asks_for_nothing(tuf):
    assert tuf.has("root") == tuf.repository.served("root")
    assert tuf.stored() == {"root": 1}
    assert tuf.repository.asked == []


def test_init_of_a_file_that_is_not_there_fails(tuf):
    assert tuf.run("--metadata-dir", tuf.metadata, "init", tuf.metadata / "nothing") == "missing"


@pytest.mark.parametrize("words", [[], ["refresh"], ["nonsense"], ["init"], ["download"], ["--what", "x", "refresh"]],
                         ids=["nothing", "no-directory", "no-such-command", "no-root", "no-target", "no-such-option"])
def test_a_call_that_is_incomplete_ends_with_1(tuf, words):
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("usage: ")


def test_a_refresh_without_init_asks_for_nothing(tuf):
    (tuf.metadata / "root.json").unlink()
    assert tuf.refresh() == "missing"
    assert tuf.repository.asked == []


@pytest.mark.parametrize("change, name", [
    (lambda envelope: envelope["signed"].pop("version"), "format"),
    (lambda envelope: envelope["signed"].update(_type="targets"), "format"),
    (lambda envelope: envelope["signed"]["roles"].pop("snapshot"), "format"),
    (lambda envelope: envelope["signed"].update(version=2), "signature"),
    (lambda envelope: envelope["signatures"].clear(), "signature"),
    (lambda envelope: envelope["signatures"][0].update(sig=flip(envelope["signatures"][0]["sig"])), "signature"),
    (lambda envelope: envelope.pop("signatures"), "format"),
], ids=["no-version", "other-type", "no-snapshot-role", "changed", "unsigned", "bad-signature", "no-signatures"])
def test_an_initial_root_that_is_wrong_is_refused_before_any_request(tuf, change, name):
    root = json.loads(tuf.repository.served("root"))
    change(root)
    tuf.init(json.dumps(root).encode())
    assert tuf.refresh() == name
    assert tuf.repository.asked == []


def test_a_first_refresh_asks_for_five_names_and_stores_four_files(tuf):
    assert tuf.refresh() == OK
    assert tuf.asked() == ["2.root", "timestamp", "1.snapshot", "1.targets"]
    assert tuf.stored() == ALL


def test_what_did_not_change_is_not_asked_for_again(tuf):
    assert tuf.refresh() == OK
    assert tuf.refresh() == OK
    assert tuf.asked() == ["2.root", "timestamp"]


def test_only_what_changed_is_asked_for(tuf):
    assert tuf.refresh() == OK
    tuf.repository.publish("timestamp")
    assert tuf.refresh() == OK
    assert tuf.asked() == ["2.root", "timestamp"]
    tuf.repository.publish("snapshot", "timestamp")
    assert tuf.refresh() == OK
    assert tuf.asked() == ["2.root", "timestamp", "2.snapshot"]


def test_a_url_needs_no_slash_at_its_end(tuf):
    assert tuf.run("--metadata-dir", tuf.metadata, "--metadata-url", tuf.server.url + "/metadata", "refresh") == OK
    assert tuf.stored() == ALL


@pytest.mark.parametrize("role", TOP[1:])
def test_files_are_stored_byte_for_byte(tuf, role):
    served = json.dumps(json.loads(tuf.repository.served(role)), indent=3).encode() + b"\n \n"
    tuf.repository.serve(role, served)
    assert tuf.refresh() == OK
    assert tuf.has(role) == served


def test_repositories_without_consistent_snapshots(tuf):
    repository = tuf.repository
    for value in (False, None):
        repository["root"]["consistent_snapshot"] = value
        if value is None:
            del repository["root"]["consistent_snapshot"]
        repository.add_target("dir/a", b"content")
        repository.publish("root", "targets", "snapshot", "timestamp")
        assert tuf.refresh() == OK
        assert tuf.asked()[-3:] == ["timestamp", "snapshot", "targets"]
        assert tuf.download("dir/a") == OK
        assert tuf.asked()[-1] in ("targets/dir/a", "timestamp")


def test_fields_that_nobody_knows_are_signed_and_kept(tuf):
    repository = tuf.repository
    for role in TOP:
        repository[role]["x-unknown"] = {"a": [1, "zwei", None, True]}
    repository.add_key("root", Key(x_field={"b": 2}, keyid_hash_algorithms=["md5"]))
    repository.role("root")["x-note"] = "kept"
    repository.publish("root", "targets", "snapshot", "timestamp")
    assert tuf.refresh() == OK
    assert tuf.stored() == {"root": 2, "timestamp": 2, "snapshot": 2, "targets": 2}


def test_canonical_form_of_odd_texts(tuf):
    tuf.repository["targets"]["x-odd"] = "quote \" backslash \\ newline \n tab \t bell \a umlaut ä snow ☃ clef 𝄞 del \x7f"
    tuf.repository.publish_all()
    assert tuf.refresh() == OK


# ---- root: one by one, old and new threshold (§5.3)

ROOTS = {  # versions as (keys, threshold, signers), and how many of them are accepted
    "same-key": ([([1], 1, [1]), ([1], 1, [1])], 2),
    "rotated": ([([1], 1, [1]), ([2], 1, [2, 1]), ([2], 1, [2])], 3),
    "rotated-with-unrelated-signatures": ([([1], 1, [3, 1, 4]), ([2], 1, [3, 2, 1, 4]), ([2], 1, [3, 2])], 3),
    "not-by-the-old-key": ([([1], 1, [1]), ([2], 1, [2, 3])], 1),
    "not-by-the-new-key": ([([1], 1, [1]), ([2], 1, [1, 3])], 1),
    "any-three-of-five": ([([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 2, 3, 4], 3, [1, 2, 3])], 2),
    "two-of-five-short": ([([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 2, 3, 4], 3, [1, 2])], 1),
    "all-rotated": ([([0, 1, 2], 2, [0, 1]), ([3, 4, 5], 2, [0, 1, 3, 4]), ([3, 4, 5], 2, [4, 5])], 3),
    "all-rotated-short-of-old": ([([0, 1, 2], 2, [0, 1]), ([3, 4, 5], 2, [0, 3, 4])], 1),
    "threshold-raised": ([([1, 2], 1, [1]), ([1, 2], 2, [1, 2])], 2),
    "threshold-raised-and-not-met": ([([1, 2], 1, [1]), ([1, 2], 2, [2])], 1),
    "threshold-lowered": ([([1, 2], 2, [1, 2]), ([1, 2], 1, [1, 2]), ([1, 2], 1, [2])], 3),
    "threshold-lowered-too-early": ([([1, 2], 2, [1, 2]), ([1, 2], 1, [1])], 1),
    "good-then-bad": ([([1], 1, [1]), ([1], 1, [1]), ([2], 1, [2])], 2),
}


@pytest.mark.parametrize("versions, accepted", ROOTS.values(), ids=ROOTS.keys())
def test_root_rotations(tuf, versions, accepted):
    repository, keys = tuf.repository, [Key() for _ in range(6)]
    for at, (listed, threshold, signers) in enumerate(versions):
        repository.role("root").update(keyids=[], threshold=threshold)
        for index in listed:
            repository.add_key("root", keys[index], signs=False)
        repository.signers["root"] = [keys[index] for index in signers]
        repository.publish("root", bump=at > 0)
    assert tuf.init() == OK
    assert tuf.refresh() == (OK if accepted == len(versions) else "signature")
    assert tuf.stored()["root"] == accepted
    assert tuf.has("root") == repository.files["metadata/%d.root.json" % accepted]
    assert ("timestamp" in tuf.asked()) == (accepted == len(versions))


def test_many_roots_are_walked_one_by_one(tuf):
    for _ in range(30):
        tuf.repository.publish("root")
    assert tuf.refresh() == OK
    assert tuf.asked()[:31] == ["%d.root" % version for version in range(2, 33)]
    assert tuf.refresh() == OK
    assert tuf.asked() == ["32.root", "timestamp"]


@pytest.mark.parametrize("version", [1, 3, 2**53, 2**62])
def test_a_root_must_be_exactly_the_next_version(tuf, version):
    tuf.repository["root"]["version"] = version
    content = json.dumps(tuf.repository.envelope("root")).encode()
    tuf.repository.files["metadata/2.root.json"] = content
    assert tuf.refresh() == "version"
    assert tuf.stored() == {"root": 1}


def test_expired_roots_on_the_way_do_not_matter(tuf):
    repository = tuf.repository
    repository["root"]["expires"] = in_days(-2)
    repository.publish("root")
    repository["root"]["expires"] = in_days(30)
    repository.publish("root")
    assert tuf.refresh() == OK
    assert tuf.stored()["root"] == 3


def test_an_expired_last_root_is_kept_and_ends_the_refresh(tuf):
    assert tuf.refresh() == OK
    tuf.repository["root"]["expires"] = in_days(-1)
    tuf.repository.publish("root", "targets", "snapshot", "timestamp")
    assert tuf.refresh() == "freeze"
    assert tuf.asked() == ["2.root", "3.root"]
    assert tuf.stored() == dict(ALL, root=2)


def test_an_expired_trusted_root_finds_the_newer_one(tuf):
    tuf.repository["root"]["expires"] = in_days(7)
    tuf.repository.publish("root")
    assert tuf.refresh() == OK
    tuf.repository["root"]["expires"] = in_days(28)
    tuf.repository.publish("root")
    assert tuf.refresh(days=18) == OK
    assert tuf.stored()["root"] == 3


def test_the_time_is_the_clocks(tuf):
    assert tuf.refresh() == OK
    assert tuf.refresh(days=29) == OK
    assert tuf.refresh(days=31) == "freeze"
    assert tuf.refresh(days=-1000) == OK


@pytest.mark.parametrize("code", [403, 404])
def test_a_server_that_lacks_or_denies_the_next_root_ends_the_chain(tuf, code):
    tuf.repository.files["metadata/2.root.json"] = status(code, b"no " * 5000)
    assert tuf.refresh() == OK


@pytest.mark.parametrize("code", [204, 400, 410, 500, 503])
def test_any_other_answer_for_the_next_root_ends_the_refresh(tuf, code):
    tuf.repository.files["metadata/2.root.json"] = status(code)
    assert tuf.refresh() == "mirror"
    assert tuf.asked() == ["2.root"]


# ---- signatures and thresholds

@pytest.mark.parametrize("role, stored", [
    ("root", {"root": 1}), ("timestamp", {"root": 2}), ("snapshot", {"root": 2, "timestamp": 2}),
    ("targets", {"root": 2, "timestamp": 2, "snapshot": 2})], ids=TOP)
@pytest.mark.parametrize("how", ["unsigned", "flipped", "another-key", "not-canonical"])
def test_a_role_without_a_good_signature_ends_the_refresh_there(tuf, role, stored, how):
    repository = tuf.repository
    repository.publish("root", "targets", "snapshot", "timestamp")

    def spoil(envelope):
        one = envelope["signatures"][0]
        if how == "unsigned":
            envelope["signatures"] = []
        elif how == "flipped":
            one["sig"] = flip(one["sig"])
        elif how == "another-key":
            one["sig"] = Key().sign(b"another message by another key")
        else:
            one["sig"] = repository.signers[role][0].sign(json.dumps(envelope["signed"]).encode())
    repository.change(role, spoil)
    assert tuf.refresh() == "signature"
    assert tuf.stored() == stored


def three_of_three(repository, role="snapshot"):
    repository.role(role)["threshold"] = 3
    for _ in range(2):
        repository.add_key(role)


def test_a_threshold_of_three_is_met_by_three(tuf):
    three_of_three(tuf.repository)
    tuf.repository.publish("root", "snapshot", "timestamp")
    assert tuf.refresh() == OK


def test_a_threshold_of_three_is_not_met_by_two(tuf):
    three_of_three(tuf.repository)
    tuf.repository.signers["snapshot"].pop()
    tuf.repository.publish("root", "snapshot", "timestamp")
    assert tuf.refresh() == "signature"
    assert tuf.stored() == {"root": 2, "timestamp": 2}


def test_a_threshold_above_the_number_of_keys_is_never_met(tuf):
    three_of_three(tuf.repository)
    tuf.repository.role("snapshot")["threshold"] = 4
    tuf.repository.publish("root", "snapshot", "timestamp")
    assert tuf.refresh() == "signature"


def test_one_key_under_many_ids_counts_once(tuf):
    repository, key = tuf.repository, Key()
    repository.rotate("snapshot", key)
    for name in ("one", "two"):
        repository.add_key("snapshot", Key(secret=key.secret, name=name))
    repository.role("snapshot")["threshold"] = 2
    repository.publish("root", "snapshot", "timestamp")
    assert tuf.refresh() == "signature"


def test_an_id_listed_many_times_counts_once(tuf):
    repository = tuf.repository
    repository.role("snapshot").update(keyids=repository.role("snapshot")["keyids"] * 5, threshold=2)
    repository.publish("root", "snapshot", "timestamp")
    assert tuf.refresh() == "signature"


@pytest.mark.parametrize("role", TOP[1:])
def test_a_key_id_twice_in_signatures_is_refused(tuf, role):
    tuf.repository.change(role, lambda envelope: envelope["signatures"].append(envelope["signatures"][0]))
    assert tuf.refresh() == "format"
    assert role not in tuf.stored()


@pytest.mark.parametrize("text", ["", "00" * 64, "no hexadecimal", "0", "ab" * 600])
def test_a_bad_signature_beside_a_good_one_does_no_harm(tuf, text):
    extra = tuf.repository.add_key("timestamp", signs=False)
    tuf.repository.publish("root", "timestamp")
    tuf.repository.change("timestamp", lambda envelope: envelope["signatures"].insert(0, {"keyid": extra.id, "sig": text}))
    assert tuf.refresh() == OK


def test_an_id_without_a_key_is_passed_over(tuf):
    tuf.repository.role("timestamp")["keyids"].append("f" * 64)
    tuf.repository.publish("root", "timestamp")
    assert tuf.refresh() == OK


@pytest.mark.parametrize("threshold", [0, -1, "1", 1.0, True, None], ids=str)
@pytest.mark.parametrize("role", TOP)
def test_a_threshold_that_is_no_positive_integer_is_refused(tuf, role, threshold):
    tuf.repository.role(role)["threshold"] = threshold
    root = tuf.repository["root"]
    root["version"] = 2
    try:
        tuf.repository.publish("root", bump=False)
    except FormatError:  # no canonical form, so no signature either
        tuf.repository.files["metadata/2.root.json"] = json.dumps({"signed": root, "signatures": []}).encode()
    assert tuf.refresh() in ("format", "length")
    assert tuf.stored() == {"root": 1}


@pytest.mark.parametrize("kind, keytype", [("ed25519", None), ("ecdsa", None), ("ecdsa", "ecdsa-sha2-nistp256"), ("rsa", None)],
                         ids=["ed25519", "ecdsa", "ecdsa-sha2-nistp256", "rsa-pss"])
def test_every_key_type_signs_and_is_checked(tuf, kind, keytype):
    repository = tuf.repository
    repository.add_key("root", Key(kind, keytype=keytype))
    repository.role("root")["threshold"] = 2
    for role in TOP[1:]:
        repository.rotate(role, Key(kind, keytype=keytype))
    repository.publish("root", "targets", "snapshot", "timestamp")
    assert tuf.refresh() == OK
    repository.publish("root")
    repository.change("root", lambda envelope: envelope["signatures"][1].update(
        sig=Key(kind).sign(b"well formed, by another")))
    assert tuf.refresh() == "signature"
    assert tuf.stored()["root"] == 2


def test_a_key_of_unknown_type_is_tolerated_and_never_counted(tuf):
    repository = tuf.repository
    stranger = Key(keytype="post-quantum")
    stranger.public["scheme"] = "falcon"
    stranger.public["keyval"] = {"a": 1}
    repository.add_key("timestamp", stranger)
    repository.publish("root", "timestamp")
    assert tuf.refresh() == OK
    repository.role("timestamp")["threshold"] = 2
    repository.publish("root", "timestamp")
    assert tuf.refresh() == "signature"


def test_key_ids_are_opaque(tuf):
    repository = tuf.repository
    for role in TOP[1:]:
        repository.rotate(role, Key(name="the key of " + role))
    repository.publish("root", "targets", "snapshot", "timestamp")
    assert tuf.refresh() == OK


def test_an_id_that_names_another_key_signs_nothing(tuf):
    """keyid mismatch: the signature is good, but by a key that the id does not name."""
    repository = tuf.repository
    repository.add_key("timestamp", Key(name=Key().id), signs=False)
    repository.role("timestamp")["threshold"] = 2
    repository.publish("root", "timestamp")
    repository.change("timestamp", lambda envelope: envelope["signatures"].append(
        {"keyid": repository.role("timestamp")["keyids"][1], "sig": envelope["signatures"][0]["sig"]}))
    assert tuf.refresh() == "signature"


def test_a_role_signed_by_the_key_of_another_is_refused(tuf):
    repository = tuf.repository
    repository.signers["timestamp"] = repository.signers["snapshot"]
    repository.publish("timestamp")
    assert tuf.refresh() == "signature"


def test_a_snapshot_in_place_of_a_timestamp_is_refused(tuf):
    repository = tuf.repository
    repository.add_key("snapshot", repository.signers["timestamp"][0])
    repository["snapshot"]["meta"]["snapshot.json"] = {"version": 1}
    repository.publish("root", "snapshot")
    repository.serve("timestamp", repository.served("snapshot"))
    assert tuf.refresh() == "format"
    assert tuf.stored() == {"root": 2}


@pytest.mark.parametrize("role", TOP)
def test_ecdsa_repositories(tuf, role):
    """Every role of another key type than the rest, one at a time."""
    repository = tuf.repository
    if role == "root":
        old = repository.signers["root"]
        repository.rotate("root", Key("ecdsa"))
        repository.signers["root"] += old
    else:
        repository.rotate(role, Key("ecdsa"))
    repository.publish("root", "targets", "snapshot", "timestamp")
    assert tuf.refresh() == OK
