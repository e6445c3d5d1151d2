"""Verdicts as SARIF 2.1.0 (OASIS), for code-scanning dashboards."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from chopmark import __version__
from chopmark.core import discovery
from chopmark.core.finding import Finding, Outcome
from chopmark.core.reasons import CATALOG

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.core.verdict import Verdict

_LEVELS = {Outcome.NO: "error", Outcome.UNKNOWN: "warning"}


def log(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """One run: a rule for each reason that occurs, a result for each finding that says no or could not say."""
    discovery.load_reasons()  # the verdicts may come from other processes
    results = []
    codes: dict[str, int] = {}
    for verdict in verdicts:
        parts = [("", verdict.findings), *((seal.where, seal.findings) for seal in verdict.seals)]
        for where, findings in parts:
            for finding in findings:
                if finding.outcome in _LEVELS:
                    index = codes.setdefault(finding.code, len(codes))
                    results.append(_result(verdict.path, where, finding, index))
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "chopmark",
                        "semanticVersion": __version__,
                        "rules": [_rule(code) for code in codes],
                    }
                },
                "columnKind": "utf16CodeUnits",
                "results": results,
            }
        ],
    }


def _rule(code: str) -> dict[str, Any]:
    reason = CATALOG[code]
    rule: dict[str, Any] = {
        "id": code,
        "shortDescription": {"text": reason.sentence},
        "defaultConfiguration": {"level": _LEVELS.get(reason.outcome, "note")},
        "properties": {"tags": ["code-signing", *(f"attack/{technique}" for technique in reason.techniques)]},
    }
    if reason.remedy:
        rule["help"] = {"text": reason.remedy}
    if reason.cites:
        rule["fullDescription"] = {"text": f"{reason.sentence} ({reason.cites})"}
    return rule


def _result(path: str, where: str, finding: Finding, index: int) -> dict[str, Any]:
    sentence = CATALOG[finding.code].sentence
    parts = [part for part in (where, sentence, finding.detail) if part]
    uri = quote(path.replace(os.sep, "/").encode("utf-8", "surrogateescape"))
    if os.path.isabs(path):
        uri = "file://" + uri
    return {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": _LEVELS[finding.outcome],
        "message": {"text": ": ".join(parts)},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}}}],
    }
