"""`openpgp:PATH`: a secret key as `gpg --export-secret-keys` writes it, armoured or not.

Parameter: `key`, the fingerprint (or its end) of the key or subkey to sign with, where it is not the newest subkey
that may sign, or else the key itself. Encryption with a passphrase is that of GnuPG (RFC 9580 clause 3.7.2.1, usage
254: CFB with a SHA-1 over the secret); AEAD is not supported.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from chopmark.core import digest, limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes.openpgp import armor, certificates, keys, mathematics, packets
from chopmark.envelopes.openpgp.packets import Packet, Reader
from chopmark.envelopes.openpgp.signatures import V4, V6
from chopmark.keys.errors import PassphraseError, UnusableKeyError
from chopmark.keys.file import read, refuse_exposed
from chopmark.keys.passphrase import UNSAID
from chopmark.keys.software import SoftwareSigner, checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.envelopes.openpgp.certificates import Held
    from chopmark.envelopes.openpgp.keys import Key
    from chopmark.keys.file import KeyFile
    from chopmark.keys.passphrase import Passphrase
    from chopmark.keys.software import PrivateKey
    from chopmark.keys.uri import KeyUri

_PUBLIC = {packets.SECRET_KEY: packets.PUBLIC_KEY, packets.SECRET_SUBKEY: packets.PUBLIC_SUBKEY}
_PLAIN, _CFB = 0, 254
_SALTED, _ITERATED, _GNU = 1, 3, 101
_CIPHERS = {7: 16, 8: 24, 9: 32}
"""AES by the octets of its key."""
_CHECK = 20


class OpenPgpSigner(SoftwareSigner):
    """A key in memory as a Signer (core.contracts), and `openpgp`, the same key as OpenPGP has it.

    A digest shorter than the curve is not used (RFC 9580 clause 5.2.3.2), and refused by GnuPG.
    """

    __slots__ = ("digests", "openpgp")

    def __init__(self, private: PrivateKey, key: Key) -> None:
        super().__init__(private)
        self.openpgp = key
        self.digests = tuple(name for name in digest.SIGNING_ALGORITHMS if _fits(key, name))


def _fits(key: Key, name: str) -> bool:
    if key.algorithm != mathematics.ECDSA:
        return True
    return 8 * digest.ALGORITHMS[name].size >= min(_curve(key).key_size, 512)


def _fields(key: Key) -> Reader:
    """The fields that are the key itself, behind its version, time, kind and (version 6) length."""
    return Reader(key.body[6:] if key.version == V4 else key.body[10:])


def _curve(key: Key) -> ec.EllipticCurve:
    own = _fields(key)
    return mathematics.CURVES[own.take(own.number(1))]


class _Secret(NamedTuple):
    key: Key
    rest: bytes


def open_key(uri: KeyUri, passphrase: Passphrase) -> OpenPgpSigner:
    """Open a secret key. Raises UnusableKeyError, PassphraseError (both UsageError), InputError."""
    uri.only("key")
    file = read(uri.path)
    try:
        held, secrets = _read(file.data)
        chosen = _chosen(held, uri.parameters.get("key", "").upper())
        secret = secrets[chosen.fingerprint]
        private = _private(secret.key, Reader(_opened(file, secret, passphrase)))
    except PassphraseError:
        raise
    except (MalformedError, ValueError, KeyError, ArithmeticError) as error:
        raise UnusableKeyError(f"{uri.path}: {str(error).strip(chr(39)) or 'not a secret key of OpenPGP'}") from None
    signer = OpenPgpSigner(checked(private, uri.path), chosen)
    if signer.public_key != chosen.spki:
        raise UnusableKeyError(f"{uri.path}: its two halves do not belong together")
    return signer


def _read(data: bytes) -> tuple[list[Held], dict[bytes, _Secret]]:
    """The certificate that the secret key comes with, and the secrets by fingerprint."""
    if data.startswith(b"-----BEGIN"):
        data, _ = armor.unwrap(data, armor.SECRET_KEY)
    found: list[Packet] = []
    secrets: dict[bytes, _Secret] = {}
    for packet in packets.read(data):
        if packet.tag not in _PUBLIC:
            found.append(packet)
            continue
        reader = Reader(packet.body)
        key = _public(reader)
        if key is not None:
            secrets[key.fingerprint] = _Secret(key, reader.rest())
            found.append(Packet(_PUBLIC[packet.tag], key.body))
        elif packet.tag == packets.SECRET_KEY:
            raise MalformedError("a secret key of an unknown kind")
        else:
            found.append(Packet(packets.PUBLIC_SUBKEY, b""))  # so that its signatures do not go to the one before
    rings = certificates.split(found)
    if len(rings) != 1:
        raise MalformedError(f"{len(rings)} secret keys instead of one")
    return certificates.read(rings[0]), secrets


def _public(reader: Reader) -> Key | None:
    """The public half at the beginning; None for kinds that do not sign, whose end cannot be found."""
    if reader.data[5:6] and reader.data[5] not in mathematics.SIGNING:
        return None
    return keys.read(reader)


def _chosen(held: Sequence[Held], wanted: str) -> Key:
    fitting = [each for each in held if keys.shown(each.key.fingerprint).endswith(wanted)]
    able = [each for each in fitting if not (each.standing.barred or each.standing.revoked)]
    if not able:
        why = fitting[0].standing.barred or fitting[0].standing.revoked if fitting else "there is no such key in it"
        raise MalformedError(f"no key in it signs: {why}")
    subkeys = [each.key for each in able if each.key != each.primary]
    return max(subkeys, key=lambda key: key.created) if subkeys else able[0].key


def _opened(file: KeyFile, secret: _Secret, passphrase: Passphrase) -> bytes:
    """The secret's own fields (clause 5.5.3)."""
    reader = Reader(secret.rest)
    usage = reader.number(1)
    if usage == _PLAIN:
        refuse_exposed(file)
        plain = reader.rest()
        if secret.key.version == V6:
            return plain
        if sum(plain[:-2]) & 0xFFFF != int.from_bytes(plain[-2:], "big"):
            raise MalformedError("its checksum does not fit: it is damaged")
        return plain[:-2]
    if usage != _CFB:
        raise MalformedError("it is encrypted in a way that is not supported")
    parameters = reader
    if secret.key.version == V6:
        parameters = Reader(reader.take(reader.number(1)))
    size = _CIPHERS.get(parameters.number(1))
    derive = _derivation(Reader(parameters.take(parameters.number(1))) if secret.key.version == V6 else parameters)
    if size is None:
        raise MalformedError("it is encrypted with a cipher that is not supported (AES is)")
    vector = parameters.take(16)
    given = passphrase(file.path)
    if given is None:
        raise PassphraseError(f"{file.path}: the key is encrypted: {UNSAID}")
    from cryptography.hazmat.decrepit.ciphers.modes import CFB

    stream = Cipher(algorithms.AES(derive.key(given, size)), CFB(vector)).decryptor()
    plain = stream.update(reader.rest()) + stream.finalize()
    if hashlib.sha1(plain[:-_CHECK], usedforsecurity=False).digest() != plain[-_CHECK:]:
        raise PassphraseError(f"{file.path}: wrong passphrase")
    return plain[:-_CHECK]


class _Derivation(NamedTuple):
    """How a key comes from a passphrase (clause 3.7.1.3): so many octets of salt and passphrase are hashed."""

    digest: str
    salt: bytes
    octets: int

    def key(self, given: bytes, size: int) -> bytes:
        unit, found = self.salt + given, b""
        count = max(self.octets, len(unit))
        repeated = (unit * (count // len(unit) + 1))[:count]
        while len(found) < size:
            found += hashlib.new(self.digest, bytes(len(found) and 1) + repeated, usedforsecurity=False).digest()
        return found[:size]


def _derivation(reader: Reader) -> _Derivation:
    kind, name = reader.number(1), mathematics.DIGESTS.get(reader.number(1))
    if kind == _GNU:
        raise MalformedError("the secret is not in it, but in a card or elsewhere")
    if kind not in (_SALTED, _ITERATED) or name is None:
        raise MalformedError("its passphrase is used in a way that is not supported")
    salt = reader.take(8)
    coded = reader.number(1) if kind == _ITERATED else None
    count = 0 if coded is None else (16 + (coded & 15)) << (coded >> 4) + 6
    if count > limits.KDF_MEMORY_MAX:
        raise MalformedError("its encryption asks for more memory than is allowed")
    return _Derivation(name, salt, count)


def _private(key: Key, fields: Reader) -> object:
    if key.algorithm in (mathematics.RSA, mathematics.RSA_SIGN):
        d, p, q, _ = (fields.mpi() for _ in range(4))
        own = _fields(key)
        n, e = own.mpi(), own.mpi()
        numbers = rsa.RSAPublicNumbers(e, n)
        made = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), rsa.rsa_crt_iqmp(p, q), numbers)
        return made.private_key()
    if key.algorithm == mathematics.ECDSA:
        return ec.derive_private_key(fields.mpi(), _curve(key))
    if key.algorithm == mathematics.EDDSA:
        return ed25519.Ed25519PrivateKey.from_private_bytes(fields.mpi().to_bytes(32, "big"))
    if key.algorithm == mathematics.ED25519:
        return ed25519.Ed25519PrivateKey.from_private_bytes(fields.take(32))
    raise MalformedError(f"a key of the kind {mathematics.SIGNING[key.algorithm]}, with which nothing is signed here")
