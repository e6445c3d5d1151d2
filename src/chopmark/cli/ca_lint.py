"""`chopmark ca lint` and `chopmark ca profiles`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from chopmark.cli import output

if TYPE_CHECKING:
    from argparse import Namespace

    from chopmark.authority.lint.batch import Linted
    from chopmark.cli.ca_part import Actions
    from chopmark.core.finding import Finding


def add_actions(actions: Actions) -> None:
    """Declare the commands."""
    lint = actions.add_parser("lint", help="hold certificates and CRLs against the code-signing requirements")
    lint.add_argument("files", nargs="+", metavar="FILE", help="certificates or CRLs, PEM or DER")
    lint.add_argument("--issuer", action="append", default=[], metavar="F", help="certificates above them")
    lint.add_argument("-v", "--verbose", action="store_true", help="what was kept, too")
    lint.add_argument("--json", action="store_true", help="one JSON object for each certificate or CRL")
    lint.set_defaults(do=_lint)
    actions.with_folder("profiles", "list the kinds of certificates that the authority issues", _profiles).add_argument(
        "--json", action="store_true", help="one JSON object a line"
    )


def _lint(args: Namespace) -> int:
    """0: every rule is kept; 1: one is broken; 2: a file cannot be read; 3: a rule could not be checked."""
    from chopmark.authority.lint import batch
    from chopmark.core import limits
    from chopmark.core.artifact import read_as, read_small
    from chopmark.core.errors import ChopmarkError
    from chopmark.core.finding import Outcome

    above = [raw for path in args.issuer for raw in read_as(path, limits.LINT_FILE_MAX, batch.material).certificates]
    worst = 0
    for path in args.files:
        try:
            given = batch.material(read_small(path, limits.LINT_FILE_MAX))
        except ChopmarkError as error:
            output.complain(error, path)
            worst = _worse(worst, error.exit_status)
            continue
        for linted in batch.lint_all(given, above):
            print(_json(path, linted) if args.json else _text(path, linted, verbose=args.verbose))
            worst = _worse(worst, {Outcome.NO: 1, Outcome.UNKNOWN: 3}.get(linted.outcome, 0))
    return worst


_SEVERITY = (0, 3, 1, 2, 4)


def _worse(first: int, second: int) -> int:
    return max(first, second, key=_SEVERITY.index)


def _json(path: str, linted: Linted) -> str:
    facts: dict[str, Any] = {
        "path": path,
        "kind": linted.kind,
        "subject": linted.subject,
        "sha256": linted.sha256,
        "outcome": str(linted.outcome),
        "findings": [
            {"code": finding.code, "outcome": str(finding.outcome), "detail": finding.detail, "cites": finding.cites}
            for finding in linted.findings
        ],
    }
    return json.dumps(facts)


def _text(path: str, linted: Linted, *, verbose: bool) -> str:
    colour = output.coloured(sys.stdout)
    word = {"no": "breaks", "unknown": "unclear"}.get(str(linted.outcome), "keeps")
    lines = [f"{output.paint(f'{word:<10}', linted.outcome, colour=colour)} {output.clean(path)}"]
    lines.append(output.filled(f"{linted.kind} {output.clean(linted.subject)}"))
    lines += [_line(finding, colour=colour) for finding in linted.findings if verbose or _told(finding)]
    return "\n".join(lines)


def _told(finding: Finding) -> bool:
    return str(finding.outcome) != "ok" and not (str(finding.outcome) == "info" and not finding.detail)


def _line(finding: Finding, *, colour: bool) -> str:
    from chopmark.core.reasons import CATALOG

    mark = output.paint(f"{finding.outcome:<9}", finding.outcome, colour=colour)
    detail = f" [{output.clean(finding.detail)}]" if finding.detail else ""
    text = f"{finding.code}: {CATALOG[finding.code].sentence}{detail} ({finding.cites})"
    return f" {mark} {output.filled(text).removeprefix(output.INDENT)}"


def _profiles(args: Namespace) -> int:
    from chopmark.cli.ca import opened

    with opened(args) as authority:
        listed = list(authority.profiles.values())
    for profile in listed:
        if args.json:
            print(
                json.dumps(
                    {
                        "name": profile.name,
                        "title": profile.title,
                        "issuer": profile.issuer,
                        "purposes": profile.purposes,
                        "policies": profile.policies,
                        "days": profile.days,
                        "days_max": profile.days_max,
                        "public": profile.public,
                        "keys": profile.keys,
                    }
                )
            )
            continue
        rules = "CSBR" if profile.public else "internal"
        print(f"{profile.name:<24} {profile.title}")
        print(output.filled(f"{rules}, from the {profile.issuer or 'same'} CA, {profile.days} days", " " * 25))
    return 0
