"""The part of `chopmark secureboot` that signs and checks updates of PK, KEK, db and dbx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chopmark.cli import output
from chopmark.cli.settings import setting, text, words
from chopmark.core import clock, limits
from chopmark.core import patch as patches
from chopmark.core.artifact import read_as, read_small
from chopmark.core.errors import InputError, RefusedError, UsageError
from chopmark.core.verdict import EXIT_STATUS, worst_of

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

    from chopmark.envelopes import x509
    from chopmark.envelopes.efi.making import Wish

TO_BE_SIGNED = ".tbs"
_VARIABLES = ("PK", "KEK", "db", "dbx", "dbt", "dbr")


def add_actions(actions: Any) -> None:  # noqa: ANN401 - argparse keeps this class to itself
    """Declare the commands of this part."""
    from chopmark.cli import sign

    make = actions.add_parser("sign-update", help="sign a list as an update of a variable (F.auth)")
    make.set_defaults(do=_sign)
    make.add_argument(
        "list", metavar="LIST", help="the new value, or what is added: .esl, .auth or efivarfs; - for none"
    )
    make.add_argument("-o", "--output", metavar="F", required=True, help="the update (usually F.auth)")
    _add_variable(make)
    sign.add_key_arguments(make)
    make.add_argument("--time", metavar="TIME", help="as of when (ISO 8601; default now); later than the last update")
    make.add_argument("--digest-only", action="store_true", help="write F.auth.tbs, to be signed elsewhere (SHA-256)")
    make.add_argument("--attach", metavar="F", help="the signature made elsewhere, over F.auth.tbs")
    make.add_argument("--content-info", action="store_true", help="with the ContentInfo, which the specification omits")
    check = actions.add_parser("verify-update", help="whether firmware would take an update")
    check.set_defaults(do=_verify)
    check.add_argument("file", metavar="FILE", help="the update (.auth)")
    _add_variable(check)
    check.add_argument(
        "--by",
        action="append",
        default=[],
        metavar="F",
        help="who may sign: PK or KEK as list or certificates; repeatable",
    )
    check.add_argument("--current", metavar="TIME|F", help="when the variable was changed last, or the update that did")
    check.add_argument("-v", "--verbose", action="store_true", help="show every check, passed ones too")
    check.add_argument("--json", action="store_true", help="one JSON object")


def _add_variable(parser: ArgumentParser) -> None:
    parser.add_argument("--variable", choices=_VARIABLES, required=True, help="what is changed")
    parser.add_argument("--append", action="store_true", help="add to the variable instead of replacing its value")


def certificates_in(path: str) -> list[bytes]:
    """The certificates of a file, in PEM or DER. Raises UsageError."""
    from chopmark.envelopes import pem

    return read_as(path, limits.STORE_FILE_MAX, pem.certificates)


def _sign(args: Namespace) -> int:
    from chopmark import keys
    from chopmark.engine import keyring
    from chopmark.envelopes.efi import lists, making
    from chopmark.trust.secureboot import state

    value = b"" if args.list == "-" else state.read_file(args.list).value
    lists.read(value)
    wish = making.Wish(args.variable, clock.parse(args.time) if args.time else clock.now(), value, args.append)
    if args.digest_only:
        return _tell_message(wish, args)
    named = [raw for path in words(setting(args.cert, "sign", "cert", default=[])) for raw in certificates_in(path)]
    if args.attach:
        wish = _taken_up(wish, args)
        signature = read_small(args.attach, limits.ENVELOPE_MAX)
        made = making.finish(wish, signature, _needed(named), content_info=args.content_info)
    else:
        uri = text(setting(args.key, "sign", "key"), "key")
        if not uri:
            raise UsageError("no key: give --key URI, or --digest-only to sign elsewhere")
        signer = keyring.open_key(uri, keys.secret(setting(args.passphrase, "sign", "passphrase")))
        made = making.sign(wish, signer, _needed(named or signer.certificates), content_info=args.content_info)
    patches.write_file(args.output, made)
    print(f"signed     {output.clean(args.output)}")
    print(output.filled(f"{'adds to' if args.append else 'replaces'} {args.variable}, as of {clock.show(wish.time)}"))
    return 0


def _needed(certificates: Sequence[bytes]) -> Sequence[bytes]:
    if not certificates:
        raise UsageError("no certificate: give --cert, or a key that brings its own (PKCS #12)")
    return certificates


def _tell_message(wish: Wish, args: Namespace) -> int:
    """The first of two steps: what the key has to sign, beside the update that is to be."""
    import hashlib

    if args.key or args.attach:
        raise UsageError("--digest-only is for a key that is elsewhere: it goes with neither --key nor --attach")
    path = args.output + TO_BE_SIGNED
    patches.write_file(path, wish.message)
    print(f"{output.clean(path)}  sha256:{hashlib.sha256(wish.message).hexdigest()}")
    return 0


def _taken_up(wish: Wish, args: Namespace) -> Wish:
    """The second step: the same wish with the time that was signed. Raises UsageError, RefusedError for another one."""
    from chopmark.envelopes.efi import making

    path = args.output + TO_BE_SIGNED
    try:
        message = read_small(path, limits.EFI_LISTS_MAX + limits.ENVELOPE_MAX)
    except InputError as error:
        raise UsageError(f"{error}: --digest-only writes it, and --attach needs it to know what was signed") from None
    if args.key:
        raise UsageError("--attach is for a key that is elsewhere: it takes --cert, not --key")
    taken = wish._replace(time=making.time_in(message, wish.variable))
    if taken.message != message:
        raise RefusedError(f"{path} was made for another list, variable or way of writing")
    return taken


def _verify(args: Namespace) -> int:
    from chopmark.trust.secureboot import state, updating

    update = state.read_update(args.file)
    signers: tuple[x509.Certificate, ...] | None = None
    if args.by:
        signers = tuple(each for path in args.by for each in state.certificates(path))
    findings = updating.judge(update, updating.Expected(args.variable, args.append, signers, _current(args.current)))
    status = worst_of(findings)
    if args.json:
        import json

        shown = [{"code": each.code, "outcome": str(each.outcome), "detail": each.detail} for each in findings]
        print(json.dumps({"path": args.file, "variable": args.variable, "status": str(status), "findings": shown}))
    else:
        output.show_judgement(status, args.file, findings, verbose=args.verbose)
    return EXIT_STATUS[status]


def _current(given: str | None) -> Any:  # noqa: ANN401 - a time or None
    if not given:
        return None
    import os

    from chopmark.trust.secureboot import state

    return state.read_update(given).time if os.path.isfile(given) else clock.parse(given)
