"""Files judged and decided about."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from chopmark.core.artifact import Artifact, UnreadableError
from chopmark.core.folders import unreadable
from chopmark.core.named import NamedTuple
from chopmark.core.verdict import Verdict
from chopmark.engine import check
from chopmark.engine.policing import facts
from chopmark.policy.events import Event
from chopmark.policy.facts import EXEC, NOBODY_KNOWN, FileFacts, Process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.policy.deciding import Compiled, Decision
    from chopmark.policy.state import State
    from chopmark.trust.context import Context

_NOT_CODE = frozenset({"/proc", "/sys", "/dev", "/run"})
"""File systems of the kernel's own, where a whole host is looked at."""


class Use(NamedTuple):
    """How files are used and by whom: `kind` is a name of policy.facts.KINDS, empty for what each file shows."""

    kind: str = ""
    process: Process = NOBODY_KNOWN


class Judged(NamedTuple):
    """A file: the verdict on it, what rules look at, and how it is used (empty: it is no code)."""

    verdict: Verdict
    file: FileFacts
    kind: str


def judge(path: str, context: Context, state: State | None = None, *, format_name: str = "", root: str = "/") -> Judged:
    """Judge a file; what cannot be read is known by its path alone. Nothing is raised but UsageError."""
    try:
        with Artifact.open(path) as artifact:
            verdict = check.check(artifact, context, format_name)
            return Judged(
                verdict, facts.of_file(artifact, verdict, state, root), facts.kind_of(artifact, verdict.format)
            )
    except UnreadableError as error:
        verdict = Verdict(path, "", (), (error.reason.found(error.detail),))
        return Judged(verdict, facts.unreadable(path, verdict, root), "")


def decide(judged: Judged, policy: Compiled, use: Use, context: Context) -> Decision:
    """The policy's decision as of the time of the check; what shows no use is taken for a program."""
    return policy.decide(judged.file, use.kind or judged.kind or EXEC, use.process, context.at)


def event(path: str, context: Context, root: str, state: State | None = None) -> Event | None:
    """A file of a tree, as if it had been used at the time of the check; None for what is no code."""
    judged = judge(path, context, state, root=root)
    kind = judged.kind or (EXEC if _executable(path) else "")
    return Event(context.at, kind, judged.file) if kind else None


def files_below(root: str) -> list[str]:
    """The regular files of a tree, each inode once; other file systems are not entered. Raises InputError."""
    try:
        device = os.stat(root).st_dev
        os.listdir(root)
    except OSError as error:
        raise unreadable(root, error) from None
    seen: set[tuple[int, int]] = set()
    return [path for path in _walk(root, device) if _first(path, seen)]


def _walk(root: str, device: int) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if _enters(os.path.join(folder, name), device))
        for name in sorted(names):
            yield os.path.join(folder, name)


def _enters(folder: str, device: int) -> bool:
    try:
        return folder not in _NOT_CODE and os.lstat(folder).st_dev == device
    except OSError:
        return False


def _first(path: str, seen: set[tuple[int, int]]) -> bool:
    try:
        state = os.lstat(path)
    except OSError:
        return False
    identity = (state.st_dev, state.st_ino)
    if not stat.S_ISREG(state.st_mode) or identity in seen:
        return False
    seen.add(identity)
    return True


def _executable(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & 0o111)
    except OSError:
        return False
