"""Certificates (RFC 5280) as a lazy, strict view of their original bytes."""

from __future__ import annotations

import copy
import hashlib
from functools import cached_property, lru_cache, wraps
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

from chopmark.core import limits
from chopmark.core.signer import Authority, SignerId
from chopmark.envelopes import algorithms, der, stringprep

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

Answer = TypeVar("Answer")

SUBJECT_KEY_ID = "2.5.29.14"
KEY_USAGE = "2.5.29.15"
SUBJECT_ALT_NAME = "2.5.29.17"
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

_ATTRIBUTES = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.15": "businessCategory",
    "2.5.4.17": "postalCode",
    "2.5.4.97": "organizationIdentifier",
    "1.2.840.113549.1.9.1": "emailAddress",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL",
    "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}

_OPAQUE = "\0"
"""Begins the key of a value that is no comparable string; no prepared string has this character."""


class Extension(NamedTuple):
    """An extension: whether it must be understood, and the DER inside its OCTET STRING."""

    critical: bool
    value: bytes


class BasicConstraints(NamedTuple):
    """Whether it is a CA, and how many intermediates may follow (None: any number)."""

    ca: bool
    path_length: int | None


class Certificate:
    """One X.509 certificate. Structure is checked at once, extension values when they are asked for.

    `raw`, `tbs`, `issuer`, `subject`, `spki` and `serial_octets` are original DER; times are UTC.
    """

    def __init__(self, raw: bytes) -> None:
        """Read a DER certificate. Raises DerError."""
        outer = der.parse(raw).fields()
        tbs = outer.take(der.SEQUENCE)
        algorithm = outer.take(der.SEQUENCE)
        self.raw = raw
        self.tbs = tbs.raw
        self.signature_algorithm_raw = algorithm.raw
        self.signature = outer.take().bit_string()
        outer.done()
        fields = tbs.fields()
        version = fields.optional(der.context(0))
        self.version = (version.only_child().expect(der.INTEGER).integer() if version else 0) + 1
        serial = fields.take(der.INTEGER)
        self.serial_octets = serial.value
        if not self.serial_octets:
            raise der.DerError("an empty serial number")
        self.inner_algorithm_raw = fields.take(der.SEQUENCE).raw
        self.issuer = fields.take(der.SEQUENCE).raw
        validity = fields.take().fields()
        self.not_before: dt.datetime = validity.take().time()
        self.not_after: dt.datetime = validity.take().time()
        validity.done()
        self.subject = fields.take(der.SEQUENCE).raw
        self.spki = fields.take(der.SEQUENCE).raw
        fields.optional(der.context(1, constructed=False))
        fields.optional(der.context(2, constructed=False))
        block = fields.optional(der.context(3))
        fields.done()
        self.extensions = extensions(block.only_child()) if block else {}

    @property
    def serial(self) -> int:
        """The serial number, as the certificate has it (some are negative, against RFC 5280 clause 4.1.2.2)."""
        return int.from_bytes(self.serial_octets, "big", signed=True)

    @property
    def last_moment(self) -> dt.datetime:
        """The end of the second notAfter, which belongs to the validity (RFC 5280 clause 4.1.2.5)."""
        return self.not_after.replace(microsecond=999_999)

    @cached_property
    def sha256(self) -> str:
        """The certificate's fingerprint, in hex."""
        return hashlib.sha256(self.raw).hexdigest()

    @cached_property
    def key_sha256(self) -> str:
        """The SHA-256 of SubjectPublicKeyInfo, in hex: what a signer is recognised by."""
        return hashlib.sha256(self.spki).hexdigest()

    @cached_property
    def subject_text(self) -> str:
        """The subject for people."""
        return name_text(self.subject)

    @cached_property
    def issuer_text(self) -> str:
        """The issuer for people."""
        return name_text(self.issuer)

    @cached_property
    def common_name(self) -> str:
        """The last common name of the subject, else its organisation, else all of it."""
        parts = dict(name_parts(self.subject))
        return parts.get("CN") or parts.get("O") or self.subject_text

    @cached_property
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

    @cached_property
    def as_authority(self) -> Authority:
        """What a verdict says of it when it stands above a signer's own."""
        return Authority(self.subject_text, self.key_sha256, self.sha256)

    @cached_property
    def self_issued(self) -> bool:
        """Whether subject and issuer are the same name (RFC 5280 clause 6.1)."""
        return name_key(self.subject) == name_key(self.issuer)

    @cached_property
    def signature_algorithm(self) -> algorithms.SignatureAlgorithm:
        """How it was signed; the identifiers inside and outside must agree (RFC 5280 clause 4.1.1.2)."""
        if self.signature_algorithm_raw != self.inner_algorithm_raw:
            raise der.DerError("the signature algorithm inside the certificate differs from the one outside")
        return algorithms.signature_algorithm(der.parse(self.signature_algorithm_raw))

    def verify_signed_by(self, issuer_spki: bytes) -> str | None:
        """Check the signature with an issuer's key; the digest it rests on. Raises BadSignature-/UnsupportedError."""
        return algorithms.verify(issuer_spki, self.signature_algorithm, self.signature, self.tbs)

    def with_key(self, spki: bytes) -> Self:
        """The same certificate as its path reads it, where its key takes parameters from the issuer's.

        Everything else stays, fingerprints as well.
        """
        twin = copy.copy(self)
        twin.key_sha256 = self.key_sha256
        twin.spki = spki
        return twin

    def _node(self, oid: str) -> der.Node | None:
        extension = self.extensions.get(oid)
        return der.parse(extension.value) if extension else None

    @cached_property
    def key_usage(self) -> frozenset[int] | None:
        """The named bits set (DIGITAL_SIGNATURE, ...), or None without the extension."""
        node = self._node(KEY_USAGE)
        return node.bits() if node else None

    @cached_property
    def extended_key_usage(self) -> tuple[str, ...] | None:
        """The purposes as dotted identifiers, or None without the extension."""
        node = self._node(EXTENDED_KEY_USAGE)
        return tuple(child.oid() for child in node.expect(der.SEQUENCE).children()) if node else None

    @cached_property
    def basic_constraints(self) -> BasicConstraints | None:
        """CA or not, or None without the extension."""
        node = self._node(BASIC_CONSTRAINTS)
        if node is None:
            return None
        fields = node.fields()
        flag = fields.optional(der.BOOLEAN)
        length = fields.optional(der.INTEGER)
        fields.done()
        return BasicConstraints(flag.boolean() if flag else False, length.integer() if length else None)

    @cached_property
    def subject_key_id(self) -> bytes | None:
        """The key identifier it gives itself."""
        node = self._node(SUBJECT_KEY_ID)
        return node.octets() if node else None

    @cached_property
    def short_key_id(self) -> bytes:
        """Its last four octets, by which IMA's signatures name a key; of the key itself where there is none."""
        return (self.subject_key_id or subject_key_identifier(self.spki))[-4:]

    @cached_property
    def authority_key_id(self) -> bytes | None:
        """The key identifier of its issuer."""
        node = self._node(AUTHORITY_KEY_ID)
        if node is None:
            return None
        identifier = node.fields().optional(der.context(0, constructed=False))
        return identifier.value if identifier else None

    @cached_property
    def crl_urls(self) -> tuple[str, ...]:
        """Every http(s) URL of the CRL distribution points."""
        node = self._node(CRL_DISTRIBUTION_POINTS)
        urls: list[str] = []
        for point in node.expect(der.SEQUENCE).children() if node else ():
            if name := point.fields().optional(der.context(0)):
                full = name.only_child()
                if full.tag == der.context(0):
                    urls += _urls(full.children())
        return tuple(urls)

    def access_urls(self, method: str) -> tuple[str, ...]:
        """The http(s) URLs of the authority information access for ACCESS_CA_ISSUERS or ACCESS_OCSP."""
        node = self._node(AUTHORITY_INFORMATION_ACCESS)
        urls: list[str] = []
        for description in node.expect(der.SEQUENCE).children() if node else ():
            fields = description.fields()
            if fields.take().oid() == method:
                urls += _urls([fields.take()])
        return tuple(urls)


def remembered(count: int, size: int) -> Callable[[Callable[[bytes], Answer]], Callable[[bytes], Answer]]:
    """Remember the answers of a function for `count` inputs of at most `size` bytes.

    Larger ones are looked at anew each time: real certificates and names are small, and many files with enormous ones
    must not fill the memory.
    """

    def decorate(function: Callable[[bytes], Answer]) -> Callable[[bytes], Answer]:
        known = lru_cache(maxsize=count)(function)

        @wraps(function)
        def answer(raw: bytes) -> Answer:
            return known(raw) if len(raw) <= size else function(raw)

        return answer

    return decorate


@remembered(1024, limits.CERTIFICATE_KEPT_MAX)
def certificate(raw: bytes) -> Certificate:
    """The view of a DER certificate, shared among all who ask. Raises DerError."""
    return Certificate(raw)


def extensions(block: der.Node) -> dict[str, Extension]:
    """Extensions by identifier, in order (RFC 5280 clause 4.2: no two alike). Raises DerError."""
    found: dict[str, Extension] = {}
    for node in block.expect(der.SEQUENCE).children():
        fields = node.fields()
        oid = fields.take().oid()
        critical = fields.optional(der.BOOLEAN)
        value = fields.take().octets()
        fields.done()
        if oid in found:
            raise der.DerError(f"extension {oid} stands twice")
        # A written-out FALSE is not DER, yet real certificates have it; it says the same.
        found[oid] = Extension(critical.boolean() if critical else False, value)
    return found


def _urls(names: list[der.Node]) -> list[str]:
    uris = [name.value.decode("latin-1") for name in names if name.tag == der.context(6, constructed=False)]
    return [uri for uri in uris if uri.startswith(("http://", "https://"))]


class _Attribute(NamedTuple):
    """An attribute of a Name: its type, its text if it is a string, and its value."""

    oid: str
    text: str | None
    value: der.Node


@remembered(1024, limits.NAME_KEPT_MAX)
def _relative_names(raw: bytes) -> list[list[_Attribute]]:
    """A Name as a list of sets of attributes. Raises DerError."""
    return [
        [_attribute(pair) for pair in relative.expect(der.SET).children()]
        for relative in der.parse(raw).expect(der.SEQUENCE).children()
    ]


def _attribute(pair: der.Node) -> _Attribute:
    fields = pair.fields()
    oid = fields.take().oid()
    value = fields.take()
    try:
        return _Attribute(oid, value.text(), value)
    except der.DerError:
        return _Attribute(oid, None, value)


@remembered(1024, limits.NAME_KEPT_MAX)
def name_parts(raw: bytes) -> tuple[tuple[str, str], ...]:
    """The attributes of a Name in order: (short type or dotted identifier, text). Raises DerError."""
    return tuple(
        (_ATTRIBUTES.get(oid, oid), "#" + value.raw.hex() if text is None else text)
        for relative in _relative_names(raw)
        for oid, text, value in relative
    )


@remembered(1024, limits.NAME_KEPT_MAX)
def name_text(raw: bytes) -> str:
    """A Name for people, most particular first (RFC 4514), without control characters; cut where it is enormous."""
    shown, room = [], limits.NAME_SHOWN_MAX
    for kind, text in reversed(name_parts(raw)):
        if room <= 0:
            shown.append("...")
            break
        shown.append(f"{kind}={_escaped(text[:room])}" + ("..." if len(text) > room else ""))
        room -= len(shown[-1])
    whole = ", ".join(shown)
    if whole.isprintable():
        return whole
    return "".join(character if character.isprintable() else f"\\{ord(character):02X}" for character in whole)


def _escaped(text: str) -> str:
    shown = "".join("\\" + character if character in ',+"\\<>;' else character for character in text)
    if shown[:1] == " ":
        shown = "\\" + shown
    return shown[:-1] + "\\ " if len(shown) > 2 and shown[-1] == " " else shown


@remembered(1024, limits.NAME_KEPT_MAX)
def name_key(raw: bytes) -> tuple[tuple[tuple[str, str], ...], ...]:
    """What two Names are compared by (RFC 5280 clause 7.1): case, spaces and the type of string do not count.

    A value that cannot be compared as a string (`is_opaque`) stands for its own DER.
    """
    return tuple(
        tuple(sorted((oid, _compared(text, value)) for oid, text, value in relative))
        for relative in _relative_names(raw)
    )


def _compared(text: str | None, value: der.Node) -> str:
    if text is not None:
        try:
            return stringprep.prepare(text)
        except stringprep.ProhibitedError:
            pass
    return _OPAQUE + value.raw.hex()


def is_opaque(text: str) -> bool:
    """Whether a value in a `name_key` is no string that can be compared."""
    return text.startswith(_OPAQUE)


def subject_key_identifier(spki: bytes) -> bytes:
    """The key identifier of RFC 5280 clause 4.2.1.2 (1): SHA-1 of the public key's bits."""
    fields = der.parse(spki).fields()
    fields.take()
    return hashlib.sha1(fields.take().bit_string(), usedforsecurity=False).digest()
