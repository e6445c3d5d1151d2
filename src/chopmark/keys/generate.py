"""New keys: made, encrypted, and stored so that nobody else can read them and nothing gets overwritten."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chopmark.core import patch
from chopmark.core.errors import UsageError
from chopmark.envelopes import pem
from chopmark.keys import ml_dsa

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.keys.software import PrivateKey

KINDS: dict[str, Callable[[], PrivateKey]] = {
    "rsa-3072": partial(rsa.generate_private_key, 65537, 3072),
    "rsa-4096": partial(rsa.generate_private_key, 65537, 4096),
    "p256": partial(ec.generate_private_key, ec.SECP256R1()),
    "p384": partial(ec.generate_private_key, ec.SECP384R1()),
    "p521": partial(ec.generate_private_key, ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    **{kind: partial(ml_dsa.new, kind) for kind in ml_dsa.CLASSES},
}
"""What `chopmark key new --type` offers."""

PBKDF2_ROUNDS = 600_000
"""HMAC-SHA-256 iterations; cryptography's own PKCS #8 encryption has 2,048, which a graphics card laughs at."""


def new(kind: str) -> PrivateKey:
    """A fresh key of one of KINDS. Raises UsageError."""
    if kind not in KINDS:
        message = f"unknown type of key {kind!r}: one of {', '.join(KINDS)}"
        raise UsageError(message)
    return KINDS[kind]()


def encode(key: PrivateKey, passphrase: bytes | None, *, rounds: int = 0) -> bytes:
    """PEM of PKCS #8; with a passphrase encrypted by PBES2: PBKDF2-HMAC-SHA-256 and AES-256-CBC (RFC 8018).

    `rounds` is the work of each guess, PBKDF2_ROUNDS when 0.
    """
    rounds = rounds or PBKDF2_ROUNDS
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    if passphrase is None:
        return pem.encode("PRIVATE KEY", plain)
    from chopmark.keys import pbes2

    return pem.encode("ENCRYPTED PRIVATE KEY", pbes2.encrypt(plain, passphrase, rounds))


def store(path: str, data: bytes, *, replace: bool = False) -> None:
    """Write a key file, readable by its owner alone, whole or not at all.

    Raises UsageError when the name is taken and `replace` is not set; WriteError when it cannot be written.
    """
    try:
        patch.write_file(path, data, 0o600, fresh=not replace)
    except FileExistsError:
        message = f"{path}: exists already, and a key that is overwritten is lost (--force does it all the same)"
        raise UsageError(message) from None
