"""List every file of a folder tree or host, sign the list, and compare the tree with it later.

`catalog create ROOT -o F` writes the list (SHA-256, size, permissions, owner, capabilities, link targets), with --key
signed at once; `chopmark verify` judges its signature as any other. `catalog verify F` names what was changed, added,
removed or renamed since. `chopmark verify FILE --catalogs F` trusts single files through it.

    $ chopmark catalog create /opt/app -o app.catalog
    $ chopmark catalog sign app.catalog --key release.key --cert release.pem
    $ chopmark catalog verify app.catalog --store corp
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from chopmark.cli import catalog_from, output, settings, sign, verify
from chopmark.cli.parsing import Parser, need
from chopmark.core import clock
from chopmark.core.counting import counted
from chopmark.core.finding import Outcome
from chopmark.core.verdict import EXIT_STATUS, SEVERITY, Status, worst_of

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable, Iterator

    from chopmark.core.finding import Finding
    from chopmark.core.verdict import Verdict
    from chopmark.engine.sign import SignRequest

_READ = 10
"""More findings of one kind that only inform are counted: a host has a thousand packages."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    create = actions.add_parser("create", help="list the files of a tree")
    create.add_argument("root", metavar="ROOT", help="the folder; / for a whole host")
    create.add_argument("-o", "--output", metavar="F", required=True, help="the catalog (usually F.catalog)")
    create.add_argument(
        "--all-file-systems", action="store_true", help="enter what is mounted below, too (never /proc and its like)"
    )
    create.add_argument(
        "--exclude", action="append", default=[], metavar="PATH", help="leave this out; the catalog says so; repeatable"
    )
    create.add_argument("--as", dest="shown_as", default="", metavar="PATH", help="where the tree stands when in use")
    create.add_argument("--fresh", action="store_true", help="do not go on from what an interrupted run had")
    catalog_from.add_arguments(create)
    _add_common(create)
    sign.add_key_arguments(create)
    create.add_argument(
        "--timestamp", action="append", metavar="URL", help="RFC 3161 authority; may be repeated: the next on failure"
    )
    sign.add_arguments(actions.add_parser("sign", help="sign catalogs, as `chopmark sign` does"))
    check = actions.add_parser("verify", help="compare a tree with its catalog")
    check.add_argument("catalog", metavar="CATALOG", help="the catalog, whose signature must be trusted")
    check.add_argument("tree", nargs="?", metavar="DIR", help="the tree (default: where the catalog says it stands)")
    check.add_argument("--root", metavar="DIR", help="the same, as an option")
    verify.add_trust_arguments(check)
    _add_common(check)
    check.add_argument("-q", "--quiet", action="store_true", help="print nothing; the exit status is the answer")
    diff = actions.add_parser("diff", help="how the second catalog differs from the first; judges no signature")
    diff.add_argument("catalogs", nargs=2, metavar="CATALOG", help="an older and a newer catalog")
    diff.add_argument("--json", action="store_true", help="one JSON object per difference, a line each")
    show = actions.add_parser("show", help="what is in a catalog, with no judgement")
    show.add_argument("catalog", metavar="CATALOG", help="the catalog")
    show.add_argument("--json", action="store_true", help="one JSON object per file, a line each")


def _add_common(parser: ArgumentParser) -> None:
    parser.add_argument("-j", "--jobs", metavar="N", help="processes (default: one per processor)")
    parser.add_argument("--json", action="store_true", help="JSON objects, a line each")


def run(args: Namespace) -> int:
    """Do what was asked."""
    output.prepare()
    return {"create": _create, "sign": _sign, "verify": _verify, "diff": _diff, "show": _show}[args.action](args)


def _jobs(args: Namespace) -> int:
    from chopmark.engine import batch

    return batch.jobs_for(sys.maxsize, settings.jobs_wanted(args.jobs, "catalog"))


def _create(args: Namespace) -> int:
    """List, and sign; a key or certificate that will not do is told before the tree is read, which may take hours."""
    need(args, "key", "cert", "passphrase", "timestamp")
    with ExitStack() as connections:
        request = sign.request_for(_signing(args), connections) if args.key else None
        status = _list(args)
        if status is None:
            return 130
        return (_signed(args, request) if request is not None else 0) or EXIT_STATUS[status]


def _list(args: Namespace) -> Status | None:
    """Write the list; the worst of what was found, None where it was interrupted."""
    from chopmark.engine.catalog import making

    jobs = _jobs(args)
    tally = output.Tally("listing")
    try:
        with catalog_from.gathered(args, jobs, tally) as provenance:
            wish = making.Wish(
                args.root,
                args.output,
                args.shown_as,
                not args.all_file_systems,
                tuple(args.exclude),
                fresh=args.fresh,
                provenance=provenance,
            )
            made = making.make(wish, jobs, tally)
            made = made._replace(findings=(*made.findings, *catalog_from.summary(provenance)))
    except KeyboardInterrupt:
        tally.done()
        print("chopmark: interrupted; the same command goes on from there", file=sys.stderr)
        return None
    finally:
        tally.done()
    status = _worst(made.findings)
    if args.json:
        facts = {"catalog": args.output, "files": made.files, "size": made.size, "known": made.known}
        print(_as_json({**facts, "findings": [_fact(finding) for finding in made.findings]}))
    else:
        for line in _few(made.findings):
            print(line)
        known = f", {made.known} known from before" if made.known else ""
        print(f"listed     {output.clean(args.output)}")
        print(output.filled(f"{counted(made.files, 'entry', 'entries')}, {counted(made.size, 'byte')}{known}"))
    return status


def _signing(args: Namespace) -> list[str]:
    """The options as those of `chopmark sign`."""
    words = ["--format", "catalog", "--key", args.key]
    for option, values in (("--cert", args.cert), ("--timestamp", args.timestamp)):
        for value in values or ():
            words += [option, value]
    words += ["--passphrase", args.passphrase] if args.passphrase else []
    return words + (["--json"] if args.json else [])


def _signed(args: Namespace, request: SignRequest) -> int:
    """Sign what was written, as `chopmark sign` does."""
    from chopmark.engine.sign import preflight

    parser = Parser()
    sign.add_arguments(parser)
    ready = request._replace(signing_time=clock.now())
    preflight(ready)  # the certificate may have ended meanwhile
    return sign.run(parser.parse_args([*_signing(args), "--", args.output]), ready)


def _sign(args: Namespace) -> int:
    args.format = "catalog"
    return sign.run(args)


def _verify(args: Namespace) -> int:
    import os

    from chopmark.core.errors import UsageError
    from chopmark.engine.catalog import judging

    if args.tree and args.root:
        raise UsageError("the tree is named twice: as DIR and by --root")
    tally = output.Tally("comparing")
    found: list[Finding] = []
    with ExitStack() as stack:
        context = verify.context_for(args, stack)
        checked = stack.enter_context(judging.opened(args.catalog, context))
        root = args.root or args.tree or os.fsdecode(checked.listing.header.root)
        if not root:
            raise UsageError(f"{args.catalog} does not say where the tree stands: give --root")
        stack.callback(tally.done)
        _tell_catalog(checked.verdict, args)
        for finding in judging.verify(checked, root, _jobs(args), tally):
            found.append(finding._replace(detail="") if len(found) > _KEPT_MAX else finding)
            tally.done()
            _tell(finding, args)
        status = max(checked.verdict.status, _worst(found), key=SEVERITY.index)
    _tell_status(status, root, found, args)
    return EXIT_STATUS[status]


_KEPT_MAX = 100_000


def _tell_catalog(verdict: Verdict, args: Namespace) -> None:
    if args.quiet:
        return
    if args.json:
        from chopmark.engine import report

        print(_as_json(report.as_dict(verdict)))
    else:
        print(output.show_verdict(verdict))


def _tell_status(status: Status, root: str, found: list[Finding], args: Namespace) -> None:
    if args.quiet:
        return
    from chopmark.formats.catalog import reasons

    counts = _counts(found)
    if args.json:
        print(_as_json({"root": root, "status": str(status), "counts": counts}))
        return
    whole = {reasons.SAME.code: "all as the catalog says", reasons.ELSEWHERE.code: "another tree than the catalog's"}
    against = ", ".join(whole.get(code) or f"{count} {code.partition('.')[2]}" for code, count in counts.items())
    print(output.paint(f"{status:<10}", status, colour=output.coloured(sys.stdout)), output.clean(root))
    print(output.filled(against or "nothing was found"))


def _diff(args: Namespace) -> int:
    from chopmark.engine.catalog import judging

    found = 0
    for finding in judging.diff(*args.catalogs):
        found += finding.outcome is not Outcome.INFO
        print(_as_json(_fact(finding)) if args.json else output.show_finding(finding))
    if not args.json and not found:
        print("the two list the same")
    return 1 if found else 0


def _show(args: Namespace) -> int:
    from chopmark.core.artifact import Artifact
    from chopmark.engine.catalog import judging
    from chopmark.formats.catalog import listing, sealing

    with Artifact.open(args.catalog) as artifact:
        found, signed = judging.listed(artifact), bool(sealing.read(artifact).envelope)
        kinds: dict[str, int] = {}
        size = 0
        for _, line in found.rows():
            entry = listing.entry(line)
            kinds[entry.kind.decode()] = kinds.get(entry.kind.decode(), 0) + 1
            size += int(entry.size) if entry.size != b"-" else 0
            if args.json:
                print(_as_json(_entry_facts(entry, found.origin)))
    if not args.json:
        root = listing.escape(found.header.root).decode() or "not told"
        print(f"{output.clean(args.catalog)}: {'signed' if signed else 'not signed'}")
        print(
            output.filled(f"root {root}, {'one file system' if found.header.one_file_system else 'all file systems'}")
        )
        if found.header.only_listed:
            print(output.filled("the files of packages alone; it says nothing of others"))
        for path in found.header.excluded:
            print(output.filled(f"without {listing.escape(path).decode()}"))
        each = ", ".join(counted(count, _KINDS[kind]) for kind, count in sorted(kinds.items()))
        print(output.filled(f"{counted(found.count, 'entry', 'entries')}: {each}; {counted(size, 'byte')}"))
    return 0


_KINDS = {"f": "file", "d": "folder", "l": "link", "c": "character device", "b": "block device",
          "p": "FIFO", "s": "socket"}  # fmt: skip


def _entry_facts(entry: Any, origin: bytes) -> dict[str, Any]:  # noqa: ANN401 - formats.catalog.listing.Entry, loaded when needed
    from chopmark.formats.catalog import listing

    def text(raw: bytes) -> str:
        return listing.escape(raw).decode("ascii")

    facts = {
        "path": text(entry.path) or ".",
        "kind": text(entry.kind),
        "mode": text(entry.mode),
        "uid": int(entry.uid),
        "gid": int(entry.gid),
        "size": int(entry.size) if entry.size != b"-" else None,
        "content": text(entry.content),
        "attributes": {text(name): text(value) for name, value in entry.attributes},
    }
    if origin:
        known = listing.origin_of(origin)
        facts["origin"] = {key: text(value) for key, value in known._asdict().items() if value}
    return facts


def _tell(finding: Finding, args: Namespace) -> None:
    if args.quiet:
        return
    if args.json:
        print(_as_json(_fact(finding)))
    elif finding.outcome in (Outcome.NO, Outcome.UNKNOWN):
        print(output.show_finding(finding))


def _few(findings: Iterable[Finding]) -> Iterator[str]:
    """Lines for all that speaks against something; of what only informs, as much of each kind as somebody reads."""
    counts: dict[str, int] = {}
    for finding in findings:
        if finding.outcome is Outcome.INFO:
            counts[finding.code] = counts.get(finding.code, 0) + 1
        if counts.get(finding.code, 0) <= _READ:
            yield output.show_finding(finding)
    for code, count in counts.items():
        if count > _READ:
            yield output.filled(f"{count - _READ} more {code}; --json has them all")


def _worst(findings: Iterable[Finding]) -> Status:
    return worst_of(findings)


def _counts(findings: Iterable[Finding]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.code] = counts.get(finding.code, 0) + 1
    return dict(sorted(counts.items()))


def _fact(finding: Finding) -> dict[str, str]:
    return {
        "code": finding.code, "outcome": str(finding.outcome), "subject": finding.subject, "detail": finding.detail
    }  # fmt: skip


def _as_json(facts: dict[str, Any]) -> str:
    import json

    return json.dumps(facts)
