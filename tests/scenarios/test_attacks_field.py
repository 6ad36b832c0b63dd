"""Attacks that happened to other updaters in the field, by their names. Each is carried out against the repository, the
support centre or an appliance, is refused, leaves what was trusted before, and what is honest goes through afterwards."""
import json
import shutil
import subprocess

import pytest

from house import ALWAYS_OPEN, Refused, wait_until
from shelf import Shelf, sign
from tuf_repository import Repository

FAR = "[window far]\nzone = UTC\nrule = once 2031-01-05T01:30\nduration = 2h\n"


def refused(done, code=65):
    assert done.returncode == code, (done.returncode, done.stderr)
    return done.stderr


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
