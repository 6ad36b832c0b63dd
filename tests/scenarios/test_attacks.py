"""Attacks by their names: those that the TUF specification and the Uptane standard list, and those that happened to others
in the field. Each is carried out against the real programs, is refused, leaves what was trusted before, and what is honest
goes through afterwards. The first half meets the TUF client over HTTP, the second the repository, the support centre and an
appliance."""
import copy
import hashlib
import json
import os
import pathlib
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.formats import encode_canonical

from house import ALWAYS_OPEN, Publisher, Refused, wait_until
from tuf_repository import TOP, Client, Key, Repository, Server, drip, endless

OK = None
FAR = "[window far]\nzone = UTC\nrule = once 2031-01-05T01:30\nduration = 2h\n"


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


# ---- what happened to others' updaters, against the repository, the centre and a box

def refused(done, code=65):
    assert done.returncode == code, (done.returncode, done.stderr)
    return done.stderr


def secret_of(path):
    document = json.loads(pathlib.Path(path).read_text())
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(document["secret"])), document["public"]


def sign(document, *keys):
    message = encode_canonical(document).encode()
    signatures = []
    for path in keys:
        secret, public = secret_of(path)
        signatures.append({"keyid": hashlib.sha256(encode_canonical(public).encode()).hexdigest(),
                           "sig": secret.sign(message).hex()})
    return json.dumps({"signed": document, "signatures": signatures}).encode()


class Shelf(Publisher):
    """A repository without a centre, and hands that may sign anything at all with its keys."""

    def __init__(self, house):
        super().__init__(house)
        for key in ("timestamp", "order", "entitlement"):
            self.release("key", "new", self.key(key), "--no-passphrase")
        self.release("repo", "init", self.repository, "--product", self.product, "--root-key", self.key("root"),
                     "--root-threshold", 1, "--targets-key", self.key("alice", True), self.key("bob", True),
                     "--targets-threshold", 2, "--snapshot-key", self.key("snapshot", True), "--timestamp-key",
                     self.key("timestamp", True), "--order-key", self.key("order", True), "--entitlement-key",
                     self.key("entitlement", True))
        self.add(self.pack("1.0"))
        self.sign()
        self.publish()
        assert self.verify().returncode == 0

    def verify(self, what=None):
        return self.release("verify", what or self.repository, "--root", self.repository / "metadata" / "1.root.json",
                            check=False)

    def path(self, name):
        return self.repository / "metadata" / name

    def resign(self, change, *keys):
        """The published targets changed, signed by alice and bob (or these), in a new snapshot."""
        newest = max(int(path.name.split(".")[0]) for path in (self.repository / "metadata").glob("*.targets.json"))
        targets = json.loads(self.path("%d.targets.json" % newest).read_text())["signed"]
        change(targets)
        targets["version"] += 1
        content = sign(targets, *map(self.key, keys or ("alice", "bob")))
        self.path("%d.targets.json" % targets["version"]).write_bytes(content)
        snapshot = json.loads(self.path("%d.snapshot.json" % newest).read_text())["signed"]
        snapshot["version"] += 1
        snapshot["meta"]["targets.json"] = {"version": targets["version"], "length": len(content),
                                            "hashes": {"sha256": hashlib.sha256(content).hexdigest()}}
        self.path("%d.snapshot.json" % snapshot["version"]).write_bytes(sign(snapshot, self.key("snapshot")))

    def replace_manifest(self, change):
        """The manifest of 1.0 changed, and signed for by the engineers as it is then."""
        def take(targets):
            line = targets["targets"]["demo/1.0/manifest.json"]
            old = self.repository / "targets/demo/1.0" / (line["hashes"]["sha256"] + ".manifest.json")
            manifest = json.loads(old.read_text())
            change(manifest)
            content = json.dumps(manifest).encode()
            line.update(length=len(content), hashes={"sha256": hashlib.sha256(content).hexdigest()})
            (old.parent / (line["hashes"]["sha256"] + ".manifest.json")).write_bytes(content)
        self.resign(take)


@pytest.fixture
def shelf(house):
    return Shelf(house)


def test_uptane_partial_bundle(shelf, house):
    """A bundle that ends early or lacks a part, a repository that lacks a blob: nothing of it is used."""
    bundle = shelf.pack("2.0")
    whole = bundle.read_bytes()
    end = len(whole.rstrip(b"\0"))
    for size in (end - 1, end // 2, 512, 0):
        bundle.write_bytes(whole[:size])
        refused(shelf.release("add", shelf.repository, bundle, check=False))
    parts = house.directory / "parts"
    parts.mkdir()
    bundle.write_bytes(whole)
    subprocess.run(["bsdtar", "-C", parts, "-xf", bundle], check=True)
    names = subprocess.run(["bsdtar", "-tf", bundle], capture_output=True, text=True, check=True).stdout.split()
    subprocess.run(["bsdtar", "-C", parts, "--format", "pax", "-cf", bundle, *names[:-1]], check=True)
    refused(shelf.release("add", shelf.repository, bundle, check=False))
    next((shelf.repository / "blobs").iterdir()).unlink()
    refused(shelf.verify())


def test_rauc_cve_2026_34155_only_the_first_bytes_are_signed(shelf, tuf):
    """Something behind the signed bytes of each kind of file; a length that is right in its low 32 bits."""
    for folder in ("blobs", "targets", "metadata"):
        for path in sorted((shelf.repository / folder).rglob("*")):
            if not path.is_file() or path.name in ("1.root.json", "staged.root.json"):
                continue
            content = path.read_bytes()
            path.write_bytes(content + b"\n{}")
            refused(shelf.verify())
            path.write_bytes(content)
    assert shelf.verify().returncode == 0
    tuf.repository.add_target("app", b"ours")["length"] += 2 ** 32
    tuf.repository.publish_all()
    assert tuf.download("app") == "length"
    assert tuf.got() == {}


def test_mender_men_9109_file_absent_from_the_manifest(shelf, house):
    """A member of a bundle that the manifest does not name, also under a name like one that it does."""
    bundle = shelf.pack("2.0")
    parts = house.directory / "parts"
    parts.mkdir()
    subprocess.run(["bsdtar", "-C", parts, "-xf", bundle], check=True)
    blob = next((parts / "blobs").iterdir()).name
    for name in ("evil", "manifest.json.bak", "blobs/" + blob + ".bak", "blobs/evil", "metadata/evil"):
        (parts / name).parent.mkdir(exist_ok=True)
        (parts / name).write_bytes(b"evil")
        names = ["manifest.json", "blobs/" + blob, name]
        subprocess.run(["bsdtar", "-C", parts, "--format", "pax", "-cf", bundle, *names], check=True)
        done = shelf.release("add", shelf.repository, bundle, check=False)
        assert done.returncode == 65, (name, done)
    assert not any(b"evil" == path.read_bytes() for path in shelf.repository.rglob("*") if path.is_file())


def test_mender_cve_2025_67903_empty_hash(shelf):
    """A manifest signed with an empty or a missing hash is no manifest."""
    for change in (lambda entry: entry.update(hash=""), lambda entry: entry.pop("hash"), lambda entry: entry.update(hash=None),
                   lambda entry: entry.update(hash="0" * 64)):
        def strip(manifest):
            change(next(entry for entry in manifest["entries"] if entry["type"] == "file" and entry.get("hash")))
        kept = copy_of(shelf)
        shelf.replace_manifest(strip)
        (shelf.path("timestamp.json")).unlink(missing_ok=True)
        done = shelf.verify()
        if done.returncode == 0:
            # A well formed hash that is not the file's: nothing that is unpacked can have it.
            box_bundle = shelf.house.directory / "lying.bundle"
            refused(shelf.release("export", shelf.repository, "1.0", "-o", box_bundle, check=False), 65)
        else:
            refused(done)
        restore(shelf, kept)


def copy_of(shelf):
    kept = shelf.house.directory / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(shelf.repository, kept)
    return kept


def restore(shelf, kept):
    shutil.rmtree(shelf.repository)
    shutil.copytree(kept, shelf.repository)


def test_swupdate_cve_2023_7216_file_names_that_lead_outside(shelf):
    """Even where both engineers sign for it."""
    for path in ("../evil", "/etc/evil", "bin/../../evil", "bin//evil", "./evil", "", "a\nb", "x" * 256):
        kept = copy_of(shelf)
        shelf.replace_manifest(lambda manifest: manifest["entries"][-1].update(path=path))
        refused(shelf.verify())
        restore(shelf, kept)
    assert shelf.verify().returncode == 0


def test_mender_hub_6495_keys_missing_means_unverified(shelf, house):
    """No root, an empty root, no authority: nothing is taken, rather than everything."""
    empty = house.directory / "empty.json"
    for content in (None, b"", b"{}", b'{"signed":{},"signatures":[]}'):
        empty.unlink(missing_ok=True)
        if content is not None:
            empty.write_bytes(content)
        assert shelf.release("verify", shelf.repository, "--root", empty, check=False).returncode in (64, 65)
    shelf.resign(lambda targets: targets["targets"].pop("authority.json"))
    assert "authority" in refused(shelf.verify())


def test_swupdate_cve_2026_28525_unknown_containers_are_not_parsed(shelf, house):
    """One archive format, known by its first bytes, whatever the file's name is; libarchive's other readers stay shut."""
    tree = shelf.tree("9.9")
    for number, form in enumerate(("zip", "7zip", "iso9660", "cpio", "shar", "xar")):
        bundle = house.directory / ("%d.bundle" % number)
        made = subprocess.run(["bsdtar", "--format", form, "-C", tree, "-cf", bundle, "."], capture_output=True)
        if made.returncode == 0:
            refused(shelf.release("add", shelf.repository, bundle, check=False))
            refused(shelf.release("inspect", bundle, check=False))
    bundle.write_bytes(b"Rar!\x1a\x07\x01\x00" + b"\x00" * 100)
    refused(shelf.release("add", shelf.repository, bundle, check=False))


def test_solarwinds_2020_trojan_built_in_and_then_signed(shelf, house):
    """One engineer's build is not enough, and the other's own build does not have its digest."""
    tree = shelf.tree("2.0")
    clean = shelf.pack("2.0", tree=tree)
    shutil.copytree(tree, house.directory / "at-the-builder", symlinks=True)
    (house.directory / "at-the-builder" / "bin" / "demo").write_text("#!/bin/sh\n: trojan\necho demo 2.0\n")
    (house.directory / "trojan").mkdir()
    shelf.directory, kept = house.directory / "trojan", shelf.directory
    trojan = shelf.pack("2.0", tree=house.directory / "at-the-builder")
    shelf.directory = kept
    digest = [json.loads(shelf.release("inspect", bundle, "--json").stdout)["manifest_sha256"] for bundle in (clean, trojan)]
    assert digest[0] != digest[1]
    shelf.add(trojan)
    shelf.sign("alice")
    staged = json.loads(shelf.release("status", shelf.repository, "--json").stdout)["releases"]
    assert digest[1] in [release["sha256"] for release in staged] and digest[0] not in [release["sha256"] for release in staged]
    with pytest.raises(Refused) as short:
        shelf.publish()
    assert short.value.code == 65 and "bob" in short.value.text


def test_kaseya_2021_the_centre_cannot_mint_releases(box, shop):
    """A thief with every key of the support centre, and its whole disk, gets nothing onto a box."""
    centre, publisher = shop.centre, shop.publisher
    publisher.add(publisher.pack("6.6.6"))
    metadata, keys = centre.directory / "releases" / "metadata", centre.directory / "keys"
    forged = json.loads((publisher.repository / "metadata" / "staged.targets.json").read_text())["signed"]
    for folder in ("targets", "blobs"):
        shutil.copytree(publisher.repository / folder, centre.directory / "releases" / folder, dirs_exist_ok=True)
    centre.stop()
    for name, keyring in (("targets", ("order", "timestamp", "entitlement")), ("snapshot", ("timestamp",))):
        newest = max(metadata.glob("*.%s.json" % name), key=lambda path: int(path.name.split(".")[0]))
        document = forged if name == "targets" else json.loads(newest.read_text())["signed"]
        newest.write_bytes(sign(document, *(keys / key for key in keyring)))
    centre.start()
    for words in (("pull", "--to", "6.6.6"), ("pull",)):
        assert box.hook(*words, check=False).returncode != 0
    assert box.current() == "1.0" and not (box.root / "releases" / "6.6.6").exists()
    # Nor by an order: the store says that 2.0 is what he wants, and the order is signed as ever.
    booked = centre.nightshift("upgrade", "book", box.name, "--to", "2.0", check=False)
    if booked.returncode == 0:
        row = centre.wait(booked.stdout.strip(), "needs-human", "staging", "held", "booked")
        assert row["state"] != "committed"
    assert box.current() == "1.0" and box.product() == "demo 1.0"


def test_notepad_plus_plus_2025_another_release_for_chosen_victims(shop):
    """Two sets under one number: the second is refused where the first was seen."""
    publisher, centre = shop.publisher, shop.centre
    twin = shop.directory / "twin"
    shutil.copytree(publisher.repository, twin)
    publisher.add(publisher.pack("3.0"))
    publisher.sign()
    publisher.publish()
    centre.nightshift("release", "import", publisher.repository)
    first, publisher.repository = publisher.repository, twin
    publisher.add(publisher.pack("3.1"))
    publisher.sign()
    publisher.publish()
    refused(centre.nightshift("release", "import", twin, check=False))
    assert "3.1" not in [row["version"] for row in centre.ask("release", "list")]
    publisher.repository = first


def test_rauc_cve_2020_25860_bundle_swapped_between_check_and_use(box, shop):
    """What was verified and staged is changed before it is used: the tree is hashed again before the switch."""
    shop.centre.open_window(box.name, FAR)
    identity = shop.centre.book(box.name, "2.0")
    wait_until("it is staged", lambda: shop.centre.upgrade(identity)["state"] == "staged")
    program = box.root / "releases" / "2.0" / "bin" / "demo"
    program.write_text("#!/bin/sh\necho demo 2.0\n: evil\n")
    shop.centre.open_window(box.name, ALWAYS_OPEN)
    shop.centre.nightshift("upgrade", "move", identity)
    row = wait_until("the hook has looked", lambda: (lambda row: row if row["state"] in (
        "committed", "rolled-back", "needs-human", "held") else None)(shop.centre.upgrade(identity)))
    evil = b": evil" in (box.root / "current" / "bin" / "demo").read_bytes()
    print(row["state"], row["code"], row["why"])
    assert not evil, row
    assert row["state"] in ("needs-human", "committed"), row
    if row["state"] == "needs-human":
        assert row["code"] == 65 and box.current() == "1.0", row


def test_swupdate_5219f2f4_script_run_before_it_was_verified(box, shop):
    """Hooks of a release whose bytes were changed in between never run, nor those of one that nobody signed for."""
    hooks, mark = shop.directory / "hooks", shop.directory / "ran"
    hooks.mkdir()
    for name in ("preflight", "pre-switch", "post-switch", "undo"):
        (hooks / name).write_text("#!/bin/sh\necho %s >>%s\n" % (name, mark))
        (hooks / name).chmod(0o755)
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.0", "--hooks", hooks))
    releases = shop.centre.directory / "releases"
    manifest = json.loads(next((releases / "targets/demo/3.0").glob("*.manifest.json")).read_text())
    for blob in manifest["blobs"]:
        path = releases / "blobs" / blob["hash"]
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(bytes(content))
    row = shop.centre.wait(shop.centre.book(box.name, "3.0"), "needs-human")
    assert row["code"] == 65, row
    assert not mark.exists() and box.current() == "1.0"


def test_python_tuf_2903_writable_cache_as_the_anchor(box, shop):
    """Who can write what an appliance stored cannot plant a root of his own there: the installed root is the anchor."""
    evil = Repository()
    evil.publish("root")
    evil.publish_all()
    metadata = box.state / "trust" / "metadata"
    box.hook("check")
    (metadata / "root_history").mkdir(exist_ok=True)
    for name in ("root.json", "root_history/1.root.json", "root_history/2.root.json"):
        (metadata / name).write_bytes(evil.served("root"))
    for name in ("timestamp", "snapshot", "targets"):
        (metadata / (name + ".json")).write_bytes(evil.served(name))
    shop.centre.wait(shop.centre.book(box.name, "2.0"), "committed")
    assert box.product() == "demo 2.0"
    keys = json.loads((shop.publisher.repository / "metadata" / "1.root.json").read_text())["signed"]["keys"]
    for name in ("timestamp", "snapshot", "targets"):
        stored = json.loads((metadata / (name + ".json")).read_text())
        assert all(signature["keyid"] in keys for signature in stored["signatures"])
