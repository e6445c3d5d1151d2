"""Certificates, lists and proofs for tests of trust: by cryptography's builders, and by hand what those refuse."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509 as builders
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa

from chopmark.core.errors import UnavailableError
from chopmark.core.finding import Outcome
from chopmark.core.proof import Proof, Stamp
from chopmark.core.reasons import OK, Reason
from chopmark.envelopes import der, x509
from chopmark.trust import context
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.support import pki

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from chopmark.core.contracts import Fetcher
    from chopmark.core.finding import Finding
    from chopmark.trust.judge import Judgement

CODE = x509.EKU_CODE_SIGNING
TIME = x509.EKU_TIME_STAMPING
SOUND = Reason("test.sound", OK, "The mathematics of this signature is tested elsewhere.")

_DIGESTS: dict[str, tuple[str, hashes.HashAlgorithm]] = {
    "md5": ("1.2.840.113549.1.1.4", hashes.MD5()),  # noqa: S303 - what must be refused has to be made first
    "sha1": ("1.2.840.113549.1.1.5", hashes.SHA1()),  # noqa: S303 - same
    "sha256": ("1.2.840.113549.1.1.11", hashes.SHA256()),
}
_TRUE = b"\x01\x01\xff"
_ECDSA_SHA256 = "1.2.840.10045.4.3.2"


def day(text: str) -> dt.datetime:
    """Midnight UTC of a day."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def spki(key: pki.Key) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def read(entity: pki.Entity) -> x509.Certificate:
    return x509.certificate(entity.der)


# Certificates by hand


class Extension(NamedTuple):
    """An extension as DER goes into a certificate."""

    oid: str
    value: bytes
    critical: bool = False

    def encoded(self) -> bytes:
        flag = _TRUE if self.critical else b""
        return der.sequence(der.oid(self.oid), flag, der.octet_string(self.value))


def name(common: str, organisation: str = "Example Mint", *, kind: int = der.UTF8_STRING) -> bytes:
    """A Name of two attributes, their text in a string type of choice."""
    pairs = (("2.5.4.10", organisation), ("2.5.4.3", common))
    codec = {der.UTF8_STRING: "utf-8", der.PRINTABLE_STRING: "ascii", der.BMP_STRING: "utf-16-be"}[kind]
    return der.sequence(
        *(der.encode(der.SET, der.sequence(der.oid(oid), der.encode(kind, text.encode(codec)))) for oid, text in pairs)
    )


def ca_extensions(path_length: int | None = None, *, ca: bool = True, usage: bytes = b"\x01\x06") -> list[Extension]:
    """Basic constraints and key usage (certificates and CRLs by default)."""
    limit = der.integer(path_length) if path_length is not None else b""
    constraints = der.sequence(_TRUE if ca else b"", limit)
    return [
        Extension(x509.BASIC_CONSTRAINTS, constraints, critical=True),
        Extension(x509.KEY_USAGE, der.encode(der.BIT_STRING, usage), critical=True),
    ]


def purposes(*oids: str, critical: bool = False) -> Extension:
    return Extension(x509.EXTENDED_KEY_USAGE, der.sequence(*map(der.oid, oids)), critical)


class Cert(NamedTuple):
    """A certificate made by hand, with its key and name."""

    raw: bytes
    key: pki.Key
    name: bytes

    @property
    def view(self) -> x509.Certificate:
        return x509.certificate(self.raw)


def make(
    subject: bytes,
    key: pki.Key,
    issuer: Cert | None = None,
    *,
    issuer_name: bytes | None = None,
    extensions: Sequence[Extension] = (),
    since: dt.datetime = pki.SINCE,
    until: dt.datetime = pki.UNTIL,
    digest: str = "sha256",
    serial: bytes = b"",
    version: int = 3,
    inner_digest: str = "",
    key_info: bytes = b"",
) -> Cert:
    """A certificate of given parts, signed by `issuer`, or by itself."""
    signing_key = issuer.key if issuer else key
    above = issuer_name if issuer_name is not None else issuer.name if issuer else subject
    tbs = der.sequence(
        der.explicit(0, der.integer(version - 1)) if version > 1 else b"",
        der.encode(der.INTEGER, serial or b"\x01" + hashlib.sha256(subject + spki(key)).digest()[:15]),
        _identifier(signing_key, inner_digest or digest),
        above,
        der.sequence(der.time(since), der.time(until)),
        subject,
        key_info or spki(key),
        der.explicit(3, der.sequence(*(each.encoded() for each in extensions))) if extensions else b"",
    )
    signature = signed(tbs, signing_key, digest)
    return Cert(der.sequence(tbs, _identifier(signing_key, digest), der.bit_string(signature)), key, subject)


def signed(data: bytes, key: pki.Key | dsa.DSAPrivateKey, digest: str) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), _DIGESTS[digest][1])
    if isinstance(key, dsa.DSAPrivateKey):
        return key.sign(data, _DIGESTS[digest][1])
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(_DIGESTS[digest][1], deterministic_signing=True))
    return key.sign(data)


def own_curve(key: pki.Key) -> bytes:
    """The public key of `key` with its curve spelt out instead of named, as in CVE-2020-0601."""
    fields = der.parse(spki(key)).fields()
    fields.take()
    field = der.sequence(der.oid("1.2.840.10045.1.1"), der.integer(2**256 - 2**224 + 2**192 + 2**96 - 1))
    curve = der.sequence(der.octet_string(b"\xff" * 32), der.octet_string(b"\x5a" * 32))
    point = fields.take().bit_string()
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    parameters = der.sequence(der.integer(1), field, curve, der.octet_string(point), der.integer(order))
    return der.sequence(der.sequence(der.oid("1.2.840.10045.2.1"), parameters), der.bit_string(point))


def _identifier(key: pki.Key | dsa.DSAPrivateKey, digest: str) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return der.sequence(der.oid(_DIGESTS[digest][0]), der.null())
    if isinstance(key, dsa.DSAPrivateKey):
        return der.sequence(der.oid({"sha1": "1.2.840.10040.4.3", "sha256": "2.16.840.1.101.3.4.3.2"}[digest]))
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return der.sequence(der.oid("1.3.101.112"))
    return der.sequence(der.oid(_ECDSA_SHA256 if digest == "sha256" else "1.2.840.10045.4.1"))


# Lists


class Revoked(NamedTuple):
    """An entry of a list: dates, and a reason by cryptography's name."""

    certificate: pki.Entity
    date: dt.datetime
    invalid_since: dt.datetime | None = None
    reason: str = ""


def revocations(
    issuer: pki.Entity,
    *entries: Revoked,
    since: dt.datetime = pki.NOW - dt.timedelta(days=1),
    until: dt.datetime | None = None,
    extensions: Sequence[tuple[builders.ExtensionType, bool]] = (),
    signer: pki.Entity | None = None,
) -> bytes:
    """A CRL by cryptography's builder, in DER; by default from yesterday and for a week."""
    builder = (
        builders.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(since)
        .next_update(until or since + dt.timedelta(days=7))
    )
    for entry in entries:
        revoked = (
            builders.RevokedCertificateBuilder()
            .serial_number(entry.certificate.certificate.serial_number)
            .revocation_date(entry.date)
        )
        if entry.reason:
            revoked = revoked.add_extension(builders.CRLReason(builders.ReasonFlags(entry.reason)), critical=False)
        if entry.invalid_since:
            revoked = revoked.add_extension(builders.InvalidityDate(entry.invalid_since), critical=False)
        builder = builder.add_revoked_certificate(revoked.build())
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    key = (signer or issuer).private_key
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)


def list_by_hand(
    issuer: pki.Entity,
    entries: Iterable[bytes] = (),
    *,
    extensions: Sequence[Extension] = (),
    since: dt.datetime = pki.NOW - dt.timedelta(days=1),
    until: dt.datetime | None = pki.NOW + dt.timedelta(days=7),
    digest: str = "sha256",
) -> bytes:
    """A CRL of given parts, each entry in DER."""
    block = b"".join(entries)
    tbs = der.sequence(
        der.integer(1),
        _identifier(issuer.private_key, digest),
        issuer.certificate.subject.public_bytes(),
        der.time(since),
        der.time(until) if until else b"",
        der.sequence(block) if block else b"",
        der.explicit(0, der.sequence(*(each.encoded() for each in extensions))) if extensions else b"",
    )
    signature = signed(tbs, issuer.private_key, digest)
    return der.sequence(tbs, _identifier(issuer.private_key, digest), der.bit_string(signature))


def entry(serial: bytes, date: dt.datetime, *extensions: Extension) -> bytes:
    block = der.sequence(*(each.encoded() for each in extensions)) if extensions else b""
    return der.sequence(der.encode(der.INTEGER, serial), der.time(date), block)


# Circumstances


class Served:
    """A Fetcher whose network is a dictionary; what is not in it is unavailable."""

    def __init__(self, bodies: Mapping[str, bytes]) -> None:
        self.bodies = dict(bodies)
        self.asked: list[str] = []

    def get(self, url: str, limit: int) -> bytes:
        self.asked.append(url)
        if url not in self.bodies or len(self.bodies[url]) > limit:
            message = f"{url}: not there"
            raise UnavailableError(message)
        return self.bodies[url]

    def post(self, url: str, body: bytes, content_type: str, limit: int) -> bytes:
        raise NotImplementedError


def trusting(folder: Path, *roots: pki.Entity | Cert | bytes) -> store.Store:
    """A store of these certificates, in a file."""
    raws = [root if isinstance(root, bytes) else root.raw if isinstance(root, Cert) else root.der for root in roots]
    path = folder / f"trust-{hashlib.sha256(b''.join(raws)).hexdigest()[:12]}.pem"
    path.write_bytes(b"".join(map(pem, raws)))
    return store.load([str(path)])


def pem(raw: bytes, label: str = "CERTIFICATE") -> bytes:
    import base64

    return f"-----BEGIN {label}-----\n".encode() + base64.encodebytes(raw) + f"-----END {label}-----\n".encode()


def circumstances(
    folder: Path,
    trusted: store.Store,
    *,
    at: dt.datetime = pki.NOW,
    revocation: str = "off",
    lists: Sequence[bytes] = (),
    fetcher: Fetcher | None = None,
) -> context.Context:
    """A context whose lists and caches are in a folder."""
    files = []
    for number, raw in enumerate(lists):
        path = folder / f"{number}-{hashlib.sha256(raw).hexdigest()[:12]}.crl"
        path.write_bytes(raw)
        files.append(str(path))
    source = origins.CrlSource(files, cache=str(folder / "crls"), fetcher=fetcher)
    return context.Context(trusted, at, revocation, source, fetcher)


# Proofs


def proof(
    signer: pki.Entity | Cert,
    *carried: pki.Entity | Cert | bytes,
    digest: str = "sha256",
    stamps: Sequence[Stamp] = (),
    lists: Sequence[bytes] = (),
    findings: Sequence[Finding] = (SOUND.found(),),
) -> Proof:
    """What an envelope says of a sound signature by this signer, with what it carries along."""
    raws = [each if isinstance(each, bytes) else each.raw if isinstance(each, Cert) else each.der for each in carried]
    own = signer.raw if isinstance(signer, Cert) else signer.der
    if isinstance(signer, pki.Entity) and not carried:
        raws = list(signer.issuers)
    return Proof(
        x509.certificate(own).signer_id, digest, tuple(findings), (own, *raws), None, tuple(stamps), tuple(lists)
    )


def stamp(
    tsa: pki.Entity | Cert,
    time: dt.datetime,
    *carried: pki.Entity | Cert | bytes,
    digest: str = "sha256",
    kind: str = "rfc3161",
    accuracy: float | None = None,
    lists: Sequence[bytes] = (),
    findings: Sequence[Finding] = (SOUND.found(),),
) -> Stamp:
    """A sound time stamp by this authority."""
    return Stamp(kind, time, proof(tsa, *carried, digest=digest, lists=lists, findings=findings), accuracy=accuracy)


def codes(found: Iterable[Finding] | Judgement, *outcomes: str) -> set[str]:
    """The codes of findings with these outcomes (no and unknown by default)."""
    findings = found if not hasattr(found, "findings") else found.findings
    wanted = outcomes or (Outcome.NO, Outcome.UNKNOWN)
    return {finding.code for finding in findings if finding.outcome in wanted}
