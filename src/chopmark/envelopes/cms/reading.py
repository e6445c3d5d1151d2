"""Reading SignedData (RFC 5652 clause 5, and PKCS #7 1.5 as Authenticode uses it)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.envelopes import algorithms, der
from chopmark.envelopes.cms import oids

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

_ISSUER_AND_SERIAL = der.SEQUENCE
_KEY_ID = der.context(0, constructed=False)


class SignerInfo:
    """One signature of a SignedData (RFC 5652 clause 5.3), parsed, not verified.

    The signer's certificate is named by `issuer` (DER Name) and `serial_octets`, or by `key_id`. Attributes map dotted
    identifiers to their values. `signed_attributes_der` is what the signature is over: the original bytes under the tag
    of a SET OF, as clause 5.4 wants; empty without signed attributes. `duplicates` are identifiers of signed attributes
    that stand more than once.
    """

    __slots__ = (
        "algorithm",
        "attributes_raw",
        "digest_algorithm",
        "duplicates",
        "issuer",
        "key_id",
        "node",
        "serial_octets",
        "signature",
        "signed_attributes",
        "signed_attributes_der",
        "unsigned_attributes",
        "unsigned_sizes",
        "version",
    )

    def __init__(self, node: der.Node) -> None:
        """Read a SignerInfo. Raises DerError, or UnsupportedError for an unknown digest algorithm."""
        fields = node.fields()
        self.node = node
        self.version = fields.take(der.INTEGER).integer()
        self.issuer = self.serial_octets = self.key_id = b""
        identifier = fields.take()
        if identifier.tag == _ISSUER_AND_SERIAL:
            pair = identifier.fields()
            self.issuer = pair.take(der.SEQUENCE).raw
            self.serial_octets = pair.take(der.INTEGER).value
            pair.done()
        else:
            self.key_id = identifier.expect(_KEY_ID).value
        self.digest_algorithm = algorithms.digest_name(fields.take())
        signed = fields.optional(der.context(0))
        self.attributes_raw = signed.raw if signed else b""
        self.signed_attributes_der = signed.retagged(der.SET) if signed else b""
        self.duplicates: list[str] = []
        self.signed_attributes: Mapping[str, tuple[der.Node, ...]] = _attributes(signed, self.duplicates, {})
        self.algorithm = fields.take(der.SEQUENCE)
        self.signature = fields.take().octets()
        self.unsigned_sizes: dict[str, int] = {}
        self.unsigned_attributes: Mapping[str, tuple[der.Node, ...]] = _attributes(
            fields.optional(der.context(1)), [], self.unsigned_sizes
        )
        fields.done()

    @property
    def signature_algorithm(self) -> algorithms.SignatureAlgorithm:
        """How it was signed. Raises UnsupportedError or DerError."""
        return algorithms.signature_algorithm(self.algorithm)

    def single(self, oid: str) -> der.Node | None:
        """The value of a signed attribute that stands once and has one value; else None."""
        values = self.signed_attributes.get(oid, ())
        return values[0] if len(values) == 1 and oid not in self.duplicates else None

    @property
    def message_digest(self) -> bytes | None:
        """The digest of the content, from the signed attribute; None when there is none or it is malformed."""
        node = self.single(oids.MESSAGE_DIGEST)
        return node.value if node is not None and node.tag == der.OCTET_STRING else None

    @property
    def signing_time(self) -> dt.datetime | None:
        """When the signer says it was; None when it does not or it is malformed."""
        node = self.single(oids.SIGNING_TIME)
        try:
            return node.time() if node is not None else None
        except der.DerError:
            return None


class SignedData:
    """A SignedData and where its parts are (RFC 5652 clause 5.1), parsed, not verified.

    `content` are the octets that messageDigest is over: the value of what stands inside [0], without its tag and
    length (clause 5.4, and the same for PKCS #7); `content_raw` is that with tag and length. Both are None when the
    content stands elsewhere. `certificates`, `crls` and `answers` (OCSPResponse, RFC 5940) are DER; `others`
    counts certificates and revocation data of other kinds.
    `raw` are the bytes as read, `definite` the same with definite lengths when `was_ber`.
    """

    __slots__ = (
        "answers",
        "certificates",
        "cms_version",
        "content",
        "content_raw",
        "content_type",
        "crls",
        "definite",
        "digest_algorithms",
        "ordered",
        "others",
        "raw",
        "signers",
        "version",
        "was_ber",
    )

    def __init__(self, raw: bytes, definite: bytes) -> None:
        """Read a ContentInfo with definite lengths. Raises DerError or UnsupportedError."""
        self.raw = raw
        self.definite = definite
        self.was_ber = raw is not definite
        outer = der.parse(definite).fields()
        if outer.take().oid() != oids.SIGNED_DATA:
            raise der.DerError("not a SignedData")
        fields = outer.take(der.context(0)).only_child().fields()
        outer.done()
        self.version = fields.take(der.INTEGER).integer()
        digests = _elements(fields.take(der.SET), limits.SIGNERS_MAX, "digest algorithms")
        self.digest_algorithms = tuple(_digest(node) for node in digests)
        inner = fields.take().fields()
        self.content_type = inner.take().oid()
        content = inner.optional(der.context(0))
        inner.done()
        node = content.only_child() if content else None
        # CMS wraps content in an OCTET STRING; PKCS #7 lets other types than data stand as the SEQUENCE they are.
        if node and node.tag != der.OCTET_STRING and (self.content_type in oids.WRAPPED or node.tag != der.SEQUENCE):
            raise der.DerError(f"content under tag {node.tag:#04x}")
        self.content = node.value if node else None
        self.content_raw = node.raw if node else None
        certificates = _elements(fields.optional(der.context(0)), limits.CERTIFICATES_MAX, "certificates")
        if sum(item.end - item.start for item in certificates) > limits.CERTIFICATES_SIZE_MAX:
            raise der.DerError(f"more than {limits.CERTIFICATES_SIZE_MAX} bytes of certificates")
        self.certificates = tuple(item.raw for item in certificates if item.tag == der.SEQUENCE)
        self.others = len(certificates) - len(self.certificates)
        crls = _elements(fields.optional(der.context(1)), limits.CERTIFICATES_MAX, "CRLs")
        self.crls = tuple(item.raw for item in crls if item.tag == der.SEQUENCE)
        self.answers = tuple(answer for item in crls if (answer := _answer(item)))
        self.others += len(crls) - len(self.crls) - len(self.answers)
        signers = _elements(fields.take(der.SET), limits.SIGNERS_MAX, "signers")
        fields.done()
        self.signers = tuple(SignerInfo(item) for item in signers)
        self.cms_version = self._cms_version([item.tag for item in certificates], [item.tag for item in crls])
        self.ordered = all(_ordered(nodes) for nodes in (digests, certificates, crls, signers))
        if self.was_ber:
            unsigned = (signer.unsigned_attributes.values() for signer in self.signers)
            stamps = [node for attributes in unsigned for values in attributes for node in values]
            typed = [node] if node and node.tag != der.OCTET_STRING else []
            _hold_to(raw, [*typed, *certificates, *crls, *sorted(stamps, key=lambda node: node.start)])

    def _cms_version(self, certificates: list[int], crls: list[int]) -> int:
        """The version that RFC 5652 clause 5.1 gives this content; PKCS #7 1.5 has 1 for everything."""
        if der.context(3) in certificates or der.context(1) in crls:
            return 5
        if der.context(2) in certificates:
            return 4
        plain = self.content_type == oids.DATA and der.context(1) not in certificates
        return 1 if plain and all(signer.issuer for signer in self.signers) else 3

    @property
    def content_der(self) -> bytes | None:
        """The DER that is signed: what stands inside [0] (PKCS #7), or inside the OCTET STRING there (CMS)."""
        if self.content_raw is None or self.content_raw[0] != der.OCTET_STRING:
            return self.content_raw
        return self.content


def read(raw: bytes, *, allow_ber: bool = False) -> SignedData:
    """Read a ContentInfo with SignedData, strictly DER, with nothing behind it.

    `allow_ber` accepts indefinite lengths and octet strings in pieces, as RFC 5652 permits outside of what is signed;
    `was_ber` tells. Certificates, lists, answers and unsigned attributes are DER there too. Raises DerError;
    UnsupportedError (also a MalformedError) for a signer's unknown digest algorithm.
    """
    if len(raw) > limits.ENVELOPE_MAX:
        raise der.DerError(f"an envelope of {len(raw)} bytes; {limits.ENVELOPE_MAX} are the limit")
    if not allow_ber:
        return SignedData(raw, raw)
    from chopmark.envelopes.cms import ber

    definite = ber.normalise(raw)
    return SignedData(raw, raw if definite == raw else definite)


def _digest(node: der.Node) -> str:
    """The digest's name, or its identifier when it is unknown: only the signers' own must be known."""
    try:
        return algorithms.digest_name(node)
    except algorithms.UnsupportedError:
        return node.fields().take().oid()


def _elements(node: der.Node | None, limit: int, what: str) -> list[der.Node]:
    found = node.children() if node else []
    if len(found) > limit:
        raise der.DerError(f"{len(found)} {what}; {limit} are the limit")
    return found


def _hold_to(raw: bytes, nodes: list[der.Node]) -> None:
    """What is signed by itself must have been DER before the rest was made so: no other encoding of it was signed."""
    position = 0
    for node in nodes:
        position = raw.find(node.raw, position)
        if position < 0:
            raise der.DerError("a certificate, a list, a time stamp or typed content in BER that is not DER itself")
        position += node.end - node.start


def _answer(node: der.Node) -> bytes:
    """The OCSPResponse in an OtherRevocationInfoFormat (RFC 5652 clause 10.2.1, RFC 5940); empty for other kinds."""
    if node.tag != der.context(1):
        return b""
    fields = node.fields(der.context(1))
    kind, value = fields.take().oid(), fields.take()
    fields.done()
    return value.raw if kind == oids.OCSP_RESPONSE else b""


def _ordered(nodes: list[der.Node]) -> bool:
    """Whether the elements stand as DER wants them (X.690 clause 11.6)."""
    if len(nodes) < 2:
        return True
    encoded = [node.raw for node in nodes]
    return encoded == sorted(encoded)


def _attributes(
    block: der.Node | None, duplicates: list[str], sizes: dict[str, int]
) -> dict[str, tuple[der.Node, ...]]:
    """Attributes by identifier; those that stand more than once are merged, and noted in `duplicates`."""
    found: dict[str, tuple[der.Node, ...]] = {}
    for attribute in block.children() if block else ():
        fields = attribute.fields()
        oid = fields.take().oid()
        values = tuple(fields.take(der.SET).children())
        fields.done()
        if not values:
            raise der.DerError(f"attribute {oid} has no value")
        if oid in found:
            duplicates.append(oid)
        found[oid] = found.get(oid, ()) + values
        sizes[oid] = sizes.get(oid, 0) + attribute.end - attribute.start
    return found
