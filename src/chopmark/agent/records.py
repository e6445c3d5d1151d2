"""Facts as text and back, for the database of verdicts."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from chopmark.core.signer import Authority
from chopmark.core.verdict import Status
from chopmark.core.versions import Release
from chopmark.policy.facts import FileFacts, SealFacts

if TYPE_CHECKING:
    from collections.abc import Iterable


_TIGHT = (",", ":")


def key(digest: str, format_name: str, companions: Iterable[tuple[str, str]]) -> str:
    """What facts are known by: the content, the format it is taken for, and signatures beside it (suffix, digest)."""
    beside = [f"{suffix}={value}" for suffix, value in companions]
    if not beside:
        return f"{digest}/{format_name}"
    return f"{digest}/{format_name}/{hashlib.sha256(' '.join(beside).encode()).hexdigest()}"


def encoded(facts: FileFacts) -> str:
    """JSON of what is known of a content by itself: without seals, a place, and whatever is as usual."""
    fields = facts._asdict()
    for name in ("seals", "path", "writable", "newest"):
        del fields[name]
    usual = FileFacts._field_defaults
    return json.dumps(
        {name: value for name, value in fields.items() if value != usual.get(name, "")}, separators=_TIGHT
    )


@lru_cache(maxsize=256)
def sealed(seals: tuple[SealFacts, ...]) -> tuple[bytes, str]:
    """JSON of seals, which many files have in common, and what it is known by."""
    text = json.dumps([_seal(each) for each in seals], separators=_TIGHT) if seals else ""
    return hashlib.sha256(text.encode()).digest()[:16], text


def _seal(seal: SealFacts) -> dict[str, Any]:
    return {**seal._asdict(), "signed_at": seal.signed_at.isoformat() if seal.signed_at else None}


def decoded(text: str, seals: str) -> FileFacts | None:
    """What `encoded` and `sealed` made; None for anything else."""
    try:
        fields = json.loads(text)
        if "status" in fields:
            fields["status"] = Status(fields["status"])
        if "release" in fields:
            fields["release"] = Release(*fields["release"])
        return FileFacts(path="", seals=_unsealed(seals), **fields)
    except (ValueError, TypeError, KeyError):
        return None


@lru_cache(maxsize=256)
def _unsealed(text: str) -> tuple[SealFacts, ...]:
    return tuple(_read(each) for each in json.loads(text)) if text else ()


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
