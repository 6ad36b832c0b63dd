"""The repository behind a static web server: the same bytes, the same checks, no support centre."""
import functools
import http.server
import pathlib
import shutil
import ssl
import subprocess
import threading

import pytest

from house import Appliance, free_port


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        self.server.asked.append(self.path)


class Mirror:
    """A copy of what the support centre serves, its timestamp among it."""

    def __init__(self, house, tls=None):
        self.directory = pathlib.Path(house.directory) / "mirror"
        self.copy(house.centre)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=self.directory))
        self.server.asked = []
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = "%s://127.0.0.1:%d" % ("https" if tls else "http", self.server.server_port)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def copy(self, centre):
        shutil.rmtree(self.directory, ignore_errors=True)
        for name in ("metadata", "targets", "blobs"):
            shutil.copytree(centre.directory / "releases" / name, self.directory / name)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def mirror(shop):
    server = Mirror(shop)
    yield server
    server.stop()


@pytest.fixture
def pupil(shop):
    """Joined, and entitled by a check at the support centre; no tunnel."""
    appliance = Appliance(shop, shop.centre, shop.publisher)
    appliance.adopt(shop.bundles["1.0"])
    appliance.join()
    appliance.hook("check")
    return appliance


def refused(appliance, url, code, *words, options=()):
    done = appliance.hook("pull", "--from", url, *options, check=False)
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert appliance.current() == "1.0"


def test_pull_from_a_mirror(pupil, shop, mirror):
    shop.centre.stop()
    pupil.hook("pull", "--from", mirror.url)
    assert pupil.current() == "2.0" and pupil.product() == "demo 2.0"
    assert any(path.startswith("/blobs/") for path in mirror.server.asked)
    assert "2.0" in pupil.hook("pull", "--from", mirror.url + "/").stdout


def test_through_a_running_serve_and_to_a_version(pupil, shop, mirror):
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.0"))
    mirror.copy(shop.centre)
    pupil.serve()
    done = pupil.hook("check", "--from", mirror.url)
    assert "3.0 can be installed now" in done.stdout and pupil.current() == "1.0"
    pupil.hook("pull", "--from", mirror.url, "--to", "2.0")
    assert pupil.current() == "2.0"
    pupil.hook("pull", "--from", mirror.url)
    assert pupil.current() == "3.0"


def test_unknown_version(pupil, mirror):
    refused(pupil, mirror.url, 65, "7.0", options=("--to", "7.0"))


def test_altered_blob(pupil, mirror):
    for blob in (mirror.directory / "blobs").iterdir():
        content = bytearray(blob.read_bytes())
        content[len(content) // 2] ^= 1
        blob.write_bytes(content)
    refused(pupil, mirror.url, 65)


def test_longer_and_shorter_blobs(pupil, mirror):
    blobs = {blob: blob.read_bytes() for blob in (mirror.directory / "blobs").iterdir()}
    for change in (lambda content: content + b"x", lambda content: content[:-1]):
        for blob, content in blobs.items():
            blob.write_bytes(change(content))
        refused(pupil, mirror.url, 65)


def test_missing_blob(pupil, mirror):
    shutil.rmtree(mirror.directory / "blobs")
    refused(pupil, mirror.url, 65, "not on the mirror")


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_altered_metadata(pupil, shop, mirror, role):
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.0"))
    mirror.copy(shop.centre)
    for path in (mirror.directory / "metadata").glob("*%s.json" % role):
        path.write_bytes(path.read_bytes().replace(b'"version":', b'"version": 1', 1))
    refused(pupil, mirror.url, 65)


def test_older_set_than_was_accepted(pupil, shop, mirror):
    shop.publisher.ship(shop.centre, shop.publisher.pack("3.0"))
    pupil.hook("check")
    refused(pupil, mirror.url, 65, "accepted already")


def test_mirror_with_an_old_timestamp(pupil, shop, mirror):
    """Its own expiry is all that tells how fresh a mirror is."""
    shop.clock.offset = 8 * 86400
    refused(pupil, mirror.url, 65, "expired")


def test_mirror_gone(pupil, mirror):
    url = "http://127.0.0.1:%d" % free_port()
    refused(pupil, url, 69)


def test_nothing_there(pupil, mirror):
    refused(pupil, mirror.url + "/elsewhere", 65)


def test_without_an_entitlement(shop, mirror):
    appliance = Appliance(shop, shop.centre, shop.publisher)
    appliance.adopt(shop.bundles["1.0"])
    appliance.join()
    refused(appliance, mirror.url, 77, "entitlement")


def test_lapsed(shop, mirror):
    import datetime
    soon = (datetime.date.today() + datetime.timedelta(days=1)).isoformat()
    shop.centre.contract("c-2", soon)
    appliance = Appliance(shop, shop.centre, shop.publisher)
    appliance.adopt(shop.bundles["1.0"])
    appliance.join("c-2")
    appliance.hook("check")
    shop.clock.offset = 3 * 86400
    refused(appliance, mirror.url, 77, soon)


def test_plain_http_needs_a_word(pupil):
    for url in ("http://mirror.example/demo", "http://localhost@mirror.example/", "http://127.0.0.1.example/",
                "ftp://mirror.example/", "mirror.example"):
        refused(pupil, url, 64)


def test_a_certificate_that_nobody_vouches_for(pupil, shop):
    key, certificate = shop.directory / "key.pem", shop.directory / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True,
                   capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server = Mirror(shop, tls)
    refused(pupil, server.url, 69, "certificate")
    server.stop()


def test_a_mirror_offers_no_offline_grant(pupil, shop, mirror):
    """With an offline grant in place of the timestamp a mirror gets nowhere: only a file that is applied has that."""
    import tarfile
    path = shop.directory / "stick.bundle"
    shop.centre.nightshift("release", "export", "2.0", "--appliance", "box1", "-o", path)
    with tarfile.open(path) as archive:
        grant = archive.extractfile("offline.json").read()
    (mirror.directory / "metadata" / "timestamp.json").write_bytes(grant)
    (mirror.directory / "offline.json").write_bytes(grant)
    refused(pupil, mirror.url, 65)
