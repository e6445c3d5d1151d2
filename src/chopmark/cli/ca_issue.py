"""`chopmark ca issue` and `chopmark ca renew`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from chopmark.cli.key import KINDS, add_kind, add_new_passphrase, new_passphrase
from chopmark.core import clock
from chopmark.core.errors import RefusedError, UsageError, WriteError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

    from chopmark.authority.ca import Authority, Issued, Order
    from chopmark.cli.ca_part import Actions

    Subject = list[tuple[str, str]]


def add_actions(actions: Actions) -> None:
    """Declare the commands."""
    issue = actions.with_key("issue", "issue a certificate", _issue)
    issue.add_argument(
        "--profile", default="code-signing", metavar="P", help="one of `ca profiles` (default code-signing)"
    )
    _key_arguments(issue, required=True)
    issue.add_argument("--subject", metavar="NAME", help="such as 'CN=Example Ltd, O=Example Ltd, L=Leeds, C=GB'")
    until = issue.add_mutually_exclusive_group()
    until.add_argument("--days", type=int, metavar="N", help="validity (default 365; code signing at most 460)")
    issue.add_argument("--not-before", metavar="TIME", help="for tests: internal profiles alone")
    until.add_argument("--not-after", metavar="TIME", help="for tests: internal profiles alone")
    issue.add_argument("--issuer", default="", metavar="CA", help="default: the newest CA for this profile")
    issue.add_argument("-o", "--output", metavar="F", help="certificate and CA as PEM (default: standard output)")
    renew = actions.with_key("renew", "issue a certificate again: same subject and profile, new dates", _renew)
    renew.add_argument("certificate", metavar="SERIAL|FILE", help="serial number (or its beginning), or certificate")
    _key_arguments(renew, required=False)
    renew.add_argument("--days", type=int, metavar="N", help="validity (default: as long as is usual)")
    renew.add_argument("-o", "--output", metavar="F", help="certificate and CA as PEM (default: standard output)")


def _key_arguments(parser: ArgumentParser, *, required: bool) -> None:
    source = parser.add_mutually_exclusive_group(required=required)
    source.add_argument("--key", metavar="URI", help="a private key, of which the certificate has the public half")
    source.add_argument("--csr", metavar="F", help="a certification request (PKCS #10)")
    source.add_argument("--public-key", metavar="F", help="a public key, or a certificate whose key is kept")
    source.add_argument("--new-key", metavar="F", help="make a key and write it there")
    add_kind(parser, KINDS, "rsa-3072", "of the new key: ")
    add_new_passphrase(parser, "key-")


def _issue(args: Namespace) -> int:
    from chopmark.cli.ca import opened

    def ordered(authority: Authority, spki: bytes, subject: Subject) -> Issued:
        return authority.issue(_order(args, spki, subject))

    with opened(args) as authority:
        if args.new_key:
            _order(args, b"", [])  # before anybody is asked for a passphrase
        issued = _with_key(args, authority, ordered)
    return _hand_out(args, issued)


def _renew(args: Namespace) -> int:
    from chopmark.authority import renewal
    from chopmark.cli.ca import opened, serial_of
    from chopmark.envelopes import x509

    with opened(args) as authority:
        old = authority.register.find(serial_of(args.certificate))
        if not (args.key or args.csr or args.public_key or args.new_key):
            issued = renewal.renew(authority, old, None, days=args.days)
        else:

            def ordered(authority: Authority, spki: bytes, _subject: Subject) -> Issued:
                return renewal.renew(authority, old, spki, days=args.days)

            issued = _with_key(args, authority, ordered)
    same = x509.certificate(issued.certificate).key_sha256 == old.key_sha256
    stream = sys.stdout if args.output else sys.stderr
    print(f"renewed    {old.serial}, with {'the same key' if same else 'a new key'}", file=stream)
    return _hand_out(args, issued)


def _hand_out(args: Namespace, issued: Issued) -> int:
    from chopmark.cli.ca import tell_issued
    from chopmark.core import patch
    from chopmark.envelopes import pem

    text = b"".join(pem.encode("CERTIFICATE", raw) for raw in (issued.certificate, *issued.chain))
    if args.output:
        try:
            patch.write_file(args.output, text)
        except WriteError as error:
            raise WriteError(f"{error}; it was issued all the same: chopmark ca show --pem {issued.serial}") from None
    else:
        print(text.decode(), end="")
    tell_issued(issued, args.output or "to standard output", sys.stdout if args.output else sys.stderr)
    return 0


def _with_key(args: Namespace, authority: Authority, ordered: Callable[[Authority, bytes, Subject], Issued]) -> Issued:
    """Issue for a request, a public key, or a new key, which exists on disk before its certificate does."""
    if not args.new_key:
        return ordered(authority, *_given_key(args))
    from chopmark.keys import generate
    from chopmark.keys.software import SoftwareSigner

    if os.path.lexists(args.new_key):
        message = f"{args.new_key}: exists already, and a key that is overwritten is lost"
        raise UsageError(message)
    secret = new_passphrase(args.new_key, args, "key-")
    key = generate.new(args.type)
    generate.store(args.new_key, generate.encode(key, secret))
    try:
        return ordered(authority, SoftwareSigner(key).public_key, [])
    except BaseException:
        os.unlink(args.new_key)  # nobody has a certificate for it
        raise


def _order(args: Namespace, spki: bytes, subject: Subject) -> Order:
    from chopmark.authority.ca import Order
    from chopmark.envelopes import names

    if args.subject:
        subject = names.parse(args.subject)
    kinds = dict(subject)
    if "CN" not in kinds and "O" in kinds:
        subject = [*subject, ("CN", kinds["O"])]  # both are the subject's legal name (CSBR 7.1.4.2.2)
    if not subject:
        message = "whom is it for? give --subject NAME"
        raise UsageError(message)
    since, until = (clock.parse(time) if time else None for time in (args.not_before, args.not_after))
    return Order(args.profile, subject, spki, args.days, since, until, args.issuer)


def _given_key(args: Namespace) -> tuple[bytes, Subject]:
    """A public key, and the subject that comes with it; the sender of a request has proved to have the private key."""
    from chopmark import keys
    from chopmark.cli.ca import read
    from chopmark.core.errors import MalformedError
    from chopmark.envelopes import names, pem, pkcs10, x509

    if args.key:
        from chopmark.engine import keyring

        return keyring.open_key(args.key, keys.secret(args.key_passphrase)).public_key, []
    path = args.csr or args.public_key or ""
    data = read(path)
    try:
        if args.csr:
            request = pkcs10.read(data)
            request.verify()
            return request.spki, names.parts(request.subject)
        if b"CERTIFICATE-----" in data:
            certificate = x509.certificate(pem.certificates(data)[0])
            return certificate.spki, names.parts(certificate.subject)
        return pem.single(data, "PUBLIC KEY"), []
    except MalformedError as error:
        message = f"{path}: refused: {error}"
        raise RefusedError(message) from None
