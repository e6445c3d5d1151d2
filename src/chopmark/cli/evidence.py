"""Show what there is to judge by: certificates, revocation lists and OCSP answers, and how fresh they are.

`evidence list DIR` shows a folder as `chopmark verify --evidence DIR` reads it, and `verify --collect DIR` makes one.
Without a folder it shows what was fetched and is kept in the cache.

    $ chopmark evidence list bundle
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.cli import output
from chopmark.core import clock, limits, places
from chopmark.core.artifact import read_small
from chopmark.core.errors import InputError, MalformedError
from chopmark.core.folders import unreadable
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    import datetime as dt
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from chopmark.trust.evidence import Piece

_BELOW = " " * 7
_DAY = 24
"""Hours."""
_FOLDERS = ("crls", "issuers", "ocsp")
"""Where in the cache what was fetched is kept."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    listing = actions.add_parser("list", help="what a folder, or the cache, holds, and how fresh it is")
    listing.add_argument("folder", nargs="?", metavar="DIR", help="a folder of evidence (default: the cache)")
    listing.add_argument("--at", metavar="TIME", help="fresh or not as of this time instead of now (ISO 8601)")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: Namespace) -> int:
    """List; 0, or an error that says why not."""
    output.prepare()
    at = clock.parse(args.at) if args.at else clock.now()
    shown = 0
    for row in _rows(args.folder):
        shown += 1
        print(_as_json(row, at) if args.json else _line(row, at))
    if not shown and not args.json:
        print("nothing is kept" if args.folder is None else "there is nothing in it")
    return 0


class _Row(NamedTuple):
    """One thing that was found in a file: what, about or by whom, and from when until when it counts."""

    file: str
    kind: str
    subject: str
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    def state(self, at: dt.datetime) -> str:
        """Fresh, ended, or early; nothing where freshness means nothing."""
        if self.since is None:
            return ""
        if self.since - at > limits.CLOCK_SKEW:
            return "early"
        return "ended" if self.until is None or self.until < at else "fresh"


def _rows(folder: str | None) -> Iterator[_Row]:
    folders = [folder] if folder is not None else [os.path.join(places.cache(), name) for name in _FOLDERS]
    for each in folders:
        if folder is None and not os.path.isdir(each):
            continue
        for path in _files(each):
            yield from _read(path)


def _files(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return sorted(item.path for item in found if item.is_file())
    except (OSError, ValueError) as error:
        raise unreadable(folder, error) from None


def _read(path: str) -> list[_Row]:
    from chopmark.trust import evidence

    name = os.path.basename(path)
    try:
        pieces = evidence.recognised(read_small(path, limits.CRL_MAX))
    except InputError as error:
        return [_Row(name, "unreadable", str(error))]
    return [row for piece in pieces for row in _shown(name, piece)] or [_Row(name, "unknown", "not used")]


def _shown(name: str, piece: Piece) -> list[_Row]:
    from chopmark.envelopes import x509

    if piece.crl is not None:
        kind = "delta list" if piece.crl.is_delta else "list"
        return [_Row(name, kind, x509.name_text(piece.crl.issuer), piece.crl.this_update, piece.crl.next_update)]
    if piece.kind == "certificate":
        return [_Row(name, piece.kind, x509.certificate(piece.raw).subject_text)]
    return _answers(name, piece.raw)


def _answers(name: str, raw: bytes) -> list[_Row]:
    """What an OCSP answer says of each certificate, as it claims: nobody has checked its signature."""
    from chopmark.envelopes import ocsp

    try:
        response = ocsp.read_response(raw)
    except MalformedError as error:
        return [_Row(name, "unknown", f"an OCSP answer that cannot be read: {error}")]
    if response.basic is None:
        return [_Row(name, "unknown", f"an OCSP answer that says {response.status_text}")]
    return [
        _Row(
            name,
            "answer",
            f"serial {each.cert_id.serial.hex()}: {each.status}",
            each.this_update,
            each.next_update,
        )
        for each in response.basic.singles
    ]


def _line(row: _Row, at: dt.datetime) -> str:
    subject = output.clean(row.subject)
    first = f"{row.state(at) or '-':<6} {row.kind:<12} {subject}"
    lines = [first[: output.width()]]
    if row.since is not None:
        until = f"until {clock.show(row.until)}" if row.until else "without an end"
        lines.append(f"{_BELOW}from {clock.show(row.since)} {until}, {_age(at - row.since)}")
    lines.append(f"{_BELOW}{output.clean(row.file)}"[: output.width()])
    return "\n".join(lines)


def _age(passed: dt.timedelta) -> str:
    hours = int(passed.total_seconds() // 3600)
    if hours < 0:
        return "not yet"
    return f"{hours} h old" if hours < 2 * _DAY else f"{hours // _DAY} days old"


def _as_json(row: _Row, at: dt.datetime) -> str:
    import json

    return json.dumps(
        {
            "file": row.file,
            "kind": row.kind,
            "subject": row.subject,
            "this_update": clock.show(row.since) if row.since else None,
            "next_update": clock.show(row.until) if row.until else None,
            "state": row.state(at) or None,
        }
    )
