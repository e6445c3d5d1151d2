"""Asking blocklists alone about an artifact: whoever signed it, and whether or not they are trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.engine import blocking, check, identify
from chopmark.envelopes import x509
from chopmark.trust.blocklists import blocklist

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Format
    from chopmark.core.finding import Finding
    from chopmark.core.proof import Proof
    from chopmark.core.seal import Seal
    from chopmark.trust.blocklists.blocklist import Blocklist


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
    for seal, proof in _signatures(artifact, format_):
        signed_by = list(_read(proof.certificates))
        stampers = [each for stamp in proof.stamps for each in _read(stamp.proof.certificates)]
        findings += blocklist.certificate_findings(lists, [*signed_by, *stampers])
        findings += blocklist.key_findings(lists, proof.signer)
        findings += blocked.signers(seal, signed_by)
    return findings


def _signatures(artifact: Artifact, format_: Format) -> Iterator[tuple[Seal, Proof]]:
    try:
        found, _ = check.seals_of(artifact, format_)
        payloads = check.payloads_of(artifact, found)
    except MalformedError:
        return
    for owned, of_seal in zip(found, payloads, strict=True):
        yield owned.seal, check.proof_of(owned.seal, of_seal)


def signers(artifact: Artifact) -> list[x509.Certificate]:
    """The certificate of each signer of an artifact. Raises UnreadableError."""
    try:
        format_ = identify.identify(artifact)
    except identify.AmbiguousError:
        return []
    proofs = [proof for _, proof in _signatures(artifact, format_)]
    return [certificate for proof in proofs for certificate in _read(proof.certificates[:1])]


def _read(raws: Iterable[bytes]) -> Iterable[x509.Certificate]:
    for raw in raws:
        try:
            yield x509.certificate(raw)
        except MalformedError:
            continue
