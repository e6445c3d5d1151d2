"""`chopmark ca serve`: an authority over HTTP, in several processes, until it is told to stop."""

from __future__ import annotations

import gc
import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from chopmark.cli import output, settings
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from chopmark import keys
    from chopmark.cli.ca_part import Actions
    from chopmark.server.board import Board
    from chopmark.server.children import Report
    from chopmark.server.site import Served
    from chopmark.server.worker import Blueprint

LISTEN = "127.0.0.1:3180"
ADMIN = "127.0.0.1:3181"
_PORT_DIGITS = 5
TABLE = "serve"
"""In chopmark.toml, which is read again at each reload."""


def add_actions(actions: Actions) -> None:
    """Declare the command."""
    parser = actions.with_folder("serve", "serve all of it over HTTP: lists, OCSP, time stamps, log", _serve)
    parser.add_argument("--listen", action="append", metavar="HOST:PORT", help=f"where (default {LISTEN}); repeatable")
    parser.add_argument("--admin", metavar="HOST:PORT", help=f"health and metrics (default {ADMIN}; none: nowhere)")
    parser.add_argument("--workers", metavar="N", help="processes that answer (default: one for each processor)")
    parser.add_argument("--access-log", metavar="F", help="a line for each request; - is standard output")
    parser.add_argument("--log-format", metavar="NAME", help="of the access log: common (default) or json")
    parser.add_argument("--policy", action="append", metavar="OID", help="of time stamps; the others on request")
    parser.add_argument("--time-source", metavar="S", help="who measures the clock: kernel, ntp:HOST,... or machine")
    parser.add_argument("--ordering", action="store_true", help="no two time stamps have the same time")
    parser.add_argument("--legacy", action="store_true", help="also stamp as before RFC 3161, at /authenticode")
    parser.add_argument("--presign", action="store_true", help="sign OCSP answers about all certificates ahead")
    parser.add_argument("--no-due", action="store_true", help="leave publishing and renewing to somebody else")
    parser.add_argument("--passphrase", metavar="SRC", help="of the CAs' keys, and of all without one of their own")
    parser.add_argument("--tsa-passphrase", metavar="SRC", help="of the time-stamp key")
    parser.add_argument("--ocsp-passphrase", metavar="SRC", help="of the OCSP responders' keys")


def _serve(args: Namespace) -> int:
    from chopmark.cli import ca
    from chopmark.server.supervisor import Supervisor

    secrets = {
        "passphrase": _asked(args.passphrase, "the CAs' keys"),
        "tsa_passphrase": _asked(args.tsa_passphrase or args.passphrase, "the time-stamp key"),
        "ocsp_passphrase": _asked(args.ocsp_passphrase or args.passphrase, "the OCSP responders' keys"),
    }
    gc.enable()  # turned off for processes that end soon
    Supervisor(partial(_blueprint, args, os.path.abspath(ca.folder(args)), secrets)).run(_started)
    return 0


def _started(places: list[str], admin: str) -> None:
    for place in places:
        print(f"listening on {output.clean(place)}", flush=True)
    if admin:
        print(f"health and metrics on {output.clean(admin)}", file=sys.stderr, flush=True)


def _asked(spec: str | None, what: str) -> keys.Passphrase:
    """A passphrase that is asked for now, once: no process in the background can ask, and none has to."""
    from chopmark import keys

    if spec is None:
        return keys.nothing
    given = keys.secret(spec)(what)
    return lambda _: given


def _blueprint(args: Namespace, folder: str, secrets: dict[str, keys.Passphrase]) -> Blueprint:
    """How to serve, as the options and the settings are at this moment."""
    from chopmark.server import site
    from chopmark.server.access import line_maker
    from chopmark.server.worker import Access, Blueprint

    served = _served(args, folder, secrets)
    listen = settings.words(settings.setting(args.listen, TABLE, "listen", LISTEN))
    admin = settings.text(settings.setting(args.admin, TABLE, "admin", ADMIN), "admin")
    access = Access(
        settings.text(settings.setting(args.access_log, TABLE, "access_log", ""), "access_log"),
        settings.text(settings.setting(args.log_format, TABLE, "log_format", "common"), "log_format"),
    )
    line_maker(access.format)
    return Blueprint(
        tuple(map(address, listen)),
        None if admin == "none" else address(admin),
        _workers(settings.setting(args.workers, TABLE, "workers")),
        partial(site.opened, served),
        None if args.no_due else partial(_keep, served),
        access,
    )


def _keep(served: Served, board: Board, report: Report) -> None:
    from chopmark.server.keeper import Keeper

    Keeper(served, board, report).run()


def _served(args: Namespace, folder: str, secrets: dict[str, keys.Passphrase]) -> Served:
    from chopmark.authority.register import configuration
    from chopmark.authority.tsa import tsa
    from chopmark.server.site import Served

    configuration.require(folder)
    served = Served(
        folder,
        **secrets,
        policies=tsa.policies_named(settings.words(settings.setting(args.policy, TABLE, "policy", []))),
        time_source=settings.text(settings.setting(args.time_source, TABLE, "time_source"), "time_source"),
        is_ordered=_switch(args.ordering, "ordering"),
        legacy=_switch(args.legacy, "legacy"),
        presign=_switch(args.presign, "presign"),
    )
    if served.stamps() and not served.clock().is_measured:
        print("the clock is believed as it is: nobody measures it (--time-source)", file=sys.stderr)
    return served


def _switch(given: bool, name: str) -> bool:  # noqa: FBT001 - an option as it was parsed
    return given or settings.switch(settings.setting(None, TABLE, name), name)


def _workers(given: object) -> int:
    from chopmark.core import limits

    wanted = settings.count(given, "workers") or len(os.sched_getaffinity(0))
    if wanted > limits.SERVER_WORKERS_MAX:
        message = f"at most {limits.SERVER_WORKERS_MAX} processes answer, not {wanted}"
        raise UsageError(message)
    return wanted


def address(text: str) -> tuple[str, int]:
    """A host and a port; an IPv6 address stands in brackets. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if (
        not colon
        or not host
        or not (port.isascii() and port.isdigit())
        or len(port) > _PORT_DIGITS
        or (":" in host and not bracketed)
    ):
        message = f"not an address to listen on: {text[:80]!r} (HOST:PORT)"
        raise UsageError(message)
    return host.strip("[]"), int(port)
