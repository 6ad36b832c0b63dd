"""Releases for which every engineer and the support centre have signed, and which mean harm: the hook refuses each by
name with 65, within bounds of memory and disk, and touches nothing but its staging directory."""
import hashlib
import json
import os
import struct
import subprocess
import sys

import pytest

from house import BUILD, Appliance
from shelf import sign
from test_mirror import Mirror

MEMORY_MOST = 256 * 1024  # KiB, of the largest process; sanitizers take more
DISK_MOST = 32 * 1024 * 1024
MINE = ("releases/.staging-2.0", "state/trust", "state/demo", "state/link", "state/generation", "log")


def digest(kind, content):
    return hashlib.blake2b(content, digest_size=32).hexdigest() if kind == "blob" else hashlib.sha256(content).hexdigest()


class Forger(Mirror):
    """A mirror whose owner has stolen every key there is."""

    def __init__(self, shop):
        super().__init__(shop)
        self.shop = shop
        self.metadata = self.directory / "metadata"

    def newest(self, role):
        return max(self.metadata.glob("*.%s.json" % role), key=lambda path: int(path.name.split(".")[0]))

    def keys(self, *names):
        return [self.shop.publisher.key(name) for name in names]

    def replace(self, role, change, keys):
        document = json.loads(self.newest(role).read_text())["signed"]
        change(document)
        document["version"] += 1
        content = sign(document, *keys)
        (self.metadata / ("%d.%s.json" % (document["version"], role))).write_bytes(content)
        return {"version": document["version"], "length": len(content), "hashes": {"sha256": digest("file", content)}}

    def publish(self, manifest):
        """These bytes are the manifest of 2.0 for whoever comes next."""
        content = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        folder = self.directory / "targets" / "demo" / "2.0"
        (folder / (digest("file", content) + ".manifest.json")).write_bytes(content)

        def name(targets):
            targets["targets"]["demo/2.0/manifest.json"].update(length=len(content),
                                                                hashes={"sha256": digest("file", content)})
        line = self.replace("targets", name, self.keys("alice", "bob"))
        line = self.replace("snapshot", lambda snapshot: snapshot["meta"].update({"targets.json": line}),
                            self.keys("snapshot"))
        stamp = json.loads((self.metadata / "timestamp.json").read_text())["signed"]
        stamp["meta"]["snapshot.json"] = line
        stamp["version"] += 1
        (self.metadata / "timestamp.json").write_bytes(sign(stamp, self.shop.centre.directory / "keys" / "timestamp"))

    def manifest(self):
        return json.loads(next((self.shop.centre.directory / "releases" / "targets" / "demo" / "2.0").glob("*.json"))
                          .read_text())

    def add_blob(self, manifest, content):
        (self.directory / "blobs" / digest("blob", content)).write_bytes(content)
        manifest["blobs"][0].update(hash=digest("blob", content), stored=len(content))


def frame(stated, made):
    """RFC 8878: a zstd frame that says so many bytes and makes so many, all alike."""
    head = b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", stated)
    blocks = []
    while made > 0:
        size = min(made, 128 * 1024)
        made -= size
        blocks.append(struct.pack("<I", size << 3 | 1 << 1 | (made == 0))[:3] + b"x")
    return head + b"".join(blocks)


def around(appliance):
    """Everything of the appliance, and beside it, that a staging has no business with."""
    found = {}
    for folder, _, names in os.walk(appliance.house.directory):
        for name in names:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, appliance.house.directory)
            if relative.startswith(("centre", "mirror", "publisher")) or any(part in relative for part in MINE):
                continue
            found[relative] = os.readlink(path) if os.path.islink(path) else digest("file", open(path, "rb").read())
    return found


# Says the most memory that a program's largest process held: a child begins with what its parent holds, so a small one asks.
WEIGH = """import os, sys
silence = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
_, status, usage = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=silence), 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))"""


def refused(appliance, *words):
    before = around(appliance)
    hook = subprocess.run([sys.executable, "-S", "-c", WEIGH, str(BUILD / "appliance-hook" / "appliance-hook"), "--config",
                           str(appliance.configuration), *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True)
    said = hook.stderr
    assert hook.returncode == 65, said
    assert around(appliance) == before
    if not os.environ.get("NIGHTSHIFT_SANITIZED"):
        assert int(hook.stdout) < MEMORY_MOST
    room = sum(status.st_blocks * 512 for status in
               (os.lstat(os.path.join(folder, name)) for folder, _, names in os.walk(appliance.root) for name in names))
    assert room < DISK_MOST
    return said


@pytest.fixture
def forger(shop):
    server = Forger(shop)
    yield server
    server.stop()


def test_signed_and_hostile(shop, forger):
    box = Appliance(shop, shop.centre, shop.publisher)
    box.adopt(shop.bundles["1.0"])
    box.join()
    box.hook("check")

    def pull(manifest):
        forger.publish(manifest)
        said = refused(box, "pull", "--from", forger.url)
        assert box.current() == "1.0"
        return said

    for path in ("../../../evil", "/tmp/evil", "bin/../../evil", "share/link/evil", "x" * 256, "a\0b"):
        manifest = forger.manifest()
        manifest["entries"][-1]["path"] = path
        manifest["entries"].sort(key=lambda entry: entry["path"].encode())
        assert "out of order" not in pull(manifest)
    for target in ("../../../../etc/passwd", "/etc/passwd"):
        manifest = forger.manifest()
        next(entry for entry in manifest["entries"] if entry["type"] == "link")["target"] = target
        assert "share/link" in pull(manifest)
    plain = forger.manifest()["blobs"][0]["plain"]
    for bomb in (frame(plain, 4000 * plain), frame(plain * 1000, plain * 1000), frame(plain, plain), b"\x28\xb5\x2f\xfd",
                 b"\x50\x2a\x4d\x18\x04\0\0\0skip" + frame(plain, plain)):
        manifest = forger.manifest()
        forger.add_blob(manifest, bomb)
        pull(manifest)
