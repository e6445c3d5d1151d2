"""Running a suite of cases: a time limit for each, one line about all, and a record of what is not right.

A case judged by the engine is right, a false accept, a false reject, skipped (with a reason), a hang or an error.
"""

from __future__ import annotations

import json
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import FrameType

REPORT = Path(__file__).parents[2] / "build" / "conformance.json"
SECONDS = 10
"""A case that takes longer hangs."""
FALSE_ACCEPT, FALSE_REJECT, SKIPPED, HANG, ERROR = "false accept", "false reject", "skipped", "hang", "error"
KINDS = (FALSE_ACCEPT, FALSE_REJECT, SKIPPED, HANG, ERROR)


class Case(NamedTuple):
    """What is to be judged: its name in the suite, whether it is good, and how the engine is asked.

    `judge` says whether it is accepted, and why not.
    """

    name: str
    accept: bool
    judge: Callable[[], tuple[bool, str]]


class Outcome(NamedTuple):
    """A case that is not simply right: what became of it, and why."""

    case: str
    result: str
    reason: str


class _HangError(BaseException):
    """The case took too long; not an Exception, so that nothing on the way takes it for one of its own."""


def _too_long(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the shape of a signal handler
    raise _HangError


def _judged(case: Case) -> Outcome | None:
    signal.alarm(SECONDS)
    try:
        accepted, why = case.judge()
    except _HangError:
        return Outcome(case.name, HANG, f"more than {SECONDS} s")
    except Exception:  # noqa: BLE001 - whatever escapes is what this run is looking for
        return Outcome(case.name, ERROR, traceback.format_exc(limit=-3))
    finally:
        signal.alarm(0)
    if accepted == case.accept:
        return None
    return Outcome(case.name, FALSE_ACCEPT if accepted else FALSE_REJECT, why)


def run(name: str, cases: Iterable[Case], known: Mapping[str, tuple[str, str]]) -> bool:
    """Judge all cases, print the line, keep the rest in the report; whether only what is known differs.

    `known` are the differences on purpose: the kind (SKIPPED: not asked), and the reason for it. One of them that
    does not show any more is as wrong as a new one, so that the list stays true.
    """
    signal.signal(signal.SIGALRM, _too_long)
    count, outcomes = 0, []
    for case in cases:
        count += 1
        kind, reason = known.get(case.name, ("", ""))
        outcome = Outcome(case.name, SKIPPED, "") if kind == SKIPPED else _judged(case)
        if outcome is not None:
            said = [reason, outcome.reason] if outcome.result == kind else [outcome.reason]
            outcomes.append(outcome._replace(reason="; ".join(filter(None, said))))
    numbers = {kind: sum(each.result == kind for each in outcomes) for kind in KINDS}
    sys.stdout.write(
        f"{name} {count} cases: {count - len(outcomes)} right, {numbers[FALSE_ACCEPT]} false accepts, "
        f"{numbers[FALSE_REJECT]} false rejects, {numbers[SKIPPED]} skipped, {numbers[HANG]} hangs, "
        f"{numbers[ERROR]} errors\n"
    )
    _record(name, outcomes)
    found = {each.case: each.result for each in outcomes}
    wanted = {case: kind for case, (kind, _) in known.items()}
    for each in sorted(found.keys() | wanted.keys()):
        if found.get(each) != wanted.get(each):
            sys.stdout.write(f"  {each}: {found.get(each, 'right')}, expected {wanted.get(each, 'right')}\n")
    return found == wanted


def _record(name: str, outcomes: Iterable[Outcome]) -> None:
    """Put a suite's outcomes into the report, beside those of the others."""
    REPORT.parent.mkdir(exist_ok=True)
    try:
        report: dict[str, list[dict[str, str]]] = json.loads(REPORT.read_text())
    except (OSError, ValueError):
        report = {}
    report[name] = [each._asdict() for each in outcomes]
    REPORT.write_text(json.dumps(report, indent=1) + "\n")


def allowed(path: Path) -> dict[str, tuple[str, str]]:
    """A list of differences on purpose: after each case's name its kind and the reason, parted by |."""
    found = {}
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, kind, reason = (part.strip() for part in line.split("|", 2))
            if kind not in KINDS or not reason:
                message = f"{path}: {line}"
                raise ValueError(message)
            found[name] = (kind, reason)
    return found
