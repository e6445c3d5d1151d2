"""Keys, certificates and freely malformed CMS for tests: also what `cms.draft` would refuse to build."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chopmark.core.contracts import Content
from chopmark.core.finding import Outcome
from chopmark.envelopes import algorithms, cms, der, signatures, timestamp
from chopmark.envelopes.cms import oids
from chopmark.envelopes.cms.checking import check_alone

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chopmark.core.proof import Proof

PrivateKey = Any  # one of cryptography's key classes, each with its own sign()
SigningHash = hashes.SHA256 | hashes.SHA384 | hashes.SHA512
Value = Any  # what a keyword argument of the tested function takes

CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING
TIME_STAMPING = ExtendedKeyUsageOID.TIME_STAMPING
SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH

FROM = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
UNTIL = dt.datetime(2028, 1, 1, tzinfo=dt.UTC)
NOON = dt.datetime(2026, 7, 1, 12, 0, 0, tzinfo=dt.UTC)
POLICY = "1.3.6.1.4.1.99999.1"

KINDS = ("rsa", "rsa-pss", "p256", "p384", "p521", "ed25519")
DIGESTS = {
    "rsa": "sha256",
    "rsa-pss": "sha384",
    "p256": "sha256",
    "p384": "sha384",
    "p521": "sha512",
    "ed25519": "sha512",
}
CURVES: dict[str, type[ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1]] = {
    "p256": ec.SECP256R1,
    "p384": ec.SECP384R1,
    "p521": ec.SECP521R1,
}


def private_key(kind: str, name: str = "") -> PrivateKey:
    """A key of a kind; another one for every name."""
    return _private_key(kind, name)


@lru_cache
def _private_key(kind: str, name: str) -> PrivateKey:  # noqa: ARG001 - the name makes it another one
    if kind in ("rsa", "rsa-pss"):
        return rsa.generate_private_key(65537, 2048)
    return ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(CURVES[kind]())


def public_der(key: PrivateKey) -> bytes:
    """The SubjectPublicKeyInfo of a private key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    encoded: bytes = key.public_key().public_bytes(serialization.Encoding.DER, form)
    return encoded


def private_hash(kind: str) -> SigningHash:
    """What a kind of key signs with here, as cryptography's object."""
    chosen: dict[str, SigningHash] = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
    return chosen[DIGESTS[kind]]


class KeySigner:
    """core.contracts.Signer over a key in memory."""

    certificates: tuple[bytes, ...] = ()

    def __init__(self, kind: str, name: str = "") -> None:
        self.kind = kind
        self.key = private_key(kind, name)
        self.algorithm = kind if kind in ("rsa", "rsa-pss", "ed25519") else "ec"
        self.public_key = public_der(self.key)

    def sign(self, data: bytes, digest_algorithm: str) -> bytes:
        """Sign with what the kind of key wants."""
        algorithm = signatures.hash_algorithm(digest_algorithm)
        signature: bytes
        if self.algorithm == "rsa":
            signature = self.key.sign(data, padding.PKCS1v15(), algorithm)
        elif self.algorithm == "rsa-pss":
            scheme = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
            signature = self.key.sign(data, scheme, algorithm)
        elif self.algorithm == "ec":
            signature = self.key.sign(data, ec.ECDSA(algorithm))
        else:
            signature = self.key.sign(data)
        return signature


def name(common_name: str) -> x509.Name:
    """A name with an organisation and a common name."""
    parts = ((NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, "Chop"), (NameOID.COMMON_NAME, common_name))
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])


def issue(
    key: PrivateKey,
    common_name: str,
    purposes: Iterable[x509.ObjectIdentifier] = (),
    *,
    critical: bool = True,
    issuer: x509.Certificate | None = None,
    issuer_key: PrivateKey = None,
    ca: bool = False,
    serial: int = 0,
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
) -> x509.Certificate:
    """A certificate, self-signed without an issuer."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common_name))
        .issuer_name(issuer.subject if issuer else name(common_name))
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(FROM)
        .not_valid_after(UNTIL)
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=critical)
    for extension, flag in extensions:
        builder = builder.add_extension(extension, critical=flag)
    signing = issuer_key or key
    algorithm = None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(signing, algorithm)


def encoded(certificate: x509.Certificate) -> bytes:
    """Its DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


@lru_cache
def root() -> x509.Certificate:
    """The root of every chain here."""
    return issue(private_key("p256", "root"), "Test root", ca=True)


@lru_cache
def issuing() -> x509.Certificate:
    """The issuing CA of every chain here."""
    return issue(
        private_key("p256", "issuing"),
        "Test issuing CA",
        issuer=root(),
        issuer_key=private_key("p256", "root"),
        ca=True,
    )


def chain(kind: str, purpose: x509.ObjectIdentifier = CODE_SIGNING, key_name: str = "") -> tuple[bytes, ...]:
    """A leaf for the key of a kind, and the CA that issued it: the same ones every time."""
    return _chain(kind, purpose, key_name)


@lru_cache
def _chain(kind: str, purpose: x509.ObjectIdentifier, key_name: str) -> tuple[bytes, ...]:
    leaf = issue(
        private_key(kind, key_name),
        f"Test {kind} {key_name}".strip(),
        [purpose],
        issuer=issuing(),
        issuer_key=private_key("p256", "issuing"),
    )
    return encoded(leaf), encoded(issuing())


def authority(*purposes: x509.ObjectIdentifier, critical: bool = True) -> tuple[bytes, ...]:
    """The chain of a time-stamp authority with the key "tsa" and these purposes."""
    leaf = issue(
        private_key("p256", "tsa"),
        "Odd authority",
        purposes,
        critical=critical,
        issuer=issuing(),
        issuer_key=private_key("p256", "issuing"),
    )
    return encoded(leaf), encoded(issuing())


def lax_authority() -> tuple[bytes, ...]:
    """One whose purpose is not marked critical, as Microsoft's is not."""
    return authority(TIME_STAMPING, critical=False)


def data_content(body: bytes = b"what is signed", digest: str = "sha256", *, attached: bool = True) -> Content:
    """Content of type id-data."""
    return Content(oids.DATA, digest, hashlib.new(digest, body).digest(), body if attached else None)


@lru_cache
def signed(kind: str = "rsa", body: bytes = b"what is signed", *, attached: bool = True) -> bytes:
    """An ordinary signature, as chopmark makes it."""
    signer = KeySigner(kind)
    draft = cms.draft(data_content(body, DIGESTS[kind], attached=attached), signer, chain(kind), signing_time=NOON)
    return draft.finish(signer.sign(draft.to_be_signed, draft.digest_algorithm))


def token(stamped: bytes, kind: str = "p256", **changes: Value) -> bytes:
    """An RFC 3161 token over a signature value; `changes` are fields of TstInfo."""
    fields = {
        "policy": POLICY,
        "algorithm": "sha256",
        "digest": hashlib.sha256(stamped).digest(),
        "serial": 4711,
        "time": NOON,
        **changes,
    }
    info = timestamp.TstInfo(**fields)
    return timestamp.make_token(info, KeySigner(kind, "tsa"), chain(kind, TIME_STAMPING, "tsa"))


@lru_cache
def stamped(kind: str = "rsa") -> bytes:
    """An ordinary signature with a time stamp."""
    raw = signed(kind)
    return cms.add_unsigned(raw, timestamp.RFC3161_ATTRIBUTE, token(cms.read(raw).signers[0].signature))


# Freely malformed


def attribute(oid: str, *values: bytes) -> bytes:
    """An Attribute."""
    return der.sequence(der.oid(oid), der.set_of(values))


@dataclass
class Loose:
    """A SignedData in parts, each of which a test may replace before it is put together."""

    kind: str = "p256"
    key_name: str = ""
    digest: str = "sha256"
    content_type: str = oids.DATA
    body: bytes | None = b"\x04\x05hello"
    octets: bytes = b"hello"
    certificates: Sequence[bytes] | None = None
    crls: Sequence[bytes] = ()
    version: int = 1
    signer_version: int = 1
    identifier: bytes | None = None
    attributes: list[bytes] | None = field(default_factory=list)
    algorithm: bytes | None = None
    announced: Sequence[bytes] | None = None
    unsigned: Sequence[bytes] = ()
    signature: bytes | None = None
    digest_parameters: bytes = b"\x05\x00"
    sort_attributes: bool = True

    def __post_init__(self) -> None:
        """Fill in the ordinary signed attributes."""
        if self.attributes == []:
            self.attributes = [
                attribute(oids.CONTENT_TYPE, der.oid(self.content_type)),
                attribute(oids.MESSAGE_DIGEST, der.octet_string(hashlib.new(self.digest, self.octets).digest())),
            ]

    @property
    def signer(self) -> KeySigner:
        """Who signs it."""
        return KeySigner(self.kind, self.key_name)

    @property
    def leaf(self) -> bytes:
        """The signer's certificate."""
        return (self.certificates or chain(self.kind, key_name=self.key_name))[0]

    def digest_identifier(self) -> bytes:
        """The AlgorithmIdentifier of the digest."""
        return der.sequence(der.oid(algorithms.OID_BY_DIGEST[self.digest]), self.digest_parameters)

    def issuer_and_serial(self) -> bytes:
        """The SignerIdentifier that names issuer and serial number."""
        certificate = x509.load_der_x509_certificate(self.leaf)
        return der.sequence(certificate.issuer.public_bytes(), der.integer(certificate.serial_number))

    def signer_info(self) -> bytes:
        """The SignerInfo alone."""
        parts = [
            der.integer(self.signer_version),
            self.identifier or self.issuer_and_serial(),
            self.digest_identifier(),
        ]
        to_be_signed = self.octets
        if self.attributes is not None:
            ordered = sorted(self.attributes) if self.sort_attributes else self.attributes
            to_be_signed = der.encode(der.SET, *ordered)
            parts.append(der.encode(der.context(0), *ordered))
        parts.append(self.algorithm or algorithms.signing_identifier(self.signer, self.digest))
        made = self.signer.sign(to_be_signed, self.digest) if self.signature is None else self.signature
        parts.append(der.octet_string(made))
        if self.unsigned:
            parts.append(der.encode(der.context(1), *self.unsigned))
        return der.sequence(*parts)

    def encoded(self, *signer_infos: bytes) -> bytes:
        """The ContentInfo; with these SignerInfos instead of its own if some are given."""
        body = b"" if self.body is None else der.explicit(0, self.body)
        carried = sorted(chain(self.kind, key_name=self.key_name)) if self.certificates is None else self.certificates
        announced = [self.digest_identifier()] if self.announced is None else self.announced
        parts = [
            der.integer(self.version),
            der.encode(der.SET, *announced),
            der.sequence(der.oid(self.content_type), body),
            der.explicit(0, *carried) if carried else b"",
            der.explicit(1, *self.crls) if self.crls else b"",
            der.encode(der.SET, *(signer_infos or (self.signer_info(),))),
        ]
        return der.sequence(der.oid(oids.SIGNED_DATA), der.explicit(0, der.sequence(*parts)))


def prove(raw: bytes, **options: Value) -> Proof:
    """Read and check the first signature."""
    envelope = cms.read(raw, allow_ber=options.pop("allow_ber", False))
    return cms.check(envelope, envelope.signers[0], **options)


def prove_alone(raw: bytes) -> Proof:
    """What the first signature of an envelope comes to without its time stamps."""
    envelope = cms.read(raw)
    return check_alone(envelope, envelope.signers[0])


def codes(proof: Proof, outcome: Outcome = Outcome.NO) -> set[str]:
    """The codes of the findings with an outcome."""
    return {finding.code for finding in proof.findings if finding.outcome is outcome}
