"""What `chopmark ca crl` publishes and shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from chopmark.cli import output
from chopmark.cli.parsing import need
from chopmark.core import clock
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from chopmark.authority.ca import Authority
    from chopmark.authority.crl.publisher import Published


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--issuer", action="append", metavar="CA", help="default: every CA below a root")
    parser.add_argument("--days", type=int, metavar="N", help="until the next one is due (default 7; a delta 1)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--delta", action="store_true", help="only what changed since the last complete list")
    what.add_argument("--due", action="store_true", help="only what must be published by now, of any CA")
    what.add_argument("--show", action="store_true", help="publish nothing; say which lists there are")
    parser.add_argument("--shards", type=int, metavar="N", help="from now on spread new certificates over N more lists")
    parser.add_argument("--with-deltas", action="store_true", help="from now on name and publish delta lists as well")
    parser.add_argument("-o", "--output", metavar="F", help="write it there too (one --issuer)")
    parser.add_argument("--pem", action="store_true", help="--output as PEM")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--passphrase", metavar="SRC", help="of the CA's key")


def run(authority: Authority, args: Namespace) -> int:
    """Publish, or show what is published."""
    names = args.issuer or authority.publishing()
    if args.output and (len(args.issuer or ()) != 1 or args.due or args.show):
        message = "--output goes with one --issuer"
        raise UsageError(message)
    need(args, "output", "pem")
    if args.show:
        return _show(authority, args.issuer or [issuer.name for issuer in authority.issuers()], args)
    if args.due:
        return _due(authority, args)
    from chopmark.authority.crl.publisher import Wanted

    for name in names:
        wanted = Wanted(args.delta, args.days, args.shards, args.with_deltas)
        _tell(name, authority.publish(name, wanted), args)
    return 0


def _due(authority: Authority, args: Namespace) -> int:
    from chopmark.authority.crl.publisher import DELTA, Wanted

    for due in authority.due(clock.now()):
        if not args.issuer or due.issuer in args.issuer:
            _tell(due.issuer, authority.publish(due.issuer, Wanted(due.kind == DELTA, args.days)), args)
    return 0


def _tell(name: str, published: Published, args: Namespace) -> None:
    from chopmark.cli.ca import tell_log

    tell_log((published.logged,) if published.logged else ())
    if args.output:
        from chopmark.core import patch
        from chopmark.envelopes import pem

        patch.write_file(args.output, pem.encode("X509 CRL", published.raw) if args.pem else published.raw)
    path = args.output or published.path
    if args.json:
        facts: dict[str, Any] = {
            "issuer": name,
            "number": published.number,
            "base": published.base,
            "entries": published.entries,
            "this_update": clock.show(published.this_update),
            "next_update": clock.show(published.next_update),
            "lists": [each.url for each in published.lists],
        }
        print(json.dumps(facts))
        return
    print(f"published  {output.clean(path)}")
    what = "revoked" if published.base is None else f"changed since number {published.base}"
    more = f", {len(published.lists) - 1} more lists" if len(published.lists) > 1 else ""
    print(f"           number {published.number}, {published.entries} {what}{more},")
    print(f"           next by {clock.show(published.next_update)}")


def _show(authority: Authority, names: list[str], args: Namespace) -> int:
    """Every list that is published, and what is due."""
    now = clock.now()
    due = {each.issuer: each for each in authority.due(now)}
    for name in names:
        issuer = authority.issuer(name)
        latest = authority.register.latest_crl(issuer, deltas=True)
        lists = authority.published(name)
        waiting = due.get(name)
        if args.json:
            facts: dict[str, Any] = {
                "issuer": name,
                "number": latest.number if latest else None,
                "shards": issuer.shards,
                "deltas": issuer.deltas,
                "due": waiting.kind if waiting else None,
                "lists": [
                    {"shard": each.shard, "delta": each.delta, "path": each.path, "url": each.url} for each in lists
                ],
            }
            print(json.dumps(facts))
            continue
        number = f"number {latest.number} of {clock.show(latest.this_update)}" if latest else "nothing yet"
        print(f"{name:<10} {number}" + (f"; due: {waiting.kind}, {waiting.why}" if waiting else ""))
        for each in lists:
            print(f"           {output.clean(each.url or each.path)}")
    return 0
