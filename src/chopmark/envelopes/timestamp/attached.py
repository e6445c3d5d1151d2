"""The time stamps that a signature carries among its unsigned attributes, all of them checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import clock, limits
from chopmark.core.errors import MalformedError
from chopmark.core.finding import Outcome
from chopmark.envelopes.cms import oids
from chopmark.envelopes.timestamp import checking, reasons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.finding import Finding
    from chopmark.core.proof import Stamp
    from chopmark.envelopes.cms.reading import SignerInfo


def check_all(signer: SignerInfo, certificates: Sequence[bytes]) -> tuple[tuple[Stamp, ...], list[Finding]]:
    """Check every time stamp on a signature; a finding for each, also for what is no time stamp at all.

    A stamp that does not hold speaks against the signature it stands on: it is never left out silently.
    """
    values = [(oid, node) for oid in oids.STAMPS for node in signer.unsigned_attributes.get(oid, ())]
    values.sort(key=lambda pair: pair[1].start)
    stamps: list[Stamp] = []
    findings: list[Finding] = []
    if len(values) > limits.STAMPS_MAX:
        findings.append(reasons.STAMPS_TOO_MANY.found(str(len(values))))
    for number, (oid, node) in enumerate(values[: limits.STAMPS_MAX], 1):
        subject = f"time stamp {number}"
        try:
            if oid == oids.COUNTERSIGNATURE:
                stamp = checking.check_countersignature(node, signer.signature, certificates)
            else:
                critical = oid != oids.MICROSOFT_TIMESTAMP
                stamp = checking.check(node.raw, signer.signature, critical_purpose=critical)
        except MalformedError as error:
            findings.append(reasons.STAMP_MALFORMED.found(str(error), subject=subject))
            continue
        stamps.append(stamp)
        findings.append(_conclusion(stamp, subject))
    return tuple(stamps), findings


def _conclusion(stamp: Stamp, subject: str) -> Finding:
    if stamp.proof.intact:
        return reasons.STAMP_INTACT.found(f"{stamp.kind}, {clock.show(stamp.time)}", subject=subject)
    against = [finding for finding in stamp.proof.findings if finding.outcome is Outcome.NO]
    reason = reasons.STAMP_BROKEN
    if not against:
        reason = reasons.STAMP_UNDECIDED
        against = [finding for finding in stamp.proof.findings if finding.outcome is Outcome.UNKNOWN]
    return reason.found(", ".join(finding.code for finding in against), subject=subject)
