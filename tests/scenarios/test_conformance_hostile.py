"""Bytes and servers that mean harm to a TUF client: forms that no honest repository writes, data without an end, servers
that are slow, that redirect, that compress. A refusal has its name, nothing of it is stored, the next refresh is well."""
import gzip
import json

import pytest

from tuf_repository import TOP, Certificates, Server, drip, endless, endless_headers, redirect, status

OK = None


# ---- forms (§4)

def replace(old, new):
    return lambda text: text.replace(old, new, 1)


FORMS = {
    "empty": lambda text: b"",
    "cut": lambda text: text[:-2],
    "half": lambda text: text[:len(text) // 2],
    "behind-it": lambda text: text + b"{}",
    "byte-order-mark": lambda text: b"\xef\xbb\xbf" + text,
    "utf-16": lambda text: text.decode().encode("utf-16"),
    "list": lambda text: b"[" + text + b"]",
    "text": lambda text: b'"timestamp"',
    "null": lambda text: b"null",
    "deep": lambda text: b"[" * 100000 + b"]" * 100000,
    "deep-object": lambda text: b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "no-signed": replace(b'"signed"', b'"singed"'),
    "no-signatures": replace(b'"signatures"', b'"signature"'),
    "signatures-object": lambda text: json.dumps(dict(json.loads(text), signatures={})).encode(),
    "signature-of-no-object": lambda text: json.dumps(dict(json.loads(text), signatures=["x"])).encode(),
    "signature-without-key": lambda text: json.dumps(dict(json.loads(text), signatures=[{"sig": "00"}])).encode(),
    "signature-is-a-number": lambda text: json.dumps(dict(json.loads(text), signatures=[{"keyid": "a", "sig": 1}])).encode(),
    "signed-twice": lambda text: b'{"signed": {},' + text[1:],
    "version-twice": replace(b'"version":', b'"version": 1, "version":'),
    "expires-twice": replace(b'"expires":', b'"expires": "2099-01-01T00:00:00Z", "expires":'),
    "nul": replace(b'"_type"', b'"x": "a\\u0000b", "_type"'),
    "bad-utf-8": replace(b'"_type"', b'"x": "\xff\xfe", "_type"'),
    "lone-surrogate": replace(b'"_type"', b'"x": "\\ud800", "_type"'),
    "real": replace(b'"_type"', b'"x": 1.5, "_type"'),
    "exponent": replace(b'"_type"', b'"x": 1e3, "_type"'),
    "huge-number": replace(b'"_type"', b'"x": 9223372036854775808, "_type"'),
    "not-a-number": replace(b'"_type"', b'"x": NaN, "_type"'),
    "comment": replace(b'"_type"', b'/* so */ "_type"'),
    "trailing-comma": lambda text: text[:-1] + b",}",
    "single-quotes": lambda text: text.replace(b'"', b"'"),
    "many-signatures": lambda text: json.dumps(dict(json.loads(text), signatures=[
        {"keyid": "%d" % at, "sig": "00"} for at in range(200)])).encode(),
}


@pytest.mark.parametrize("change", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("role", ["root", "timestamp", "targets"])
def test_a_file_of_another_form_is_refused(tuf, role, change):
    repository = tuf.repository
    repository.publish("root")
    good = repository.served(role)
    repository.serve(role, change(good))
    assert tuf.refresh() in ("format", "length")
    assert role not in tuf.stored() or tuf.stored()[role] == 1
    repository.serve(role, good)
    assert tuf.refresh() == OK


FIELDS = {
    "_type": [None, 1, "Timestamp", "root", ""],
    "spec_version": [None, 1, "", "1", "2.0.0", "0.9.0", "10.0", "1.", "1..0", "1.0.0.0", "v1.0.0", "one"],
    "expires": [None, 1, "", "2099-01-01", "2099-01-01T00:00:00", "2099-01-01T00:00:00+00:00", "2099-01-01T00:00:00.5Z",
                "2099-13-01T00:00:00Z", "2099-01-32T00:00:00Z", "2099-02-30T00:00:00Z", "2099-01-01 00:00:00Z", "never"],
    "version": [None, 0, -1, "1", True, [1]],
}


@pytest.mark.parametrize("role", TOP)
@pytest.mark.parametrize("field, value", [(field, value) for field, values in FIELDS.items() for value in values],
                         ids=lambda value: str(value) or "empty")
def test_a_field_that_every_file_has_must_be_right(tuf, role, field, value):
    repository = tuf.repository
    repository.publish_all("root")
    name = repository.name(role)
    if value is None:
        del repository[role][field]
    elif role == "root" and value == "root":
        value = repository[role][field] = "targets"
    else:
        repository[role][field] = value
    repository.files[name] = json.dumps(repository.envelope(role)).encode()
    assert tuf.refresh() in ("format", "length")
    assert tuf.stored().get(role) in (None, 1)


@pytest.mark.parametrize("value", ["1.0", "1.0.0", "1.0.34", "1.99.7"])
def test_other_minor_versions_of_the_specification_are_read(tuf, value):
    for role in TOP:
        tuf.repository[role]["spec_version"] = value
    tuf.repository.publish_all("root")
    assert tuf.refresh() == OK


# ---- data without an end

@pytest.mark.parametrize("role", TOP)
@pytest.mark.parametrize("piece", [b" " * 65536, b"[" * 65536], ids=["spaces", "brackets"])
def test_endless_metadata_is_cut(tuf, role, piece):
    repository = tuf.repository
    repository.publish("root")
    good = repository.served(role)
    repository.serve(role, endless(piece, first=good))
    assert tuf.refresh() == "length"
    assert role not in tuf.stored() or tuf.stored()[role] == 1
    repository.serve(role, good)
    assert tuf.refresh() == OK


@pytest.mark.parametrize("role, most", [("root", 512000), ("timestamp", 16384), ("snapshot", 2000000), ("targets", 5000000)])
def test_the_cap_is_exact(tuf, role, most):
    repository = tuf.repository
    repository.publish_all("root")
    good = repository.served(role)
    repository.serve(role, good + b" " * (most + 1 - len(good)))
    assert tuf.refresh() == "length"
    repository.serve(role, good + b" " * (most - len(good)))
    assert tuf.refresh() == OK


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_a_stated_length_is_the_cap(tuf, role):
    """The file is signed and whole, but longer than the line above says: no byte beyond is taken."""
    repository = tuf.repository
    repository.line_hashes = True
    repository.publish_all()
    repository.serve(role, repository.served(role) + b" ")
    assert tuf.refresh() == "length"


def test_endless_headers_are_cut(tuf):
    tuf.repository.serve("timestamp", endless_headers)
    assert tuf.refresh() in ("length", "mirror")
    assert tuf.stored() == {"root": 1}


@pytest.mark.parametrize("code, name", [(404, OK), (403, OK), (500, "mirror")])
def test_an_endless_page_about_an_error_is_cut(tuf, code, name):
    tuf.repository.files["metadata/2.root.json"] = endless(code=code)
    assert tuf.refresh() == name


def test_a_server_that_drips_is_left(tuf):
    tuf.repository.serve("timestamp", drip(tuf.repository.served("timestamp"), 0.2))
    assert tuf.refresh("--stall", 2) == "slow"
    assert tuf.stored() == {"root": 1}


def test_a_server_that_says_nothing_is_left(tuf):
    tuf.repository.serve("timestamp", lambda handler: handler.server.stopped.wait(50))
    assert tuf.refresh("--stall", 2) == "slow"


def test_a_server_that_hangs_up_early_is_an_error(tuf):
    content = tuf.repository.served("timestamp")
    tuf.repository.serve("timestamp", lambda handler: status(200, content[:100], Content_Length=len(content))(handler))
    assert tuf.refresh() in ("mirror", "slow", "format")
    assert tuf.stored() == {"root": 1}


def test_a_server_that_is_not_there_is_an_error(tuf):
    tuf.server.server_close()
    assert tuf.refresh() == "mirror"
    assert tuf.stored() == {"root": 1}


def test_compressed_answers_are_not_unpacked(tuf):
    bomb = gzip.compress(tuf.repository.served("timestamp") + b" " * 10000)
    tuf.repository.serve("timestamp", status(200, bomb, Content_Encoding="gzip"))
    assert tuf.refresh() == "format"


# ---- redirects

def test_a_redirect_within_the_scheme_is_followed(tuf):
    tuf.repository.files["elsewhere/timestamp"] = tuf.repository.served("timestamp")
    tuf.repository.serve("timestamp", redirect(tuf.server.url + "/elsewhere/timestamp"))
    assert tuf.refresh() == OK


@pytest.mark.parametrize("url", ["https://127.0.0.1:1/x", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "dict://127.0.0.1/x",
                                 "scp://127.0.0.1/x"])
def test_a_redirect_to_another_scheme_is_refused(tuf, url):
    tuf.repository.serve("timestamp", redirect(url))
    assert tuf.refresh() == "mirror"


def test_a_redirect_to_a_file_is_refused(tuf):
    (tuf.metadata / "copy").write_bytes(tuf.repository.served("timestamp"))
    tuf.repository.serve("timestamp", redirect("file://%s" % (tuf.metadata / "copy")))
    assert tuf.refresh() == "mirror"
    assert tuf.stored() == {"root": 1}


def test_redirects_in_a_circle_are_refused(tuf):
    tuf.repository.serve("timestamp", redirect(tuf.server.url + "/metadata/timestamp.json"))
    assert tuf.refresh() == "mirror"
    assert len(tuf.asked()) < 10


@pytest.mark.parametrize("url", ["file:///etc/", "ftp://127.0.0.1/", "127.0.0.1", "", "http://a b/", "http://127.0.0.1/?q="])
def test_only_plain_http_and_https_urls_are_taken(tuf, url):
    assert tuf.run("--metadata-dir", tuf.metadata, "--metadata-url", url, "refresh") in ("url", "mirror")


# ---- proxies and TLS

def test_a_proxy_of_the_environment_is_used(tuf):
    assert tuf.run("--metadata-dir", tuf.metadata, "--metadata-url", "http://repository.invalid/metadata", "refresh",
                   http_proxy=tuf.server.url) == OK
    assert tuf.asked() == ["2.root", "timestamp", "1.snapshot", "1.targets"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("address, days, known, name", [
    ("127.0.0.1", 9, True, OK), ("127.0.0.1", 9, False, "mirror"), ("127.0.0.2", 9, True, "mirror"),
    ("127.0.0.1", -1, True, "mirror")], ids=["good", "unknown-authority", "another-name", "expired"])
def test_certificates_are_checked(tuf, certificates, address, days, known, name):
    server = Server(tuf.repository, certificates.server(address, days))
    words = ["--authorities", certificates.authority] if known else []
    try:
        assert tuf.run("--metadata-dir", tuf.metadata, "--metadata-url", server.url + "/metadata/", *words, "refresh") == name
        assert (tuf.asked() == []) == (name is not OK)
    finally:
        server.stop()


def test_a_redirect_from_https_to_http_is_refused(tuf, certificates):
    server = Server(tuf.repository, certificates.server("127.0.0.1", 9))
    tuf.repository.files["elsewhere/timestamp"] = tuf.repository.served("timestamp")
    tuf.repository.serve("timestamp", redirect(tuf.server.url + "/elsewhere/timestamp"))
    try:
        assert tuf.run("--metadata-dir", tuf.metadata, "--metadata-url", server.url + "/metadata/", "--authorities",
                       certificates.authority, "refresh") == "mirror"
        assert tuf.asked()[-1] == "timestamp"
    finally:
        server.stop()
