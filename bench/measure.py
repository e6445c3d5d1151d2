"""Timing whole processes side by side: in turns, several rounds, medians of ratios."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
PYTHON = str(BIN / "python")
CHOPMARK = str(BIN / "chopmark")


@dataclass(frozen=True)
class Row:
    """One line of the table: what took how long beside what, and what was promised.

    `ratio` is `seconds / beside_seconds`, the median over the rounds; `bound` is the promise about it ("<= 1.3").
    """

    what: str
    seconds: float
    beside: str
    beside_seconds: float
    ratio: float
    bound: str = ""
    note: str = ""

    @property
    def kept(self) -> bool | None:
        """Whether the promise holds; None where nothing was promised."""
        if not self.bound:
            return None
        relation, number = self.bound.split()
        return self.ratio <= float(number) if relation == "<=" else self.ratio >= float(number)

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        return {**asdict(self), "kept": self.kept}


_UNUSUAL = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")


def _environment() -> dict[str, str]:
    """This process's, but Python may keep what it compiles, and what it prints for a while, as it does for users."""
    return {name: value for name, value in os.environ.items() if name not in _UNUSUAL}


def process(command: Sequence[str], *, expect: Sequence[int] = (0,), **variables: str) -> float:
    """Seconds that a command takes, from start to end; its output is thrown away. Stops the run on another status."""
    began = time.perf_counter()
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**_environment(), **variables},
        check=False,
    )
    took = time.perf_counter() - began
    if done.returncode not in expect:
        raise SystemExit(f"{command[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}")
    return took


def at_once(*commands: Sequence[str], expect: Sequence[int] = (0,)) -> float:
    """Seconds until all of several commands have ended that were started together; their output is thrown away."""
    began = time.perf_counter()
    running = [
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=_environment())
        for command in commands
    ]
    statuses = [each.wait() for each in running]
    took = time.perf_counter() - began
    if not set(statuses) <= set(expect):
        raise SystemExit(f"{commands[0][0]} ended with {statuses}")
    return took


def side_by_side(runs: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Each run in turn, `rounds` times after one warm-up, so that a change of the machine's pace meets all alike."""
    for run in runs.values():
        run()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(run())
    return taken


def row(
    taken: dict[str, list[float]], what: str, beside: str, *, bound: str = "", note: str = "", scale: float = 1.0
) -> Row:
    """The median ratio of two runs, round by round; `scale` multiplies it (to compare per file, say)."""
    ratios = [scale * mine / other for mine, other in zip(taken[what], taken[beside], strict=True)]
    return Row(
        what,
        statistics.median(taken[what]),
        beside,
        statistics.median(taken[beside]),
        statistics.median(ratios),
        bound,
        note,
    )
