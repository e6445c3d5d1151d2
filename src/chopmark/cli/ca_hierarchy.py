"""`chopmark ca add`, `roll`, `cross`, `certify`, `request`, `accept` and `retire`: who is whose CA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.cli import output
from chopmark.cli.key import CA_KINDS, add_kind, add_new_passphrase, new_passphrase
from chopmark.core.errors import MalformedError, UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from chopmark.authority.hierarchy.changing import Grown, NewKey
    from chopmark.cli.ca_part import Actions

ROLES = ("root", "code-signing", "time-stamping", "platform")


def add_actions(actions: Actions) -> None:
    """Declare the commands."""
    add = actions.with_key("add", "make a new CA: another root, or one below a root", _add)
    add.add_argument("role", choices=ROLES, help="what it issues certificates for")
    add.add_argument("--name", default="", metavar="CA", help="what to call it (default: its role and a number)")
    add.add_argument("--title", default="", help="in its common name, behind the organisation's")
    add.add_argument("--parent", default="", metavar="CA", help="the root above it (default: the newest)")
    _key_arguments(add)
    roll = actions.with_key("roll", "roll a CA over: a new CA with a new key takes its place", _roll)
    roll.add_argument("name", metavar="CA", help="which one, as `ca show` names it")
    _key_arguments(roll)
    retire = actions.with_folder("retire", "let a CA issue no more; its CRLs go on", _retire)
    retire.add_argument("name", metavar="CA", help="which one, as `ca show` names it")
    cross = actions.with_key("cross", "certify one of the CAs by another of its roots", _cross)
    cross.add_argument("name", metavar="CA", help="which one, as `ca show` names it")
    cross.add_argument("--by", required=True, metavar="ROOT", help="the root that certifies it")
    certify = actions.with_key("certify", "certify somebody else's CA, for named purposes", _certify)
    certify.add_argument("file", metavar="FILE", help="its certification request, or its certificate")
    certify.add_argument("--by", default="root", metavar="ROOT", help="the root that certifies it (default root)")
    certify.add_argument("--purpose", action="append", default=[], metavar="P", help="codeSigning, timeStamping, OID")
    certify.add_argument("--policy", action="append", default=[], metavar="OID", help="which policies it may assert")
    certify.add_argument("--path-length", type=int, default=0, metavar="N", help="CAs below it (default 0)")
    for what in ("permit", "exclude"):
        certify.add_argument(
            f"--{what}", action="append", default=[], metavar="NAME", help="dn:O=..., dns:..., email:..., uri:..."
        )
    certify.add_argument("--months", type=int, default=36, metavar="N", help="how long (default 36)")
    certify.add_argument("-o", "--output", required=True, metavar="F", help="the certificate, as PEM")
    request = actions.with_key("request", "make a request for a CA, for somebody else to certify", _request)
    request.add_argument("name", metavar="CA", help="for which one, as `ca show` names it")
    request.add_argument("-o", "--output", required=True, metavar="F", help="the request, as PEM")
    accept = actions.with_folder("accept", "take what somebody else's CA made of a request", _accept)
    accept.add_argument("name", metavar="CA", help="whose it is, as `ca show` names it")
    accept.add_argument("file", metavar="FILE", help="the certificate for this CA")
    accept.add_argument("--issuer", required=True, metavar="F", help="the certificate of who issued it")


def _key_arguments(parser: ArgumentParser) -> None:
    add_kind(parser, CA_KINDS, "rsa-4096", "of its key: ")
    parser.add_argument("--key", default="", metavar="URI", help="a key that exists, such as one in a token")
    add_new_passphrase(parser, "key-")


def new_key(args: Namespace) -> NewKey:
    """The key that a new CA is to have, its passphrase already known."""
    from chopmark import keys
    from chopmark.authority.hierarchy.changing import NewKey

    if args.key:
        return NewKey(uri=args.key, passphrase=keys.secret(args.key_passphrase))
    secret = new_passphrase("the new CA's key", args, "key-")
    return NewKey(args.type, passphrase=lambda _: secret)


def _add(args: Namespace) -> int:
    from chopmark.authority.hierarchy.changing import Hierarchy
    from chopmark.cli.ca import opened

    key = new_key(args)
    with opened(args) as authority:
        change = Hierarchy(authority)
        grown = change.add(args.role, key, name=args.name, title=args.title, parent=args.parent)
        _tell(grown)
    return 0


def _roll(args: Namespace) -> int:
    from chopmark.authority.hierarchy.changing import Hierarchy
    from chopmark.cli.ca import opened

    key = new_key(args)
    with opened(args) as authority:
        _tell(Hierarchy(authority).roll(args.name, key))
    print(output.filled(f"The CA {args.name} stays as it is: `chopmark ca retire {args.name}` ends its issuing."))
    return 0


def _tell(grown: Grown) -> None:
    certificate = grown.issuer.certificate
    print(f"made       {grown.issuer.name}, until {certificate.not_after:%Y-%m-%d}")
    print(output.filled(output.clean(certificate.subject_text)))
    print(f"           {certificate.sha256}")
    for name in grown.crosses:
        print(f"cross      {output.clean(name)}")


def _retire(args: Namespace) -> int:
    from chopmark.authority.hierarchy.changing import Hierarchy
    from chopmark.cli.ca import opened

    with opened(args) as authority:
        issuer = Hierarchy(authority).retire(args.name)
        ends = authority.lineage.ends(issuer)
    print(f"retired    {issuer.name}")
    if ends:
        print(output.filled(f"Its last certificate ends {ends:%Y-%m-%d}; its CRL goes on for ten years after that."))
    return 0


def _cross(args: Namespace) -> int:
    from chopmark.authority.hierarchy.changing import Hierarchy
    from chopmark.cli.ca import opened

    with opened(args) as authority:
        name = Hierarchy(authority).cross(args.name, args.by)
        print(f"made       {output.clean(name)}")
        print(output.filled(output.clean(f"{authority.folder}/public/aia/{name}.cer")))
    return 0


def _certify(args: Namespace) -> int:
    from chopmark.authority.hierarchy import changing
    from chopmark.cli.ca import opened, read
    from chopmark.core import patch
    from chopmark.envelopes import pem, pkcs10, x509

    data = read(args.file)
    if args.months < 1 or not 0 <= args.path_length <= 10:  # noqa: PLR2004 - limits.PATH_LENGTH_MAX
        message = "--months: at least 1; --path-length: 0 to 10"
        raise UsageError(message)
    granted = changing.crossing(args.purpose, args.policy, args.path_length, args.permit, args.exclude)
    try:
        request = any(label.encode() in data for label in pkcs10.LABELS)
        raw = pem.single(data, *pkcs10.LABELS) if request else pem.certificates(data)[0]
        subject = changing.foreign(raw, request=request)
    except MalformedError as error:
        message = f"{args.file}: refused: {error}"
        raise UsageError(message) from None
    with opened(args) as authority:
        made = x509.certificate(changing.Hierarchy(authority).certify(subject, args.by, granted, args.months))
    patch.write_file(args.output, pem.encode("CERTIFICATE", made.raw))
    print(f"certified  {output.clean(args.output)}")
    print(output.filled(output.clean(made.subject_text)))
    print(f"           serial {made.serial_octets.hex()}, until {made.not_after:%Y-%m-%d}")
    return 0


def _request(args: Namespace) -> int:
    from chopmark.authority.hierarchy.changing import Hierarchy
    from chopmark.cli.ca import opened
    from chopmark.core import patch
    from chopmark.envelopes import pem

    with opened(args) as authority:
        raw = Hierarchy(authority).request(args.name)
    patch.write_file(args.output, pem.encode("CERTIFICATE REQUEST", raw))
    print(f"made       {output.clean(args.output)}")
    return 0


def _accept(args: Namespace) -> int:
    from chopmark.authority.hierarchy.changing import Hierarchy
    from chopmark.cli.ca import first_certificate, opened

    given, issuer = first_certificate(args.file), first_certificate(args.issuer)
    with opened(args) as authority:
        name = Hierarchy(authority).accept(args.name, given.raw, issuer)
    print(f"accepted   {output.clean(name)}")
    return 0
