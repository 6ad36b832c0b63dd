"""Versions, expiry, hashes and lengths in the TUF client workflow (§5.3 to §5.6): nothing goes back, nothing is mixed,
nothing is trusted for ever; what was accepted stays, and the next good refresh mends everything."""
import json
import shutil

import pytest

from tuf_repository import TOP, Key, in_days, status

OK = None
ALL = {"root": 1, "timestamp": 1, "snapshot": 1, "targets": 1}


def recovers(tuf):
    """Whatever was refused must not leave the client behind a repository that is well again."""
    tuf.repository.publish_all()
    assert tuf.refresh() == OK
    for role in TOP[1:]:
        assert tuf.has(role) == tuf.repository.served(role)


# ---- rollback

def test_an_older_timestamp_is_refused(tuf):
    old = tuf.repository.served("timestamp")
    tuf.repository.publish("timestamp")
    assert tuf.refresh() == OK
    tuf.repository.serve("timestamp", old)
    assert tuf.refresh() == "version"
    assert tuf.asked() == ["2.root", "timestamp"]
    assert tuf.stored()["timestamp"] == 2
    recovers(tuf)


@pytest.mark.parametrize("hashes", [False, True], ids=["versions-only", "with-hashes"])
def test_a_timestamp_that_states_an_older_snapshot_is_refused(tuf, hashes):
    repository = tuf.repository
    repository.line_hashes = hashes
    repository.publish("snapshot", "timestamp")
    assert tuf.refresh() == OK
    repository["snapshot"]["version"] = 1
    repository.publish("snapshot", bump=False)
    repository.publish("timestamp")
    assert tuf.refresh() == "version"
    assert tuf.stored() == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 1}
    assert tuf.asked()[-1] == "timestamp"


@pytest.mark.parametrize("hashes", [False, True], ids=["versions-only", "with-hashes"])
def test_a_snapshot_that_states_older_targets_is_refused(tuf, hashes):
    repository = tuf.repository
    repository.line_hashes = hashes
    repository.publish_all()
    assert tuf.refresh() == OK
    repository["targets"]["version"] = 1
    repository.publish("targets", bump=False)
    repository.publish("snapshot", "timestamp")
    assert tuf.refresh() == "version"
    assert tuf.stored() == {"root": 1, "timestamp": 3, "snapshot": 2, "targets": 2}


def test_a_snapshot_that_drops_a_role_is_refused(tuf):
    repository = tuf.repository
    repository.delegate("targets", "more")
    repository.publish("more", "targets", "snapshot", "timestamp")
    assert tuf.refresh() == OK
    del repository["snapshot"]["meta"]["more.json"]
    repository.publish("snapshot", "timestamp")
    assert tuf.refresh() == "version"
    assert tuf.stored()["snapshot"] == 2


def test_a_snapshot_that_takes_a_delegated_role_back_is_refused(tuf):
    repository = tuf.repository
    repository.delegate("targets", "more")
    repository.publish("more", "more", "targets", "snapshot", "timestamp")
    assert tuf.refresh() == OK
    repository["snapshot"]["meta"]["more.json"]["version"] = 1
    repository.publish("snapshot", "timestamp")
    assert tuf.refresh() == "version"


@pytest.mark.parametrize("role, missing", [("timestamp", "snapshot.json"), ("snapshot", "targets.json")])
def test_a_file_that_does_not_name_the_next_is_refused(tuf, role, missing):
    del tuf.repository[role]["meta"][missing]
    tuf.repository.publish(role) if role == "timestamp" else tuf.repository.publish(role, "timestamp")
    assert tuf.refresh() == "format"


# ---- the same version with other content

def test_a_timestamp_of_the_same_version_is_not_taken(tuf):
    assert tuf.refresh() == OK
    mine = tuf.has("timestamp")
    tuf.repository["timestamp"]["meta"]["snapshot.json"]["version"] = 100
    tuf.repository.publish("timestamp", bump=False)
    assert tuf.refresh() == OK
    assert tuf.asked() == ["2.root", "timestamp"]
    assert tuf.has("timestamp") == mine


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_content_that_changes_without_a_version_is_not_seen(tuf, role):
    assert tuf.refresh() == OK
    mine = tuf.has(role)
    tuf.repository[role]["x"] = "changed"
    tuf.repository.publish(role, bump=False)
    tuf.repository.publish("timestamp")
    assert tuf.refresh() == OK
    assert tuf.has(role) == mine


# ---- mix and match: version, hash and length as stated

@pytest.mark.parametrize("role, stored", [("snapshot", ["root", "timestamp"]), ("targets", ["root", "snapshot", "timestamp"])])
def test_another_version_than_stated_is_refused(tuf, role, stored):
    repository = tuf.repository
    name = repository.name(role)
    repository[role]["version"] = 3
    repository.files[name] = json.dumps(repository.envelope(role)).encode()
    assert tuf.refresh() == "mix"
    assert sorted(tuf.stored()) == stored


@pytest.mark.parametrize("role, stored", [("snapshot", ["root", "timestamp"]), ("targets", ["root", "snapshot", "timestamp"])])
@pytest.mark.parametrize("line, name", [
    ({"hashes": {"sha256": "0" * 64}}, "hash"), ({"hashes": {"sha512": "0" * 128}}, "hash"),
    ({"length": 10}, "length"), ({"length": 100000}, "length"), ({"hashes": {}}, "format"),
    ({"hashes": {"sha256": "00"}}, "format"), ({"hashes": {"md17": "00"}}, "format"), ({"length": 0}, "format"),
    ({"length": -5}, "length")],
    ids=["sha256", "sha512", "too-long", "too-short", "no-hash", "half-a-hash", "unknown-hash", "length-0", "length-negative"])
def test_a_line_that_does_not_hold_is_refused(tuf, role, stored, line, name):
    repository = tuf.repository
    upper = "timestamp" if role == "snapshot" else "snapshot"
    lines = repository[upper]["meta"][role + ".json"]
    lines.update(line)
    repository.publish(upper, bump=False)
    if upper == "snapshot":
        repository.publish("timestamp", bump=False)
    assert tuf.refresh() == name
    malformed = name == "format" or line.get("length", 1) < 0
    assert sorted(tuf.stored()) == [one for one in stored if not (malformed and one == upper)]


def test_hashes_and_lengths_that_hold(tuf):
    repository = tuf.repository
    repository.line_hashes = True
    repository.publish_all()
    assert tuf.refresh() == OK
    assert tuf.refresh() == OK
    assert tuf.asked() == ["2.root", "timestamp"]


# ---- what is not there

@pytest.mark.parametrize("code, name", [(404, "missing"), (403, "missing"), (500, "mirror")])
@pytest.mark.parametrize("role", TOP[1:])
def test_a_missing_file_ends_the_refresh_and_the_last_one_stays(tuf, role, code, name):
    repository = tuf.repository
    assert tuf.refresh() == OK
    repository.publish_all()
    repository.serve(role, status(code))
    assert tuf.refresh() == name
    assert tuf.asked()[-1].endswith(role)
    stands = dict(ALL, **{one: 2 for one in TOP[1:TOP.index(role)]})
    assert tuf.stored() == stands
    recovers(tuf)


def test_a_refresh_goes_on_where_the_last_one_ended(tuf):
    repository = tuf.repository
    assert tuf.refresh() == OK
    repository.publish_all()
    good = repository.served("targets")
    repository.serve("targets", status(404))
    assert tuf.refresh() == "missing"
    repository.serve("targets", good)
    assert tuf.refresh() == OK
    assert tuf.asked() == ["2.root", "timestamp", "2.targets"]


# ---- expiry

@pytest.mark.parametrize("role", TOP[1:])
def test_an_expired_file_is_refused_and_not_stored(tuf, role):
    repository = tuf.repository
    assert tuf.refresh() == OK
    repository[role]["expires"] = in_days(-1)
    repository.publish_all()
    assert tuf.refresh() == "freeze"
    assert tuf.stored() == dict(ALL, **{one: 2 for one in TOP[1:TOP.index(role)]})
    repository[role]["expires"] = in_days(9)
    recovers(tuf)


@pytest.mark.parametrize("role", TOP[1:])
def test_a_stored_file_that_expired_gives_way_to_a_newer_one(tuf, role):
    repository = tuf.repository
    repository[role]["expires"] = in_days(7)
    repository.publish_all()
    assert tuf.refresh() == OK
    repository[role]["expires"] = in_days(21)
    repository.publish_all()
    assert tuf.refresh(days=18) == OK
    assert tuf.stored() == {"root": 1, "timestamp": 3, "snapshot": 3, "targets": 3}


@pytest.mark.parametrize("role", TOP[1:])
def test_a_repository_that_stands_still_freezes(tuf, role):
    repository = tuf.repository
    repository[role]["expires"] = in_days(7)
    repository.publish_all()
    assert tuf.refresh() == OK
    assert tuf.refresh(days=8) == "freeze"
    assert tuf.refresh() == OK


def test_an_expired_stored_timestamp_still_guards_against_older_ones(tuf):
    repository = tuf.repository
    old = repository.served("timestamp")
    repository["timestamp"]["expires"] = in_days(7)
    repository.publish("timestamp")
    assert tuf.refresh() == OK
    repository.serve("timestamp", old)
    assert tuf.refresh(days=18) == "version"


def test_an_expired_stored_snapshot_still_guards_against_older_ones(tuf):
    repository = tuf.repository
    repository["snapshot"]["expires"] = in_days(7)
    repository.publish_all("targets")
    assert tuf.refresh() == OK
    repository["targets"]["version"] = 1
    repository["snapshot"]["expires"] = in_days(28)
    repository.publish("targets", bump=False)
    repository.publish("snapshot", "timestamp")
    assert tuf.refresh(days=18) == "version"


# ---- fast-forward recovery (§5.3.11)

@pytest.mark.parametrize("role, rotated", [
    ("timestamp", ["timestamp"]), ("snapshot", ["snapshot", "timestamp"]), ("snapshot", ["snapshot"]), ("targets", ["snapshot"])],
    ids=["timestamp", "snapshot", "snapshot-key-alone", "targets"])
def test_version_numbers_can_come_down_when_keys_rotate(tuf, role, rotated):
    repository = tuf.repository
    repository[role]["version"] = 99999
    repository.publish(role, bump=False)
    repository.publish(*[one for one in ("snapshot", "timestamp") if TOP.index(one) < TOP.index(role)])
    assert tuf.refresh() == OK
    assert tuf.stored()[role] == 99999
    repository[role]["version"] = 1
    repository.publish(role, bump=False)
    repository.publish(*[one for one in ("snapshot", "timestamp") if TOP.index(one) < TOP.index(role)])
    assert tuf.refresh() == "version"
    for one in rotated:
        repository.rotate(one)
    repository.publish("root", "targets", "snapshot", "timestamp")
    assert tuf.refresh() == OK
    assert tuf.stored()[role] == 2


def test_a_key_that_is_only_added_lets_nothing_come_down(tuf):
    repository = tuf.repository
    repository.publish("timestamp", "timestamp")
    assert tuf.refresh() == OK
    repository.add_key("timestamp")
    repository["timestamp"]["version"] = 1
    repository.publish("root")
    repository.publish("timestamp", bump=False)
    assert tuf.refresh() == "version"


@pytest.mark.parametrize("role", TOP[1:])
def test_rotated_keys_replace_what_was_stored(tuf, role):
    repository = tuf.repository
    assert tuf.refresh() == OK
    repository.rotate(role)
    repository.publish("root")
    repository.publish("targets", "snapshot", "timestamp", bump=False)
    assert tuf.refresh() == OK
    for one in TOP:
        assert tuf.has(one) == repository.served(one) or (one not in (role, "timestamp", "snapshot"))
    assert tuf.has(role) == repository.served(role)


@pytest.mark.parametrize("role", TOP[1:])
def test_rotated_keys_refuse_what_the_old_ones_signed(tuf, role):
    repository = tuf.repository
    assert tuf.refresh() == OK
    old = repository.signers[role]
    repository.rotate(role)
    repository.signers[role] = old
    repository.publish("root", "targets", "snapshot", "timestamp")
    assert tuf.refresh() == "signature"


# ---- what lies on the client's own disk

@pytest.mark.parametrize("role", TOP[1:])
@pytest.mark.parametrize("content", [b"", b"garbage", b"{}", None], ids=["empty", "garbage", "object", "gone"])
def test_a_stored_file_that_is_damaged_is_fetched_again(tuf, role, content):
    assert tuf.refresh() == OK
    path = tuf.metadata / (role + ".json")
    path.unlink() if content is None else path.write_bytes(content)
    assert tuf.refresh() == OK
    assert tuf.asked()[2:] == ([] if role == "timestamp" else ["1." + role])
    assert tuf.has(role) == tuf.repository.served(role)


@pytest.mark.parametrize("role", TOP[1:])
def test_a_stored_file_that_another_signed_is_not_believed(tuf, role):
    repository = tuf.repository
    assert tuf.refresh() == OK
    true = repository.signers[role]
    repository.signers[role] = [Key()]
    repository[role]["version"] = 7
    (tuf.metadata / (role + ".json")).write_text(json.dumps(repository.envelope(role)))
    repository[role]["version"] = 1
    repository.signers[role] = true
    assert tuf.refresh() == OK
    assert tuf.has(role) == repository.served(role)


def test_other_files_in_the_directory_do_no_harm(tuf):
    (tuf.metadata / "delegated.json").write_text("{")
    (tuf.metadata / "README").write_text("mine")
    (tuf.metadata / "root_history").mkdir()
    (tuf.metadata / "root_history" / "2.root.json").write_text("not a root")
    tuf.repository.publish("root")
    assert tuf.refresh() == OK
    assert tuf.refresh() == OK
    assert json.loads(tuf.has("root"))["signed"]["version"] == 2


# ---- power cuts and full disks while metadata is stored

def points_of(tuf, tmp_path):
    """Every point that a refresh to the next version of all four roles passes, "name:n"."""
    log = tmp_path / "points"
    assert tuf.refresh(NIGHTSHIFT_FAULT_LOG=str(log)) == OK
    seen, points = {}, []
    for name in log.read_text().split():
        seen[name] = seen.get(name, 0) + 1
        points.append("%s:%d" % (name, seen[name]))
    return points


@pytest.mark.parametrize("how", ["kill", "enospc", "eio"])
@pytest.mark.parametrize("rotated", [False, True], ids=["as-it-is", "keys-rotate"])
def test_a_refresh_that_is_cut_anywhere_leaves_whole_files_and_goes_on(tuf, tmp_path, how, rotated):
    repository = tuf.repository
    repository.publish("timestamp", "timestamp")
    assert tuf.refresh() == OK
    shutil.copytree(tuf.metadata, tmp_path / "before")
    before = {path.name: path.read_bytes() for path in tuf.metadata.glob("*.json")}
    if rotated:
        repository.rotate("timestamp")
        repository["timestamp"]["version"] = 1
        repository.publish("root", "targets", "snapshot")
        repository.publish("timestamp", bump=False)
    else:
        repository.publish("root", "targets", "snapshot", "timestamp")
    after = {role + ".json": repository.served(role) for role in TOP}
    points = points_of(tuf, tmp_path)
    if how == "enospc":
        points = [point for point in points if not point.startswith("file.read:")]
    assert len(points) >= 15, points
    struck = 0
    for point in points:
        shutil.rmtree(tuf.metadata)
        shutil.copytree(tmp_path / "before", tuf.metadata)
        result = tuf.refresh(NIGHTSHIFT_FAULT="%s=%s" % (point, how))
        assert result != OK or how != "kill", point
        struck += result is not OK
        for path in tuf.metadata.glob("*.json"):
            assert path.read_bytes() in (before[path.name], after[path.name]), (point, path)
        assert tuf.refresh() == OK, point
        assert {path.name: path.read_bytes() for path in tuf.metadata.glob("*.json")} == after, point
    assert struck == len(points), (struck, points)
