"""Events: what was used, by whom, what was known of it and what was decided; one JSON object a line.

A guard writes them, `policy simulate`, `diff` and `learn` read them. The shape is versioned (event.schema.json):
fields may be added under the same number; whoever reads passes over those that it does not know.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from chopmark.core import clock, limits
from chopmark.core.artifact import unreadable
from chopmark.core.errors import MalformedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.core.signer import Authority
from chopmark.core.verdict import Status
from chopmark.core.versions import SCHEMES, Release
from chopmark.policy.facts import GOOD, KINDS, NOBODY, NOBODY_KNOWN, UNCHECKED, FileFacts, Process, SealFacts

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from chopmark.policy.deciding import Decision

VERSION = 1
"""Of the shape."""
EFFECTS = ("allow", "deny", "audit")
Value = TypeVar("Value")


class Event(NamedTuple):
    """One use of a file.

    `effect` (one of EFFECTS), `code`, `rule` (file:line) and `policy` (name and version) are what was decided then;
    empty where nothing was.
    """

    at: dt.datetime
    kind: str
    file: FileFacts
    process: Process = NOBODY_KNOWN
    effect: str = ""
    code: str = ""
    rule: str = ""
    policy: str = ""


def of(decision: Decision, kind: str, process: Process, at: dt.datetime, policy: str) -> Event:
    """The event of a decision; `policy` says which one it was (its name and version)."""
    file = decision.file
    return Event(at, kind, file, process, str(decision.effect), decision.reason.code, decision.place, policy)


def line(event: Event) -> str:
    """An event as a line, without its end."""
    return json.dumps(as_dict(event), ensure_ascii=True, separators=(",", ":"))


def as_dict(event: Event) -> dict[str, Any]:
    """An event as data for JSON."""
    process = event.process
    return {
        "event": VERSION,
        "at": clock.show(event.at),
        "use": event.kind,
        "file": file_as_dict(event.file),
        "process": process._asdict(),
        "decision": {"effect": event.effect, "code": event.code, "rule": event.rule, "policy": event.policy}
        if event.effect
        else None,
    }


def file_as_dict(file: FileFacts) -> dict[str, Any]:
    """What is known of a file, as data for JSON."""
    return {
        **file._asdict(),
        "status": str(file.status),
        "release": file.release._asdict() if file.release else None,
        "seals": [_seal_as_dict(seal) for seal in file.seals],
    }


def _seal_as_dict(seal: SealFacts) -> dict[str, Any]:
    return {
        **seal._asdict(),
        "status": str(seal.status),
        "claims": dict(seal.claims),
        "authorities": [authority._asdict() for authority in seal.authorities],
        "purposes": list(seal.purposes),
        "signed_at": clock.show(seal.signed_at) if seal.signed_at else None,
    }


def read(path: str) -> Iterator[Event]:
    """The events of a file, in their order; a last line that was cut off is passed over.

    Raises InputError for a file that cannot be read, MalformedError (which names the line) for what is no event.
    """
    number = 0
    try:
        with open(path, "rb") as file:
            while raw := file.readline(limits.EVENT_LINE_MAX + 1):
                number += 1
                if len(raw) > limits.EVENT_LINE_MAX:
                    raise MalformedError(f"{path}:{number}: a line of more than {limits.EVENT_LINE_MAX} bytes")
                if not raw.endswith(b"\n"):
                    return  # whoever writes has not come further
                if raw.strip() and not _about_the_guard(raw):
                    yield _parsed(raw, f"{path}:{number}")
    except OSError as error:
        raise unreadable(path, error) from None


def _about_the_guard(raw: bytes) -> bool:
    """Whether a guard says something of itself: that it began, read another policy, lost sight of a file system."""
    if b'"event"' in raw:
        return False
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return isinstance(values, dict) and isinstance(values.get("kind"), str)


def _parsed(raw: bytes, where: str) -> Event:
    try:
        return parse(raw)
    except MalformedError as error:
        raise MalformedError(f"{where}: {error}") from None


def parse(raw: bytes) -> Event:
    """One event. Raises MalformedError."""
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError):
        raise MalformedError("not JSON") from None
    if not isinstance(values, dict) or values.get("event") != VERSION:
        raise MalformedError(f"not an event of version {VERSION}")
    decision = _table(values, "decision")
    return Event(
        at=_time(_text(values, "at")),
        kind=_word(values, "use", KINDS),
        file=file_from(_table(values, "file")),
        process=process_from(_table(values, "process")),
        effect=_word(decision, "effect", EFFECTS) if decision else "",
        code=_text(decision, "code"),
        rule=_text(decision, "rule"),
        policy=_text(decision, "policy"),
    )


def file_from(values: dict[str, Any]) -> FileFacts:
    """What is known of a file, from data; only the path is needed. Raises MalformedError."""
    path, sha256 = _text(values, "path"), _text(values, "sha256")
    if not path.startswith("/") or (sha256 and not _is_digest(sha256)):
        raise MalformedError("a file has an absolute path, and a digest of 64 hex digits or none")
    release = _table(values, "release")
    seals = values.get("seals", [])
    if not isinstance(seals, list) or len(seals) > limits.SIGNERS_MAX * limits.NESTED_MAX:
        raise MalformedError("seals: a list is needed")
    return FileFacts(
        path=path,
        sha256=sha256,
        format=_text(values, "format"),
        status=Status(_word(values, "status", tuple(Status), Status.UNSIGNED)),
        seals=tuple(map(_seal_from, seals)),
        release=_release(release) if release else None,
        release_readable=_is(values, "release_readable", bool, default=True) is not False,
        writable=_is(values, "writable", bool, default=None),
        blocked=_text(values, "blocked"),
        logged=_is(values, "logged", bool, default=None),
        newest=_text(values, "newest"),
    )


def process_from(values: dict[str, Any]) -> Process:
    """Who used it, from data. Raises MalformedError."""
    uid = _is(values, "uid", int, default=None)
    return Process(uid, _text(values, "user"), _text(values, "program"), _text(values, "parent"))


def _release(values: dict[str, Any]) -> Release:
    return Release(
        _text(values, "product"), _text(values, "version"), _word(values, "scheme", tuple(SCHEMES), "dotted")
    )


def _seal_from(values: object) -> SealFacts:
    if not isinstance(values, dict):
        raise MalformedError("seals: a list of objects is needed")
    claims = _table(values, "claims")
    authorities, purposes = values.get("authorities", []), values.get("purposes", [])
    if not (isinstance(authorities, list) and isinstance(purposes, list)):
        raise MalformedError("authorities, purposes: lists are needed")
    signed_at = _text(values, "signed_at")
    return SealFacts(
        scheme=_text(values, "scheme"),
        status=Status(_word(values, "status", tuple(Status), Status.TRUSTED)),
        kind=_text(values, "kind"),
        subject=_text(values, "subject"),
        key=_text(values, "key"),
        certificate=_text(values, "certificate"),
        claims=tuple((name, _text({"claims": each}, "claims")) for name, each in claims.items()),
        authorities=tuple(map(_authority, authorities)),
        purposes=tuple(_text({"purposes": each}, "purposes") for each in purposes),
        store=_text(values, "store"),
        catalog=_text(values, "catalog"),
        signed_at=_time(signed_at) if signed_at else None,
        revocation=_word(values, "revocation", (GOOD, UNCHECKED, NOBODY), UNCHECKED),
    )


def _authority(values: object) -> Authority:
    if not isinstance(values, dict):
        raise MalformedError("authorities: a list of objects is needed")
    return Authority(*(_text(values, field) for field in Authority._fields))


def _is_digest(text: str) -> bool:
    return len(text) == 64 and not set(text) - set("0123456789abcdef")  # noqa: PLR2004 - SHA-256 in hex


def _time(text: str) -> dt.datetime:
    try:
        return clock.parse(text)
    except UsageError as error:
        raise MalformedError(str(error)) from None


def _text(values: dict[str, Any], key: str) -> str:
    return _is(values, key, str, default="") or ""


def _table(values: dict[str, Any], key: str) -> dict[str, Any]:
    found: dict[str, Any] | None = _is(values, key, dict, default=None)
    return found or {}


def _word(values: dict[str, Any], key: str, known: tuple[str, ...], default: str = "") -> str:
    found = _text(values, key) or default
    if found not in known:
        raise MalformedError(f"{key}: {', '.join(known)}, not {found[:40]!r}")
    return found


def _is(values: dict[str, Any], key: str, kind: type[Value], *, default: Value | None) -> Value | None:
    value = values.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise MalformedError(f"{key}: {kind.__name__} is needed, not {value!r:.40}")
    return value
