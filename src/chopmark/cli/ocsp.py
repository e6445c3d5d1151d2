"""Answer, and ask, whether certificates were revoked (OCSP: RFC 6960, 5019, 9654).

`ocsp init` gives the CAs of an authority responders of their own, short-lived and
replaced by themselves; `ca serve` answers with them. `ocsp query` asks the
responder that a certificate names, and explains the answer: exit status 0 good,
1 revoked, 3 not known. A passphrase never stands on the command line: SRC is
prompt, fd:N (a line of an open file descriptor) or env:NAME.

    $ chopmark ocsp init
    $ chopmark ocsp query release.pem
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chopmark.cli import output
from chopmark.cli.ca import add_folder, opened
from chopmark.cli.key import add_kind, add_new_passphrase, new_passphrase
from chopmark.core import clock
from chopmark.core.errors import MalformedError, RefusedError, UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Mapping

    from chopmark.envelopes import ocsp, x509

KINDS = ("p256", "p384", "p521", "rsa-3072", "rsa-4096", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87")
DIGESTS = ("sha1", "sha256", "sha384", "sha512")
SUFFIX = ".ors"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    init = actions.add_parser("init", help="make responders for the CAs of an authority")
    init.add_argument("--issuer", action="append", metavar="CA", help="default: every CA but the roots")
    add_kind(init, KINDS, "p256")
    init.add_argument("--days", type=int, metavar="N", help="how long a responder lives (default 30; of a root 180)")
    init.add_argument("--url", metavar="URL", help="where it will answer (default: ocsp below the authority's address)")
    init.add_argument("--passphrase", metavar="SRC", help="of the CA's key")
    add_new_passphrase(init, "key-")
    presign = actions.add_parser("presign", help="sign answers ahead about all certificates, as far as they are due")
    respond = actions.add_parser("respond", help="answer a request in a file, without a network")
    respond.add_argument("request", metavar="REQUEST", help="an OCSP request (DER)")
    respond.add_argument("-o", "--output", metavar="F", help=f"the response (default REQUEST{SUFFIX})")
    for action in (presign, respond):
        action.add_argument("--hours", type=int, metavar="N", help="how long answers count (default 96)")
        action.add_argument("--passphrase", metavar="SRC", help="of the CA's key and of its responder's")
    query = actions.add_parser("query", help="ask a responder about a certificate, and explain the answer")
    query.add_argument("file", metavar="FILE", help="a certificate, or a signed file")
    query.add_argument("--issuer", metavar="F", help="its issuer's certificate, if it is not in the file or a store")
    query.add_argument("--url", metavar="URL", help="the responder (default: the one that the certificate names)")
    query.add_argument("--hash", choices=DIGESTS, default="sha1", help="how the issuer is named (default sha1)")
    query.add_argument("--nonce", action="store_true", help="want an answer that was made for this question")
    query.add_argument("--answer", metavar="F", help="do not ask: explain this answer")
    query.add_argument("--at", metavar="TIME", help="judge as of this time instead of now (ISO 8601)")
    query.add_argument("--store", action="append", metavar="NAME|F", help="where to look for the issuer")
    query.add_argument("-o", "--output", metavar="F", help="keep the answer")
    inspect = actions.add_parser("inspect", help="show a request or an answer, with no judgement")
    inspect.add_argument("file", metavar="FILE", help="DER or PEM")
    for action in (query, inspect):
        action.add_argument("--json", action="store_true", help="as one JSON object")
    for action in (init, presign, respond):
        add_folder(action)


def run(args: Namespace) -> int:
    """Do what was asked."""
    output.prepare()
    if args.action == "query":
        from chopmark.cli import ocsp_query

        return ocsp_query.run(args)
    return {"init": _init, "presign": _presign, "respond": _respond, "inspect": _inspect}[args.action](args)


def _init(args: Namespace) -> int:
    from chopmark.authority.issuing import profiles
    from chopmark.authority.ocsp.responder import PATH, Responder

    if args.days is not None and args.days <= 0:
        message = f"a responder cannot live for {args.days} days"
        raise UsageError(message)
    with opened(args) as authority:
        wanted = [authority.issuer(name) for name in args.issuer or ()]
        wanted = wanted or [each for each in authority.issuers() if each.role != profiles.ROOT]
        secret = new_passphrase("the OCSP responders' keys", args, "key-")
        with Responder(authority) as responder:
            for issuer in wanted:
                made = responder.delegates.create(issuer, args.type, days=args.days, secret=secret).certificate
                print(output.filled(output.clean(made.subject_text), first="made       "))
                print(f"           answers for {output.clean(issuer.name)}, until {made.not_after:%Y-%m-%d}")
        url = args.url or f"{authority.register.setting('url')}{PATH}"
        if not url.startswith("http://") or not (url.isascii() and url.isprintable()) or " " in url:
            message = f"not an address for OCSP: {url!r} (http://HOST/..., and http alone)"
            raise UsageError(message)
        authority.register.set_ocsp_url(url, clock.now())
    print(f"           certificates name {output.clean(url)} from now on")
    return 0


def _presign(args: Namespace) -> int:
    from chopmark import keys
    from chopmark.authority.ocsp.responder import HOURS, Responder

    with (
        opened(args) as authority,
        Responder(authority, keys.secret(args.passphrase), hours=args.hours or HOURS) as made,
    ):
        signed, kept = made.presign()
        problem = made.delegates.problem
        if not made.delegates.all():
            message = "there is no responder (chopmark ocsp init makes one)" + (f": {problem}" if problem else "")
            raise RefusedError(message)
    print(f"presigned  {signed} answers; {kept} were fresh")
    if problem:
        output.complain(problem)
    return 0


def _respond(args: Namespace) -> int:
    from chopmark import keys
    from chopmark.authority.ocsp.responder import HOURS, Responder
    from chopmark.core import limits, patch
    from chopmark.core.artifact import read_small
    from chopmark.envelopes import ocsp

    request = read_small(args.request, limits.OCSP_REQUEST_MAX)
    with (
        opened(args) as authority,
        Responder(authority, keys.secret(args.passphrase), hours=args.hours or HOURS) as made,
    ):
        raw = made.respond(request)
        problem = made.delegates.problem
    where = args.output or args.request + SUFFIX
    patch.write_file(where, raw)
    response = ocsp.read_response(raw)
    if response.basic is None:
        print(f"refused    {output.clean(where)}: {response.status_text}" + (f" ({problem})" if problem else ""))
        return 1
    print(f"answered   {output.clean(where)}")
    for single in response.basic.singles:
        print(f"           {single.status:<8} {single.cert_id.serial.hex()}")
    return 0


def _inspect(args: Namespace) -> int:
    from chopmark.core import limits
    from chopmark.core.artifact import read_small

    facts = _facts(args.file, read_small(args.file, 2 * limits.OCSP_RESPONSE_MAX))
    if args.json:
        import json

        print(json.dumps(facts))
        return 0
    for name, value in facts.items():
        for number, each in enumerate(value if isinstance(value, list) else [value]):
            label = name.replace("_", " ") if not number else ""
            if isinstance(each, dict):
                print(output.filled(", ".join(f"{key} {item}" for key, item in each.items()), " " * 13, f"{label:<13}"))
            else:
                print(output.filled(output.clean(str(each)), " " * 13, f"{label:<13}"))
    return 0


def _facts(path: str, data: bytes) -> dict[str, Any]:
    """A request, or a response. Raises UsageError when it is neither."""
    from chopmark.envelopes import ocsp, pem

    if b"-----BEGIN " in data:
        found = [block.der for block in pem.blocks(data) if block.label in ("OCSP REQUEST", "OCSP RESPONSE")]
        data = found[0] if found else b""
    try:
        return response_facts(ocsp.read_response(data))
    except MalformedError as error:
        problem = str(error)
    try:
        request = ocsp.read_request(data)
    except MalformedError as error:
        message = f"{path}: neither an OCSP response ({problem}) nor a request ({error})"
        raise UsageError(message) from None
    return {
        "kind": "request",
        "about": [_identity(each.cert_id) for each in request.asked],
        "nonce": request.nonce.hex() if request.nonce else "none",
    }


def response_facts(response: ocsp.Response) -> dict[str, Any]:
    """What is in a response, for people and machines."""
    facts: dict[str, Any] = {"kind": "response", "status": response.status_text}
    basic = response.basic
    if basic is None:
        return facts
    return {
        **facts,
        "responder": _responder(basic),
        "produced_at": clock.show(basic.produced_at),
        "nonce": basic.nonce.hex() if basic.nonce else "none",
        "certificates": [_subject(raw) for raw in basic.certificates],
        "about": [_single(single) for single in basic.singles],
    }


def _responder(basic: ocsp.Basic) -> str:
    from chopmark.envelopes import x509

    return f"key {basic.responder_key.hex()}" if basic.responder_key else x509.name_text(basic.responder_name)


def _subject(raw: bytes) -> str:
    from chopmark.envelopes import x509

    try:
        certificate: x509.Certificate = x509.certificate(raw)
        return f"{certificate.subject_text}, until {clock.show(certificate.not_after)}"
    except MalformedError as error:
        return f"(not a certificate: {error})"


def _identity(identity: ocsp.CertId) -> dict[str, str]:
    return {
        "serial": identity.serial.hex(),
        "algorithm": identity.algorithm,
        "issuer_name_hash": identity.name_hash.hex(),
        "issuer_key_hash": identity.key_hash.hex(),
    }


def _single(single: ocsp.Single) -> Mapping[str, str]:
    from chopmark.trust.crl.entry import REASON_NAMES

    shown = {"status": single.status, **_identity(single.cert_id), "this_update": clock.show(single.this_update)}
    if single.next_update is not None:
        shown["next_update"] = clock.show(single.next_update)
    if single.revoked is not None:
        shown["revoked"] = clock.show(single.revoked)
        shown["reason"] = REASON_NAMES.get(single.reason, str(single.reason))
    for name, property_ in (("invalid_since", "invalid_since"), ("archive_cutoff", "archive_cutoff")):
        try:
            moment = getattr(single, property_)
        except MalformedError as error:
            shown[name] = f"(cannot be read: {error})"
            continue
        if moment is not None:
            shown[name] = clock.show(moment)
    return shown
