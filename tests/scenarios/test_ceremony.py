"""docs/RELEASE-ENGINEERING.md, tried by a newcomer: its own commands, in its order, each at the machine of the person that it
names; between them appliances that joined at the beginning go on installing. What the document says must happen, does."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import nacl.pwhash
import nacl.secret
import nacl.signing
import pytest
from securesystemslib.formats import encode_canonical

from house import PROGRAMS, Appliance, Centre, wait_until

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "RELEASE-ENGINEERING.md"
PEOPLE = ("alice", "bob", "dora", "dan", "dave", "centre")


def blocks():
    """(chapter, person, commands) of every fenced block of commands, in order."""
    chapter, found = None, []
    for heading, person, text in re.findall(r"^## ([^\n]+)$|^```sh (\w+)\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S):
        if heading:
            chapter = heading
        else:
            found.append((chapter, person, text))
    return found


class Ceremony:
    """Machines of people: a directory, a passphrase, and the stick where it is mounted."""

    def __init__(self, house, centre):
        self.house, self.centre = house, centre
        self.stick = house.directory / "stick"
        self.stick.mkdir()
        self.repository = self.stick / "demo"
        self.places = [("/media/stick", self.stick), ("/etc/nightshiftd.conf", centre.configuration),
                       ("/etc/nightshift/keys", centre.directory / "keys")]
        self.programs = house.directory / "programs"
        self.programs.mkdir()
        for name, path in PROGRAMS.items():
            (self.programs / name).symlink_to(path)
        # The technician's own settings file, which he has not to name.
        (self.programs / "nightshift").unlink()
        (self.programs / "nightshift").write_text('#!/bin/sh\nexec %s --config %s "$@"\n' %
                                                  (PROGRAMS["nightshift"], centre.configuration))
        (self.programs / "nightshift").chmod(0o755)
        # The service of this house is restarted by the test.
        (self.programs / "systemctl").write_text('#!/bin/sh\n[ "$*" = "restart nightshiftd" ]\n')
        (self.programs / "systemctl").chmod(0o755)
        for person in PEOPLE:
            self.machine(person).mkdir()
            (self.machine(person) / "credentials").mkdir()
            (self.machine(person) / "credentials" / "nightshift-passphrase").write_text("the passphrase of %s\n" % person)

    def machine(self, person):
        return self.house.directory / ("at-" + person)

    def build(self, version):
        """What a build leaves at each engineer's machine, at his own time and in his own order."""
        for number, person in enumerate(("alice", "bob")):
            tree = self.machine(person) / "build" / ("demo-" + version)
            (tree / "bin").mkdir(parents=True)
            for name in (("bin/demo", "version") if number else ("version", "bin/demo")):
                (tree / name).write_text("#!/bin/sh\necho demo %s\n" % version if name == "bin/demo" else version)
                os.utime(tree / name, (10 ** 9 + number, 10 ** 9 + number))
            (tree / "bin" / "demo").chmod(0o755)
            (tree.parent / ("demo-%s.spdx.json" % version)).write_text(json.dumps(
                {"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "demo-" + version, "packages": []}))

    def run(self, person, text, check=True):
        for place, here in self.places:
            text = text.replace(place, str(here))
        machine = self.machine(person)
        environment = {"PATH": "%s:/usr/bin:/bin" % self.programs, "HOME": str(machine),
                       "CREDENTIALS_DIRECTORY": str(machine / "credentials")}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                environment[name] = os.environ[name]
        done = subprocess.run(["sh", "-eux", "-c", text], cwd=machine, env=environment, capture_output=True, text=True,
                              timeout=180, stdin=subprocess.DEVNULL)
        if check:
            assert done.returncode == 0, "at %s's machine:\n%s%s" % (person, done.stderr, done.stdout)
        return done

    def sign(self, person, key, code):
        """What this key's signature is met with."""
        done = self.run(person, "nightshift-release sign /media/stick/demo --key %s" % key, check=False)
        assert done.returncode == code, done.stderr
        return done.stderr

    def copy(self, name):
        """The repository as it is now, in a thief's hands."""
        taken = self.house.directory / name
        shutil.copytree(self.repository, taken)
        return taken


class Shelf:
    """What an Appliance wants to know of a publisher."""

    def __init__(self, repository):
        self.product, self.repository = "demo", repository


def join(ceremony, centre, name):
    box = Appliance(ceremony.house, centre, Shelf(ceremony.repository), name)
    box.install(ceremony.machine("alice") / "demo-1.0.bundle")
    return box


def install(centre, box, release):
    centre.wait(centre.book(box.name, release), "committed")
    assert box.current() == release and box.product() == "demo " + release


def version(box, role):
    """Of what the appliance trusts."""
    return json.loads((box.state / "trust" / "metadata" / (role + ".json")).read_text())["signed"]["version"]


def open_key(path, passphrase):
    """The signing key of a file that `key new` made, sealed or not, by the format's own description."""
    document = json.loads(path.read_text())
    secret = bytes.fromhex(document["secret"])
    if document["seal"] == "argon2id-secretbox":
        key = nacl.pwhash.argon2id.kdf(32, passphrase.encode(), bytes.fromhex(document["salt"]), document["operations"],
                                       document["memory"])
        secret = nacl.secret.SecretBox(key).decrypt(secret, bytes.fromhex(document["nonce"]))
    identity = hashlib.sha256(encode_canonical(document["public"]).encode()).hexdigest()
    return identity, nacl.signing.SigningKey(secret)


def fast_forward(ceremony, repository, publisher):
    """The thief was at the support centre too: snapshot and timestamp numbered where nobody follows."""
    def sign(document, key):
        identity, secret = key
        signature = secret.sign(encode_canonical(document).encode()).signature.hex()
        return json.dumps({"signed": document, "signatures": [{"keyid": identity, "sig": signature}]}).encode()
    metadata = repository / "metadata"
    newest = max(metadata.glob("*.snapshot.json"), key=lambda path: int(path.name.split(".")[0]))
    snapshot = json.loads(newest.read_text())["signed"]
    snapshot["version"] = 2 ** 52
    content = sign(snapshot, open_key(ceremony.machine("alice") / "keys" / publisher, "the passphrase of alice"))
    (metadata / ("%d.snapshot.json" % snapshot["version"])).write_bytes(content)
    line = {"version": snapshot["version"], "length": len(content), "hashes": {"sha256": hashlib.sha256(content).hexdigest()}}
    timestamp = {"_type": "timestamp", "spec_version": "1.0.31", "version": 2 ** 52, "expires": snapshot["expires"],
                 "meta": {"snapshot.json": line}}
    (metadata / "timestamp.json").write_bytes(sign(timestamp, open_key(ceremony.centre.directory / "keys" / "timestamp", "")))


def forge(ceremony, repository, version, keys, publisher):
    """A release by whoever holds these keys, on a copy of the repository."""
    house, alice = ceremony.house, ceremony.machine("alice")
    tree = house.directory / ("forged-" + version)
    (tree / "bin").mkdir(parents=True)
    (tree / "bin" / "demo").write_text("#!/bin/sh\necho demo %s\n" % version)
    (tree / "bin" / "demo").chmod(0o755)
    bundle = house.directory / ("forged-%s.bundle" % version)

    def release(*words, person="alice"):
        return house.run("nightshift-release", *words, check=False, variables={
            "CREDENTIALS_DIRECTORY": str(ceremony.machine(person) / "credentials")})
    assert release("pack", tree, "--product", "demo", "--version", version, "-o", bundle).returncode == 0
    assert release("add", repository, bundle).returncode == 0
    codes = [release("sign", repository, "--key", ceremony.machine(person) / "keys" / key, person=person).returncode
             for person, key in keys]
    return codes, release("publish", repository, "--snapshot-key", alice / "keys" / publisher)


@pytest.fixture
def ceremony(house):
    centre = Centre(house)
    centre.start()
    centre.sell()
    ceremony = Ceremony(house, centre)
    for version in ("1.0", "2.0", "2.1", "3.0", "4.0"):
        ceremony.build(version)
    return ceremony


def test_document_as_it_stands(ceremony):
    centre, done = ceremony.centre, []

    def play(chapter):
        for _, person, text in [block for block in blocks() if block[0] == chapter]:
            ceremony.run(person, text)
        done.append(chapter)

    play("Keys")
    assert (ceremony.machine("alice") / "keys" / "alice").stat().st_mode & 0o777 == 0o600
    assert json.loads((ceremony.machine("alice") / "keys" / "alice").read_text())["seal"] == "argon2id-secretbox"
    play("The repository")
    assert (ceremony.repository / "metadata" / "1.root.json").exists()

    play("A release")
    assert (ceremony.machine("alice") / "demo-2.0.bundle").read_bytes() == \
        (ceremony.machine("bob") / "demo-2.0.bundle").read_bytes()
    box = join(ceremony, centre, "early")
    spare = join(ceremony, centre, "drawer")
    spare.stop()
    install(centre, box, "2.0")

    play("Channels, yanks, halts")
    listed = {row["version"]: row for row in centre.ask("release", "list")}
    assert listed["2.0"]["yanked"] and not listed["2.1"]["yanked"] and not listed["2.1"]["halted"]
    play("Before something expires")

    stolen = ceremony.copy("found-in-the-sea")
    play("A key is lost")
    assert "neither a root nor a targets key" in ceremony.sign("bob", "keys/bob", 65)
    assert "neither a root nor a targets key" in ceremony.sign("dave", "keys/dave", 65)
    # The lost keys on a copy from before: as good as ever there, and worth nothing to whoever has seen root 2.
    codes, published = forge(ceremony, stolen, "6.6.6", [("alice", "alice"), ("bob", "bob")], "publisher")
    assert codes == [0, 0] and published.returncode == 0
    refused = centre.nightshift("release", "import", stolen, check=False)
    assert refused.returncode == 65, refused
    assert not any(row["version"] == "6.6.6" for row in centre.ask("release", "list"))
    install(centre, box, "3.0")
    spare.serve()
    install(centre, spare, "3.0")
    assert version(box, "root") == version(spare, "root") == 2

    # A whole threshold is stolen, and the thief gets as far as a box.
    stolen = ceremony.copy("broken-into")
    codes, published = forge(ceremony, stolen, "99.0.0", [("alice", "alice"), ("bob", "bob2")], "publisher")
    assert codes == [0, 0] and published.returncode == 0
    fast_forward(ceremony, stolen, "publisher")
    centre.nightshift("release", "import", stolen)
    install(centre, spare, "99.0.0")
    assert version(box, "snapshot") < 100 and version(spare, "snapshot") == 2 ** 52
    play("A key has leaked")
    centre.restart()
    for follower in (box, spare):
        wait_until("the hook calls again", follower.connected)
    assert "neither a root nor a targets key" in ceremony.sign("alice", "keys/alice", 65)
    assert centre.nightshift("release", "import", stolen, check=False).returncode == 65
    install(centre, box, "4.0")
    spare.hook("rollback")
    assert spare.product() == "demo 3.0"
    install(centre, spare, "4.0")
    assert version(spare, "snapshot") < 100 and version(spare, "root") == 3

    assert done == [chapter for chapter in dict.fromkeys(block[0] for block in blocks())], "a chapter was not played"
