"""SWUpdate: the whole tree as one archive in a signed image, unpacked by its archive handler as it streams. It knows the
archive's hash from the signed description, syncs the machine once, and has no other slot and no way back by itself. A second
of each call is its own, whatever the size. (Its delta handler needs zchunk, which Debian's build has not.)"""
import hashlib

from cost import Cost
from pairs import emptied, stale
from peers.certificate import certificate
from peers.tars import full

DESCRIPTION = """software = {
	version = "new";
	hardware-compatibility: ["1"];
	files: ({
		filename = "new.tar.zst"; type = "archive"; path = "."; compressed = "zstd"; sha256 = "%s";
		preserve-attributes = true; installed-directly = true;
	});
};
"""


def image(pair):
    return pair.work / "new.swu"


def make(pair):
    """The archive is that of the row "full", packed and signed."""
    archive, parts = full(pair), emptied(pair.work / "swupdate")
    (parts / archive.name).hardlink_to(archive)
    (parts / "sw-description").write_text(DESCRIPTION % hashlib.sha256(archive.read_bytes()).hexdigest())
    signer, key = certificate(pair)
    cost = Cost().run(["openssl", "cms", "-sign", "-in", parts / "sw-description", "-out", parts / "sw-description.sig",
                       "-signer", signer, "-inkey", key, "-outform", "DER", "-nosmimecap", "-binary"])
    with open(image(pair), "wb") as packed:
        cost.run(["printf", "%s\\n", "sw-description", "sw-description.sig", archive.name], ["cpio", "-o", "-H", "crc"],
                 cwd=parts, stdout=packed)
    return image(pair).stat().st_size, cost


def ready(pair):
    if stale(image(pair), full(pair)):
        make(pair)


def install(cost, pair, into):
    """The description says where to, and is signed: here, wherever that is."""
    return cost.run(["swupdate", "-H", "bench:1", "-k", certificate(pair)[0], "-i", image(pair)], cwd=into)
