"""Whether what is answered is good: lists are fresh, keys are open, the database can be reached, the clock is right."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chopmark.core import limits

if TYPE_CHECKING:
    from chopmark.server.board import Board


def warnings(board: Board) -> list[str]:
    """What will be wrong if nobody does something, one line each."""
    return [str(warning) for warning in board.read().get("warnings", ())]


def problems(board: Board) -> list[str]:
    """What is wrong, one line each; nothing when all is well."""
    facts = board.read()
    if not facts:
        return ["nobody has looked yet"]
    found = [str(problem) for problem in facts.get("problems", ())]
    age = time.time() - float(facts.get("at", 0))
    if not -limits.SERVER_FACTS_OLD_SECONDS < age < limits.SERVER_FACTS_OLD_SECONDS:
        found.insert(0, f"nobody has looked for {age:.0f} seconds")
    return found
