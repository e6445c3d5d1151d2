"""Run a certificate authority for code signing, in a folder.

It has a root, a CA for signers and one for time stamps. Certificates obey the
CA/Browser Forum's requirements for code signing, except under the internal
profiles. The folder is --ca DIR, CHOPMARK_CA, or `ca` among chopmark's data.
A passphrase never stands on the command line: SRC is prompt, fd:N (a line of an
open file descriptor) or env:NAME.

    $ chopmark ca init --name "Example Corp" --url http://pki.example.com/
    $ chopmark ca issue --csr me.csr -o me.pem
    $ chopmark ca revoke me.pem --reason keyCompromise
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from typing import TYPE_CHECKING, TextIO

from chopmark.cli import ca_backup, ca_ceremony, ca_crl, ca_hierarchy, ca_issue, ca_lint, ca_serve, ca_show, output
from chopmark.cli.ca_part import Actions
from chopmark.cli.key import CA_KINDS, add_kind, add_new_passphrase, new_passphrase
from chopmark.cli.settings import setting
from chopmark.core import clock, places
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable

    from chopmark.authority.ca import Authority, Issued
    from chopmark.authority.register.records import Record
    from chopmark.core.finding import Finding
    from chopmark.envelopes.x509 import Certificate
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
_PARTS = (ca_hierarchy, ca_ceremony, ca_backup, ca_lint, ca_serve)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    with_folder = Actions(actions, add_folder)
    _init_arguments(actions.add_parser("init", help="make a new authority"))
    ca_issue.add_actions(with_folder)
    revoke = actions.add_parser("revoke", help="revoke a certificate, or move its revocation back")
    revoke.add_argument("certificate", metavar="SERIAL|FILE", help="serial number (or its beginning), or certificate")
    revoke.add_argument("--reason", default="unspecified", metavar="R", help=", ".join(REASONS))
    revoke.add_argument("--date", metavar="TIME", help="from when on signatures are not believed (default now)")
    revoke.add_argument("--invalidity-date", metavar="TIME", help="when the key became suspect (internal profiles)")
    release = actions.add_parser("release", help="end a suspension (certificateHold)")
    release.add_argument("certificate", metavar="SERIAL|FILE", help="serial number (or its beginning), or certificate")
    ca_show.add_actions(with_folder)
    crl = actions.add_parser("crl", help="sign and publish the lists of revoked certificates")
    ca_crl.add_arguments(crl)
    for part in _PARTS:
        part.add_actions(with_folder)
    upgrade = actions.add_parser("upgrade", help="bring the database of an earlier chopmark up to date")
    for action in (revoke, release, crl, upgrade):
        add_folder(action)


def _init_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--name", required=True, help="the organisation's name, from which the CAs take theirs")
    parser.add_argument("--url", required=True, help="where crl/ and aia/ will be served, as http://HOST/")
    parser.add_argument("--country", default="", metavar="CC", help="two letters")
    add_kind(parser, CA_KINDS, "rsa-4096", "keys of the CAs: ")
    add_new_passphrase(parser)
    parser.add_argument("--database", default="", metavar="URL", help="PostgreSQL (default: a file in the folder)")
    parser.add_argument("--root-passphrase", metavar="SRC", help="another one for the root's key")
    parser.add_argument("--shards", type=int, default=0, metavar="N", help="spread certificates over N CRLs")
    parser.add_argument("--with-deltas", action="store_true", help="publish delta CRLs, and name them in certificates")
    parser.add_argument("--no-trust", action="store_true", help="do not put the root into the trust store corp")
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
    actions = {"init": _init, "revoke": _revoke, "release": _release, "upgrade": _upgrade}
    if args.action in actions:
        return actions[args.action](args)
    if args.action == "crl":
        with opened(args) as authority:
            return ca_crl.run(authority, args)
    return int(args.do(args))


def _init(args: Namespace) -> int:
    from chopmark import keys
    from chopmark.authority.hierarchy import founding
    from chopmark.authority.issuing import profiles

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
    secret = new_passphrase("the authority's keys", args)
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
        from chopmark.trust.stores import store

        [path] = store.add("corp", [root])
        print(f"trusted    {output.clean(path)}")
    if args.type in profiles.ML_DSA_KEYS:
        print("           The requirements for code signing do not know ML-DSA: it issues internal certificates alone.")
    if secret is None:
        print("           The keys are not encrypted: whoever reads this folder can sign as you.")
    return 0


def tell_issued(issued: Issued, where: str, stream: TextIO | None = None) -> None:
    """Say what was issued."""
    from chopmark.envelopes import x509

    certificate = x509.certificate(issued.certificate)
    for line in (
        f"issued     {output.clean(where)}",
        output.filled(output.clean(certificate.subject_text)),
        f"           serial {issued.serial}, until {certificate.not_after:%Y-%m-%d}",
    ):
        print(line, file=stream or sys.stdout)
    tell_log(issued.findings)


def tell_log(findings: Iterable[Finding]) -> None:
    """Warn when the log contradicts itself: what was done is done, and somebody has to look."""
    for finding in findings:
        if finding.code == "log.fork":
            output.complain(f"log.fork: {finding.detail}")


def read(path: str) -> bytes:
    """A file of keys or certificates."""
    from chopmark.core import limits
    from chopmark.core.artifact import read_small

    return read_small(path, limits.KEY_FILE_MAX)


def first_certificate(path: str) -> Certificate:
    """The first certificate in a file. Raises UsageError, InputError."""
    from chopmark.core import limits
    from chopmark.core.artifact import read_as
    from chopmark.envelopes import pem, x509

    return read_as(path, limits.KEY_FILE_MAX, lambda data: x509.certificate(pem.certificates(data)[0]))


def serial_of(text: str) -> str:
    """A serial number as given, or that of the first certificate in a file."""
    if not os.path.exists(text):
        if os.path.splitext(text)[1] or os.path.dirname(text):
            message = f"{text}: there is no such file, and a serial number is hexadecimal (chopmark ca list shows it)"
            raise UsageError(message)
        return text
    return first_certificate(text).serial_octets.hex()


def _revoke(args: Namespace) -> int:
    with opened(args) as authority:
        before = authority.register.find(serial_of(args.certificate))
        record = authority.revoke(
            before.serial,
            args.reason,
            at=clock.parse(args.date) if args.date else None,
            invalidity=clock.parse(args.invalidity_date) if args.invalidity_date else None,
        )
    word = "suspended" if record.status(clock.now()) == "suspended" else "revoked"
    print(f"{word:<10} {record.serial}")
    print(output.filled(output.clean(record.subject)))
    print(f"           since {clock.show(record.revoked or clock.now())}, reason {_reason(record)}")
    if before.revoked is not None:
        print(f"           it was already, since {clock.show(before.revoked)}, reason {_reason(before)}")
    print("           `chopmark ca crl` publishes it")
    return 0


def _reason(record: Record) -> str:
    from chopmark.authority.crl import encoding

    return encoding.REASON_NAMES.get(record.reason or 0, "unspecified")


def _release(args: Namespace) -> int:
    with opened(args) as authority:
        record = authority.release(serial_of(args.certificate))
    print(f"released   {record.serial}")
    print(output.filled(f"{output.clean(record.subject)}; `chopmark ca crl` publishes it"))
    return 0


def _upgrade(args: Namespace) -> int:
    from chopmark.authority.register import configuration, upgrading
    from chopmark.authority.register.database import Database

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
