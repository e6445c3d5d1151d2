"""Encryption of private keys by passphrase: PBES2 with PBKDF2 and AES-256-CBC (RFC 8018)."""

from __future__ import annotations

import hashlib
import secrets

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.envelopes import der

_PBES2 = "1.2.840.113549.1.5.13"
_PBKDF2 = "1.2.840.113549.1.5.12"
_HMAC_SHA256 = "1.2.840.113549.2.9"
_AES256_CBC = "2.16.840.1.101.3.4.1.42"


def encrypt(plain: bytes, passphrase: bytes, rounds: int) -> bytes:
    """DER of EncryptedPrivateKeyInfo (RFC 5958 clause 3) around a PKCS #8 key."""
    salt, vector = secrets.token_bytes(16), secrets.token_bytes(16)
    derived = hashlib.pbkdf2_hmac("sha256", passphrase, salt, rounds, 32)
    padder = PKCS7(128).padder()
    encryptor = Cipher(AES256(derived), CBC(vector)).encryptor()
    encrypted = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    derivation = der.sequence(
        der.oid(_PBKDF2),
        der.sequence(der.octet_string(salt), der.integer(rounds), der.sequence(der.oid(_HMAC_SHA256), der.null())),
    )
    scheme = der.sequence(der.oid(_AES256_CBC), der.octet_string(vector))
    algorithm = der.sequence(der.oid(_PBES2), der.sequence(derivation, scheme))
    return der.sequence(algorithm, der.octet_string(encrypted))


def decrypt(raw: bytes, passphrase: bytes) -> bytes | None:
    """The PKCS #8 key inside, for what cryptography does not load; None when it was encrypted in another way.

    Raises MalformedError for a wrong passphrase, or bytes that are nothing of the kind.
    """
    outer = der.parse(raw).fields()
    algorithm = outer.take(der.SEQUENCE).fields()
    encrypted = outer.take(der.OCTET_STRING).octets()
    if algorithm.take().oid() != _PBES2:
        return None
    both = algorithm.take(der.SEQUENCE).fields()
    derivation, scheme = both.take().fields(), both.take().fields()
    both.done()
    if derivation.take().oid() != _PBKDF2 or scheme.take().oid() != _AES256_CBC:
        return None
    parameters = derivation.take(der.SEQUENCE).fields()
    salt, rounds = parameters.take(der.OCTET_STRING).octets(), parameters.take(der.INTEGER).integer()
    parameters.optional(der.INTEGER)  # the length of the key, which the cipher fixes
    if parameters.take(der.SEQUENCE).fields().take().oid() != _HMAC_SHA256:
        return None
    if not 0 < rounds <= limits.PBKDF2_ROUNDS_MAX:
        message = f"{rounds} rounds of PBKDF2"
        raise MalformedError(message)
    derived = hashlib.pbkdf2_hmac("sha256", passphrase, salt, rounds, 32)
    try:
        decryptor = Cipher(AES256(derived), CBC(scheme.take(der.OCTET_STRING).octets())).decryptor()
        unpadder = PKCS7(128).unpadder()
        return unpadder.update(decryptor.update(encrypted) + decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        message = "wrong passphrase"
        raise MalformedError(message) from None
