"""Keep lists of what is never to be trusted: certificates, keys, files, and Microsoft's list of vulnerable drivers.

Lists that were added count in every `chopmark verify`; --blocklist there adds more for one call. A list is chopmark's
own text or an App Control policy in XML.

    $ chopmark blocklist block leaked.pem --by certificate --remark stolen
    $ chopmark blocklist check setup.exe
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.cli import output
from chopmark.core import clock, places
from chopmark.core.counting import counted
from chopmark.core.errors import MalformedError, UsageError
from chopmark.core.finding import Outcome
from chopmark.core.verdict import EXIT_STATUS, SEVERITY, Status, worst_of

if TYPE_CHECKING:
    import datetime as dt
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from chopmark.core.finding import Finding
    from chopmark.envelopes import x509
    from chopmark.trust.blocklists.blocklist import Blocklist, Named

_OWN = "own"
"""The list that `block` writes to unless told otherwise."""
_WORDS = {Status.TRUSTED: "not named", Status.UNDECIDED: "unclear", Status.REJECTED: "blocked"}
_KINDS = ("certificate", "key", "tbs", "issuer-serial", "file", "image")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    add = actions.add_parser("add", help="use a list from now on, in place of one with the same name")
    add.add_argument("file", metavar="FILE", help="chopmark's text, or an App Control policy (SiPolicy XML)")
    add.add_argument("--name", metavar="NAME", help="what to call it (default: the file's name)")
    add.add_argument("--store", metavar="NAME|F", help="only if it is signed by somebody whom this store trusts")
    listing = actions.add_parser("list", help="all lists, their sizes and ages")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    show = actions.add_parser("show", help="what a list names")
    show.add_argument("name", metavar="NAME|F", help="a list that was added, or a file")
    show.add_argument("text", nargs="?", default="", metavar="TEXT", help="only lines with this in them")
    block = actions.add_parser("block", help="put a file, a certificate, or a file's signers on a list of your own")
    block.add_argument("files", nargs="+", metavar="FILE", help="a file or certificate (in a chain the first)")
    block.add_argument(
        "--by", choices=_KINDS, default="file", metavar="KIND", help=f"by its {', '.join(_KINDS)} (default file)"
    )
    block.add_argument("--name", metavar="NAME", default=_OWN, help=f"the list (default: {_OWN})")
    block.add_argument("--remark", metavar="TEXT", default="", help="why")
    unblock = actions.add_parser("unblock", help="take something off such a list again")
    unblock.add_argument("named", nargs="+", metavar="FILE|DIGEST", help="as for block, or sha256:... as show has it")
    unblock.add_argument("--by", choices=_KINDS, default="file", metavar="KIND", help="as for block")
    unblock.add_argument("--name", metavar="NAME", default=_OWN, help=f"the list (default: {_OWN})")
    remove = actions.add_parser("remove", help="no longer use a list")
    remove.add_argument("name", metavar="NAME", help="the list")
    check = actions.add_parser("check", help="whether a list names these files, whoever signed them")
    check.add_argument("paths", nargs="+", metavar="PATH", help="file to look at")
    check.add_argument("--blocklist", action="append", metavar="F", help="a further list; may be repeated")


def run(args: Namespace) -> int:
    """Do what was asked; 0, or 1 when a file is named, or an error that says why not."""
    output.prepare()
    actions = {
        "add": _add,
        "list": _list,
        "show": _show,
        "block": _block,
        "unblock": _unblock,
        "remove": _remove,
        "check": _check,
    }
    return actions[args.action](args)


def _add(args: Namespace) -> int:
    from chopmark.core.artifact import read_small
    from chopmark.trust.blocklists import blocklist

    if args.store:
        _demand_signature(args.file, args.store)
    read = blocklist.read(args.file)
    name = _checked(args.name or read.name)
    suffix = ".xml" if read.policy is not None else ".txt"
    path = _write(name + suffix, read_small(args.file, os.stat(args.file).st_size))
    if read.policy is not None and read.as_of is not None:  # it has no date but that of its file
        os.utime(path, (read.as_of.timestamp(), read.as_of.timestamp()))
    for other in blocklist.SUFFIXES:
        if other != suffix and os.path.exists(stale := os.path.join(places.blocklists(), name + other)):
            os.unlink(stale)
    print(_line(blocklist.read(path), clock.now()))
    return 0


def _demand_signature(path: str, store_name: str) -> None:
    """Raises UsageError unless the file is signed by somebody whom the store trusts."""
    from chopmark.engine import check
    from chopmark.trust import context
    from chopmark.trust.stores import store

    verdict = check.check_path(path, context.Context(store.load([store_name]), clock.now()))
    if verdict.status is not Status.TRUSTED:
        raise UsageError(f"{path}: {verdict.status}; a list has to be signed by somebody in the store {store_name}")


def _write(file_name: str, data: bytes) -> str:
    from chopmark.core import patch

    try:
        os.makedirs(places.blocklists(), exist_ok=True)
    except OSError as error:
        raise patch.WriteError(f"{places.blocklists()}: not made ({os.strerror(error.errno or 0)})") from None
    path = os.path.join(places.blocklists(), file_name)
    patch.write_file(path, data)
    return path


def _checked(name: str) -> str:
    from chopmark.trust.blocklists import blocklist

    if not blocklist.NAME.fullmatch(name):
        raise UsageError(f"not a name for a list: {name!r} (letters, digits, dot, dash, underscore)")
    return name


def _list(args: Namespace) -> int:
    from chopmark.trust.blocklists import blocklist

    lists = blocklist.load()
    for each in lists:
        print(_as_json(each) if args.json else _line(each, clock.now()))
    if not lists and not args.json:
        print("no list was added")
    return 0


def _line(each: Blocklist, now: dt.datetime) -> str:
    count = counted(each.size, "entry", "entries")
    if each.as_of is None:
        return f"{each.name:<16} {count:<14} of unknown age"
    days = (now - each.as_of).days
    age = "today" if days <= 0 else "1 day old" if days == 1 else f"{days} days old"
    stale = ", get a newer one" if each.stale(now) else ""
    return f"{each.name:<16} {count:<14} of {each.as_of:%Y-%m-%d} ({age}{stale})"


def _as_json(each: Blocklist) -> str:
    import json

    return json.dumps(
        {
            "list": each.name,
            "entries": each.size,
            "as_of": clock.show(each.as_of) if each.as_of else None,
            "stale": each.stale(clock.now()) is not None,
            "where": each.where,
        }
    )


def _show(args: Namespace) -> int:
    from chopmark.trust.blocklists import blocklist

    path = _path(args.name)
    read = blocklist.read(path if path is not None else args.name)
    for line in _entries(read):
        if args.text.lower() in line.lower():
            print(output.clean(line))
    print(_line(read, clock.now()))
    return 0


def _entries(read: Blocklist) -> Iterator[str]:
    from chopmark.trust.blocklists import plain

    yield from plain.render(read.named, read.as_of or clock.now()).decode().splitlines()[2:]
    if read.policy is not None:
        for (algorithm, octets), remark in read.policy.hashes.items():
            yield f"hash {algorithm}:{octets.hex()} {remark}"
        for scenario, rule in read.policy.names:
            yield f"name {rule.friendly or rule.identifier} (scenario {scenario})"
        for denied in read.policy.signers:
            yield f"signer {denied.signer.name or denied.signer.identifier} (scenario {denied.scenario})"


def _path(name: str) -> str | None:
    """The file of a list that was added."""
    from chopmark.trust.blocklists import blocklist

    for path in blocklist.installed():
        if os.path.splitext(os.path.basename(path))[0] == name:
            return path
    return None


def _block(args: Namespace) -> int:
    name = _checked(args.name)
    entries = _own_entries(name)
    for file in args.files:
        for named in _named_by(file, args.by):
            entries[named] = args.remark
    return _rewritten(name, entries)


def _unblock(args: Namespace) -> int:
    name = _checked(args.name)
    entries = _own_entries(name)
    for text in args.named:
        gone = [each for each in entries if f"{each.algorithm}:{each.value.hex()}" == text.lower()]
        gone = gone or [each for each in _named_by(text, args.by) if each in entries]
        if not gone:
            raise UsageError(f"{text}: not on the list {name} by its {args.by} (chopmark blocklist show {name})")
        for each in gone:
            del entries[each]
    return _rewritten(name, entries)


def _own_entries(name: str) -> dict[Named, str]:
    from chopmark.trust.blocklists import blocklist

    path = _path(name)
    if path is None:
        return {}
    known = blocklist.read(path)
    if known.policy is not None:
        raise UsageError(f"{name} is somebody else's list; choose another --name")
    return dict(known.named)


def _rewritten(name: str, entries: dict[Named, str]) -> int:
    from chopmark.trust.blocklists import blocklist, plain

    written = _write(f"{name}.txt", plain.render(entries, clock.now()))
    print(_line(blocklist.read(written), clock.now()))
    return 0


def _named_by(path: str, kind: str) -> list[Named]:
    """What a list has to say to name a file, or the certificates in it. Raises UsageError."""
    from chopmark.trust.blocklists import blocklist

    if kind in (blocklist.FILE, blocklist.IMAGE):
        found = [each for each in _digests(path) if each.kind == kind]
        if not found:
            raise UsageError(f"{path}: its format has no digest of its own; use --by file")
        return found
    if kind == blocklist.KEY and (bare := _bare_keys(path)):
        return bare
    return [blocklist.name_of(certificate, kind) for certificate in _certificates(path)]


def _bare_keys(path: str) -> list[Named]:
    """The public keys in a file of minisign, signify, SSH or OpenPGP; none in any other."""
    from chopmark.core import limits
    from chopmark.core.artifact import read_small
    from chopmark.core.errors import InputError
    from chopmark.trust.blocklists import blocklist
    from chopmark.trust.stores import keyring

    try:
        keys = keyring.read(read_small(path, limits.STORE_FILE_MAX)) or ()
    except (MalformedError, InputError):
        return []
    return [blocklist.Named(blocklist.KEY, "sha256", bytes.fromhex(each.fingerprint)) for each in keys]


def _digests(path: str) -> list[Named]:
    from chopmark.core.artifact import Artifact
    from chopmark.engine import blocking, identify

    with Artifact.open(path) as artifact:
        try:
            return blocking.file_digests(artifact, identify.identify(artifact), ("sha256",))
        except MalformedError as error:
            raise UsageError(f"{path}: {error}") from None


def _certificates(path: str) -> list[x509.Certificate]:
    """The first certificate in a file of certificates, else those of the signers of the file. Raises UsageError."""
    from chopmark.core import limits
    from chopmark.core.artifact import Artifact, read_small
    from chopmark.core.errors import InputError
    from chopmark.engine import consult
    from chopmark.envelopes import pem, x509

    try:
        # What stands behind the first one are those who issued it.
        return [x509.certificate(pem.certificates(read_small(path, limits.STORE_FILE_MAX))[0])]
    except (MalformedError, InputError):
        with Artifact.open(path) as artifact:
            found = consult.signers(artifact)
    if not found:
        raise UsageError(f"{path}: neither certificates in PEM or DER nor a signature with one")
    return found


def _remove(args: Namespace) -> int:
    path = _path(args.name)
    if path is None:
        raise UsageError(f"there is no list {args.name!r}")
    os.unlink(path)
    print(output.clean(path))
    return 0


def _check(args: Namespace) -> int:
    from chopmark.core.artifact import UnreadableError
    from chopmark.trust.blocklists import blocklist

    lists = blocklist.load(args.blocklist or ())
    if not lists:
        raise UsageError("there is no blocklist: add one (chopmark blocklist add), or name one with --blocklist")
    statuses = []
    for path in args.paths:
        try:
            findings = _asked(path, lists)
        except UnreadableError as error:
            output.complain(error, path)
            statuses.append(Status.UNDECIDED)
            continue
        statuses.append(worst_of(findings))
        print(f"{_WORDS[statuses[-1]]:<10} {output.clean(path)}")
        for each in findings:
            if each.outcome in (Outcome.NO, Outcome.UNKNOWN):
                print(output.filled(f"{each.code}: {output.clean(each.detail)}"))
    return EXIT_STATUS[max(statuses, key=SEVERITY.index)]


def _asked(path: str, lists: tuple[Blocklist, ...]) -> list[Finding]:
    """What the lists say of a file and of the certificates that its signatures carry. Raises UnreadableError."""
    from chopmark.core.artifact import Artifact
    from chopmark.engine import consult

    with Artifact.open(path) as artifact:
        return consult.consult(artifact, lists, clock.now())
