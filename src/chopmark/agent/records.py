"""Facts as text and back, for the database of verdicts."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sys
from typing import TYPE_CHECKING, Any

from chopmark.core.signer import Authority
from chopmark.core.verdict import Status
from chopmark.core.versions import Release
from chopmark.policy.facts import FileFacts, SealFacts

if TYPE_CHECKING:
    from collections.abc import Iterable


def key(digest: str, format_name: str, companions: Iterable[tuple[str, str]]) -> str:
    """What facts are known by: the content, the format it is taken for, and signatures beside it (suffix, digest)."""
    beside = [f"{suffix}={value}" for suffix, value in companions]
    if not beside:
        return f"{digest}/{format_name}"
    return f"{digest}/{format_name}/{hashlib.sha256(' '.join(beside).encode()).hexdigest()}"


def encoded(facts: FileFacts) -> str:
    """JSON, without the path."""
    fields = facts._asdict()
    del fields["path"], fields["writable"]
    fields["seals"] = [_seal(each) for each in facts.seals]
    return json.dumps(fields, separators=(",", ":"))


def _seal(seal: SealFacts) -> dict[str, Any]:
    return {**seal._asdict(), "signed_at": seal.signed_at.isoformat() if seal.signed_at else None}


def decoded(text: str) -> FileFacts | None:
    """What `encoded` made; None for anything else."""
    try:
        fields = json.loads(text)
        fields["status"] = Status(fields["status"])
        fields["seals"] = tuple(_read(each) for each in fields["seals"])
        fields["release"] = Release(*fields["release"]) if fields["release"] else None
        return FileFacts(path="", **fields)
    except (ValueError, TypeError, KeyError):
        return None


def _read(fields: dict[str, Any]) -> SealFacts:
    at = fields["signed_at"]
    known: dict[str, Any] = {
        name: sys.intern(value) if isinstance(value, str) else value for name, value in fields.items()
    }
    known["status"] = Status(fields["status"])
    known["claims"] = tuple((name, value) for name, value in fields["claims"])
    known["authorities"] = tuple(Authority(*each) for each in fields["authorities"])
    known["purposes"] = tuple(fields["purposes"])
    known["signed_at"] = dt.datetime.fromisoformat(at) if at else None
    return SealFacts(**known)
