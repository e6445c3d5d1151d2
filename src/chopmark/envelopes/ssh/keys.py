"""SSH's public keys: plain ones, those of security keys, and certificates; and signatures by them.

RFC 4253 clause 6.6, RFC 5656, RFC 8332, RFC 8709; PROTOCOL.u2f and PROTOCOL.certkeys of OpenSSH.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, utils

from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import algorithms, signatures
from chopmark.envelopes import spki as infos
from chopmark.envelopes.ssh import wire

CERTIFICATE_SUFFIX = "-cert-v01@openssh.com"
_SK = "@openssh.com"
_SK_ED25519, _SK_ECDSA = "sk-ssh-ed25519" + _SK, "sk-ecdsa-sha2-nistp256" + _SK
_USER = 1
_FOREVER = (1 << 64) - 1
_LAST = dt.datetime.max.replace(tzinfo=dt.UTC)
USER_PRESENT, USER_VERIFIED = 1, 4

CURVES: dict[str, tuple[ec.EllipticCurve, str]] = {
    "nistp256": (ec.SECP256R1(), "sha256"),
    "nistp384": (ec.SECP384R1(), "sha384"),
    "nistp521": (ec.SECP521R1(), "sha512"),
}
"""The curves of RFC 5656, and the digest that SSH fixes for each (clause 6.2.1)."""
_RSA = {"rsa-sha2-256": "sha256", "rsa-sha2-512": "sha512"}


class Certificate(NamedTuple):
    """What a CA says of a key: who has it, since when and until when, and what a verifier must understand."""

    key_id: str
    serial: int
    user: bool
    principals: tuple[str, ...]
    valid_after: dt.datetime
    valid_before: dt.datetime
    critical: tuple[str, ...]
    authority: bytes
    signed: bool


class Key(NamedTuple):
    """A public key: `blob` is SSH's own form without a certificate around it, `spki` the one of everybody else.

    `application` is that of a security key, None for other keys.
    """

    kind: str
    blob: bytes
    spki: bytes
    application: bytes | None = None
    certificate: Certificate | None = None

    @property
    def shown(self) -> str:
        """Its fingerprint as ssh-keygen -l prints it."""
        return shown(self.blob)


class Answer(NamedTuple):
    """What a signature says besides holding: the digest it rests on, and the flags of a security key."""

    holds: bool
    digest_algorithm: str
    flags: int | None = None


def shown(blob: bytes) -> str:
    """The fingerprint of a key as ssh-keygen -l prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def read(blob: bytes) -> Key:
    """A public key, or a certificate around one. Raises MalformedError, UnsupportedError for kinds that are unknown."""
    reader = wire.Reader(blob)
    kind = reader.text()
    certified = kind.endswith(CERTIFICATE_SUFFIX)
    plain = kind.removesuffix(CERTIFICATE_SUFFIX)
    if certified:
        plain += _SK if plain.startswith("sk-") else ""
        reader.string()  # a nonce
    start = reader.place
    spki, application = _fields(plain, reader)
    own = wire.string(plain.encode()) + blob[start : reader.place]
    certificate = _certificate(blob, reader) if certified else None
    reader.done()
    return Key(plain, own, spki, application, certificate)


def _fields(kind: str, reader: wire.Reader) -> tuple[bytes, bytes | None]:
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
    application = None
    try:
        if kind == "ssh-rsa":
            exponent, modulus = reader.mpint(), reader.mpint()
            key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        elif kind in ("ssh-ed25519", _SK_ED25519):
            key = ed25519.Ed25519PublicKey.from_public_bytes(reader.string())
        elif kind.removesuffix(_SK).removeprefix("sk-").startswith("ecdsa-sha2-"):
            key = _point(kind, reader)
        else:
            raise algorithms.UnsupportedError(f"an SSH key of the kind {kind[:64]!r}")
    except (ValueError, OverflowError):
        raise MalformedError("a public key that is none") from None
    if kind in (_SK_ED25519, _SK_ECDSA):
        application = reader.string()
    return infos.of(key), application


def _point(kind: str, reader: wire.Reader) -> ec.EllipticCurvePublicKey:
    name = reader.text()
    if name not in CURVES or kind not in (f"ecdsa-sha2-{name}", f"sk-ecdsa-sha2-{name}{_SK}"):
        raise algorithms.UnsupportedError(f"an SSH key of the kind {kind[:64]!r} on the curve {name[:64]!r}")
    point = reader.string()
    if point[:1] != b"\x04":
        raise MalformedError("a compressed point")
    return ec.EllipticCurvePublicKey.from_encoded_point(CURVES[name][0], point)


def _certificate(blob: bytes, reader: wire.Reader) -> Certificate:
    """The rest of a certificate; whether its CA signed it is said, not raised."""
    serial, user, key_id = reader.long(), reader.number() == _USER, reader.string()
    names = wire.Reader(reader.string())
    principals = []
    while names.left():
        principals.append(names.string().decode("utf-8", "replace"))
    after, before = _time(reader.long()), _time(reader.long())
    options = wire.Reader(reader.string())
    critical = []
    while options.left():
        critical.append(options.text())
        options.string()
    reader.string()  # extensions, which nobody must understand
    reader.string()  # reserved
    authority = reader.string()
    covered = blob[: reader.place]
    signature = reader.string()
    issuer = read(authority)
    signed = issuer.certificate is None and verify(issuer, signature, covered).holds
    shown_id = key_id.decode("utf-8", "replace")
    return Certificate(shown_id, serial, user, tuple(principals), after, before, tuple(critical), issuer.blob, signed)


def _time(seconds: int) -> dt.datetime:
    if seconds >= _FOREVER:
        return _LAST
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return _LAST


def verify(key: Key, blob: bytes, data: bytes) -> Answer:
    """Check a signature (algorithm and value) over data. Raises MalformedError, UnsupportedError (ssh-rsa is SHA-1)."""
    reader = wire.Reader(blob)
    algorithm, value = reader.text(), reader.string()
    if key.application is not None:
        return _by_security_key(key, algorithm, value, reader, data)
    reader.done()
    digest = _digest(key, algorithm)
    kind = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}.get(key.kind, "ecdsa")
    if kind == "ecdsa":
        value = _der(value)
    return Answer(_holds(key, kind, digest, value, data), digest)


def _digest(key: Key, algorithm: str) -> str:
    if key.kind == "ssh-rsa" and algorithm in _RSA:
        return _RSA[algorithm]
    if algorithm != key.kind or key.kind == "ssh-rsa":
        raise algorithms.UnsupportedError(f"a signature {algorithm[:64]!r} by a key {key.kind}")
    return CURVES[key.kind.removeprefix("ecdsa-sha2-")][1] if key.kind.startswith("ecdsa-") else "sha512"


def _by_security_key(key: Key, algorithm: str, value: bytes, reader: wire.Reader, data: bytes) -> Answer:
    """What a security key signs: its application, flags and counter, and the digest of the data (PROTOCOL.u2f)."""
    flags, counter = reader.take(1), reader.take(4)
    reader.done()
    if algorithm != key.kind:
        raise algorithms.UnsupportedError(f"a signature {algorithm[:64]!r} by a key {key.kind}")
    covered = hashlib.sha256(key.application or b"").digest() + flags + counter + hashlib.sha256(data).digest()
    kind = "ed25519" if key.kind == _SK_ED25519 else "ecdsa"
    value = value if kind == "ed25519" else _der(value)
    return Answer(_holds(key, kind, "sha256", value, covered), "sha256", flags[0])


def _der(value: bytes) -> bytes:
    numbers = wire.Reader(value)
    first, second = numbers.mpint(), numbers.mpint()
    numbers.done()
    return utils.encode_dss_signature(first, second)


def _holds(key: Key, kind: str, digest: str, value: bytes, data: bytes) -> bool:
    algorithm = algorithms.SignatureAlgorithm(kind, None if kind == "ed25519" else digest)
    try:
        signatures.verify(key.spki, algorithm, value, data)
    except signatures.BadSignatureError:
        return False
    return True
