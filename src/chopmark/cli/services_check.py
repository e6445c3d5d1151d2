"""The judging part of `chopmark services`."""

from __future__ import annotations

import stat
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from chopmark.cli import output, settings, verify
from chopmark.core.errors import RefusedError, UsageError
from chopmark.core.finding import Outcome
from chopmark.core.reasons import CATALOG
from chopmark.core.verdict import EXIT_STATUS, SEVERITY, Status, worst_of

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable

    from chopmark.core.finding import Finding
    from chopmark.engine.services.entry import Entry
    from chopmark.engine.services.host import Host
    from chopmark.engine.services.judging import Judged, Seen

VERSION = 1
"""Of the shape of --json. Fields may be added under the same number; anything else raises it."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `check` besides those of trust."""
    parser.add_argument(
        "--catalogs", action="append", metavar="F|DIR", help="trust files that a signed catalog lists; may be repeated"
    )
    parser.add_argument("-j", "--jobs", metavar="N", help="processes (default: one per processor)")
    parser.add_argument("-v", "--verbose", action="store_true", help="show every check, passed ones too")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing; the exit status is the answer")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument(
        "--json", action="store_true", help="one JSON object per entry, a line each; the last is the sum"
    )
    shape.add_argument("--sarif", action="store_true", help="one SARIF 2.1.0 log")


def run(host: Host, entries: list[Entry], args: Namespace) -> int:
    """Judge and print; the exit status of the worst."""
    from chopmark.engine.services import judging

    counted = dict.fromkeys(Status, 0)
    judged: list[Judged] = []
    with ExitStack() as connections:
        context = verify.context_for(args, connections)
        if args.catalogs:
            from chopmark.engine.catalog import consulting

            context.vouchers = consulting.load(args.catalogs, context)
        asked = [entry for entry in entries if judging.is_judged(entry)]
        inspection = judging.Inspection(host, asked, context, settings.jobs_wanted(args.jobs, "verify"))
        for each in inspection.judged(_progress):
            counted[each.status] += 1
            judged.append(each)
            if not args.sarif:
                _tell(each, args)
    status = max((each.status for each in judged), key=SEVERITY.index, default=Status.TRUSTED)
    status = max(status, worst_of(host.findings), key=SEVERITY.index)
    if args.sarif:
        _print_sarif(judged, host)
    elif args.json:
        _print_sum(host, status, counted, len(entries) - len(asked))
    elif not args.quiet:
        for finding in host.findings:
            print(output.show_finding(finding))
        for line in _meanings(judged):
            print(line)
        print(output.show_summary(counted, "entry", "entries"))
        if left := len(entries) - len(asked):
            print(output.filled(f"{left} more that start nothing: masked, ignored, or not executable", ""))
    return EXIT_STATUS[status]


def _progress(items: Iterable[Seen], total: int) -> Iterable[Seen]:
    return output.progress(items, total, "verifying")


def _tell(judged: Judged, args: Namespace) -> None:
    if args.quiet:
        return
    if args.json:
        import json

        print(json.dumps(facts_of(judged)))
        return
    against = [each for each in judged.findings if each.outcome in (Outcome.NO, Outcome.UNKNOWN)]
    if not against and not args.verbose:
        return
    colour = output.coloured(sys.stdout)
    print(output.paint(f"{judged.status:<10}", judged.status, colour=colour), output.clean(judged.entry.label))
    for finding in judged.findings if args.verbose else against:
        print(_line(finding))


def _line(finding: Finding) -> str:
    """A finding below its entry; what its code means is told once, at the end."""
    detail = f" [{finding.detail}]" if finding.detail else ""
    code = finding.code.removeprefix("service.")
    mark = output.paint(f"{finding.outcome:<9}", finding.outcome, colour=output.coloured(sys.stdout))
    return f" {mark} " + output.filled(output.clean(f"{code} {finding.subject}{detail}")).removeprefix(output.INDENT)


def _meanings(judged: list[Judged]) -> list[str]:
    """What each code that speaks against something means, and what to do."""
    against = {each.code for one in judged for each in one.findings if each.outcome in (Outcome.NO, Outcome.UNKNOWN)}
    lines = []
    for code in sorted(against):
        reason = CATALOG[code]
        lines += [code.removeprefix("service."), output.filled(reason.sentence)]
        lines += [output.filled(f"-> {reason.remedy}")] if reason.remedy else []
    return lines


def facts_of(judged: Judged) -> dict[str, Any]:
    """What `--json` prints of one entry."""
    return {
        "version": VERSION,
        **entry_facts(judged.entry),
        "status": str(judged.status),
        "starts": [
            {"path": path, "role": str(start.role), "where": start.where, "status": status}
            for start, path, status in judged.starts
        ],
        "findings": [finding_facts(each) for each in judged.findings],
    }


def entry_facts(entry: Entry) -> dict[str, Any]:
    """An entry with no judgement."""
    return {
        "kind": entry.kind,
        "name": entry.name,
        "scope": entry.scope,
        "state": entry.state,
        "files": list(entry.files),
        "starts": [
            {"path": start.name, "role": str(start.role), "where": start.where} for start in entry.starts
        ],
        "findings": [finding_facts(each) for each in entry.findings],
    }  # fmt: skip


def finding_facts(finding: Finding) -> dict[str, str]:
    """A finding as JSON-able data."""
    return {
        "code": finding.code, "outcome": str(finding.outcome), "subject": finding.subject, "detail": finding.detail
    }  # fmt: skip


def _print_sum(host: Host, status: Status, counted: dict[Status, int], left: int) -> None:
    import json

    counts = {str(each): count for each, count in counted.items()}
    findings = [finding_facts(each) for each in host.findings]
    whole = {"root": host.root.path or "/", "status": str(status), "counts": counts, "idle": left, "findings": findings}
    print(json.dumps({"version": VERSION, **whole}))


def _print_sarif(judged: list[Judged], host: Host) -> None:
    import json

    from chopmark.cli import sarif
    from chopmark.core.verdict import Verdict

    verdicts = [Verdict("/etc", "", (), tuple(host.findings))] if host.findings else []
    for each in judged:
        files = each.entry.files or tuple(path for _, path, _ in each.starts)[:1]
        named = tuple(
            one._replace(detail=f"{each.entry.label}: {one.subject} {one.detail}".strip()) for one in each.findings
        )
        verdicts.append(Verdict(files[0] if files else each.entry.name, "", (), named))
    json.dump(sarif.log(verdicts), sys.stdout, indent=2)
    print()


def place_for(host: Host, folder: str, name: str) -> str:
    """Where a seal is written, as a path from outside. Raises UsageError and RefusedError; no link is followed."""
    found = host.root.get(folder)
    if found is None or not found.is_folder:
        raise UsageError(f"{folder}: there is no such folder; give --output DIR")
    there = host.root.get(f"{found.path}/{name}", follow=False)
    if there is not None and not stat.S_ISREG(there.state.st_mode):
        raise RefusedError(f"{folder}/{name}: something else than a file stands there")
    return host.root.outside(f"{found.path}/{name}")
