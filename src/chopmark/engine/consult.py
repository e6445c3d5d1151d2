"""Asking blocklists alone about an artifact: whoever signed it, and whether or not they are trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.engine import blocking, check, identify
from chopmark.envelopes import x509
from chopmark.trust import blocklist

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from chopmark.core.artifact import Artifact
    from chopmark.core.finding import Finding
    from chopmark.trust.blocklist import Blocklist


def consult(artifact: Artifact, lists: tuple[Blocklist, ...], at: dt.datetime) -> list[Finding]:
    """What lists say of a file and of the certificates that its signatures carry. Raises UnreadableError.

    Certificates are taken as they come, the signer's own first; nobody looks for the way to a root.
    """
    try:
        format_ = identify.identify(artifact)
    except identify.AmbiguousError:
        format_ = identify.formats()["detached"]
    blocked = blocking.examine(artifact, format_, lists, at)
    findings = list(blocked.findings)
    try:
        owner, seals, _ = check.seals_of(artifact, format_)
        payloads = check.payloads_of(artifact, owner, seals)
    except MalformedError:
        return findings
    for seal, of_seal in zip(seals, payloads, strict=True):
        proof = seal.envelope.check(of_seal)
        signers = list(_read(proof.certificates))
        stampers = [each for stamp in proof.stamps for each in _read(stamp.proof.certificates)]
        findings += blocklist.certificate_findings(lists, [*signers, *stampers])
        findings += blocked.signers(seal, signers)
    return findings


def signers(artifact: Artifact) -> list[x509.Certificate]:
    """The certificate of each signer of an artifact. Raises UnreadableError."""
    try:
        owner, seals, _ = check.seals_of(artifact, identify.identify(artifact))
        payloads = check.payloads_of(artifact, owner, seals)
    except MalformedError:
        return []
    proofs = [seal.envelope.check(of_seal) for seal, of_seal in zip(seals, payloads, strict=True)]
    return [certificate for proof in proofs for certificate in _read(proof.certificates[:1])]


def _read(raws: Iterable[bytes]) -> Iterable[x509.Certificate]:
    for raw in raws:
        try:
            yield x509.certificate(raw)
        except MalformedError:
            continue
