"""Files of private keys: PKCS #8 plain and encrypted, PKCS #1, SEC 1, PKCS #12; what is opened signs, or says why."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat, pkcs12

from chopmark import keys
from chopmark.keys import pbes2
from tests.support import der_trees, pki, probing

_SECRET = b"open"
_ROUNDS = 16
_FOLDER = tempfile.TemporaryDirectory()
_PATH = Path(_FOLDER.name) / "key"


def seeds() -> Iterable[bytes]:
    for kind in ("p256", "p384", "ed25519", "rsa2048", "ml-dsa-44", "ml-dsa-65"):
        plain = _plain(pki.key(kind), PrivateFormat.PKCS8)
        yield plain
        yield pbes2.encrypt(plain, _SECRET, _ROUNDS)
    for kind in ("p256", "rsa2048"):
        yield _plain(pki.key(kind), PrivateFormat.TraditionalOpenSSL)
    yield pki.leaf(None).private_pem() + pki.leaf(None).pem
    signer = pki.world().signer
    protected = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(_ROUNDS).hmac_hash(hashes.SHA256())
    for encryption in (NoEncryption(), protected.build(_SECRET)):
        yield pkcs12.serialize_key_and_certificates(b"a", signer.private_key, signer.certificate, None, encryption)  # type: ignore[arg-type]


def _plain(key: pki.Key, form: PrivateFormat) -> bytes:
    return key.private_bytes(serialization.Encoding.DER, form, NoEncryption())


mutate = der_trees.mutate


def run(data: bytes) -> None:
    _PATH.write_bytes(data)
    _PATH.chmod(0o600)
    for scheme in ("file", "pkcs12"):
        probing.clearly(lambda scheme=scheme: _used(f"{scheme}:{_PATH}"))  # type: ignore[misc]


def _used(uri: str) -> None:
    signer = keys.open_key(uri, lambda _: _SECRET)
    assert signer.public_key
    signer.sign(b"data", "sha512")
