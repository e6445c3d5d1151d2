"""Findings: what one check saw."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Outcome(StrEnum):
    """How a check ended. A check that did not run is UNKNOWN (or INFO when nobody asked for it), never OK."""

    OK = "ok"
    NO = "no"
    UNKNOWN = "unknown"
    INFO = "info"


class Finding(NamedTuple):
    """One check's answer: which reason, how it came out, about what, and the particulars of this case."""

    code: str
    outcome: Outcome
    subject: str = ""
    detail: str = ""
    cites: str = ""


AGAINST = (Outcome.NO, Outcome.UNKNOWN)
"""How checks end that keep a signature from being good."""


def against(findings: Iterable[Finding]) -> list[Finding]:
    """Those that keep a signature from being good."""
    return [finding for finding in findings if finding.outcome in AGAINST]
