"""Run a time-stamp authority (RFC 3161), or have a file time-stamped.

`tsa init` gives an authority made by `chopmark ca init` a key for time stamps;
`tsa serve` answers requests over HTTP, and serves that authority's CRLs and CA
certificates with them. A passphrase never stands on the command line: SRC is
prompt, fd:N (a line of an open file descriptor) or env:NAME.

    $ chopmark tsa init --type p384
    $ chopmark tsa serve --listen 127.0.0.1:3180
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from chopmark.cli import output
from chopmark.cli.ca import add_folder, folder, opened, tell_issued
from chopmark.cli.key import add_kind, add_new_passphrase, new_passphrase
from chopmark.cli.parsing import need
from chopmark.core import clock, digest
from chopmark.core.errors import MalformedError, UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from chopmark.authority.tsa.time_sources import TimeSource
    from chopmark.authority.tsa.tsa import Rolling, Terms, TimeStampAuthority

SUFFIX = ".tsr"
LISTEN = "127.0.0.1:3180"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    init = actions.add_parser("init", help="make the key and certificate of a time-stamp authority")
    kinds = ("rsa-3072", "rsa-4096", "p256", "p384", "p521")
    add_kind(init, kinds, "rsa-4096")
    profiles = ("time-stamping", "internal-time-stamping")
    init.add_argument("--profile", choices=profiles, default="time-stamping", help="default time-stamping")
    init.add_argument("--passphrase", metavar="SRC", help="of the CA's key")
    add_new_passphrase(init, "key-")
    again = init.add_mutually_exclusive_group()
    again.add_argument("--force", action="store_true", help="replace the key there is; its tokens stay good")
    again.add_argument("--due", action="store_true", help="replace it if it is older than 12 months, else do nothing")
    serve = actions.add_parser("serve", help="answer requests over HTTP until told to stop")
    serve.add_argument(
        "--listen", default=LISTEN, metavar="HOST:PORT", help=f"where (default {LISTEN}); port 0: a free one"
    )
    serve.add_argument("--legacy", action="store_true", help="also answer as before RFC 3161, at /authenticode")
    serve.add_argument("--quiet", action="store_true", help="no line for each request")
    stamp = actions.add_parser("stamp", help="have a file time-stamped")
    stamp.add_argument("file", metavar="FILE", help="what existed at that time")
    stamp.add_argument("--url", metavar="URL", help="the authority to ask (default: the one in the folder)")
    stamp.add_argument("--digest", choices=digest.SIGNING_ALGORITHMS, default="sha256", help="default sha256")
    stamp.add_argument("-o", "--output", metavar="F", help=f"the response (default FILE{SUFFIX})")
    for action in (serve, stamp):
        action.add_argument("--key", metavar="URI", help="a key from elsewhere, with --cert")
        action.add_argument("--cert", metavar="F", help="its certificates, its own first")
        action.add_argument(
            "--policy",
            action="append",
            metavar="OID",
            help="what tokens name; may be repeated: the others on request",
        )
        action.add_argument(
            "--time-source", metavar="S", help="who measures the clock: kernel, ntp:HOST,HOST,... or machine (nobody)"
        )
        action.add_argument(
            "--ordering", action="store_true", help="no two tokens have the same time, later ones a later one"
        )
        action.add_argument("--passphrase", metavar="SRC", help="of the time-stamp key")
    show = actions.add_parser("show", help="show a response or a token, with no judgement")
    show.add_argument("file", metavar="TOKEN", help="a .tsr or .tst file")
    show.add_argument("--json", action="store_true", help="as one JSON object")
    for action in (init, serve, stamp):
        add_folder(action)


def run(args: Namespace) -> int:
    """Do what was asked."""
    output.prepare()
    return {"init": _init, "serve": _serve, "stamp": _stamp, "show": _show}[args.action](args)


def _init(args: Namespace) -> int:
    from chopmark.authority.tsa import tsa
    from chopmark.keys import generate

    path = os.path.join(folder(args), tsa.FILE)
    with opened(args) as authority:
        if args.due and os.path.exists(path) and not tsa.is_due(authority, clock.now()):
            print(f"not due    {output.clean(path)}")
            return 0
        secret = new_passphrase(path, args, "key-")
        key = generate.new(args.type)
        order = tsa.usual_order(authority, key, args.profile)
        issued = tsa.create(authority, order, key, secret, replace=args.force or args.due)
    tell_issued(issued, path)
    return 0


def _authority(args: Namespace) -> TimeStampAuthority | Rolling:
    from chopmark.authority.tsa import time_sources

    source = time_sources.named(args.time_source) if args.time_source else time_sources.usual()
    authority = _opened(args, _terms(args, source))
    if not source.is_measured:  # no news where there is no authority to go by it
        print("the clock is believed as it is: nobody measures it (--time-source)", file=sys.stderr)
    return authority


def _opened(args: Namespace, terms: Terms) -> TimeStampAuthority | Rolling:
    from chopmark import keys
    from chopmark.authority.tsa import tsa
    from chopmark.core import limits
    from chopmark.core.artifact import read_as
    from chopmark.engine import keyring
    from chopmark.envelopes import pem

    secret = keys.secret(args.passphrase)
    if not args.key:
        return tsa.Rolling(folder(args), secret, terms)
    signer = keyring.open_key(args.key, secret)
    certificates = signer.certificates
    if args.cert:
        certificates = tuple(read_as(args.cert, limits.KEY_FILE_MAX, pem.certificates))
    return tsa.TimeStampAuthority(signer, certificates, terms=terms)


def _terms(args: Namespace, source: TimeSource) -> Terms:
    from chopmark.authority.tsa import timekeeping, tsa

    keeper = timekeeping.Timekeeper(source)
    keeper()  # what cannot be measured is said at once
    order = timekeeping.Sequence(os.path.join(folder(args), tsa.SEQUENCE_FILE)) if args.ordering else None
    return tsa.Terms(tsa.policies_named(args.policy or ()), keeper, order)


def _serve(args: Namespace) -> int:
    from chopmark.authority.register import configuration
    from chopmark.cli.ca_serve import address
    from chopmark.server import http, routes

    authority = _authority(args)
    served = routes.time_stamps(authority)
    if args.legacy:
        served |= routes.countersignatures(authority)
    if configuration.exists(folder(args)):
        served |= routes.published(folder(args))
    gc.enable()  # turned off for processes that end soon
    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())
    log = None if args.quiet else _log
    with http.serve(served, *address(args.listen), log) as url:
        print(f"listening on {url}", flush=True)
        print(f"time stamps by {output.clean(authority.certificate.subject_text)}", file=sys.stderr)
        told.wait()
    return 0


def _log(line: str) -> None:
    print(clock.show(clock.now()), output.clean(line), file=sys.stderr)


def _stamp(args: Namespace) -> int:
    from chopmark.authority.tsa import tsa
    from chopmark.core import patch
    from chopmark.envelopes import timestamp

    if args.url and (args.key or args.cert or args.passphrase or args.time_source or args.ordering):
        message = "--url asks another authority: it takes no key, certificate or clock of ours"
        raise UsageError(message)
    need(args, "key", "cert")
    policy = tsa.policies_named(args.policy)[0] if args.policy else None
    request = timestamp.request(_file_digest(args.file, args.digest), args.digest, nonce=_nonce(), policy=policy)
    if args.url:
        from chopmark.core import limits
        from chopmark.net import http

        with contextlib.closing(http.HttpFetcher()) as fetcher:
            response = fetcher.post(args.url, request, timestamp.QUERY_TYPE, limits.TIMESTAMP_RESPONSE_MAX)
    else:
        response = _authority(args).respond(request)
    facts = _token_facts(timestamp.token(response, request))
    target = args.output or args.file + SUFFIX
    patch.write_file(target, response)
    print(f"stamped    {output.clean(target)}")
    print(output.filled(f"{facts['time']} by {output.clean(facts['authority'])}"))
    return 0


def _nonce() -> int:
    return int.from_bytes(os.urandom(8), "big")


def _file_digest(path: str, algorithm: str) -> bytes:
    from chopmark.core.artifact import Artifact

    hasher = hashlib.new(algorithm)
    with Artifact.open(path) as artifact:
        for piece in artifact.chunks():
            hasher.update(piece)
    return hasher.digest()


def _show(args: Namespace) -> int:
    from chopmark.authority.tsa import tsa
    from chopmark.core import limits
    from chopmark.core.artifact import read_as

    facts = read_as(args.file, limits.TIMESTAMP_RESPONSE_MAX, lambda data: _token_facts(tsa.token_in(data)))
    if args.json:
        import json

        print(json.dumps(facts))
        return 0
    for name, value in facts.items():
        print(output.filled(output.clean(value), first=f"{name.replace('_', ' '):<10} "))
    return 0


def _token_facts(token: bytes) -> dict[str, str]:
    from chopmark.envelopes import cms, timestamp

    signed = cms.read(token)
    if signed.content is None or not signed.signers:
        message = "not a time-stamp token: it has no content, or no signature"
        raise MalformedError(message)
    info = timestamp.read_info(signed.content)
    signer = cms.check(signed, signed.signers[0]).signer  # which of the certificates is the authority's own
    return {
        "time": clock.show(info.time),
        "authority": signer.subject if signer else "(its certificate is not in the token)",
        "digest": f"{info.algorithm}:{info.digest.hex()}",
        "policy": info.policy,
        "serial": f"{info.serial:x}",
    }
