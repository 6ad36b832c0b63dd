"""A TUF repository that can be told to lie, served by HTTP on loopback, and the client that reads it: the program of
tests/conformance, driven as the public conformance suite drives it. Written from the specification (TUF 1.0)."""
import datetime
import hashlib
import http.server
import ipaddress
import json
import os
import ssl
import subprocess
import threading
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID
from securesystemslib.formats import encode_canonical

from house import BUILD, Clock

PROGRAM = BUILD / "tests" / "conformance" / "tuf-client"
TOP = ("root", "timestamp", "snapshot", "targets")
DAY = 86400


def in_days(days):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Key:
    """A signer. `name` stands for the key id where it is not to be the hash of the key."""

    MAKE = {
        "ed25519": lambda: ed25519.Ed25519PrivateKey.generate(),
        "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
    }
    SCHEME = {"ed25519": "ed25519", "ecdsa": "ecdsa-sha2-nistp256", "rsa": "rsassa-pss-sha256"}

    def __init__(self, kind="ed25519", name=None, keytype=None, secret=None, **unknown):
        self.kind, self.secret = kind, secret or self.MAKE[kind]()
        public = self.secret.public_key()
        if kind == "ed25519":
            text = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()
        else:
            text = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        self.public = {"keytype": keytype or kind, "scheme": self.SCHEME[kind], "keyval": {"public": text}, **unknown}
        self.id = name or hashlib.sha256(encode_canonical(self.public).encode()).hexdigest()

    def sign(self, message):
        if self.kind == "ed25519":
            return self.secret.sign(message).hex()
        if self.kind == "ecdsa":
            return self.secret.sign(message, ec.ECDSA(hashes.SHA256())).hex()
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        return self.secret.sign(message, pss, hashes.SHA256()).hex()


class Repository:
    def __init__(self, kind="ed25519"):
        self.files = {}  # path below the server's root → bytes, or a function that answers
        self.asked = []  # paths in the order in which they were asked for
        self.signed = {}  # role → what is to be signed
        self.signers = {}
        self.published = set()
        self.line_hashes = False  # whether meta lines state length and hash
        head = {"spec_version": "1.0.34", "version": 1, "expires": in_days(30)}
        self.signed["root"] = dict(head, _type="root", consistent_snapshot=True, keys={}, roles={})
        self.signed["timestamp"] = dict(head, _type="timestamp", meta={})
        self.signed["snapshot"] = dict(head, _type="snapshot", meta={})
        self.signed["targets"] = dict(head, _type="targets", targets={})
        for role in TOP:
            self.signed["root"]["roles"][role] = {"keyids": [], "threshold": 1}
            self.add_key(role, Key(kind))
        self.publish("targets", "snapshot", "timestamp", "root")

    def __getitem__(self, role):
        return self.signed[role]

    def role(self, role, delegator="root"):
        """The keyids and threshold of a role, where its delegator states them."""
        if delegator == "root":
            return self.signed["root"]["roles"][role]
        return next(one for one in self.signed[delegator]["delegations"]["roles"] if one["name"] == role)

    def add_key(self, role, key=None, delegator="root", signs=True):
        key = key or Key()
        holder = self.signed["root"] if delegator == "root" else self.signed[delegator]["delegations"]
        holder["keys"][key.id] = key.public
        self.role(role, delegator)["keyids"].append(key.id)
        if signs:
            self.signers.setdefault(role, []).append(key)
        return key

    def rotate(self, role, key=None):
        self.role(role)["keyids"].clear()
        self.signers[role] = []
        return self.add_key(role, key)

    def delegate(self, delegator, role, paths=("*",), key=None, **more):
        """Also a role that exists already; `paths` None: only what `more` says."""
        delegations = self.signed[delegator].setdefault("delegations", {"keys": {}, "roles": []})
        line = dict({"name": role, "keyids": [], "threshold": 1, "terminating": False}, **more)
        if paths is not None:
            line["paths"] = list(paths)
        delegations["roles"].append(line)
        key = key or (self.signers[role][0] if role in self.signers else None)
        self.signed.setdefault(role, {"_type": "targets", "spec_version": "1.0.34", "version": 1, "expires": in_days(30),
                                      "targets": {}})
        return self.add_key(role, key, delegator, signs=role not in self.signers)

    def add_target(self, path, content, role="targets", algorithms=("sha256",), **custom):
        line = {"length": len(content), "hashes": {name: hashlib.new(name, content).hexdigest() for name in algorithms}}
        if custom:
            line["custom"] = custom
        self.signed[role]["targets"][path] = line
        for name in self.target_names(path, line):
            self.files[name] = content
        return line

    def target_names(self, path, line):
        folder, slash, base = path.rpartition("/")
        if not self.signed["root"].get("consistent_snapshot"):
            return ["targets/" + path]
        return ["targets/%s%s%s.%s" % (folder, slash, one, base) for one in line["hashes"].values()]

    def envelope(self, role):
        message = encode_canonical(self.signed[role]).encode()
        return {"signed": self.signed[role],
                "signatures": [{"keyid": key.id, "sig": key.sign(message)} for key in self.signers.get(role, [])]}

    def name(self, role, version=None):
        quoted = urllib.parse.quote(role, safe="")
        if role == "timestamp" or (role != "root" and not self.signed["root"].get("consistent_snapshot")):
            return "metadata/%s.json" % quoted
        return "metadata/%s.%s.json" % (version or self.signed[role]["version"], quoted)

    def publish(self, *roles, bump=True):
        """Signs and serves the roles in this order, each a version higher than the last; the line about each stands in
        whatever is published after it."""
        for role in roles:
            if bump and role in self.published:
                self.signed[role]["version"] += 1
            self.published.add(role)
            self.serve(role, json.dumps(self.envelope(role)).encode())
            self.state_line(role)

    def publish_all(self, *roles):
        self.publish(*roles, "targets", "snapshot", "timestamp")

    def state_line(self, role):
        content = self.files[self.name(role)]
        line = {"version": self.signed[role]["version"]}
        if self.line_hashes:
            line.update(length=len(content), hashes={"sha256": hashlib.sha256(content).hexdigest()})
        if role == "snapshot":
            self.signed["timestamp"]["meta"]["snapshot.json"] = line
        elif role not in ("root", "timestamp"):
            self.signed["snapshot"]["meta"][role + ".json"] = line

    def serve(self, role, answer):
        self.files[self.name(role)] = answer

    def served(self, role):
        return self.files[self.name(role)]

    def change(self, role, function):
        """The envelope as it is served, changed after it was signed."""
        envelope = json.loads(self.served(role))
        function(envelope)
        self.serve(role, json.dumps(envelope).encode())


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.replace("http://repository.invalid/", "", 1).lstrip("/")  # that way when asked as a proxy
            if name.startswith("targets/"):
                name = urllib.parse.unquote(name)
            self.server.repository.asked.append(name)
            answer = self.server.repository.files.get(name, status(404))
            try:
                answer(self) if callable(answer) else status(200, answer)(self)
            except OSError:  # the client hung up
                self.server.broken.append(name)

        def log_message(self, *words):
            pass

    def __init__(self, repository, tls=None):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.repository, self.broken = repository, []
        self.stopped = threading.Event()
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.url = "%s://127.0.0.1:%d" % ("https" if tls else "http", self.server_address[1])

    def stop(self):
        self.stopped.set()
        self.shutdown()
        self.server_close()


class Certificates:
    """An authority of one's own and what it vouches for."""

    def __init__(self, directory):
        self.directory, self.authority = directory, directory / "authority.pem"
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.authority.write_bytes(self.sign("authority", self.key, 30, x509.BasicConstraints(True, None)))

    def sign(self, name, key, days, extension):
        moment = datetime.datetime.utcnow()
        title = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        made = (x509.CertificateBuilder().subject_name(title).issuer_name(issuer).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(moment - datetime.timedelta(9))
                .not_valid_after(moment + datetime.timedelta(days)).add_extension(extension, critical=False)
                .sign(self.key, hashes.SHA256()))
        return made.public_bytes(serialization.Encoding.PEM)

    def server(self, address, days):
        key, path = ec.generate_private_key(ec.SECP256R1()), self.directory / ("%s%d.pem" % (address, days))
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        path.write_bytes(self.sign("server", key, days, names) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def status(code, body=b"", **headers):
    def answer(handler):
        handler.send_response(code)
        for name, value in dict({"Content-Length": len(body)}, **headers).items():
            handler.send_header(name.replace("_", "-"), str(value))
        handler.end_headers()
        handler.wfile.write(body)
    return answer


def redirect(url):
    return status(302, b"elsewhere", Location=url)


def endless(piece=b" " * 65536, code=200, first=b""):
    """Data without an end, until the other side hangs up."""
    def answer(handler):
        handler.send_response(code)
        handler.end_headers()
        handler.wfile.write(first)
        while True:
            handler.wfile.write(piece)
    return answer


def endless_headers(handler):
    handler.send_response(200)
    handler.flush_headers()
    while True:
        handler.wfile.write(b"X-More: %s\r\n" % (b"a" * 1000))


def drip(content, seconds):
    """A byte at a time, `seconds` apart."""
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        for at in range(len(content)):
            handler.wfile.write(content[at:at + 1])
            handler.server.stopped.wait(seconds)
    return answer


class Client:
    def __init__(self, directory, server):
        self.server, self.repository = server, server.repository
        self.metadata, self.targets = directory / "metadata", directory / "targets"
        self.metadata.mkdir()
        self.targets.mkdir()
        self.anchor = directory / "initial_root.json"
        self.clock = Clock()

    def run(self, *words, **variables):
        """None on success, else the short name of the refusal, or "killed"."""
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=60,
                              env=dict(environment, **self.clock.variables(), **variables))
        if done.returncode < 0 and "NIGHTSHIFT_FAULT" in variables:
            return "killed"
        assert done.returncode in (0, 1), done
        assert not done.returncode == (not done.stderr.startswith("tuf-client: ")), done
        return done.stderr.split(": ")[1] if done.returncode else None

    def init(self, root=None):
        self.anchor.write_bytes(root if root is not None else self.repository.files["metadata/1.root.json"])
        return self.run("--metadata-dir", self.metadata, "init", self.anchor)

    def refresh(self, *words, days=0, **variables):
        self.clock.offset = days * DAY
        self.repository.asked.clear()
        return self.run("--metadata-url", self.server.url + "/metadata/", "--metadata-dir", self.metadata, *words, "refresh",
                        **variables)

    def download(self, *paths, days=0, words=(), **variables):
        self.clock.offset = days * DAY
        self.repository.asked.clear()
        names = [word for path in paths for word in ("--target-name", path)]
        return self.run("--metadata-url", self.server.url + "/metadata/", "--metadata-dir", self.metadata, *names,
                        "--target-dir", self.targets, "--target-base-url", self.server.url + "/targets/", *words, "download",
                        **variables)

    def asked(self):
        """Short: "2.root", "timestamp", "1.snapshot", and targets as they are."""
        return [name[len("metadata/"):-len(".json")] if name.startswith("metadata/") else name
                for name in self.repository.asked]

    def visited(self):
        """The delegated roles that were asked for, in order."""
        return [name.split(".", 1)[1] for name in self.asked()
                if not name.startswith("targets/") and name.split(".")[-1] not in TOP]

    def stored(self):
        return {path.name[:-len(".json")]: json.loads(path.read_bytes())["signed"]["version"]
                for path in self.metadata.glob("*.json")}

    def has(self, role):
        return (self.metadata / (urllib.parse.quote(role, safe="") + ".json")).read_bytes()

    def got(self):
        return {urllib.parse.unquote(path.name): path.read_bytes() for path in self.targets.iterdir()}
