"""Building SignedData: draft, sign (here or elsewhere), finish; and adding unsigned attributes to what was signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import digest as digests
from chopmark.core.errors import RefusedError
from chopmark.envelopes import algorithms, belonging, der, public_keys, x509
from chopmark.envelopes.cms import ess, oids
from chopmark.envelopes.cms.reading import read

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from chopmark.core.contracts import Content, Signer


class Draft:
    """A SignedData that lacks nothing but the signature.

    `to_be_signed` is what the key signs, with `digest_algorithm`: the DER of the signed attributes as a SET OF.
    """

    def __init__(
        self,
        content: Content,
        to_be_signed: bytes,
        certificates: Sequence[bytes],
        identifiers: Sequence[bytes],
        *,
        include_certificates: bool = True,
    ) -> None:
        """Take the parts; `identifiers` are signature AlgorithmIdentifiers, the signature will show which is right."""
        self.to_be_signed = to_be_signed
        self.digest_algorithm = content.digest_algorithm
        self._content = content
        self._signer = x509.certificate(certificates[0])
        self._certificates = sorted(set(certificates)) if include_certificates else []
        self._identifiers = identifiers

    def finish(self, signature: bytes) -> bytes:
        """DER of the ContentInfo. Raises RefusedError when the signature is not the signer's over `to_be_signed`."""
        problem: RefusedError | None = None
        for identifier in self._identifiers:
            algorithm = algorithms.signature_algorithm(der.parse(identifier))
            try:
                belonging.confirm(self._signer, algorithm, signature, self.to_be_signed, self.digest_algorithm)
            except RefusedError as error:
                problem = problem or error
            else:
                return self.assemble(identifier, signature)
        raise problem or RefusedError(f"no signature algorithm fits the certificate of {self._signer.subject_text}")

    def assemble(self, identifier: bytes, signature: bytes) -> bytes:
        """The ContentInfo with a signature AlgorithmIdentifier and a signature that nobody has looked at."""
        content = self._content
        body = () if content.body is None else (der.explicit(0, _encapsulated(content, content.body)),)
        kind = public_keys.kind(self._signer.spki)
        digest_identifier = algorithms.digest_identifier(content.digest_algorithm, kind)
        issuer_and_serial = der.sequence(self._signer.issuer, der.encode(der.INTEGER, self._signer.serial_octets))
        signer_info = der.sequence(
            der.integer(1),
            issuer_and_serial,
            digest_identifier,
            der.context(0).to_bytes() + self.to_be_signed[1:],
            identifier,
            der.octet_string(signature),
        )
        encapsulated = der.sequence(der.oid(content.content_type), *body)
        version = 3 if content.content_type == oids.TST_INFO else 1
        return enveloped(encapsulated, digest_identifier, signer_info, self._certificates, version=version)


def enveloped(
    encapsulated: bytes,
    digest_identifier: bytes,
    signer_info: bytes,
    certificates: Sequence[bytes] = (),
    *,
    version: int = 1,
) -> bytes:
    """The ContentInfo with a SignedData of one signer (RFC 5652 clause 5.1), of parts in DER; nothing is checked."""
    signed_data = der.sequence(
        der.integer(version),
        der.set_of([digest_identifier]),
        encapsulated,
        der.explicit(0, *certificates) if certificates else b"",
        der.set_of([signer_info]),
    )
    return der.sequence(der.oid(oids.SIGNED_DATA), der.explicit(0, signed_data))


def draft(
    content: Content,
    signer: Signer,
    certificates: Sequence[bytes],
    *,
    signing_time: dt.datetime | None,
    include_certificates: bool = True,
) -> Draft:
    """Prepare a signature: `certificates` are DER, the signer's own first; `signing_time` is claimed, and optional.

    `include_certificates` is False where the verifier has them already.

    The digest of a body is computed here, that of detached content is taken from `content.digest`. Raises RefusedError
    when certificate, key and digest do not go together.
    """
    certificate = belonging.certificate_of(signer, certificates)
    _refuse_digest(signer.algorithm, content.digest_algorithm)
    attributes = {
        oids.CONTENT_TYPE: der.oid(content.content_type),
        oids.MESSAGE_DIGEST: der.octet_string(_content_digest(content)),
        oids.SIGNING_CERTIFICATE_V2: ess.attribute(certificate, content.digest_algorithm),
    }
    if signing_time is not None:
        attributes[oids.SIGNING_TIME] = der.time(signing_time)
    for oid, value in content.attributes:
        if oid in attributes:
            raise RefusedError(f"signed attribute {oid} is given twice")
        attributes[oid] = value
    to_be_signed = der.set_of(der.sequence(der.oid(oid), der.set_of([value])) for oid, value in attributes.items())
    identifier = algorithms.signing_identifier(signer, content.digest_algorithm)
    return Draft(content, to_be_signed, certificates, [identifier], include_certificates=include_certificates)


def resume(content: Content, to_be_signed: bytes, certificates: Sequence[bytes]) -> Draft:
    """Take up a draft whose `to_be_signed` was signed elsewhere.

    Raises RefusedError when the attributes are not for this content or this certificate, MalformedError when they are
    none. `Draft.finish` then finds out which of the key's signature algorithms was used.
    """
    certificate = belonging.first(certificates)
    candidate = Draft(content, to_be_signed, certificates, [algorithms.digest_identifier(content.digest_algorithm)])
    der.parse(to_be_signed).expect(der.SET)
    # Read back as a verifier will, so that what was prepared and what is asked for now cannot differ.
    signer = read(candidate.assemble(der.sequence(der.oid(algorithms.RSA_ENCRYPTION)), b"")).signers[0]
    kind = signer.single(oids.CONTENT_TYPE)
    if kind is None or kind.oid() != content.content_type:
        raise RefusedError("what was signed is for another type of content")
    if signer.message_digest != _content_digest(content):
        raise RefusedError("what was signed is for another content: the file was changed since, or it is another file")
    if ess.named_certificate(signer, certificate) is False:
        raise RefusedError("what was signed names another certificate than the one given")
    return Draft(
        content,
        to_be_signed,
        certificates,
        algorithms.identifiers_for(public_keys.kind(certificate.spki), content.digest_algorithm),
    )


def add_unsigned(raw: bytes, oid: str, value: bytes, *, signer_index: int = 0) -> bytes:
    """Add a value to an unsigned attribute of a signer (a time stamp, a nested signature); `value` is DER.

    Every other byte stays as it is, but for the lengths around the new one. Raises MalformedError when `raw` is no
    SignedData in DER, RefusedError when it has no such signer.
    """
    signed = read(raw)
    if not 0 <= signer_index < len(signed.signers):
        raise RefusedError(f"there is no signer {signer_index}")
    der.parse(value)
    node = signed.signers[signer_index].node
    last = node.children()[-1]
    if last.tag != der.context(1):
        return _spliced(raw, node, node.end, der.explicit(1, der.sequence(der.oid(oid), der.set_of([value]))))
    for attribute in last.children():
        fields = attribute.fields()
        if fields.take().oid() == oid:
            return _inserted(raw, fields.take(der.SET), value)
    return _inserted(raw, last, der.sequence(der.oid(oid), der.set_of([value])))


def add_certificates(raw: bytes, certificates: Sequence[bytes]) -> bytes:
    """Add those certificates (DER) to a SignedData that it has not yet; else as `add_unsigned`."""
    for certificate in certificates:
        if certificate in read(raw).certificates:
            continue
        der.parse(certificate)
        fields = der.parse(raw).children()[1].only_child().children()  # version, digests, content, then certificates
        if len(fields) > 3 and fields[3].tag == der.context(0):
            raw = _inserted(raw, fields[3], certificate)
        else:
            signed = der.parse(raw).children()[1].only_child()
            raw = _spliced(raw, signed, fields[2].end, der.explicit(0, certificate))
    return raw


def _inserted(raw: bytes, container: der.Node, value: bytes) -> bytes:
    """Put an element into a SET OF: where DER wants it, or last where that order is not kept anyway."""
    children = container.children()
    encoded = [child.raw for child in children]
    place = container.end
    if encoded == sorted(encoded):
        place = next((child.start for child in children if child.raw > value), place)
    return _spliced(raw, container, place, value)


def _spliced(raw: bytes, container: der.Node, place: int, value: bytes) -> bytes:
    """Insert bytes between elements of `container`, and correct the lengths of all that contains it."""
    path = [der.parse(raw)]
    while path[-1].start != container.start:
        path.append(next(child for child in path[-1].children() if child.end > container.start))
    start = end = place
    for node in reversed(path):
        value = der.encode(node.tag, raw[node.body : start], value, raw[end : node.end])
        start, end = node.start, node.end
    return value


def _encapsulated(content: Content, body: bytes) -> bytes:
    return der.octet_string(body) if content.content_type in oids.WRAPPED else body


def _content_digest(content: Content) -> bytes:
    """The message digest: over the value of what stands in [0], without tag and length (RFC 5652 clause 5.4)."""
    if content.body is None:
        return content.digest
    octets = content.body if content.content_type in oids.WRAPPED else der.parse(content.body).value
    return digests.of(octets, content.digest_algorithm)


def _refuse_digest(key_algorithm: str, digest_algorithm: str) -> None:
    if digest_algorithm not in digests.SIGNING_ALGORITHMS:
        raise RefusedError(f"new signatures are not made with {digest_algorithm}")
    if digest_algorithm not in (fitting := algorithms.message_digests(key_algorithm)):
        clause = "RFC 8419 clause 3.1" if key_algorithm == "ed25519" else "RFC 9882 clause 3.3"
        raise RefusedError(f"an {key_algorithm} signature in CMS needs {fitting[0]}, not {digest_algorithm} ({clause})")
