"""The certificate that signs RAUC's bundles and SWUpdate's images, and that their devices trust."""
from pairs import call


def certificate(pair):
    """(certificate, its key) in the pair's folder."""
    path, key = pair.work / "certificate.pem", pair.work / "certificate.key"
    if not path.exists():
        call("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=bench", "-days", 3650, "-addext",
             "extendedKeyUsage=emailProtection,codeSigning", "-addext", "keyUsage=digitalSignature", "-keyout", key, "-out", path)
    return path, key
