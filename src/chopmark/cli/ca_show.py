"""What `chopmark ca list` and `chopmark ca show` print."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from chopmark.cli import output
from chopmark.core import clock
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    import datetime as dt
    from argparse import Namespace

    from chopmark.authority.ca import Authority
    from chopmark.authority.register import Record


def listing(authority: Authority, args: Namespace) -> int:
    """One line for each certificate."""
    now = clock.now()
    records = authority.register.search(now, status=args.status, profile=args.profile, subject=args.subject)
    if args.json:
        for record in records:
            print(json.dumps(_facts(record, now)))
        return 0
    rows = [("STATUS", "UNTIL", "SERIAL", "SUBJECT")]
    rows += [
        (record.status(now), f"{record.not_after:%Y-%m-%d}", record.serial, output.clean(record.subject))
        for record in records
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows if records else ():
        line = "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=False)) + "  " + row[3]
        print(line if len(line) <= output.width() else line[: output.width() - 1] + "…")
    if not records:
        print("no certificates")
    return 0


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
        print(json.dumps(_facts(record, now) | {"history": events}))
        return 0
    print(f"{record.status(now):<10} {record.serial}")
    print(f"           {output.clean(record.subject)}")
    print(f"           profile {record.profile}, issued by the {record.issuer} CA")
    print(f"           {clock.show(record.not_before)} to {clock.show(record.not_after)}")
    print(f"           key {record.key_sha256}")
    if record.revoked:
        from chopmark.authority.crl import REASON_NAMES

        print(f"           {REASON_NAMES[record.reason or 0]}, since {clock.show(record.revoked)}")
    if record.invalidity:
        print(f"           key suspect since {clock.show(record.invalidity)}")
    for event in history:
        print(f"  {clock.show(event.at)}  {event.action:<8} {output.clean(event.detail)}")
    return 0


def _authority(authority: Authority, args: Namespace) -> int:
    from chopmark.envelopes import pem

    if args.pem:
        print(pem.encode("CERTIFICATE", authority.root).decode(), end="")
        return 0
    name, url = authority.register.setting("name"), authority.register.setting("url")
    members = [(issuer, authority.register.latest_crl(issuer)) for issuer in authority.issuers()]
    if args.json:
        facts: dict[str, Any] = {"folder": authority.folder, "name": name, "url": url}
        facts["issuers"] = [
            {
                "name": issuer.name,
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
        print(f"CA         {issuer.name}, until {certificate.not_after:%Y-%m-%d}")
        print(f"           {output.clean(certificate.subject_text)}")
        print(f"           {certificate.sha256}")
        if latest:
            late = " (overdue)" if latest.next_update < clock.now() else ""
            next_update = clock.show(latest.next_update)
            print(f"           CRL {latest.number}: {latest.entries} revoked, next by {next_update}{late}")
    return 0


def _facts(record: Record, now: dt.datetime) -> dict[str, Any]:
    from chopmark.authority.crl import REASON_NAMES

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
