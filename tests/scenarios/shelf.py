"""Documents signed with whatever keys there are, as an engineer or a thief would, by the format and not by our programs."""
import hashlib
import json
import pathlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.formats import encode_canonical

from house import Publisher


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
        self.create()
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
