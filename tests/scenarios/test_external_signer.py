"""Keys that sign outside: in a PKCS#11 token (SoftHSM2 stands for the YubiKey or HSM) and by plain openssl. The programs
are those of examples/signers, as they are shipped."""
import json
import pathlib
import shutil
import subprocess

import pytest

from house import Appliance, Centre, Publisher, Refused

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples" / "signers"
SOFTHSM = next((path for path in ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
                                  "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so") if pathlib.Path(path).exists()), None)
ENGINES = list(pathlib.Path("/usr/lib").glob("*/engines-3/pkcs11.so"))
MISSING = [name for name, there in (("softhsm2", SOFTHSM and shutil.which("softhsm2-util")),
                                    ("opensc", shutil.which("pkcs11-tool")),
                                    ("libengine-pkcs11-openssl", ENGINES)) if not there]
needs_token = pytest.mark.skipif(bool(MISSING), reason="not installed: %s" % ", ".join(MISSING))
KINDS = {"ecdsa": "EC:prime256v1", "rsa": "rsa:2048"}


def run(*words, **options):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, **options)


class Token:
    """A token of its own in a directory, with a PIN that lies in a file."""

    PIN = "271828"

    def __init__(self, directory):
        self.directory = directory
        (directory / "tokens").mkdir(parents=True)
        self.configuration = directory / "softhsm2.conf"
        self.configuration.write_text("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n" %
                                      (directory / "tokens"))
        self.pin = directory / "pin"
        self.pin.write_text(self.PIN)
        self.variables = {"SOFTHSM2_CONF": str(self.configuration), "PATH": "/usr/bin:/bin", "PIN": self.PIN}
        run("softhsm2-util", "--init-token", "--free", "--label", "release", "--pin", self.PIN, "--so-pin", "31415926",
            env=self.variables)

    def tool(self, *words):
        return run("pkcs11-tool", "--module", SOFTHSM, "--token-label", "release", *words, env=self.variables).stdout

    def make_key(self, label, kind):
        self.tool("--login", "--pin", "env:PIN", "--keypairgen", "--key-type", KINDS[kind], "--label", label, "--usage-sign")

    def install(self, label, program, pin=None):
        """The shipped program, set up for a key of this token."""
        shutil.copy(EXAMPLES / "token", program)
        public = self.tool("--read-object", "--type", "pubkey", "--label", label)
        run("openssl", "pkey", "-pubin", "-inform", "DER", "-pubout", "-out", str(program) + ".pub", input=public)
        pathlib.Path(str(program) + ".conf").write_text(
            "module=%s\nkey='pkcs11:token=release;object=%s;type=private'\npin=%s\nexport SOFTHSM2_CONF=%s\n" %
            (SOFTHSM, label, pin or self.pin, self.configuration))


def install_file(program, kind):
    shutil.copy(EXAMPLES / "file", program)
    options = {"ecdsa": ("EC", "ec_paramgen_curve:P-256"), "rsa": ("RSA", "rsa_keygen_bits:2048")}[kind]
    run("openssl", "genpkey", "-algorithm", options[0], "-pkeyopt", options[1], "-out", str(program) + ".pem")
    run("openssl", "pkey", "-in", str(program) + ".pem", "-pubout", "-out", str(program) + ".pub")


class Outsider(Publisher):
    """A publisher whose bob has his key elsewhere."""

    def __init__(self, house, install):
        super().__init__(house)
        self.key("bob").unlink()
        self.key("bob", True).unlink()
        install(self.key("bob"))

    def sign(self, *names):
        for name in names or ("alice", "bob"):
            self.release("sign", self.repository, "--key", "%s%s" % ("cmd:" if name == "bob" else "", self.key(name)))


@needs_token
def test_token_signs_what_a_box_installs(house):
    """Targets keys: one ed25519 in a file, one ECDSA in a token; imported, booked, pushed, installed."""
    token = Token(house.directory / "token")
    token.make_key("bob", "ecdsa")
    publisher = Outsider(house, lambda program: token.install("bob", program))
    centre = Centre(house)
    publisher.create(centre)
    centre.start()
    centre.sell()
    first, second = publisher.pack("1.0"), publisher.pack("2.0")
    publisher.ship(centre, first, second)
    box = Appliance(house, centre, publisher)
    box.install(first)
    centre.wait(centre.book(box.name, "2.0"), "committed")
    assert box.product() == "demo 2.0"
    targets = json.loads((box.state / "trust" / "metadata" / "targets.json").read_text())
    root = json.loads((publisher.repository / "metadata" / "1.root.json").read_text())["signed"]
    schemes = {root["keys"][signature["keyid"]]["scheme"] for signature in targets["signatures"]}
    assert schemes == {"ed25519", "ecdsa-sha2-nistp256"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [pytest.param("token", marks=needs_token), "file"])
def test_shipped_signer(house, place, kind):
    """Each shipped program with each kind of key: what it signs is published and verified."""
    if place == "token":
        token = Token(house.directory / "token")
        token.make_key("bob", kind)
    publisher = Outsider(house, lambda program: token.install("bob", program) if place == "token"
                         else install_file(program, kind))
    publisher.create()
    publisher.add(publisher.pack("1.0"))
    publisher.sign("alice")
    with pytest.raises(Refused) as short:
        publisher.publish()
    assert short.value.code == 65 and "bob" in short.value.text
    publisher.sign("bob")
    publisher.publish()
    report = publisher.release("verify", publisher.repository, "--root", publisher.repository / "metadata" / "1.root.json",
                               "--json")
    assert [release["version"] for release in json.loads(report.stdout)["releases"]] == ["1.0"]


@pytest.mark.parametrize("broken", ["other key", "silence", "failure", "noise", "absent"])
def test_signer_that_does_not_sign_is_refused(house, broken):
    publisher = Outsider(house, lambda program: install_file(program, "ecdsa"))
    publisher.create()
    publisher.add(publisher.pack("1.0"))
    program = publisher.key("bob")
    staged = publisher.repository / "metadata" / "staged.targets.json"
    before = staged.read_bytes()
    if broken == "other key":
        run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(program) + ".pem")
    elif broken == "absent":
        program.unlink()
    else:
        program.write_text({"silence": "#!/bin/sh\nexit 0\n", "failure": "#!/bin/sh\necho no token >&2\nexit 1\n",
                            "noise": "#!/bin/sh\nhead -c 100000 /dev/zero\n"}[broken])
    with pytest.raises(Refused) as refusal:
        publisher.sign("bob")
    assert refusal.value.code == (64 if broken == "absent" else 65), refusal.value.text
    assert str(program) in refusal.value.text or "bob" in refusal.value.text
    assert staged.read_bytes() == before


@needs_token
def test_wrong_pin_signs_nothing(house):
    token = Token(house.directory / "token")
    token.make_key("bob", "ecdsa")
    wrong = house.directory / "wrong"
    wrong.write_text("000000")
    publisher = Outsider(house, lambda program: token.install("bob", program, wrong))
    publisher.create()
    publisher.add(publisher.pack("1.0"))
    with pytest.raises(Refused) as refusal:
        publisher.sign("bob")
    assert refusal.value.code == 65 and "did not sign" in refusal.value.text
