"""`minisign:PATH`: a secret key file of minisign or of OpenBSD's signify.

Minisign encrypts with scrypt, unless told not to (`minisign -G -W`). Signify encrypts with bcrypt, which is not
supported: only its keys without a passphrase (`signify -G -n`) can be used.
"""

from __future__ import annotations

import binascii
import hashlib
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.envelopes import spki
from chopmark.keys.errors import PassphraseError, UnusableKeyError
from chopmark.keys.file import read, refuse_exposed
from chopmark.keys.passphrase import UNSAID

if TYPE_CHECKING:
    from chopmark.keys.file import KeyFile
    from chopmark.keys.passphrase import Passphrase
    from chopmark.keys.uri import KeyUri

_COMMENT = b"untrusted comment: "
_LINES = 3
"""A comment, the key, and nothing behind the last line break."""
_MINISIGN_SIZE, _SIGNIFY_SIZE = 158, 104
_SECRET = slice(54, 158)
"""Number, seed, public key and a checksum, encrypted."""
_SCRYPT_R = 8
_OPERATIONS_MIN = 32768
_PARALLEL_MAX = 0x3FFFFFFF
_ROUNDS = slice(4, 8)


class MinisignSigner:
    """An Ed25519 key as a Signer (core.contracts), with the number that minisign and signify know it by."""

    algorithm = "ed25519"
    certificates: tuple[bytes, ...] = ()

    def __init__(self, seed: bytes, number: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = spki.ed25519_key(self._key.public_key().public_bytes_raw())
        self.number = number

    def sign(self, data: bytes, digest_algorithm: str) -> bytes:  # noqa: ARG002 - Ed25519 has its own
        """The raw signature over `data`."""
        return self._key.sign(data)


class _Opened(NamedTuple):
    number: bytes
    seed: bytes
    public: bytes


def open_key(uri: KeyUri, passphrase: Passphrase) -> MinisignSigner:
    """Open a secret key file. Raises UnusableKeyError, PassphraseError (both UsageError), InputError."""
    uri.only()
    file = read(uri.path)
    lines = file.data.split(b"\n")
    if len(lines) != _LINES or not lines[0].startswith(_COMMENT):
        raise _unusable(uri.path, "not a secret key of minisign or signify")
    try:
        raw = binascii.a2b_base64(lines[1], strict_mode=True)
    except binascii.Error:
        raise _unusable(uri.path, "not base64") from None
    if len(raw) == _MINISIGN_SIZE and raw[:2] == b"Ed" and raw[4:6] == b"B2":
        found = _minisign(file, raw, passphrase)
    elif len(raw) == _SIGNIFY_SIZE and raw[:4] == b"EdBK":
        found = _signify(file, raw)
    else:
        raise _unusable(uri.path, "a kind of key that is not known")
    signer = MinisignSigner(found.seed, found.number)
    if signer.public_key != spki.ed25519_key(found.public):
        raise _unusable(uri.path, "its two halves do not belong together")
    return signer


def _minisign(file: KeyFile, raw: bytes, passphrase: Passphrase) -> _Opened:
    """Algorithm, KDF, checksum algorithm, salt, limits of the KDF; then what is encrypted."""
    secret = raw[_SECRET]
    if raw[2:4] == b"Sc":
        given = passphrase(file.path)
        if given is None:
            message = f"{file.path}: the key is encrypted: {UNSAID}"
            raise PassphraseError(message)
        operations, memory = (int.from_bytes(raw[at : at + 8], "little") for at in (38, 46))
        stream = _scrypt(file.path, given, raw[6:38], operations, memory)
        secret = bytes(one ^ other for one, other in zip(secret, stream, strict=True))
        if hashlib.blake2b(raw[:2] + secret[:72], digest_size=32).digest() != secret[72:]:
            message = f"{file.path}: wrong passphrase"
            raise PassphraseError(message)
    elif raw[2:4] != b"\0\0":
        raise _unusable(file.path, "encrypted in an unknown way")
    else:
        refuse_exposed(file)
    return _Opened(secret[:8], secret[8:40], secret[40:72])


def _scrypt(path: str, given: bytes, salt: bytes, operations: int, memory: int) -> bytes:
    """The parameters as libsodium derives them from its limits (crypto_pwhash_scryptsalsa208sha256)."""
    if memory > limits.KDF_MEMORY_MAX or operations > limits.KDF_MEMORY_MAX:
        raise _unusable(path, "its encryption asks for more memory than is allowed")
    operations = max(operations, _OPERATIONS_MIN)
    parallel = 1
    if operations < memory // 32:
        power = _power(operations // (_SCRYPT_R * 4))
    else:
        power = _power(memory // (_SCRYPT_R * 128))
        parallel = max(1, min(operations // 4 // 2**power, _PARALLEL_MAX) // _SCRYPT_R)
    length = _SECRET.stop - _SECRET.start
    return Scrypt(salt=salt, length=length, n=2**power, r=_SCRYPT_R, p=parallel).derive(given)


def _power(most: int) -> int:
    """The exponent of scrypt's N: the first power of two that is more than half of `most`."""
    power = 1
    while 2**power <= most // 2:
        power += 1
    return power


def _signify(file: KeyFile, raw: bytes) -> _Opened:
    """Algorithm, KDF, rounds, salt, checksum, number; then seed and public key, encrypted where there are rounds."""
    if any(raw[_ROUNDS]):
        raise _unusable(file.path, "it is encrypted with bcrypt, which is not supported (signify -G -n makes it plain)")
    number, key = raw[32:40], raw[40:104]
    if hashlib.sha512(key).digest()[:8] != raw[24:32]:
        raise _unusable(file.path, "its checksum does not fit: it is damaged")
    refuse_exposed(file)
    return _Opened(number, key[:32], key[32:])


def _unusable(path: str, why: str) -> UnusableKeyError:
    return UnusableKeyError(f"{path}: {why}")
