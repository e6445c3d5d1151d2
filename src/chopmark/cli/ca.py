"""Run a certificate authority for code signing, in a folder.

It has a root, a CA for signers and one for time stamps. Certificates obey the
CA/Browser Forum's requirements for code signing, except under the internal
profiles. The folder is --ca DIR, CHOPMARK_CA, or `ca` among chopmark's data.
A passphrase never stands on the command line: SRC is prompt, fd:N (a line of an
open file descriptor) or env:NAME.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from typing import TYPE_CHECKING, TextIO

from chopmark.cli import ca_crl, ca_show, output
from chopmark.cli.key import KINDS, add_new_passphrase, new_passphrase
from chopmark.cli.settings import setting
from chopmark.core import clock, places
from chopmark.core.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from chopmark.authority.ca import Authority, Issued, Order
    from chopmark.keys.passphrase import Passphrase

REASONS = (
    "unspecified",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "certificateHold",
    "privilegeWithdrawn",
)
STATUSES = ("valid", "expired", "future", "revoked", "suspended", "unfinished")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    _init_arguments(actions.add_parser("init", help="make a new authority"))
    _issue_arguments(actions.add_parser("issue", help="issue a certificate"))
    revoke = actions.add_parser("revoke", help="revoke a certificate, or move its revocation back")
    revoke.add_argument("certificate", metavar="SERIAL|FILE", help="serial number (or its beginning), or certificate")
    revoke.add_argument("--reason", default="unspecified", metavar="R", help=", ".join(REASONS))
    revoke.add_argument("--date", metavar="TIME", help="from when on signatures are not believed (default now)")
    revoke.add_argument("--invalidity-date", metavar="TIME", help="when the key became suspect (internal profiles)")
    release = actions.add_parser("release", help="end a suspension (certificateHold)")
    release.add_argument("certificate", metavar="SERIAL|FILE", help="serial number (or its beginning), or certificate")
    crl = actions.add_parser("crl", help="sign and publish the lists of revoked certificates")
    ca_crl.add_arguments(crl)
    listing = actions.add_parser("list", help="list certificates")
    listing.add_argument("--status", choices=STATUSES, default="", help="only those")
    listing.add_argument("--profile", default="", metavar="P", help="only those (CA certificates: authority)")
    listing.add_argument("--subject", default="", metavar="TEXT", help="only those whose name contains it")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    upgrade = actions.add_parser("upgrade", help="bring the database of an earlier chopmark up to date")
    show = actions.add_parser("show", help="show a certificate and what was done with it, or the authority itself")
    show.add_argument("certificate", nargs="?", metavar="SERIAL|FILE", help="serial number, or certificate")
    shape = show.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="as one JSON object")
    shape.add_argument("--pem", action="store_true", help="the certificate alone, as PEM (the root without SERIAL)")
    for action in (revoke, release, crl, listing, show, upgrade):
        add_folder(action)


def _init_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--name", required=True, help="the organisation's name, from which the CAs take theirs")
    parser.add_argument("--url", required=True, help="where crl/ and aia/ will be served, as http://HOST/")
    parser.add_argument("--country", default="", metavar="CC", help="two letters")
    parser.add_argument(
        "--type", choices=("rsa-4096", "p256", "p384", "p521"), default="rsa-4096", help="keys of the CAs"
    )
    add_new_passphrase(parser)
    parser.add_argument("--database", default="", metavar="URL", help="PostgreSQL (default: a file in the folder)")
    parser.add_argument("--root-passphrase", metavar="SRC", help="another one for the root's key")
    parser.add_argument("--shards", type=int, default=0, metavar="N", help="spread certificates over N CRLs")
    parser.add_argument("--with-deltas", action="store_true", help="publish delta CRLs, and name them in certificates")
    parser.add_argument("--no-trust", action="store_true", help="do not put the root into the trust store corp")
    add_folder(parser)


def _issue_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--profile", default="code-signing", metavar="P", help="default code-signing")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--key", metavar="URI", help="a private key, of which the certificate has the public half")
    source.add_argument("--csr", metavar="F", help="a certification request (PKCS #10)")
    source.add_argument("--public-key", metavar="F", help="a public key, or a certificate whose key is kept")
    source.add_argument("--new-key", metavar="F", help="make a key and write it there")
    parser.add_argument("--type", choices=KINDS, default="rsa-3072", help="of the new key (default rsa-3072)")
    add_new_passphrase(parser, "key-")
    parser.add_argument("--subject", metavar="NAME", help="such as 'CN=Example Ltd, O=Example Ltd, L=Leeds, C=GB'")
    parser.add_argument("--days", type=int, metavar="N", help="validity (default 365; code signing at most 460)")
    parser.add_argument("--not-before", metavar="TIME", help="for tests: internal profiles alone")
    parser.add_argument("--not-after", metavar="TIME", help="for tests: internal profiles alone")
    parser.add_argument("-o", "--out", metavar="F", help="certificate and CA as PEM (default: standard output)")
    parser.add_argument("--passphrase", metavar="SRC", help="of the CA's key")
    add_folder(parser)


def add_folder(parser: ArgumentParser) -> None:
    """The option that says which authority is meant."""
    parser.add_argument("--ca", metavar="DIR", help="the authority's folder")


def folder(args: Namespace) -> str:
    """The authority's folder."""
    return str(setting(args.ca, "ca", "ca", os.path.join(places.data(), "ca")))


def opened(args: Namespace) -> Authority:
    """The authority in it, its keys still closed."""
    from chopmark import keys
    from chopmark.authority.ca import Authority

    source: Passphrase = keys.secret(args.passphrase) if "passphrase" in args else keys.nothing
    return Authority.open(folder(args), source)


def run(args: Namespace) -> int:
    """Do what was asked."""
    output.prepare()
    actions = {"init": _init, "issue": _issue, "revoke": _revoke, "release": _release, "upgrade": _upgrade}
    if args.action in actions:
        return actions[args.action](args)
    with opened(args) as authority:
        if args.action == "crl":
            return ca_crl.run(authority, args)
        if args.action == "list":
            return ca_show.listing(authority, args)
        return ca_show.show(authority, args, serial_of(args.certificate) if args.certificate else "")


def _init(args: Namespace) -> int:
    from chopmark import keys
    from chopmark.authority import founding

    where = folder(args)
    setup = founding.Setup(
        args.name,
        args.url,
        args.type,
        args.country,
        database=args.database,
        shards=args.shards,
        deltas=args.with_deltas,
    )
    setup.check()  # before anybody is asked for a passphrase
    secret = new_passphrase("the authority's keys", args.passphrase, unprotected=args.no_passphrase)
    root_secret = secret
    if args.root_passphrase:
        root_secret = keys.new_secret(args.root_passphrase)("the root's key")
    with founding.found(where, setup, lambda _: secret, lambda _: root_secret) as authority:
        root = authority.root
        print(f"made       {output.clean(where)}")
        for issuer in authority.issuers():
            certificate = issuer.certificate
            print(f"           {output.clean(certificate.common_name)}, until {certificate.not_after:%Y-%m-%d}")
    if not args.no_trust:
        from chopmark.trust import store

        [path] = store.add("corp", [root])
        print(f"trusted    {output.clean(path)}")
    if secret is None:
        print("           The keys are not encrypted: whoever reads this folder can sign as you.")
    return 0


def _issue(args: Namespace) -> int:
    from chopmark.core import patch
    from chopmark.envelopes import pem

    with opened(args) as authority:
        issued = _ordered(authority, args)
    text = b"".join(pem.encode("CERTIFICATE", raw) for raw in (issued.certificate, *issued.chain))
    if args.out:
        patch.write_file(args.out, text)
    else:
        print(text.decode(), end="")
    tell_issued(issued, args.out or "to standard output", sys.stdout if args.out else sys.stderr)
    return 0


def tell_issued(issued: Issued, where: str, stream: TextIO | None = None) -> None:
    """Say what was issued."""
    from chopmark.envelopes import x509

    certificate = x509.certificate(issued.certificate)
    for line in (
        f"issued     {output.clean(where)}",
        f"           {output.clean(certificate.subject_text)}",
        f"           serial {issued.serial}, until {certificate.not_after:%Y-%m-%d}",
    ):
        print(line, file=stream or sys.stdout)


def _ordered(authority: Authority, args: Namespace) -> Issued:
    """Issue for a request, a public key, or a new key, which exists on disk before its certificate does."""
    if not args.new_key:
        return authority.issue(_order(args, *_given_key(args)))
    from chopmark.keys import generate
    from chopmark.keys.software import SoftwareSigner

    if os.path.lexists(args.new_key):
        message = f"{args.new_key}: exists already, and a key that is overwritten is lost"
        raise UsageError(message)
    order = _order(args, b"", [])
    secret = new_passphrase(args.new_key, args.key_passphrase, unprotected=args.no_key_passphrase)
    key = generate.new(args.type)
    generate.store(args.new_key, generate.encode(key, secret))
    try:
        return authority.issue(_order(args, SoftwareSigner(key).public_key, list(order.subject)))
    except BaseException:
        os.unlink(args.new_key)  # nobody has a certificate for it
        raise


def _order(args: Namespace, spki: bytes, subject: list[tuple[str, str]]) -> Order:
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
    times = [clock.parse(time) if time else None for time in (args.not_before, args.not_after)]
    return Order(args.profile, subject, spki, args.days, times[0], times[1])


def _given_key(args: Namespace) -> tuple[bytes, list[tuple[str, str]]]:
    """A public key, and the subject that comes with it; the sender of a request has proved to have the private key."""
    from chopmark import keys
    from chopmark.core.errors import MalformedError
    from chopmark.envelopes import names, pem, pkcs10, x509

    if args.key:
        from chopmark.engine import keyring

        return keyring.open_key(args.key, keys.secret(args.key_passphrase)).public_key, []
    path = args.csr or args.public_key
    data = _read(path)
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


def _read(path: str) -> bytes:
    from chopmark.core import limits
    from chopmark.core.artifact import read_small

    return read_small(path, limits.KEY_FILE_MAX)


def serial_of(text: str) -> str:
    """A serial number as given, or that of the first certificate in a file."""
    if not os.path.exists(text):
        return text
    from chopmark.core.errors import MalformedError
    from chopmark.envelopes import pem, x509

    try:
        return x509.certificate(pem.certificates(_read(text))[0]).serial_octets.hex()
    except MalformedError as error:
        message = f"{text}: not a certificate ({error})"
        raise UsageError(message) from None


def _revoke(args: Namespace) -> int:
    with opened(args) as authority:
        record = authority.revoke(
            serial_of(args.certificate),
            args.reason,
            at=clock.parse(args.date) if args.date else None,
            invalidity=clock.parse(args.invalidity_date) if args.invalidity_date else None,
        )
    word = "suspended" if record.status(clock.now()) == "suspended" else "revoked"
    print(f"{word:<10} {record.serial}")
    print(f"           {output.clean(record.subject)}")
    print(f"           since {clock.show(record.revoked or clock.now())}; `chopmark ca crl` publishes it")
    return 0


def _release(args: Namespace) -> int:
    with opened(args) as authority:
        record = authority.release(serial_of(args.certificate))
    print(f"released   {record.serial}")
    print(f"           {output.clean(record.subject)}; `chopmark ca crl` publishes it")
    return 0


def _upgrade(args: Namespace) -> int:
    from chopmark.authority import configuration, upgrading
    from chopmark.authority.database import Database

    where = folder(args)
    database = Database(configuration.require(where).place(where))
    with closing(database):
        done = upgrading.upgrade(database)
    if done.before == done.after:
        print(f"unchanged  {output.clean(database.place)}")
    else:
        print(f"upgraded   {output.clean(database.place)}")
        print(f"           schema {done.before} to {done.after}")
    if done.backup:
        print(f"before     {output.clean(done.backup)}")
    return 0
