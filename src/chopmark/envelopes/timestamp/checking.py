"""Checking time stamps over a signature value: RFC 3161 tokens and legacy countersignatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import digest as digests
from chopmark.core.finding import Outcome
from chopmark.core.proof import Stamp
from chopmark.envelopes import der, x509
from chopmark.envelopes.cms import checking as cms_checking
from chopmark.envelopes.cms import oids
from chopmark.envelopes.cms import reasons as cms_reasons
from chopmark.envelopes.cms.reading import SignerInfo, read
from chopmark.envelopes.timestamp import reasons
from chopmark.envelopes.timestamp.info import TstInfo, read_info

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.finding import Finding


def check(raw: bytes, stamped: bytes, *, critical_purpose: bool = True) -> Stamp:
    """Check an RFC 3161 TimeStampToken over `stamped` (a signature value).

    `critical_purpose` is False where the authority's extended key usage need not be critical: in Authenticode, since
    Microsoft's own authority does not mark it so. It must be the sole one everywhere.

    Everything wrong is a finding in the stamp's proof. Raises MalformedError only when `raw` is no token at all, so
    that there is no time to speak of.
    """
    signed = read(raw)
    if signed.content is None or not signed.signers:
        raise der.DerError("a time-stamp token without content or signature")
    info = read_info(signed.content)
    findings = []
    if signed.content_type != oids.TST_INFO:
        findings.append(reasons.CONTENT_TYPE_WRONG.found(signed.content_type))
    if len(signed.signers) != 1:
        findings.append(reasons.SIGNERS_WRONG.found(f"{len(signed.signers)} signatures"))
    signer = signed.signers[0]
    proof = cms_checking.check_alone(signed, signer)
    actual = digests.of(stamped, info.algorithm)
    match = actual == info.digest
    findings.append((reasons.IMPRINT_MATCH if match else reasons.IMPRINT_MISMATCH).found(info.algorithm))
    if proof.signer is not None:
        findings += _check_authority(x509.certificate(proof.certificates[0]), info, critical_purpose=critical_purpose)
        if oids.SIGNING_CERTIFICATE not in signer.signed_attributes and (
            oids.SIGNING_CERTIFICATE_V2 not in signer.signed_attributes
        ):
            findings.append(reasons.SIGNER_NOT_NAMED.found())
    unknown = [oid for oid, extension in info.extensions.items() if extension.critical]
    findings += [reasons.EXTENSION_UNKNOWN.found(oid) for oid in unknown]
    proof = proof._replace(
        findings=(*proof.findings, *findings),
        digest_algorithm=digests.weakest((proof.digest_algorithm, info.algorithm)),
        claimed_time=info.time,
    )
    return Stamp("rfc3161", info.time, proof, info.policy, f"{info.serial:x}", info.accuracy)


def check_countersignature(node: der.Node, stamped: bytes, certificates: Sequence[bytes]) -> Stamp:
    """Check a PKCS #9 countersignature as a time stamp over `stamped` (a signature value), as Authenticode had them.

    Its certificates are among those of the signature it stands in. Everything wrong is a finding in the stamp's proof.
    Raises MalformedError only when there is no time to speak of.
    """
    signer = SignerInfo(node)
    time = signer.signing_time
    if time is None:
        raise der.DerError("a countersignature without a signing time")
    content = cms_checking.Content(digests.of(stamped, signer.digest_algorithm), oids.DATA, type_required=False)
    examined = cms_checking.examine(signer, certificates, content, bare_digest=reasons.BARE_DIGEST)
    examined.findings.extend(
        cms_reasons.UNSIGNED_UNKNOWN.found(f"{oid}, {size} bytes") for oid, size in signer.unsigned_sizes.items()
    )
    if examined.certificate is not None:
        purposes = _purposes(examined.certificate)
        right = purposes is not None and x509.EKU_TIME_STAMPING in purposes
        reason = reasons.PURPOSE_RIGHT if right else reasons.PURPOSE_WRONG
        examined.findings.append(reason.found(", ".join(purposes or ("none",))))
    proof = cms_checking.proof(examined, certificates, signer)
    return Stamp("authenticode", time, proof)


def _purposes(certificate: x509.Certificate) -> tuple[str, ...] | None:
    try:
        return certificate.extended_key_usage
    except der.DerError:
        return None


def _check_authority(certificate: x509.Certificate, info: TstInfo, *, critical_purpose: bool) -> list[Finding]:
    """The authority's certificate: its sole, critical purpose (RFC 3161 clause 2.3), and the name in the token."""
    purposes = _purposes(certificate)
    extension = certificate.extensions.get(x509.EXTENDED_KEY_USAGE)
    right = purposes == (x509.EKU_TIME_STAMPING,)
    findings = [(reasons.PURPOSE_RIGHT if right else reasons.PURPOSE_WRONG).found(", ".join(purposes or ("none",)))]
    if extension is not None and not extension.critical:
        findings.append(reasons.PURPOSE_NOT_CRITICAL.found(outcome=None if critical_purpose else Outcome.INFO))
    if info.authority and x509.name_key(info.authority) != certificate.subject_key:
        findings.append(reasons.AUTHORITY_NAME_WRONG.found(x509.name_text(info.authority)))
    return findings
