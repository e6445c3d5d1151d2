"""Findings: what one check saw."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


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
