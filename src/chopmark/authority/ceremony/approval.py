"""Approvals: detached CMS signatures over a plan by keys that are pinned; the certificate around a key is a label."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.core import digest, limits
from chopmark.core.artifact import read_small
from chopmark.core.contracts import Content
from chopmark.core.errors import ChopmarkError, MalformedError, RefusedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.core.seal import DATA
from chopmark.envelopes import algorithms, cms, pem, x509

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from chopmark.core.contracts import Signer

SUFFIX = ".approval"


class Approval(NamedTuple):
    """One approver's word for a plan: who, by which certificate, and the signature (CMS, DER)."""

    name: str
    certificate: x509.Certificate
    signature: bytes


class Refused(NamedTuple):
    """Something that was given as an approval and is none, and why."""

    path: str
    why: str


def approve(plan: bytes, signer: Signer, certificates: tuple[bytes, ...], now: dt.datetime) -> bytes:
    """Sign a plan; the approval in DER. Raises RefusedError when certificate and key do not fit."""
    if not certificates or x509.certificate(certificates[0]).spki != signer.public_key:
        message = "an approver's certificate is for the approver's key"
        raise RefusedError(message)
    algorithm = algorithms.usual_digest(signer)
    content = Content(DATA, algorithm, digest.of(plan, algorithm))
    draft = cms.draft(content, signer, certificates[:1], signing_time=now)
    return draft.finish(signer.sign(draft.to_be_signed, algorithm))


def check(plan: bytes, raw: bytes, approvers: Mapping[str, x509.Certificate]) -> Approval:
    """Whose approval this is. Raises RefusedError when it is nobody's who may approve, or for another plan."""
    try:
        signed = cms.read(pem.cms(raw), allow_ber=True)
    except MalformedError as error:
        message = f"not a signature ({error})"
        raise RefusedError(message) from None
    if len(signed.signers) != 1 or signed.content_type != DATA or signed.content_raw is not None:
        message = "an approval is one detached signature over the plan"
        raise RefusedError(message)
    signer = signed.signers[0]
    if signer.digest_algorithm not in digest.SIGNING_ALGORITHMS:
        message = f"an approval is not made with {signer.digest_algorithm}"
        raise RefusedError(message)
    proof = cms.check(signed, signer, digest=digest.of(plan, signer.digest_algorithm))
    if not proof.intact or proof.signer is None:
        against = [finding.code for finding in proof.findings if finding.outcome in ("no", "unknown")]
        message = f"the signature is not over this plan, or is broken ({', '.join(against) or 'nobody signed it'})"
        raise RefusedError(message)
    for name, certificate in approvers.items():
        if certificate.key_sha256 == proof.signer.fingerprint:
            return Approval(name, certificate, signed.raw)
    message = f"{proof.signer.subject} (key {proof.signer.fingerprint[:16]}...) is no approver"
    raise RefusedError(message)


def collect(
    plan: bytes, paths: Iterable[str], approvers: Mapping[str, x509.Certificate]
) -> tuple[list[Approval], list[Refused]]:
    """The approvals in files, one for each key, and what is none."""
    found: dict[str, Approval] = {}
    refused = []
    for path in paths:
        try:
            approval = check(plan, read_small(path, limits.CEREMONY_MAX), approvers)
        except ChopmarkError as error:
            refused.append(Refused(path, str(error)))
            continue
        found.setdefault(approval.certificate.key_sha256, approval)
    return list(found.values()), refused


def beside(path: str) -> list[str]:
    """The files with approvals that lie beside a plan: PLAN.NAME.approval. Raises UsageError for far too many."""
    folder, name = os.path.split(os.path.abspath(path))
    found = sorted(each for each in os.listdir(folder) if each.startswith(f"{name}.") and each.endswith(SUFFIX))
    if len(found) > limits.APPROVERS_MAX:
        message = f"{path}: {len(found)} approvals beside it, at most {limits.APPROVERS_MAX}"
        raise UsageError(message)
    return [os.path.join(folder, each) for each in found]
