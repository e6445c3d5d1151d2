"""Keys and certificates for tests, the same in every run: nothing here is random, and nothing here is a secret.

`world()` is what most tests need: a root, an issuing CA, a code signer and a time-stamp authority. `authority()`,
`leaf()` and `stamper()` make others; every field can be changed, so that tests build what must be refused.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence

MlDsaKey = mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | MlDsaKey

SINCE = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
UNTIL = dt.datetime(2035, 1, 1, tzinfo=dt.UTC)
NOW = dt.datetime(2026, 7, 1, 12, 0, 0, tzinfo=dt.UTC)
"""The moment at which tests sign and judge unless they are about time."""

_CURVES: dict[str, type[ec.EllipticCurve]] = {"p256": ec.SECP256R1, "p384": ec.SECP384R1, "p521": ec.SECP521R1}
_ML_DSA: dict[str, type[MlDsaKey]] = {
    "ml-dsa-44": mldsa.MLDSA44PrivateKey,
    "ml-dsa-65": mldsa.MLDSA65PrivateKey,
    "ml-dsa-87": mldsa.MLDSA87PrivateKey,
}
_WHOLE = (ed25519.Ed25519PrivateKey, *_ML_DSA.values())
"""Keys that sign data as it is."""
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "md5": hashes.MD5(),  # noqa: S303 - what must be refused has to be made first
    "sha1": hashes.SHA1(),  # noqa: S303 - same
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
# How far the first suitable prime lies behind the number that the label gives; found once, by searching.
_PRIMES = {1024: (178, 66), 2048: (378, 60), 3072: (290, 1160), 4096: (4154, 376)}


@cache
def key(kind: str, label: str = "") -> Key:
    """The private key of this kind ("p256", "p384", "p521", "ed25519", "ml-dsa-44" .. "ml-dsa-87", "rsa1024" ..
    "rsa4096") and label.

    There is one RSA key of each size, whatever the label, because finding primes takes time.
    """
    if kind.startswith("rsa"):
        return _rsa(int(kind[3:]))
    seed = hashlib.sha512(f"chopmark test key {kind} {label}".encode()).digest()
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.from_private_bytes(seed[:32])
    if kind in _ML_DSA:
        return _ML_DSA[kind].from_seed_bytes(seed[:32])
    return ec.derive_private_key(int.from_bytes(seed[:31], "big"), _CURVES[kind]())


def _rsa(bits: int) -> rsa.RSAPrivateKey:
    first, second = (
        (int.from_bytes(hashlib.shake_256(f"chopmark test key rsa{bits} {which}".encode()).digest(bits // 16), "big"))
        | 3 << (bits // 2 - 2)
        | 1
        for which in "pq"
    )
    first, second = first + _PRIMES[bits][0], second + _PRIMES[bits][1]
    exponent = 65537
    private = pow(exponent, -1, (first - 1) * (second - 1))
    numbers = rsa.RSAPrivateNumbers(
        first,
        second,
        private,
        rsa.rsa_crt_dmp1(private, first),
        rsa.rsa_crt_dmq1(private, second),
        rsa.rsa_crt_iqmp(first, second),
        rsa.RSAPublicNumbers(exponent, first * second),
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def name(common: str, organisation: str = "Example Mint") -> x509.Name:
    """A distinguished name of two attributes."""
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


@dataclass(frozen=True)
class Entity:
    """A key with its certificate, and those above it: a core.contracts.Signer that can also issue."""

    private_key: Key = field(repr=False)
    certificate: x509.Certificate
    issuers: tuple[bytes, ...] = ()

    @property
    def algorithm(self) -> str:
        if isinstance(self.private_key, rsa.RSAPrivateKey):
            return "rsa"
        if isinstance(self.private_key, ec.EllipticCurvePrivateKey):
            return "ec"
        return next((kind for kind, one in _ML_DSA.items() if isinstance(self.private_key, one)), "ed25519")

    @property
    def public_key(self) -> bytes:
        return self.private_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def der(self) -> bytes:
        """Its own certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """Its own certificate and those above it, without the root."""
        return (self.der, *self.issuers)

    def sign(self, data: bytes, digest_algorithm: str) -> bytes:
        digest = _HASHES[digest_algorithm]
        if isinstance(self.private_key, rsa.RSAPrivateKey):
            return self.private_key.sign(data, padding.PKCS1v15(), digest)
        if isinstance(self.private_key, ec.EllipticCurvePrivateKey):
            return self.private_key.sign(data, ec.ECDSA(digest, deterministic_signing=True))
        return self.private_key.sign(data)

    def private_pem(self, passphrase: bytes | None = None) -> bytes:
        """PKCS #8, encrypted when there is a passphrase."""
        return self.private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption(),
        )


class Extension(NamedTuple):
    """An extension for a certificate."""

    value: x509.ExtensionType
    critical: bool = False


def key_usage(*bits: str) -> x509.KeyUsage:
    """A KeyUsage with these bits, by cryptography's names."""
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{each: each in bits for each in names})


def issue(
    subject: x509.Name,
    private_key: Key,
    issuer: Entity | None,
    extensions: Sequence[Extension],
    *,
    since: dt.datetime = SINCE,
    until: dt.datetime = UNTIL,
    serial: int | None = None,
    digest: str = "sha256",
) -> Entity:
    """A certificate signed by `issuer`, or by itself; its serial number follows from subject and key."""
    signing_key = issuer.private_key if issuer else private_key
    public = private_key.public_key()
    spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    seed = hashlib.sha256(subject.public_bytes() + spki).digest()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(public)
        .serial_number(serial if serial is not None else int.from_bytes(seed[:16], "big") >> 1 | 1 << 126)
        .not_valid_before(since)
        .not_valid_after(until)
    )
    identifiers = (
        Extension(x509.SubjectKeyIdentifier.from_public_key(public)),
        Extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key())),
    )
    for extension in (*identifiers, *extensions):
        builder = builder.add_extension(extension.value, extension.critical)
    elliptic = isinstance(signing_key, ec.EllipticCurvePrivateKey)
    algorithm = None if isinstance(signing_key, _WHOLE) else _HASHES[digest]
    certificate = builder.sign(signing_key, algorithm, ecdsa_deterministic=True if elliptic else None)  # type: ignore[arg-type]
    issuers = () if issuer is None or issuer.certificate.issuer == issuer.certificate.subject else issuer.certificates
    return Entity(private_key, certificate, issuers)


def authority(
    common: str = "Example Root",
    *,
    issuer: Entity | None = None,
    kind: str = "p256",
    path_length: int | None = None,
    more: Sequence[Extension] = (),
    since: dt.datetime = SINCE,
    until: dt.datetime = UNTIL,
) -> Entity:
    """A CA: a root without `issuer`, else an intermediate."""
    profile = (
        Extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True),
        Extension(key_usage("key_cert_sign", "crl_sign"), critical=True),
    )
    return issue(name(common), key(kind, common), issuer, (*profile, *more), since=since, until=until)


def leaf(
    issuer: Entity | None,
    common: str = "Example Signer",
    *,
    kind: str = "p256",
    purposes: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CODE_SIGNING,),
    purposes_critical: bool = False,
    usage: x509.KeyUsage | None = None,
    more: Sequence[Extension] = (),
    since: dt.datetime = SINCE,
    until: dt.datetime = UNTIL,
) -> Entity:
    """A code signer, self-signed without `issuer`; with empty `purposes` it has no extended key usage."""
    profile = [Extension(usage or key_usage("digital_signature"), critical=True)]
    if purposes:
        profile.append(Extension(x509.ExtendedKeyUsage(list(purposes)), purposes_critical))
    return issue(name(common), key(kind, common), issuer, (*profile, *more), since=since, until=until)


def stamper(
    issuer: Entity,
    common: str = "Example Time",
    *,
    kind: str = "p256",
    since: dt.datetime = SINCE,
    until: dt.datetime = UNTIL,
) -> Entity:
    """A time-stamp authority: its only purpose is time stamping, and critical (RFC 3161 clause 2.3)."""
    purposes = (ExtendedKeyUsageOID.TIME_STAMPING,)
    return leaf(issuer, common, kind=kind, purposes=purposes, purposes_critical=True, since=since, until=until)


class World(NamedTuple):
    """A small hierarchy: root, issuing CA, and two below it."""

    root: Entity
    issuing: Entity
    signer: Entity
    tsa: Entity


@cache
def world(kind: str = "p256") -> World:
    """Root and issuing CA on P-256; the code signer has a key of `kind`."""
    root = authority("Example Root")
    issuing = authority("Example Issuing", issuer=root, path_length=0)
    return World(root, issuing, leaf(issuing, f"Example Signer {kind}", kind=kind), stamper(issuing))


class Revoked(NamedTuple):
    """One entry of a revocation list."""

    serial: int
    at: dt.datetime
    reason: x509.ReasonFlags | None = None
    invalid_since: dt.datetime | None = None


def issuing_point(**parts: object) -> x509.IssuingDistributionPoint:
    """What a list is about: everything but for these parts."""
    every: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**every, **parts})  # type: ignore[arg-type]


def crl(
    issuer: Entity,
    entries: Sequence[Revoked] = (),
    *,
    since: dt.datetime = NOW - dt.timedelta(days=1),
    until: dt.datetime = NOW + dt.timedelta(days=6),
    more: Sequence[Extension] = (),
) -> bytes:
    """A DER revocation list."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(since).next_update(until)
    for extension in (Extension(x509.CRLNumber(1)), *more):
        builder = builder.add_extension(extension.value, extension.critical)
    for entry in entries:
        revoked = x509.RevokedCertificateBuilder().serial_number(entry.serial).revocation_date(entry.at)
        if entry.reason:
            revoked = revoked.add_extension(x509.CRLReason(entry.reason), critical=False)
        if entry.invalid_since:
            revoked = revoked.add_extension(x509.InvalidityDate(entry.invalid_since), critical=False)
        builder = builder.add_revoked_certificate(revoked.build())
    elliptic = isinstance(issuer.private_key, ec.EllipticCurvePrivateKey)
    algorithm = None if isinstance(issuer.private_key, _WHOLE) else _HASHES["sha256"]
    made = builder.sign(issuer.private_key, algorithm, ecdsa_deterministic=True if elliptic else None)  # type: ignore[arg-type]
    return made.public_bytes(serialization.Encoding.DER)
