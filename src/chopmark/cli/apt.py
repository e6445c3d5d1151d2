"""Follow what a distribution signed to the packages, and to the files that are installed from them.

`apt verify` judges the releases that apt has fetched (signature by the keys of the source, date, expiry, suite, age)
and their lists of packages. `apt verify FILE.deb...` says whether one of them leads to these very packages, and looks
into them. `apt verify --installed` holds every installed file against the package that it comes from.

    $ chopmark apt verify
    $ chopmark apt verify --installed
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from chopmark.cli import apt_part, output, settings
from chopmark.core import clock
from chopmark.core.finding import Outcome
from chopmark.core.verdict import EXIT_STATUS, SEVERITY, Status, worst_of

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Sequence

    from chopmark.core.finding import Finding
    from chopmark.supply.apt.chain import Repository


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    check = actions.add_parser("verify", help="from the signed release to packages and installed files")
    check.add_argument("packages", nargs="*", metavar="FILE.deb", help="packages; without any, the lists alone")
    check.add_argument(
        "--root", metavar="DIR", default="/", help="the host or image whose lists and packages are meant"
    )
    check.add_argument("--installed", action="store_true", help="hold installed files against their packages as well")
    check.add_argument(
        "--packages", action="append", dest="folders", metavar="DIR", help="more packages at hand, besides apt's cache"
    )
    apt_part.add_arguments(check)
    check.add_argument("-j", "--jobs", metavar="N", help="processes (default: one per processor)")
    check.add_argument("-v", "--verbose", action="store_true", help="show every check, passed ones too")
    check.add_argument("-q", "--quiet", action="store_true", help="print nothing; the exit status is the answer")
    check.add_argument("--json", action="store_true", help="one JSON object per release, package and file, a line each")


def run(args: Namespace) -> int:
    """Judge the lists, then what was asked for; the exit status of the worst."""
    output.prepare()
    at = clock.parse(args.at) if args.at else clock.now()
    if args.installed and not args.packages:
        return _installed(args, at)
    repository = apt_part.repository(args.root, args.lists, args.keyring, at)
    statuses = [repository.status if not args.packages else Status.TRUSTED]
    if not args.packages or args.verbose:
        _show_releases(repository, args)
    for path in args.packages:
        findings = _package(path, repository)
        statuses.append(worst_of(findings))
        _show(path, "package", statuses[-1], findings, args)
    if args.packages and not args.verbose and any(status is not Status.TRUSTED for status in statuses):
        _show_releases(repository, args, proving=False)  # which may be why
    if args.installed:
        statuses.append(_compare(args, at, args.packages))
    return EXIT_STATUS[max(statuses, key=SEVERITY.index)]


def _package(path: str, repository: Repository) -> list[Finding]:
    """What leads to a package, and what is in it."""
    from chopmark.core.artifact import Artifact, UnreadableError
    from chopmark.core.digest import whole
    from chopmark.core.errors import BrokenError, MalformedError
    from chopmark.core.reasons import FORMAT_MALFORMED, INPUT_CHANGED
    from chopmark.formats.deb import contents
    from chopmark.supply.apt import chain

    try:
        with Artifact.open(path) as artifact:
            findings = chain.package_findings(repository, artifact, whole(artifact.view, "sha256"))
            try:
                for _ in contents.files(artifact.view):
                    pass
            except BrokenError as error:
                findings.append(error.reason.found(error.detail))
            except MalformedError as error:
                findings.append(FORMAT_MALFORMED.found(str(error)))
            if artifact.view.changed():
                findings.append(INPUT_CHANGED.found())
            return list(dict.fromkeys(findings))
    except UnreadableError as error:
        return [error.reason.found(error.detail)]


def _installed(args: Namespace, at: Any) -> int:  # noqa: ANN401 - a time
    return EXIT_STATUS[_compare(args, at, ())]


def _compare(args: Namespace, at: Any, more: Sequence[str]) -> Status:  # noqa: ANN401 - likewise
    """Installed files against their packages; what was left out is not against the host, but not trusted either."""
    import os

    from chopmark.engine import batch
    from chopmark.supply.apt import memory
    from chopmark.supply.dpkg import installed, opening

    folders = [*(args.folders or ()), *sorted({os.path.dirname(path) or "." for path in more})]
    wish = opening.Wish(args.root, at, folders, args.lists, tuple(args.keyring or ()), memory.Memory(), digests=False)
    opened = opening.opened(wish)
    _show_releases(opened.repository, args)
    jobs = batch.jobs_for(sys.maxsize, settings.jobs_wanted(args.jobs, "apt"))
    statuses = [opened.repository.status]
    counts = installed.Counts()
    for told in output.progress(
        installed.compare(opened.packages, args.root, jobs), len(opened.packages.names()), "comparing"
    ):
        counts.add(told)
        status = worst_of(told.findings)
        statuses.append(status)
        if status is not Status.TRUSTED or args.verbose:
            _show(told.package, "installed", status, told.findings, args)
    if not counts.proven:
        statuses.append(Status.UNDECIDED)
    if not args.quiet:
        print(json.dumps({"kind": "summary", **counts.facts()}) if args.json else output.filled(counts.sentence()))
    return max(statuses, key=SEVERITY.index)


def _show_releases(repository: Repository, args: Namespace, *, proving: bool = True) -> None:
    """All of them, or those alone that prove nothing."""
    for each in repository.judged:
        if each.proves and not proving:
            continue
        named = (each.release.name, each.path) if each.release else (each.path,)
        _show(": ".join(named), "release", each.status, each.findings, args, lines=named)


def _show(
    name: str,
    kind: str,
    status: Status,
    findings: Sequence[Finding],
    args: Namespace,
    *,
    lines: Sequence[str] = (),
) -> None:
    """What is known of something; people read its name in `lines`."""
    if args.quiet:
        return
    if args.json:
        facts = {"kind": kind, "name": name, "status": str(status), "findings": [_fact(each) for each in findings]}
        print(json.dumps(facts))
        return
    head, *below = lines or (name,)
    print(output.paint(f"{status:<10}", status, colour=output.coloured(sys.stdout)), output.clean(head))
    for line in below:
        print(output.filled(output.clean(line)))
    for finding in _shown(findings, verbose=args.verbose):
        print(output.show_finding(finding))
    if kind == "package" and status is Status.TRUSTED and not args.verbose:
        print(output.filled(", ".join(_led(findings))))


def _led(findings: Sequence[Finding]) -> Iterator[str]:
    """Which package it is, and who signed the release that leads to it."""
    from chopmark.supply.apt import reasons

    for finding in findings:
        if finding.code == reasons.PACKAGE.code:
            yield output.clean(finding.detail)
        if finding.code == reasons.RELEASE.code:
            yield f"of a release signed by {output.clean(finding.detail)}"


def _shown(findings: Sequence[Finding], *, verbose: bool) -> Iterator[Finding]:
    yield from (each for each in findings if verbose or each.outcome in (Outcome.NO, Outcome.UNKNOWN))


def _fact(finding: Finding) -> dict[str, str]:
    return {"code": finding.code, "outcome": str(finding.outcome), "subject": finding.subject, "detail": finding.detail}
