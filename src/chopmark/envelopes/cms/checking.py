"""Checking one signature of a SignedData: structure, digests, the mathematics. Nobody is trusted here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import digest as digests
from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.core.proof import Proof
from chopmark.envelopes import algorithms, der, public_keys, signatures, x509
from chopmark.envelopes.cms import ess, oids, reasons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.finding import Finding
    from chopmark.core.reasons import Reason
    from chopmark.envelopes.cms.reading import SignedData, SignerInfo


class Content(NamedTuple):
    """What a SignerInfo should be over: the digest of the content (None: compared elsewhere) and its type.

    `type_required` is False for countersignatures, which have no content type (RFC 5652 clause 11.4).
    """

    digest: bytes | None
    content_type: str
    type_required: bool = True


class Examined(NamedTuple):
    """What was found about one SignerInfo: the signer's certificate if it is there, and the weakest digest."""

    findings: list[Finding]
    certificate: x509.Certificate | None
    digest_algorithm: str


def check_alone(
    signed: SignedData,
    signer: SignerInfo,
    *,
    allowed_unsigned: frozenset[str] = frozenset(),
    digest: bytes | None = None,
) -> Proof:
    """Check one of `signed.signers`, but no time stamps on it (see `stamped.check`).

    `allowed_unsigned` are the unsigned attributes that may stand there; `digest` is that of detached content by the
    signer's digest algorithm, if it is known here (otherwise whoever knows it compares it with
    `signer.message_digest`).

    Never raises for what it finds: everything wrong is a finding.
    """
    content_digest = digest if signed.content is None else digests.of(signed.content, signer.digest_algorithm)
    examined = examine(signer, signed.certificates, Content(content_digest, signed.content_type))
    findings = examined.findings
    findings += structure(signed, signer)
    findings += _unsigned(signer, allowed_unsigned)
    if not signer.attributes_raw and _looks_like_attributes(signed):
        findings.append(reasons.ATTRIBUTES_AS_CONTENT.found())
    return proof(examined, signed.certificates, signer, crls=signed.crls, answers=signed.answers)


def proof(
    examined: Examined,
    certificates: Sequence[bytes],
    signer: SignerInfo,
    *,
    crls: tuple[bytes, ...] = (),
    answers: tuple[bytes, ...] = (),
) -> Proof:
    """Put together what was examined."""
    own = examined.certificate
    return Proof(
        signer=own.signer_id if own else None,
        digest_algorithm=examined.digest_algorithm,
        findings=tuple(examined.findings),
        certificates=(own.raw, *(raw for raw in certificates if raw != own.raw)) if own else tuple(certificates),
        claimed_time=signer.signing_time,
        crls=crls,
        answers=answers,
    )


def examine(
    signer: SignerInfo, certificates: Sequence[bytes], content: Content, *, bare_digest: Reason | None = None
) -> Examined:
    """Check a SignerInfo by itself: attributes, content, certificate, signature.

    `bare_digest` is the reason to give where an RSA signature may be over the digest without a DigestInfo; None where
    it may not.
    """
    findings: list[Finding] = []
    weakest = signer.digest_algorithm
    _check_attributes(signer, content, findings)
    expected = 1 if signer.issuer else 3
    if signer.version != expected:
        findings.append(reasons.VERSION_WRONG.found(f"signerInfo version is not {expected}"))
    certificate = _find_signer(signer, certificates, findings)
    if certificate is not None and signer.attributes_raw:
        _check_binding(signer, certificate, findings)
        weakest = digests.weakest((weakest, _check_signature(signer, certificate, findings, bare_digest)))
    return Examined(findings, certificate, weakest)


def _check_attributes(signer: SignerInfo, content: Content, findings: list[Finding]) -> None:
    """The signed attributes and what they say about the content (RFC 5652 clauses 5.3, 11.1 to 11.3)."""
    if not signer.attributes_raw:
        findings.append(reasons.ATTRIBUTES_MISSING.found())
        return
    wrong = [f"{oid} stands twice" for oid in dict.fromkeys(signer.duplicates)]
    named = signer.signed_attributes.get(oids.CONTENT_TYPE)
    node = signer.single(oids.CONTENT_TYPE)
    if named is None and content.type_required:
        wrong.append("content type is missing")
    elif named is not None and (node is None or node.tag != der.OBJECT_IDENTIFIER):
        wrong.append("content type has not one value")
    elif node is not None and node.raw != der.oid(content.content_type):
        findings.append(reasons.CONTENT_TYPE_WRONG.found(content.content_type))
    signed_digest = signer.message_digest
    if signed_digest is None:
        wrong.append("message digest is missing, or has not one value")
    if oids.SIGNING_TIME in signer.signed_attributes and signer.signing_time is None:
        wrong.append("signing time is not one time")
    findings += [reasons.ATTRIBUTE_WRONG.found(what) for what in wrong]
    if not wrong:
        findings.append(reasons.ATTRIBUTES_SOUND.found())
    if content.digest is None:
        findings.append(reasons.CONTENT_OUTSIDE.found())
    elif signed_digest == content.digest:
        findings.append(reasons.CONTENT_MATCH.found(signer.digest_algorithm))
    else:
        findings.append(reasons.CONTENT_MISMATCH.found(signer.digest_algorithm))


def _find_signer(signer: SignerInfo, certificates: Sequence[bytes], findings: list[Finding]) -> x509.Certificate | None:
    """The certificate that the SignerInfo names; a finding when there is none, or several."""
    found: dict[bytes, x509.Certificate] = {}
    for raw in certificates:
        try:
            candidate = x509.certificate(raw)
            if is_named(signer, candidate):
                _ = candidate.signer_id  # its names are read here, because they may be malformed
                found[raw] = candidate
        except MalformedError as error:
            findings.append(reasons.CERTIFICATE_UNREADABLE.found(str(error)))
    if not found:
        findings.append(reasons.SIGNER_MISSING.found())
        return None
    if len(found) > 1:
        findings.append(reasons.SIGNER_AMBIGUOUS.found(f"{len(found)} certificates"))
    certificate = next(iter(found.values()))
    findings.append(reasons.SIGNER_FOUND.found(certificate.subject_text))
    return certificate


def is_named(signer: SignerInfo, certificate: x509.Certificate) -> bool:
    """Whether a SignerInfo names this certificate. Raises MalformedError for one that cannot be read."""
    if not signer.issuer:
        return certificate.subject_key_id == signer.key_id
    # Byte for byte: what names the signer is not signed, so it should not come in several spellings.
    return certificate.serial_octets == signer.serial_octets and certificate.issuer == signer.issuer


def _check_binding(signer: SignerInfo, certificate: x509.Certificate, findings: list[Finding]) -> None:
    try:
        bound = ess.named_certificate(signer, certificate)
    except MalformedError as error:
        findings.append(reasons.ATTRIBUTE_WRONG.found(f"signing certificate: {error}"))
        return
    if bound is not None:
        findings.append((reasons.SIGNER_BOUND if bound else reasons.SIGNER_NOT_BOUND).found(certificate.subject_text))


def _check_signature(
    signer: SignerInfo, certificate: x509.Certificate, findings: list[Finding], bare_digest: Reason | None
) -> str:
    """Verify the signature over the signed attributes; the digest it rests on."""
    name = signer.digest_algorithm
    try:
        algorithm = signer.signature_algorithm
        fitting = (algorithm.digest,) if algorithm.digest else algorithms.message_digests(algorithm.kind)
        if name not in fitting:
            findings.append(reasons.DIGEST_INCONSISTENT.found(f"{name} and {fitting[0]}"))
        used = signatures.verify(certificate.spki, algorithm, signer.signature, signer.signed_attributes_der, name)
    except public_keys.ForbiddenKeyError as error:
        findings.append(reasons.KEY_FORBIDDEN.found(str(error)))
    except signatures.BadSignatureError:
        digest = digests.of(signer.signed_attributes_der, name)
        if bare_digest and signatures.recovers_bare_digest(certificate.spki, signer.signature, digest):
            findings.append(bare_digest.found(name))
            findings.append(reasons.SIGNATURE_VALID.found(name))
        else:
            findings.append(reasons.SIGNATURE_INVALID.found(name))
    except MalformedError as error:
        findings.append(reasons.SIGNATURE_UNSUPPORTED.found(str(error)))
    else:
        findings.append(reasons.SIGNATURE_VALID.found(f"{algorithm.kind} with {used or name}"))
        return used or name
    return name


def structure(signed: SignedData, signer: SignerInfo) -> list[Finding]:
    """What there is to say of the SignedData around a signer: versions, announced digests, order and encoding."""
    findings = []
    if signed.version not in (1, signed.cms_version):
        findings.append(reasons.VERSION_WRONG.found(f"SignedData version is neither 1 nor {signed.cms_version}"))
    if signer.digest_algorithm not in signed.digest_algorithms:
        findings.append(reasons.DIGEST_INCONSISTENT.found(f"{signer.digest_algorithm} was not announced"))
    if signed.others:
        findings.append(reasons.CERTIFICATES_OTHER.found(str(signed.others)))
    if signed.crls:
        findings.append(reasons.CRLS.found(f"{len(signed.crls)}, {sum(map(len, signed.crls))} bytes"))
        findings += [reasons.CERTIFICATE_UNREADABLE.found("a CRL") for raw in signed.crls if not _is_crl(raw)]
    if signed.answers:
        findings.append(reasons.ANSWERS.found(f"{len(signed.answers)}, {sum(map(len, signed.answers))} bytes"))
        unreadable = [raw for raw in signed.answers if not _is_answer(raw)]
        findings += [reasons.CERTIFICATE_UNREADABLE.found("an OCSP answer") for raw in unreadable]
    if not signed.ordered:
        findings.append(reasons.ORDER.found())
    if signed.was_ber:
        findings.append(reasons.BER.found())
        if signer.attributes_raw not in signed.raw:
            findings.append(reasons.ATTRIBUTES_REENCODED.found())
    return findings


def _is_answer(raw: bytes) -> bool:
    from chopmark.envelopes.ocsp import reading  # few signatures carry any

    try:
        reading.read_response(raw)
    except MalformedError:
        return False
    return True


def _is_crl(raw: bytes) -> bool:
    """Whether it has the outline of a CertificateList (RFC 5280 clause 5.1); whoever relies on it reads the rest."""
    try:
        fields = der.parse(raw).fields()
        fields.take().fields()
        fields.take().fields().take().oid()
        fields.take().bit_string()
        fields.done()
    except MalformedError:
        return False
    return True


def _unsigned(signer: SignerInfo, allowed: frozenset[str]) -> list[Finding]:
    """Unsigned attributes: known kinds only, and small unless they are checked by themselves."""
    findings = [
        reasons.UNSIGNED_UNKNOWN.found(f"{oid}, {size} bytes")
        for oid, size in signer.unsigned_sizes.items()
        if oid not in allowed
    ]
    checked = oids.STAMPS | {oids.NESTED_SIGNATURE}
    size = sum(size for oid, size in signer.unsigned_sizes.items() if oid not in checked)
    if size > limits.UNSIGNED_ATTRIBUTES_MAX:
        findings.append(reasons.UNSIGNED_TOO_LARGE.found(f"{size} bytes"))
    return findings


def _looks_like_attributes(signed: SignedData) -> bool:
    """Whether the content holds the DER of signed attributes, whose signature could be passed off as one over it."""
    body = signed.content or b""
    return body[:1] == b"\x31" and der.oid(oids.MESSAGE_DIGEST) in body and der.oid(oids.CONTENT_TYPE) in body
