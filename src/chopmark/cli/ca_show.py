"""`chopmark ca list`, `chopmark ca show` and `chopmark ca due`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from chopmark.cli import output
from chopmark.core import clock
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    import datetime as dt
    from argparse import Namespace

    from chopmark.authority.ca import Authority
    from chopmark.authority.register.records import Record
    from chopmark.authority.register.search import Query
    from chopmark.cli.ca_part import Actions


STATUSES = ("valid", "expired", "future", "revoked", "suspended", "unfinished")
_PAGE = 1000


def add_actions(actions: Actions) -> None:
    """Declare the commands."""
    listing = actions.with_folder("list", "search certificates", _list)
    listing.add_argument(
        "--status", choices=STATUSES, default="", metavar="STATUS", help=f"only those: {', '.join(STATUSES)}"
    )
    listing.add_argument("--profile", default="", metavar="P", help="only those (CA certificates: authority)")
    listing.add_argument("--subject", default="", metavar="TEXT", help="only those whose name contains it")
    listing.add_argument("--serial", default="", metavar="HEX", help="only those whose number begins so")
    listing.add_argument("--key", default="", metavar="SHA256", help="only those for this key, by its digest")
    listing.add_argument("--certificate", metavar="F", help="only those for the key of the certificate in a file")
    listing.add_argument("--issuer", default="", metavar="CA", help="only those of this CA")
    for what in ("ends", "issued"):
        for when in ("after", "before"):
            listing.add_argument(f"--{what}-{when}", metavar="TIME", help=f"only those that {_WHAT[what]} {when} it")
    listing.add_argument("--limit", type=int, default=0, metavar="N", help="a page of so many (default: all)")
    listing.add_argument("--after", type=int, default=0, metavar="ID", help="the page behind this one")
    listing.add_argument("--count", action="store_true", help="how many there are, and no more")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    show_ = actions.with_folder("show", "show a certificate and what was done with it, or the authority", _show)
    show_.add_argument("certificate", nargs="?", metavar="SERIAL|FILE", help="serial number, or certificate")
    shape = show_.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="as one JSON object")
    shape.add_argument("--pem", action="store_true", help="the certificate alone, as PEM (the root without SERIAL)")
    due = actions.with_folder("due", "what ends soon and has no successor; 1 when there is something", _due)
    due.add_argument("--days", type=int, default=30, metavar="N", help="within so many days (default 30)")
    due.add_argument("--json", action="store_true", help="one JSON object a line")


_WHAT = {"ends": "end", "issued": "were issued"}


def _list(args: Namespace) -> int:
    """Certificates that fit; a page of them, or all, page by page."""
    from dataclasses import replace

    from chopmark.cli.ca import opened

    now = clock.now()
    query = _query(args)
    with opened(args) as authority:
        if args.count:
            print(authority.finder.count(query, now))
            return 0
        pages: list[Record] = []
        shown = 0
        while True:
            pages = authority.finder.search(query, now)
            _print_page(pages, now, as_json=args.json, head=not shown)
            shown += len(pages)
            if args.limit or len(pages) < query.limit:
                break
            query = replace(query, after=pages[-1].id)
    if not shown and not args.json:
        print("no certificates")
    if args.limit and len(pages) == args.limit and not args.json:
        print(f"the next page: --after {pages[-1].id}", file=sys.stderr)
    return 0


def _query(args: Namespace) -> Query:
    from chopmark.authority.register.search import Query

    key = args.key
    if args.certificate:
        from chopmark.cli.ca import first_certificate

        key = first_certificate(args.certificate).key_sha256
    times = {name: clock.parse(value) if value else None for name, value in vars(args).items() if name in _TIMES}
    return Query(
        subject=args.subject,
        serial=args.serial,
        key_sha256=key,
        profile=args.profile,
        status=args.status,
        issuer=args.issuer,
        ends=(times["ends_after"], times["ends_before"]),
        issued=(times["issued_after"], times["issued_before"]),
        after=args.after,
        limit=args.limit or _PAGE,
    )


_TIMES = ("ends_after", "ends_before", "issued_after", "issued_before")


def _print_page(records: list[Record], now: dt.datetime, *, as_json: bool, head: bool) -> None:
    if as_json:
        for record in records:
            print(json.dumps(_facts(record, now)))
        return
    if head and records:
        print(_row(("STATUS", "UNTIL", "SERIAL", "SUBJECT")))
    for record in records:
        print(_row((record.status(now), f"{record.not_after:%Y-%m-%d}", record.serial, output.clean(record.subject))))


_WIDTHS = (10, 10, 32)


def _row(cells: tuple[str, str, str, str]) -> str:
    """A line of the table; on a terminal a subject that does not fit stands below it, whole."""
    line = "  ".join(f"{text:<{width}}" for text, width in zip(cells, _WIDTHS, strict=False))
    beside = f"{line}  {cells[3]}"
    fits = len(beside) <= output.width() or not sys.stdout.isatty()
    return beside if fits else f"{line}\n{output.filled(cells[3])}"


def _due(args: Namespace) -> int:
    import datetime as dt

    from chopmark.authority import renewal
    from chopmark.cli.ca import opened

    if args.days < 0:
        message = "--days: not a period"
        raise UsageError(message)
    with opened(args) as authority:
        found = renewal.due(authority, dt.timedelta(days=args.days))
    for due in found:
        if args.json:
            print(json.dumps({"kind": due.kind, "name": due.name, "ends": clock.show(due.ends), "detail": due.detail}))
            continue
        print(f"due        {due.kind} {output.clean(due.name)}, {clock.show(due.ends)}")
        print(output.filled(output.clean(due.detail)))
    if not found and not args.json:
        print("nothing is due")
    return 1 if found else 0


def _show(args: Namespace) -> int:
    from chopmark.cli.ca import opened, serial_of

    with opened(args) as authority:
        return show(authority, args, serial_of(args.certificate) if args.certificate else "")


def show(authority: Authority, args: Namespace, serial: str) -> int:
    """A certificate and its history; without a serial number the authority itself."""
    if not serial:
        return _authority(authority, args)
    record = authority.register.find(serial)
    if args.pem:
        from chopmark.envelopes import pem

        if record.certificate is None:
            message = f"{record.serial}: no certificate was ever issued under this number"
            raise UsageError(message)
        print(pem.encode("CERTIFICATE", record.certificate).decode(), end="")
        return 0
    now = clock.now()
    history = authority.register.history(record.serial)
    if args.json:
        events = [{"at": clock.show(event.at), "action": event.action, "detail": event.detail} for event in history]
        print(json.dumps(_facts(record, now) | _kin(authority, record) | _contents(record) | {"history": events}))
        return 0
    print(f"{record.status(now):<10} {record.serial}")
    print(output.filled(output.clean(record.subject)))
    print(f"           profile {record.profile}, issued by the {record.issuer} CA")
    print(f"           {clock.show(record.not_before)} to {clock.show(record.not_after)}")
    print(f"           key {record.key_sha256}")
    from chopmark.trust.stores.anchors import purpose_name

    for name, value in (_contents(record) | _kin(authority, record)).items():
        if name != "certificate" and value:
            told = ", ".join(map(purpose_name, value)) if isinstance(value, list) else value
            print(output.filled(output.clean(f"{name.replace('_', ' ')} {told}")))
    if record.revoked:
        from chopmark.authority.crl.encoding import REASON_NAMES

        print(f"           {REASON_NAMES[record.reason or 0]}, since {clock.show(record.revoked)}")
    if record.invalidity:
        print(f"           key suspect since {clock.show(record.invalidity)}")
    for event in history:
        first = f"  {clock.show(event.at)}  {event.action:<8} "
        print(output.filled(output.clean(event.detail), " " * len(first), first))
    return 0


def _kin(authority: Authority, record: Record) -> dict[str, Any]:
    """The certificates before and after it."""
    successor = authority.finder.successor(record)
    return {
        "renews": authority.finder.by_id(record.predecessor).serial if record.predecessor else None,
        "renewed_by": successor.serial if successor else None,
    }


def _contents(record: Record) -> dict[str, Any]:
    """What the certificate itself says."""
    if record.certificate is None:
        return {}
    from chopmark.authority.lint.csbr.policies import policies
    from chopmark.authority.lint.csbr.structure import key_text
    from chopmark.envelopes import pem, x509

    certificate = x509.certificate(record.certificate)
    return {
        "sha256": certificate.sha256,
        "key_type": key_text(certificate.spki),
        "purposes": list(certificate.extended_key_usage or ()),
        "policies": list(policies(certificate)),
        "crl_at": list(certificate.crl_urls),
        "issuer_at": list(certificate.access_urls(x509.ACCESS_CA_ISSUERS)),
        "ocsp_at": list(certificate.access_urls(x509.ACCESS_OCSP)),
        "certificate": pem.encode("CERTIFICATE", record.certificate).decode(),
    }


def _authority(authority: Authority, args: Namespace) -> int:
    from chopmark.envelopes import pem

    if args.pem:
        print(pem.encode("CERTIFICATE", authority.root).decode(), end="")
        return 0
    name, url = authority.register.setting("name"), authority.register.setting("url")
    members = [(issuer, authority.register.latest_crl(issuer)) for issuer in authority.issuers()]
    if args.json:
        facts: dict[str, Any] = {"folder": authority.folder, "name": name, "url": url}
        facts["crosses"] = [
            {"name": cross.name, "sha256": cross.certificate.sha256} for cross in authority.lineage.crosses()
        ]
        facts["issuers"] = [
            {
                "name": issuer.name,
                "role": issuer.role,
                "retired": clock.show(issuer.retired) if issuer.retired else None,
                "subject": issuer.certificate.subject_text,
                "not_after": clock.show(issuer.certificate.not_after),
                "sha256": issuer.certificate.sha256,
                "crl_number": latest.number if latest else None,
                "crl_next_update": clock.show(latest.next_update) if latest else None,
            }
            for issuer, latest in members
        ]
        print(json.dumps(facts))
        return 0
    print(
        f"authority  {output.clean(name)}\n           {output.clean(authority.folder)}\n           {output.clean(url)}"
    )
    for issuer, latest in members:
        certificate = issuer.certificate
        retired = f", retired {issuer.retired:%Y-%m-%d}" if issuer.retired else ""
        print(f"CA         {issuer.name}, until {certificate.not_after:%Y-%m-%d}{retired}")
        print(output.filled(output.clean(certificate.subject_text)))
        print(f"           {certificate.sha256}")
        if latest:
            late = " (overdue)" if latest.next_update < clock.now() else ""
            next_update = clock.show(latest.next_update)
            print(f"           CRL {latest.number}: {latest.entries} revoked, next by {next_update}{late}")
    for cross in authority.lineage.crosses():
        print(f"cross      {output.clean(cross.name)}, until {cross.certificate.not_after:%Y-%m-%d}")
    return 0


def _facts(record: Record, now: dt.datetime) -> dict[str, Any]:
    from chopmark.authority.crl.encoding import REASON_NAMES

    facts: dict[str, Any] = {
        "serial": record.serial,
        "status": record.status(now),
        "profile": record.profile,
        "issuer": record.issuer,
        "subject": record.subject,
        "not_before": clock.show(record.not_before),
        "not_after": clock.show(record.not_after),
        "key_sha256": record.key_sha256,
    }
    if record.revoked:
        facts |= {"revoked": clock.show(record.revoked), "reason": REASON_NAMES[record.reason or 0]}
    if record.invalidity:
        facts["invalidity_date"] = clock.show(record.invalidity)
    return facts
