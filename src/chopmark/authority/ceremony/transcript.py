"""Transcripts: what a ceremony did, who approved it, and what came of it, in a form that can be checked afterwards."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import rfc8785

from chopmark.authority.ceremony import approval as approvals_
from chopmark.authority.ceremony import plan as plans
from chopmark.core import clock, limits
from chopmark.core.errors import ChopmarkError, UsageError
from chopmark.envelopes import pem, x509

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    from chopmark.authority.ca import Authority
    from chopmark.authority.ceremony.approval import Approval
    from chopmark.authority.ceremony.plan import Plan, Step
    from chopmark.authority.ceremony.rules import Rules
    from chopmark.authority.ceremony.running import Result

_SIZE_MAX = 16 * limits.CEREMONY_MAX
"""A plan, its approvals with their certificates, and the results."""


def build(
    plan: Plan,
    rules: Rules,
    approvals: Sequence[Approval],
    done: Sequence[tuple[Step, Sequence[Result]]],
    authority: str,
    begun: dt.datetime,
    ended: dt.datetime,
) -> dict[str, Any]:
    """The transcript as JSON has it."""
    from chopmark import __version__

    return {
        "transcript": 1,
        "chopmark": __version__,
        "authority": authority,
        "plan": plan.raw.decode(),
        "plan_sha256": plan.sha256,
        "threshold": rules.threshold,
        "begun": clock.show(begun),
        "ended": clock.show(ended),
        "approvals": [
            {
                "name": each.name,
                "key_sha256": each.certificate.key_sha256,
                "certificate": pem.encode("CERTIFICATE", each.certificate.raw).decode(),
                "signature": base64.b64encode(each.signature).decode(),
            }
            for each in approvals
        ],
        "steps": [
            {"do": step.do, "results": [{"what": result.what, "sha256": result.sha256} for result in results]}
            for step, results in done
        ],
    }


def encode(told: dict[str, Any]) -> bytes:
    """Its bytes: canonical JSON (RFC 8785)."""
    return rfc8785.dumps(told)


def digest(raw: bytes) -> str:
    """What the register and the log know it by."""
    return hashlib.sha256(raw).hexdigest()


def faults(raw: bytes, authority: Authority | None) -> list[str]:
    """What is wrong with a transcript; empty when it holds.

    The plan is what was approved, each approval is a signature over it, there are enough of them; with the authority
    also: its register has this transcript, and every certificate that came of it. Raises UsageError for bytes that are
    no transcript.
    """
    told = read(raw)
    try:
        plan = plans.parse(told["plan"].encode())
        approvers = {
            each["name"]: x509.certificate(pem.single(each["certificate"].encode(), "CERTIFICATE"))
            for each in told["approvals"]
        }
        signatures = [base64.b64decode(each["signature"], validate=True) for each in told["approvals"]]
    except (ChopmarkError, KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"not a transcript: {error}"
        raise UsageError(message) from None
    found = []
    if plan.sha256 != told.get("plan_sha256"):
        found.append("the plan is not the one that its digest names")
    keys = set()
    for signature in signatures:
        try:
            keys.add(approvals_.check(plan.raw, signature, approvers).certificate.key_sha256)
        except ChopmarkError as error:
            found.append(f"an approval: {error}")
    threshold = told.get("threshold")
    if not isinstance(threshold, int) or threshold < 1 or len(keys) < threshold:
        found.append(f"{len(keys)} approvals where {threshold} are needed")
    return found + (list(_register_faults(raw, told, plan, authority)) if authority else [])


def _register_faults(raw: bytes, told: dict[str, Any], plan: Plan, authority: Authority) -> Iterator[str]:
    begun = authority.ceremonies.begun(plan.sha256)
    if begun is None:
        yield "the register knows of no such ceremony"
    elif begun.transcript_sha256 != digest(raw):
        yield "the register has another transcript of this ceremony"
    known = {issuer.certificate.sha256 for issuer in authority.issuers()}
    known |= {cross.certificate.sha256 for cross in authority.lineage.crosses()}
    for step in told.get("steps", []):
        for result in step["results"]:
            sha256 = result["sha256"]
            if sha256 and sha256 not in known and not _issued(authority, result["what"], sha256):
                yield f"{result['what']}: the register has no such certificate"


def _issued(authority: Authority, what: str, sha256: str) -> bool:
    """Whether a certificate for somebody else's CA is in the register; what came of a step names its number."""
    from chopmark.authority.register.search import Query

    words = what.split()
    if len(words) < 2 or words[0] != "certificate":  # noqa: PLR2004 - and a number
        return False
    try:
        found = authority.finder.search(Query(serial=words[1]), authority.clock())
    except UsageError:
        return False
    return any(record.certificate and x509.certificate(record.certificate).sha256 == sha256 for record in found)


def read(raw: bytes) -> dict[str, Any]:
    """A transcript from its bytes. Raises UsageError."""
    try:
        told = json.loads(raw) if len(raw) <= _SIZE_MAX else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or told.get("transcript") != 1:
        message = "not a transcript of a ceremony"
        raise UsageError(message)
    return told
