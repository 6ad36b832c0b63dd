"""A whole house in one directory: a release engineer, a support centre, appliances. Real programs, real sockets, real
files; every path is below the house's own directory, every port its own, so that many houses stand side by side."""
import datetime
import getpass
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

BUILD = pathlib.Path(os.environ.get("NIGHTSHIFT_BUILD", pathlib.Path(__file__).parents[2] / "build"))
PROGRAMS = {
    "nightshift-release": BUILD / "release" / "nightshift-release",
    "nightshiftd": BUILD / "orchestrator" / "nightshiftd",
    "nightshift": BUILD / "orchestrator" / "nightshift",
    "appliance-hook": BUILD / "appliance-hook" / "appliance-hook",
}
SECONDS = 60  # the longest that any one thing may take
ALWAYS_OPEN = """[window always]
zone = UTC
rule = weekly MO,TU,WE,TH,FR,SA,SU 00:00
duration = 24h
"""


class Refused(Exception):
    def __init__(self, program, code, text, out=""):
        super().__init__("%s ended with %d: %s" % (program, code, text))
        self.code, self.text, self.out = code, text, out


def wait_until(what, question, seconds=SECONDS, pause=0.05):
    """Asks again until the answer is true; the answer is returned."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError("%s did not happen within %d s" % (what, seconds))
        time.sleep(pause)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Clock:
    """An offset to the real time for every process of the house, by libfaketime."""

    LIBRARIES = ["/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"]

    def __init__(self):
        self.offset = 0

    def set_to(self, text):
        """The moment "2027-01-31T22:59:00Z" is now."""
        moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
        self.offset = int(moment.timestamp() - time.time())

    def now(self):
        return datetime.datetime.fromtimestamp(time.time() + self.offset, datetime.timezone.utc)

    def variables(self):
        if not self.offset:
            return {}
        if os.environ.get("NIGHTSHIFT_SANITIZED"):
            import pytest
            pytest.skip("libfaketime beside a sanitizer")
        library = next((path for path in self.LIBRARIES if os.path.exists(path)), None)
        if not library:
            import pytest
            pytest.skip("libfaketime")
        return {"LD_PRELOAD": library, "FAKETIME": "%+ds" % self.offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_DISABLE_SHM": "1"}


class House:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.clock = Clock()
        self.processes = []

    def run(self, program, *words, user=None, variables=None, check=True, timeout=SECONDS, stdin=None):
        environment = dict(os.environ, **self.clock.variables(), **(variables or {}))
        done = subprocess.run([str(PROGRAMS.get(program, program)), *map(str, words)], capture_output=True, text=True,
                              timeout=timeout, env=environment, user=user, cwd=self.directory,
                              input=stdin if stdin is not None else "")
        if check and done.returncode != 0:
            raise Refused("%s %s" % (program, " ".join(map(str, words))), done.returncode, done.stderr.strip(), done.stdout)
        return done

    def start(self, program, *words, log, variables=None):
        environment = dict(os.environ, **self.clock.variables(), **(variables or {}))
        process = subprocess.Popen([str(PROGRAMS.get(program, program)), *map(str, words)], stdin=subprocess.DEVNULL,
                                   stdout=open(log, "ab"), stderr=subprocess.STDOUT, env=environment, cwd=self.directory)
        self.processes.append(process)
        return process

    def stop(self, process, number=signal.SIGTERM):
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def close(self):
        for process in reversed(list(self.processes)):
            self.stop(process)


class Publisher:
    """The release side: two engineers, 2 of 2 for targets, one repository."""

    def __init__(self, house, product="demo", threshold=2):
        self.house, self.product = house, product
        self.directory = house.directory / "publisher"
        self.directory.mkdir()
        self.repository = self.directory / "repository"
        for key in ("root", "alice", "bob", "snapshot"):
            self.release("key", "new", self.key(key), "--no-passphrase")
        self.threshold = threshold

    def key(self, name, public=False):
        return self.directory / (name + (".pub" if public else ""))

    def release(self, *words, **options):
        return self.house.run("nightshift-release", *words, **options)

    def create(self, centre=None):
        """Without a centre keys that nobody needs then stand in for its own."""
        keys = centre.directory / "keys" if centre else self.directory
        for key in () if centre else ("timestamp", "order", "entitlement"):
            self.release("key", "new", self.key(key), "--no-passphrase")
        self.release("repo", "init", self.repository, "--product", self.product, "--root-key", self.key("root"),
                     "--root-threshold", 1, "--targets-key", self.key("alice", True), self.key("bob", True),
                     "--targets-threshold", self.threshold, "--snapshot-key", self.key("snapshot", True),
                     "--timestamp-key", keys / "timestamp.pub", "--order-key", keys / "order.pub",
                     "--entitlement-key", keys / "entitlement.pub")

    def tree(self, version, files=None, healthy=True):
        """A product: a program that answers its version, a few files that change, one that does not."""
        tree = self.directory / ("tree-" + version)
        (tree / "bin").mkdir(parents=True)
        program = tree / "bin" / "demo"
        program.write_text("#!/bin/sh\n%s\necho demo %s\n" % ("" if healthy else "exit 1", version))
        program.chmod(0o755)
        (tree / "share").mkdir()
        (tree / "share" / "version").write_text(version + "\n")
        (tree / "share" / "same").write_text("the same in every version\n" * 100)
        (tree / "share" / "link").symlink_to("version")
        for name, content in (files or {}).items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tree

    def pack(self, version, *options, tree=None, **described):
        bundle = self.directory / ("%s-%s.bundle" % (self.product, version))
        self.release("pack", tree or self.tree(version, **described), "--product", self.product, "--version", version, "-o",
                     bundle, *options, timeout=5 * SECONDS)
        return bundle

    def add(self, *bundles, options=()):
        self.release("add", self.repository, *bundles, *options)

    def sign(self, *names):
        for name in names or ("alice", "bob"):
            self.release("sign", self.repository, "--key", self.key(name))

    def publish(self):
        self.release("publish", self.repository, "--snapshot-key", self.key("snapshot"))

    def ship(self, centre, *bundles, options=()):
        """Bundles from the packing table into the support centre."""
        self.add(*bundles, options=options)
        self.sign()
        self.publish()
        centre.nightshift("release", "import", self.repository)


class Centre:
    """The support centre: nightshiftd and the technician's command."""

    def __init__(self, house, policy=""):
        self.house = house
        self.directory = house.directory / "centre"
        self.directory.mkdir()
        self.port = free_port()
        self.configuration = self.directory / "nightshiftd.conf"
        self.configuration.write_text(
            "[hub]\nlisten = 127.0.0.1:%d\npublic = 127.0.0.1:%d\nhost_key = host_key\n"
            "[api]\nsocket = api.sock\n[store]\nurl = sqlite:store.db\n[releases]\ndirectory = releases\n"
            "incoming = incoming\n[signer]\nkeys = keys\nlimits = signer.limits\n%s" % (self.port, self.port, policy))
        self.log = self.directory / "log"
        self.process = None
        self.house.run("nightshiftd", "keys", "init", "--config", self.configuration)
        self.house.run("nightshiftd", "--init", "--admin", "ada", "--login", getpass.getuser(), "--config",
                       self.configuration)

    def start(self):
        self.process = self.house.start("nightshiftd", "--config", self.configuration, log=self.log)
        wait_until("nightshiftd answers", lambda: self.nightshift("status", check=False).returncode == 0)

    def stop(self, number=signal.SIGTERM):
        self.house.stop(self.process, number)

    def restart(self):
        self.stop()
        self.start()

    def nightshift(self, *words, **options):
        return self.house.run("nightshift", "--config", self.configuration, *words, **options)

    def ask(self, *words, **options):
        return json.loads(self.nightshift(*words, "--json", **options).stdout)

    def roles(self):
        """Process ids by role name."""
        found = {}
        for line in subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True).stdout.splitlines():
            pid, parent, arguments = line.split(None, 2)
            if int(parent) == self.process.pid and arguments.startswith("nightshiftd: "):
                found[arguments.split()[1]] = int(pid)
        return found

    def sell(self, until="2099-12-31", tier="premium", customer="acme", contract="c-1", zone="UTC"):
        self.nightshift("customer", "add", customer)
        self.contract(contract, until, tier, customer, zone)

    def contract(self, name, until, tier="standard", customer="acme", zone="UTC"):
        self.nightshift("contract", "add", name, "--customer", customer, "--kind", "on-premise", "--tier", tier, "--until",
                        until, "--zone", zone, "--users", 50)

    def open_window(self, name, text=ALWAYS_OPEN):
        path = self.directory / ("%s.ini" % name)
        path.write_text(text)
        self.nightshift("window", "set", name, path)

    def book(self, appliance, version, *options):
        return self.nightshift("upgrade", "book", appliance, "--to", version, *options).stdout.strip()

    def upgrade(self, identity):
        return self.ask("upgrade", "show", identity)

    def wait(self, identity, *states, seconds=SECONDS):
        """The upgrade, once it is in one of these states; fails at once when it ends in another."""
        final = {"committed", "rolled-back", "cancelled", "missed", "needs-human"}

        def settled():
            row = self.upgrade(identity)
            if row["state"] in states:
                return row
            assert row["state"] not in final, "upgrade is %s: %s" % (row["state"], row["why"])
            return None
        return wait_until("upgrade %s" % " or ".join(states), settled, seconds)


class Appliance:
    def __init__(self, house, centre, publisher, name="box1", extra="", probe=None, units=""):
        self.house, self.centre, self.publisher, self.name = house, centre, publisher, name
        self.directory = house.directory / name
        self.directory.mkdir()
        os.chmod(self.directory, 0o755)
        self.root, self.state = self.directory / "root", self.directory / "state"
        self.root.mkdir()
        self.configuration = self.directory / "appliance-hook.conf"
        shutil.copy(publisher.repository / "metadata" / "1.root.json", self.directory / "root.json")
        self.configuration.write_text(
            "[appliance]\nproduct = %s\nproduct_root = root\nstate = state\ntrust_root = root.json\n%s"
            "[units]\nbackend = command\n%s[probe health]\ntype = command\ntarget = %s\nexpect = %s\ntimes = 2\n"
            "interval = 0\ndeadline = 5s\n" % (publisher.product, extra, units,
                                              probe or "%s/current/bin/demo" % self.root, "" if probe else "demo"))
        self.log = self.directory / "log"
        self.process = None

    def hook(self, *words, **options):
        return self.house.run("appliance-hook", "--config", self.configuration, *words, **options)

    def adopt(self, bundle):
        self.hook("adopt", bundle)

    def join(self, contract="c-1", *options):
        code = self.centre.nightshift("appliance", "add", self.name, "--contract", contract, "--product",
                                      self.publisher.product, *options).stdout.strip()
        self.hook("join", code)

    def serve(self, variables=None):
        self.process = self.house.start("appliance-hook", "--config", self.configuration, "serve", log=self.log,
                                        variables=variables)
        wait_until("the hook answers", lambda: (self.state / "control.sock").exists())

    def stop(self, number=signal.SIGTERM):
        self.house.stop(self.process, number)

    def open_tunnel(self, *options):
        self.hook("tunnel", "open", *options)
        wait_until("the tunnel is known", lambda: self.connected())

    def install(self, bundle, contract="c-1", *options):
        """From the factory to the day before its first upgrade: joined, serving, its tunnel open, its window always."""
        self.adopt(bundle)
        self.join(contract, *options)
        self.serve()
        self.open_tunnel()
        self.centre.open_window(self.name)

    def connected(self):
        return any(row["appliance"] == self.name for row in self.centre.ask("tunnel", "list"))

    def current(self):
        return os.readlink(self.root / "current").rsplit("/", 1)[-1]

    def product(self):
        return subprocess.run([str(self.root / "current" / "bin" / "demo")], capture_output=True, text=True).stdout.strip()

    def status(self):
        return json.loads(self.hook("status", "--json").stdout)

    def manifest(self, version):
        return json.loads((self.state / self.publisher.product / "manifests" / (version + ".json")).read_text())


def tree_matches(tree, manifest):
    """The tree holds exactly what the manifest says, by our own reading of both. Returns the first difference or None."""
    import hashlib
    wanted = {entry["path"]: entry for entry in manifest["entries"] if entry.get("root", "tree") == "tree"}
    found = set()
    for directory, folders, files in os.walk(tree):
        for name in folders + files:
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, tree)
            found.add(relative)
            entry = wanted.get(relative)
            if entry is None:
                return "%s is not in the manifest" % relative
            if os.path.islink(path):
                if entry["type"] != "link" or os.readlink(path) != entry["target"]:
                    return "%s is another link" % relative
            elif os.path.isdir(path):
                if entry["type"] != "directory":
                    return "%s is a directory" % relative
            else:
                digest = hashlib.blake2b(pathlib.Path(path).read_bytes(), digest_size=32).hexdigest()
                if entry["type"] != "file" or digest != entry["hash"]:
                    return "%s has other content" % relative
    missing = set(wanted) - found
    return "%s is missing" % sorted(missing)[0] if missing else None
