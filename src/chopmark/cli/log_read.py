"""`chopmark log show` and `chopmark log verify`: logs as others see them."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

from chopmark.cli import output
from chopmark.cli.settings import setting
from chopmark.core import places
from chopmark.core.counting import counted
from chopmark.core.errors import ChopmarkError, UsageError
from chopmark.core.verdict import EXIT_STATUS, Status, worst_of

if TYPE_CHECKING:
    from argparse import Namespace, _SubParsersAction
    from collections.abc import Iterable, Iterator

    from chopmark.authority.log.logs import Log
    from chopmark.core.finding import Finding
    from chopmark.envelopes.tlog.checkpoint import Checkpoint
    from chopmark.trust.log.auditing import Audit
    from chopmark.trust.log.keys import Trusted
    from chopmark.trust.log.sources import Source

_LAST = 20
"""Entries that are shown when none are named."""


def add_arguments(actions: _SubParsersAction[Any]) -> None:
    """Declare the options of both."""
    where = "folder or URL of a log"
    verify = actions.add_parser("verify", help="find out whether a log was changed, cut off or forked")
    verify.add_argument("log", nargs="?", metavar="LOG", help=where)
    verify.add_argument(
        "--log-key", action="append", metavar="KEY|F", help="the log's key, as NAME+ID+KEY or in a file"
    )
    verify.add_argument("--witness", action="append", metavar="KEY|F", help="a witness that must have signed it too")
    verify.add_argument("--against", action="append", metavar="F", help="a checkpoint or proof that somebody else has")
    verify.add_argument("--quick", action="store_true", help="only that it goes on from what was seen before")
    verify.add_argument("--forget", action="store_true", help="do not keep its checkpoint for the next time")
    verify.add_argument("--json", action="store_true", help="as one JSON object")
    verify.add_argument("-v", "--verbose", action="store_true", help="show every check, passed ones too")
    show = actions.add_parser("show", help="show entries, with no judgement")
    show.add_argument("log", nargs="?", metavar="LOG", help=where)
    show.add_argument("--from", dest="first", type=int, metavar="N", help=f"first entry (default: the last {_LAST})")
    show.add_argument("--count", type=int, default=_LAST, metavar="N", help=f"how many (default {_LAST})")
    show.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: Namespace) -> int:
    """Do what was asked."""
    with ExitStack() as connections:
        source = _source(args.log, connections)
        return _verify(args, source) if args.action == "verify" else _show(args, source)


def place(given: str | None) -> str:
    """The folder or URL of the log that is meant."""
    return given or str(setting(None, "ca", "ca", os.path.join(places.data(), "ca")))


def _source(given: str | None, connections: ExitStack) -> Source:
    from chopmark.trust.log import sources

    where = place(given)
    if where.startswith(("http://", "https://")):
        from chopmark.net import http  # only for one that is elsewhere

        return sources.UrlSource(where, connections.enter_context(closing(http.HttpFetcher())))
    for below in ("", "public", os.path.join("public", "log")):
        folder = os.path.join(where, below) if below else where
        if os.path.lexists(os.path.join(folder, "checkpoint")) or os.path.isdir(os.path.join(folder, "tile")):
            return sources.FolderSource(folder)
    message = f"{where}: there is no log"
    raise UsageError(message)


# Verify


def _verify(args: Namespace, source: Source) -> int:
    from chopmark.trust.log import auditing, keys, memory

    trusted = keys.trusted(args.log_key or _own_key(place(args.log)), args.witness or ())
    findings: list[Finding] = []
    seen: list[Checkpoint] = [found for key in trusted.logs if (found := memory.last(key))]
    seen += [_checkpoint_in(path, trusted) for path in args.against or ()]
    audit = auditing.audit(source, trusted, seen, entries=not args.quick, progress=_progress)
    findings += audit.findings
    status = worst_of(findings)
    kept = _remember(audit, trusted, status, forget=args.forget)
    if args.json:
        print(json.dumps(_as_dict(source, audit, status)))
        return EXIT_STATUS[status]
    print(f"{_WORDS[status]:<10} {output.clean(source.where)}")
    if audit.checkpoint:
        print(
            f"           {output.clean(audit.checkpoint.origin)}, {counted(audit.checkpoint.size, 'entry', 'entries')}"
        )
    for line in output.show_findings(findings, verbose=args.verbose):
        print(line)
    if kept:
        print(f"evidence   {output.clean(kept)}")
    return EXIT_STATUS[status]


_WORDS = {Status.TRUSTED: "sound", Status.UNDECIDED: "undecided", Status.REJECTED: "broken"}


def _own_key(where: str) -> list[str]:
    """The key in a log's own settings, which are not served: who runs the log asks about it."""
    from chopmark.authority import logbook

    if where.startswith(("http://", "https://")):
        return []
    try:
        with logbook.opened(where) as book:
            return [str(book.log.key)]
    except UsageError:
        return []


def _checkpoint_in(path: str, trusted: Trusted) -> Checkpoint:
    """A checkpoint of the log, by itself or in a proof. Raises InputError."""
    from chopmark.core import limits
    from chopmark.core.artifact import read_small
    from chopmark.core.errors import InputError
    from chopmark.trust.log import memory

    raw = read_small(path, limits.LOG_PROOF_MAX)
    if raw.startswith(b"c2sp.org/tlog-proof@"):
        raw = raw.partition(b"\n\n")[2]
    problems = []
    for key in trusted.logs:
        try:
            return memory.genuine(raw, key, path)
        except InputError as error:
            problems.append(str(error))
    raise InputError(problems[0] if problems else f"{path}: nobody has said which key is the log's (--log-key)")


def _remember(audit: Audit, trusted: Trusted, status: Status, *, forget: bool) -> str:
    """Keep what was seen: a good checkpoint for the next time, a contradicting one as evidence; where that is."""
    from chopmark.trust.log import memory, reasons

    if audit.checkpoint is None or forget:
        return ""
    [key] = [key for key in trusted.logs if key.name == audit.checkpoint.origin][:1]
    if status is not Status.REJECTED and not _unread(audit):
        memory.remember(key, audit.note)
    elif {reasons.FORKED.code, reasons.TRUNCATED.code} & {finding.code for finding in audit.findings}:
        return memory.keep_conflict(key, audit.note)
    return ""


def _unread(audit: Audit) -> bool:
    from chopmark.trust.log import reasons

    return reasons.UNREACHABLE.code in {finding.code for finding in audit.findings}


def _progress(items: Iterable[int], total: int) -> Iterator[int]:
    return output.progress(items, total, "bundles")


def _as_dict(source: Source, audit: Audit, status: Status) -> dict[str, Any]:
    checkpoint = audit.checkpoint
    return {
        "log": source.where,
        "status": _WORDS[status],
        "origin": checkpoint.origin if checkpoint else None,
        "size": checkpoint.size if checkpoint else None,
        "root": checkpoint.root.hex() if checkpoint else None,
        "findings": [
            {"code": finding.code, "outcome": str(finding.outcome), "detail": finding.detail}
            for finding in audit.findings
        ],
    }


# Show


def _show(args: Namespace, source: Source) -> int:
    from chopmark.envelopes.note import Note
    from chopmark.envelopes.tlog.checkpoint import Checkpoint

    note = Note.parse(source.checkpoint())
    checkpoint = Checkpoint.parse(note.text)
    first = max(0, checkpoint.size - args.count) if args.first is None else args.first
    if not args.json:
        print(f"log        {output.clean(checkpoint.origin)}, {counted(checkpoint.size, 'entry', 'entries')}")
        print(f"root       {checkpoint.root.hex()}")
        for signature in note.signatures:
            print(f"signed by  {output.clean(signature.name)} ({signature.key_id.hex()})")
        for key in _own_key(place(args.log)):
            print(f"key        {output.clean(key)}")
    for number, entry in entries(source, checkpoint.size, first, first + args.count):
        _print_entry(number, entry, as_json=args.json)
    return 0


def entries(source: Source, size: int, first: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Entries of a log with their numbers. Raises what the source raises, MalformedError."""
    from chopmark.envelopes.tlog import tiles

    for bundle in range(max(first, 0) // tiles.WIDTH, -(-min(end, size) // tiles.WIDTH)):
        tile = tiles.tile(tiles.ENTRIES, bundle, size)
        for at, entry in enumerate(tiles.entries(source.read(tile))):
            number = bundle * tiles.WIDTH + at
            if first <= number < end:
                yield number, entry


def _print_entry(number: int, entry: bytes, *, as_json: bool) -> None:
    event = _event(entry)
    if as_json:
        print(json.dumps({"number": number, "entry": event if event is not None else entry.hex()}))
        return
    if event is None:
        print(f"{number:>10} {len(entry)} bytes")
        return
    print(f"{number:>10} {output.clean(str(event.get('at', '')))} {output.clean(str(event.get('action', '')))}")
    for name, value in event.items():
        if name not in ("type", "at", "action"):
            print(output.filled(f"{name} {output.clean(str(value))}"))


def _event(entry: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(entry)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def number_of(log: Log, what: str) -> int:
    """The last entry about a file (by its digest) or a certificate (by its serial number, or its own digest).

    Raises UsageError when there is none.
    """
    from chopmark.core.artifact import Artifact
    from chopmark.engine import logged
    from chopmark.trust.log.sources import FolderSource

    wanted = {what.replace(":", "").lower()}
    if os.path.isfile(what) or not what.isprintable():  # of what cannot be a number, that there is no such file is said
        with Artifact.open(what) as artifact:
            wanted = {logged.sha256(artifact), _certificate_sha256(what)}
    size = log.latest().checkpoint.size
    found = None
    for number, entry in entries(FolderSource(log.storage.folder), size, 0, size):
        if any(needle and needle.encode() in entry for needle in wanted):
            event = _event(entry) or {}
            if wanted & {event.get("file_sha256"), event.get("serial"), event.get("certificate_sha256")}:
                found = number
    if found is None:
        message = f"{what}: the log has no entry about it"
        raise UsageError(message)
    return found


def _certificate_sha256(path: str) -> str:
    from chopmark.core import limits
    from chopmark.core.artifact import read_small
    from chopmark.envelopes import pem, x509

    try:
        return x509.certificate(pem.certificates(read_small(path, limits.KEY_FILE_MAX))[0]).sha256
    except ChopmarkError:
        return ""
