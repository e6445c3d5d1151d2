"""Looking at files: take a lease, compute the digest, and ask what is known or to be found out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

from chopmark.agent import leases
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from chopmark.agent.kept import Key


class Examiner(Protocol):
    """What finds out about the content of an open file."""

    def examine(self, descriptor: int, path: str) -> Any:  # noqa: ANN401 - facts, which the loop does not look into
        """Facts about what is in it; raises nothing that a file can cause."""


class Looked(NamedTuple):
    """What came of looking at a file: facts, or the error; `leased` says that it was leased before.

    `written` says that somebody was writing to it, so that nothing could be known.
    """

    key: Key
    descriptor: int
    facts: Any = None
    leased: bool = False
    written: bool = False
    error: str = ""


class Task(NamedTuple):
    """A file to look at, by a descriptor of its own."""

    key: Key
    descriptor: int
    path: str


def look(task: Task, examiner: Examiner) -> Looked:
    """Look at one file. The lease comes first: what is read after it is what will run, or the lease is broken.

    Whether it is, is for whoever takes what was found out over.
    """
    key, descriptor, path = task
    try:
        leased = leases.take(descriptor)
    except leases.BeingWrittenError:
        return Looked(key, descriptor, written=True)
    try:
        facts = examiner.examine(descriptor, path)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong, somebody waits for an answer
        return Looked(key, descriptor, leased=leased, error=f"{type(error).__name__}: {error}")
    return Looked(key, descriptor, facts, leased)


def path_of(descriptor: int) -> str:
    """What the file behind a descriptor is called now; for people and for rules about places, never its identity."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""
