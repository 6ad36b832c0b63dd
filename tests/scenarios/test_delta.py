"""Upgrades by delta: only the delta travels; what it cannot make comes as blobs."""
import random

import pytest

from house import Appliance, Centre, Publisher, Refused, tree_matches

NOISE = random.Random(7).randbytes(3_000_000)


def files(version):
    """A large file with a small edit, a moved one, an added one."""
    edit = b"edited in %s" % version.encode()
    return {"lib/large": NOISE[:1_000_000] + edit + NOISE[1_000_000:],
            "%s/moved" % ("old" if version == "1.0" else "new/place"): NOISE[:300_000][::-1],
            "etc/added-%s" % version: edit}


@pytest.fixture
def shop(house):
    centre, publisher = Centre(house), Publisher(house)
    publisher.create(centre)
    centre.start()
    centre.sell()
    house.bundles = {version: publisher.pack(version, files=files(version)) for version in ("1.0", "2.0")}
    house.delta = publisher.directory / "1.0..2.0.delta"
    publisher.release("delta", house.bundles["1.0"], house.bundles["2.0"], "-o", house.delta)
    house.centre, house.publisher = centre, publisher
    return house


@pytest.fixture
def box(shop):
    shop.publisher.ship(shop.centre, *shop.bundles.values(), shop.delta)
    appliance = Appliance(shop, shop.centre, shop.publisher)
    appliance.install(shop.bundles["1.0"])
    return appliance


def releases(centre):
    return centre.directory / "releases"


def upgrade(box):
    box.centre.wait(box.centre.book(box.name, "2.0"), "committed")
    assert box.current() == "2.0"
    assert tree_matches(box.root / "releases" / "2.0", box.manifest("2.0")) is None


def test_only_the_delta_travels(shop, box):
    assert shop.delta.stat().st_size < 4096
    for blob in (releases(shop.centre) / "blobs").iterdir():
        blob.unlink()
    for manifest in (releases(shop.centre) / "targets" / "demo" / "2.0").iterdir():
        manifest.write_bytes(b"")
    upgrade(box)
    assert ", 0 left to the blobs" in box.log.read_text()
    assert not list((box.root / "releases").glob(".staging*/*.delta"))


def test_damaged_base_file_comes_as_blob(box):
    with open(box.root / "releases" / "1.0" / "lib" / "large", "r+b") as large:
        large.seek(2_000_000)
        large.write(b"rot")
    upgrade(box)
    assert "lib/large of the running release is damaged" in box.log.read_text()


def test_damaged_delta_falls_back(shop, box):
    for target in (releases(shop.centre) / "targets" / "demo" / "deltas").iterdir():
        bytes_there = bytearray(target.read_bytes())
        bytes_there[-1] ^= 1
        target.write_bytes(bytes_there)
    upgrade(box)
    assert "delta" in box.log.read_text()


def test_missing_delta_falls_back(shop, box):
    for target in (releases(shop.centre) / "targets" / "demo" / "deltas").iterdir():
        target.unlink()
    upgrade(box)


def test_a_delta_of_other_releases_is_refused(shop):
    publisher = shop.publisher
    other = publisher.pack("2.0.1", tree=publisher.directory / "tree-2.0")
    delta = publisher.directory / "1.0..2.0.1.delta"
    publisher.release("delta", shop.bundles["1.0"], other, "-o", delta)
    publisher.add(shop.bundles["1.0"])
    with pytest.raises(Refused) as refused:
        publisher.add(delta)
    assert refused.value.code == 65 and "2.0.1" in refused.value.text
    publisher.add(shop.bundles["2.0"], shop.delta)
    broken = publisher.directory / "broken.delta"
    broken.write_bytes(shop.delta.read_bytes()[:-1])
    with pytest.raises(Refused) as refused:
        publisher.add(broken)
    assert refused.value.code == 65


def test_verify_hashes_deltas(shop):
    """A damaged, cut or missing delta of a repository is told by its name."""
    publisher = shop.publisher
    publisher.ship(shop.centre, *shop.bundles.values(), shop.delta)
    root = publisher.repository / "metadata" / "1.root.json"

    def verify():
        return publisher.release("verify", publisher.repository, "--root", root, check=False)
    assert verify().returncode == 0
    for part in ("*.delta", "*.manifest"):
        path = next((publisher.repository / "targets" / "demo" / "deltas").glob(part))
        whole = path.read_bytes()
        for content in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), whole + b"more", None):
            path.unlink()
            if content is not None:
                path.write_bytes(content)
            done = verify()
            assert done.returncode == 65 and path.name in done.stderr, done.stderr
            path.write_bytes(whole)
    assert verify().returncode == 0


def test_an_export_carries_no_delta(shop):
    """It has every blob instead, for whatever version runs where it is carried to."""
    import tarfile
    publisher = shop.publisher
    publisher.ship(shop.centre, *shop.bundles.values(), shop.delta)
    path = publisher.directory / "2.0.offline.bundle"
    publisher.release("export", publisher.repository, "2.0", "-o", path)
    with tarfile.open(path) as archive:
        names = archive.getnames()
    assert not any("deltas" in name for name in names) and any(name.startswith("blobs/") for name in names)
    root = publisher.repository / "metadata" / "1.root.json"
    assert publisher.release("verify", path, "--root", root).returncode == 0
