"""Certificates (RFC 5280) as a lazy, strict view of their original bytes."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from typing import TYPE_CHECKING, Self

from chopmark.core import limits
from chopmark.core.lazy import lazy
from chopmark.core.named import NamedTuple
from chopmark.core.remembering import remembered
from chopmark.core.signer import Authority, SignerId
from chopmark.envelopes import algorithms, der, dn, dsa, signatures, x509_parts

if TYPE_CHECKING:
    from collections.abc import Mapping

SUBJECT_KEY_ID = "2.5.29.14"
KEY_USAGE = "2.5.29.15"
SUBJECT_ALT_NAME = "2.5.29.17"
ISSUER_ALT_NAME = "2.5.29.18"
BASIC_CONSTRAINTS = "2.5.29.19"
CRL_NUMBER = "2.5.29.20"
CRL_REASON = "2.5.29.21"
INVALIDITY_DATE = "2.5.29.24"
DELTA_CRL_INDICATOR = "2.5.29.27"
ISSUING_DISTRIBUTION_POINT = "2.5.29.28"
CERTIFICATE_ISSUER = "2.5.29.29"
NAME_CONSTRAINTS = "2.5.29.30"
CRL_DISTRIBUTION_POINTS = "2.5.29.31"
CERTIFICATE_POLICIES = "2.5.29.32"
POLICY_MAPPINGS = "2.5.29.33"
AUTHORITY_KEY_ID = "2.5.29.35"
POLICY_CONSTRAINTS = "2.5.29.36"
EXTENDED_KEY_USAGE = "2.5.29.37"
FRESHEST_CRL = "2.5.29.46"
INHIBIT_ANY_POLICY = "2.5.29.54"
AUTHORITY_INFORMATION_ACCESS = "1.3.6.1.5.5.7.1.1"
ACCESS_OCSP = "1.3.6.1.5.5.7.48.1"
ACCESS_CA_ISSUERS = "1.3.6.1.5.5.7.48.2"
OCSP_NO_CHECK = "1.3.6.1.5.5.7.48.1.5"

EKU_ANY = "2.5.29.37.0"
EKU_CODE_SIGNING = "1.3.6.1.5.5.7.3.3"
EKU_TIME_STAMPING = "1.3.6.1.5.5.7.3.8"
EKU_OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
EKU_MODULE_SIGNING = "1.3.6.1.4.1.2312.16.1.2"
"""Kernel modules and nothing else, as shim and the distributions' signers understand it."""
EKU_SECURE_BOOT = "1.3.6.1.4.1.311.80.2.1"
"""Images for firmware: what Microsoft puts into the certificates below its UEFI CAs, beside code signing."""
EKU_LIFETIME_SIGNING = "1.3.6.1.4.1.311.10.3.13"

# Named bits of KeyUsage
DIGITAL_SIGNATURE, NON_REPUDIATION, KEY_CERT_SIGN, CRL_SIGN = 0, 1, 5, 6


class Extension(NamedTuple):
    """An extension: whether it must be understood, and the DER inside its OCTET STRING."""

    critical: bool
    value: bytes


class BasicConstraints(NamedTuple):
    """Whether it is a CA, and how many intermediates may follow (None: any number)."""

    ca: bool
    path_length: int | None


_KEY_ID_OF_SHA1, _ISSUERS_KEY_ID_OF_SHA1, _KEY_ID_SIZE = b"\x04\x14", b"\x30\x16\x80\x14", 22
"""How key identifiers begin that are as long as a SHA-1 (clauses 4.2.1.1 and 4.2.1.2), which most are."""
_REST_OF_SECOND = dt.timedelta(microseconds=999_999)
_USUAL_EXTENSION = re.compile(rb"\x30([\x00-\x7f])\x06\x03(\x55\x1d[\x00-\x7f])(\x01\x01\xff)?\x04([\x00-\x7f])")
"""How most extensions begin: one of id-ce, and a value whose length is one octet, which stands last."""


class Certificate:
    """One X.509 certificate. Structure is checked at once, extension values when they are asked for.

    `raw`, `tbs`, `issuer`, `subject`, `spki` and `serial_octets` are original DER; times are UTC. `alike` is equal for
    certificates whose extensions differ in nothing but what a usual subject key identifier says.
    """

    def __init__(self, raw: bytes) -> None:
        """Read a DER certificate. Raises DerError."""
        tbs, end, behind, bits, version, number, serial, algorithm, issuer, validity, subject, spki, block, last = (
            x509_parts.usual(raw) or x509_parts.read(raw)
        )
        self.raw = raw
        self.tbs = raw[tbs:end]
        self.signature_algorithm_raw = raw[end:behind]
        self.signature = raw[bits:]
        self.version = version
        self.serial_octets = raw[number:serial]
        self.inner_algorithm_raw = raw[serial:algorithm]
        self.issuer = raw[algorithm:issuer]
        self.not_before, self.not_after = x509_parts.validity(raw, issuer, validity)
        self.subject = raw[validity:subject]
        self.spki = raw[subject:spki]
        self.extensions, self.alike = _extensions(raw, block, last)

    @property
    def serial(self) -> int:
        """The serial number, as the certificate has it (some are negative, against RFC 5280 clause 4.1.2.2)."""
        return int.from_bytes(self.serial_octets, "big", signed=True)

    @lazy
    def last_moment(self) -> dt.datetime:
        """The end of the second notAfter, which belongs to the validity (RFC 5280 clause 4.1.2.5)."""
        if self.not_after.microsecond:
            return self.not_after.replace(microsecond=999_999)
        return self.not_after + _REST_OF_SECOND

    @lazy
    def sha256(self) -> str:
        """The certificate's fingerprint, in hex."""
        return hashlib.sha256(self.raw).hexdigest()

    @lazy
    def key_sha256(self) -> str:
        """The SHA-256 of SubjectPublicKeyInfo, in hex: what a signer is recognised by."""
        return hashlib.sha256(self.spki).hexdigest()

    @lazy
    def subject_text(self) -> str:
        """The subject for people."""
        return dn.name(self.subject).text

    @lazy
    def issuer_text(self) -> str:
        """The issuer for people."""
        return dn.name(self.issuer).text

    @lazy
    def common_name(self) -> str:
        """The last common name of the subject, else its organisation, else all of it."""
        parts = dn.name(self.subject).parts
        if parts and parts[-1][0] == "CN":  # as nearly everywhere
            return parts[-1][1] or self.subject_text
        found = dict(parts)
        return found.get("CN") or found.get("O") or self.subject_text

    @lazy
    def signer_id(self) -> SignerId:
        """Who this certificate says its holder is."""
        return SignerId(
            "x509",
            self.subject_text,
            self.key_sha256,
            (
                ("issuer", self.issuer_text),
                ("serial", self.serial_octets.hex()),
                ("certificate_sha256", self.sha256),
                ("not_before", f"{self.not_before:%Y-%m-%dT%H:%M:%SZ}"),
                ("not_after", f"{self.not_after:%Y-%m-%dT%H:%M:%SZ}"),
            ),
        )

    @lazy
    def as_authority(self) -> Authority:
        """What a verdict says of it when it stands above a signer's own."""
        return Authority(self.subject_text, self.key_sha256, self.sha256)

    @lazy
    def subject_key(self) -> dn.NameKey:
        """What the subject is compared by. Raises DerError."""
        return dn.name(self.subject).key

    @lazy
    def issuer_key(self) -> dn.NameKey:
        """What the issuer is compared by. Raises DerError."""
        return dn.name(self.issuer).key

    @lazy
    def self_issued(self) -> bool:
        """Whether subject and issuer are the same name (RFC 5280 clause 6.1)."""
        return self.subject_key == self.issuer_key

    @lazy
    def signature_algorithm(self) -> algorithms.SignatureAlgorithm:
        """How it was signed; the identifiers inside and outside must agree (RFC 5280 clause 4.1.1.2)."""
        if self.signature_algorithm_raw != self.inner_algorithm_raw:
            raise der.DerError("the signature algorithm inside the certificate differs from the one outside")
        return algorithms.read_signature_algorithm(self.signature_algorithm_raw)

    def verify_signed_by(self, issuer_spki: bytes) -> str | None:
        """Check the signature with an issuer's key; the digest it rests on. Raises BadSignature-/UnsupportedError."""
        return signatures.verify(issuer_spki, self.signature_algorithm, self.signature, self.tbs)

    @lazy
    def inherits_key(self) -> bool:
        """Whether its key leaves its parameters to the issuer's."""
        return dsa.inherits(self.spki)

    def with_key(self, spki: bytes) -> Self:
        """The same certificate as its path reads it, where its key takes parameters from the issuer's.

        Everything else stays, fingerprints as well.
        """
        from copy import copy  # hardly any certificate has such a key

        twin = copy(self)
        twin.key_sha256 = self.key_sha256
        twin.spki = spki
        twin.inherits_key = dsa.inherits(spki)
        return twin

    def _node(self, oid: str) -> der.Node | None:
        extension = self.extensions.get(oid)
        return der.parse(extension.value) if extension else None

    @lazy
    def critical(self) -> frozenset[str]:
        """The identifiers of the extensions that must be understood."""
        return frozenset([oid for oid, each in self.extensions.items() if each.critical])

    @lazy
    def key_usage(self) -> frozenset[int] | None:
        """The named bits set (DIGITAL_SIGNATURE, ...), or None without the extension."""
        extension = self.extensions.get(KEY_USAGE)
        return _bits(extension.value) if extension else None

    @lazy
    def extended_key_usage(self) -> tuple[str, ...] | None:
        """The purposes as dotted identifiers, or None without the extension."""
        extension = self.extensions.get(EXTENDED_KEY_USAGE)
        return _identifiers(extension.value) if extension else None

    @lazy
    def basic_constraints(self) -> BasicConstraints | None:
        """CA or not, or None without the extension."""
        extension = self.extensions.get(BASIC_CONSTRAINTS)
        return _basic_constraints(extension.value) if extension else None

    @lazy
    def subject_key_id(self) -> bytes | None:
        """The key identifier it gives itself."""
        extension = self.extensions.get(SUBJECT_KEY_ID)
        if extension is None:
            return None
        value = extension.value
        if value[:2] == _KEY_ID_OF_SHA1 and len(value) == _KEY_ID_SIZE:  # nearly all
            return value[2:]
        return der.parse(value).octets()

    @lazy
    def short_key_id(self) -> bytes:
        """Its last four octets, by which IMA's signatures name a key; of the key itself where there is none."""
        return (self.subject_key_id or subject_key_identifier(self.spki))[-4:]

    @lazy
    def authority_key_id(self) -> bytes | None:
        """The key identifier of its issuer."""
        extension = self.extensions.get(AUTHORITY_KEY_ID)
        if extension is None:
            return None
        value = extension.value
        if value[:4] == _ISSUERS_KEY_ID_OF_SHA1 and len(value) == _KEY_ID_SIZE + 2:
            return value[4:]
        return _key_identifier(value)

    @lazy
    def crl_urls(self) -> tuple[str, ...]:
        """Every http(s) URL of the CRL distribution points."""
        return _point_urls(self.extensions.get(CRL_DISTRIBUTION_POINTS))

    def access_urls(self, method: str) -> tuple[str, ...]:
        """The http(s) URLs of the authority information access for ACCESS_CA_ISSUERS or ACCESS_OCSP."""
        node = self._node(AUTHORITY_INFORMATION_ACCESS)
        urls: list[str] = []
        for description in node.expect(der.SEQUENCE).children() if node else ():
            fields = description.fields()
            if fields.take().oid() == method:
                urls += _urls([fields.take()])
        return tuple(urls)


@remembered(1024, limits.CERTIFICATE_KEPT_MAX)
def certificate(raw: bytes) -> Certificate:
    """The view of a DER certificate, shared among all who ask. Raises DerError."""
    return Certificate(raw)


# What many certificates say in the same octets is decoded once.


@remembered(256, limits.EXTENSION_KEPT_MAX)
def _bits(value: bytes) -> frozenset[int]:
    return der.parse(value).bits()


@remembered(256, limits.EXTENSION_KEPT_MAX)
def _identifiers(value: bytes) -> tuple[str, ...]:
    return tuple(child.oid() for child in der.parse(value).expect(der.SEQUENCE).children())


@remembered(256, limits.EXTENSION_KEPT_MAX)
def _basic_constraints(value: bytes) -> BasicConstraints:
    fields = der.parse(value).fields()
    flag = fields.optional(der.BOOLEAN)
    length = fields.optional(der.INTEGER)
    fields.done()
    return BasicConstraints(flag.boolean() if flag else False, length.integer() if length else None)


@remembered(256, limits.EXTENSION_KEPT_MAX)
def _key_identifier(value: bytes) -> bytes | None:
    fields = der.parse(value).fields()
    identifier = fields.optional(der.context(0, constructed=False))
    fields.optional(der.context(1))
    fields.optional(der.context(2, constructed=False))
    fields.done()
    return identifier.value if identifier else None


def extensions(block: der.Node) -> dict[str, Extension]:
    """Extensions by identifier, in order (RFC 5280 clause 4.2: no two alike). Raises DerError."""
    block.expect(der.SEQUENCE)
    return extensions_at(block.buffer, block.body, block.end)


def extensions_at(buffer: bytes, position: int, end: int) -> dict[str, Extension]:
    """The same for those that fill `buffer` from `position` to `end`. Raises DerError."""
    found, _ = _walk(buffer, position, end)
    return found


def _walk(buffer: bytes, position: int, end: int) -> tuple[dict[str, Extension], list[int]]:
    """The same, and where each of them starts."""
    found: dict[str, Extension] = {}
    starts = []
    few = end - position <= 2 * limits.DER_ELEMENTS_MAX
    while position < end:
        # What is known is whole: it ends where its own length says, and so does this one.
        following = position + 2 + (buffer[position + 1] if position + 1 < end else der.LONG)
        known = _KNOWN_EXTENSIONS.get(buffer[position:following]) if following <= end else None
        if known is None:
            node = der.Node(buffer, position, end)
            known = _extension(node.raw)
            following = node.end
        oid, extension = known
        if oid in found:
            raise der.DerError(f"extension {oid} stands twice")
        found[oid] = extension
        starts.append(position)
        position = following
        if not few and len(found) > limits.DER_ELEMENTS_MAX:
            raise der.DerError(f"more than {limits.DER_ELEMENTS_MAX} extensions")
    return found, starts


def _extensions(raw: bytes, start: int, end: int) -> tuple[dict[str, Extension], tuple[bytes, bytes]]:
    """The extensions of a certificate by identifier, and the octets that those of its like have in common.

    What is known with other octets in the key identifier is known with these: what stands in front of them is the same,
    so that they are no part of anything else, and so is what stands behind.
    """
    at = raw.find(_USUAL_KEY_ID, start, end)
    octets = at + len(_USUAL_KEY_ID)
    behind = octets + _KEY_ID_SIZE - 2
    if at < 0 or behind > end:
        return extensions_at(raw, start, end), (raw[start:end], b"")
    alike = raw[start:octets], raw[behind:end]
    known = _known_blocks.get(alike)
    if known is not None:
        found = known.copy()
        found[SUBJECT_KEY_ID] = Extension(False, raw[octets - 2 : behind])  # noqa: FBT003 - not critical
        return found, alike
    found, starts = _walk(raw, start, end)
    if at not in starts:  # it only looks like one, inside of another
        return found, (raw[start:end], b"")
    if end - start <= limits.CERTIFICATE_KEPT_MAX:
        if len(_known_blocks) >= _EXTENSIONS_KEPT:
            _known_blocks.clear()
        _known_blocks[alike] = found.copy()
    return found, alike


_USUAL_KEY_ID = bytes.fromhex("301d0603551d0e04160414")
"""How the extension with a subject key identifier of twenty octets begins (clause 4.2.1.2)."""
_known_blocks: dict[tuple[bytes, bytes], dict[str, Extension]] = {}
"""Extensions of a certificate by what stands in front of the octets of its key identifier, and behind them."""
_KNOWN_EXTENSIONS: dict[bytes, tuple[str, Extension]] = {}
"""Extensions of one length octet by their DER: many certificates say the same."""
_EXTENSIONS_KEPT = 1024
_UNIQUE = frozenset({SUBJECT_KEY_ID, SUBJECT_ALT_NAME})
"""Those that hardly any two certificates have alike."""


def _extension(raw: bytes) -> tuple[str, Extension]:
    """One extension, and its identifier. Raises DerError."""
    usual = _USUAL_EXTENSION.match(raw)
    size = len(raw)
    if usual is not None and 2 + usual[1][0] == size and usual.end() + usual[4][0] == size:
        found = der.dotted(usual[2]), Extension(usual[3] is not None, raw[usual.end() :])
        if found[0] not in _UNIQUE:
            if len(_KNOWN_EXTENSIONS) >= _EXTENSIONS_KEPT:
                _KNOWN_EXTENSIONS.clear()
            _KNOWN_EXTENSIONS[raw] = found
        return found
    fields = der.parse(raw).fields()
    oid = fields.take().oid()
    critical = fields.optional(der.BOOLEAN)
    value = fields.take().octets()
    fields.done()
    # A written-out FALSE is not DER, yet real certificates have it; it says the same.
    return oid, Extension(critical.boolean() if critical else False, value)


def freshest_urls(found: Mapping[str, Extension]) -> tuple[str, ...]:
    """Every http(s) URL of delta lists that the extensions of a certificate or list name. Raises DerError."""
    return _point_urls(found.get(FRESHEST_CRL))


def _point_urls(extension: Extension | None) -> tuple[str, ...]:
    """The http(s) URLs in CRLDistributionPoints (clause 4.2.1.13)."""
    urls: list[str] = []
    for point in der.parse(extension.value).expect(der.SEQUENCE).children() if extension else ():
        if name := point.fields().optional(der.context(0)):
            full = name.only_child()
            if full.tag == der.context(0):
                urls += _urls(full.children())
    return tuple(urls)


def _urls(names: list[der.Node]) -> list[str]:
    uris = [name.value.decode("latin-1") for name in names if name.tag == der.context(6, constructed=False)]
    return [uri for uri in uris if uri.startswith(("http://", "https://"))]


def name_key(raw: bytes) -> dn.NameKey:
    """What a Name is compared by (dn.Name). Raises DerError."""
    return dn.name(raw).key


def name_text(raw: bytes) -> str:
    """A Name for people (dn.Name). Raises DerError."""
    return dn.name(raw).text


def name_parts(raw: bytes) -> tuple[tuple[str, str], ...]:
    """The attributes of a Name (dn.Name). Raises DerError."""
    return dn.name(raw).parts


def subject_key_identifier(spki: bytes) -> bytes:
    """The key identifier of RFC 5280 clause 4.2.1.2 (1): SHA-1 of the public key's bits."""
    fields = der.parse(spki).fields()
    fields.take()
    return hashlib.sha1(fields.take().bit_string(), usedforsecurity=False).digest()
