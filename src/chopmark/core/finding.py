"""Findings: what one check saw."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a check ended. A check that did not run is UNKNOWN (or INFO when nobody asked for it), never OK."""

    OK = "ok"
    NO = "no"
    UNKNOWN = "unknown"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's answer: which reason, how it came out, about what, and the particulars of this case."""

    code: str
    outcome: Outcome
    subject: str = ""
    detail: str = ""
    cites: str = ""
