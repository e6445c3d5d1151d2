"""From an open file to facts: one pass for the digest, and a check of signatures where the content is new."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from typing import TYPE_CHECKING

from chopmark.agent import records, world
from chopmark.core import clock, limits, reasons
from chopmark.core.artifact import Artifact, FileView, Identity, UnreadableError
from chopmark.core.digest import whole
from chopmark.core.named import NamedTuple
from chopmark.core.verdict import Status, Verdict
from chopmark.engine import check, identify
from chopmark.engine.policing import facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.agent.memory import Memory
    from chopmark.agent.world import World
    from chopmark.core.contracts import Format
    from chopmark.policy.facts import FileFacts
    from chopmark.trust.context import Context


class Forgotten(NamedTuple):
    """What a change of the world touched: which verdicts, and how many were dropped."""

    touched: Callable[[FileFacts], bool]
    verdicts: int


class Examination:
    """An Examiner (judging). Safe for threads: checks of signatures take turns, digests do not."""

    def __init__(self, state: World, memory: Memory) -> None:
        self._world = state
        self._memory = memory
        self._turn = threading.Lock()
        self._context: Context | None = None
        self._fresh_until = 0.0
        self._depend(state)

    def examine(self, descriptor: int, path: str) -> FileFacts:
        """Facts about what is in an open file wherever it lies, which keeps its descriptor.

        Raises OSError, UnreadableError.
        """
        state = os.fstat(descriptor)
        artifact = Artifact(path, FileView(descriptor, path, state), Identity(state.st_dev, state.st_ino))
        sha256 = whole(artifact.view, "sha256").hex()
        format_ = _format(artifact)
        key = records.key(sha256, format_.name if format_ else "", ())
        known = self._memory.get(key)
        own = _own(artifact, format_) if known is None else None
        if not _stands_alone(format_, known, own):
            try:
                beside = _beside(artifact)
            except UnreadableError as error:  # who signed it is not known, which is not "nobody"
                unread = (error.reason.found(error.detail),)
                return facts.of_content(artifact, Verdict(path, format_.name if format_ else "", (), unread))
            if beside:
                key = records.key(sha256, format_.name if format_ else "", beside)
                known = self._memory.get(key)
        if known is None:
            known = self._learnt(artifact, key, format_, own)  # which looks whether the file has changed
        elif artifact.view.changed():
            raise UnreadableError(path, reasons.INPUT_CHANGED)
        self._memory.seen(state.st_dev, state.st_ino, key, path)
        return known

    @property
    def world(self) -> World:
        """What is judged by."""
        return self._world

    def renew(self, state: World) -> Forgotten:
        """Judge by another world from now on; what it does not touch stays known."""
        is_touched = world.touched(self._world.inputs, state.inputs)
        with self._turn:
            self._world, self._context = state, None
            count = 0 if is_touched is None else self._memory.forget(is_touched)
        self._memory.depend(world.written(state.inputs))
        return Forgotten(is_touched or (lambda _: False), count)

    def _depend(self, state: World) -> None:
        """Drop what the database knows from a time when other things were trusted."""
        written = self._memory.inputs()
        is_touched = world.since(written, state.inputs) if written else None
        if is_touched is not None:
            self._memory.forget(is_touched)
        self._memory.depend(world.written(state.inputs))

    def _learnt(self, artifact: Artifact, key: str, format_: Format | None, own: check.Own | None) -> FileFacts:
        """Facts about a content that nobody knew; one that was being looked at when we came is not looked at twice."""
        has_waited = not self._turn.acquire(blocking=False)
        if has_waited:
            self._turn.acquire()
        try:
            known = self._memory.get(key) if has_waited else None
            return known or self._checked(artifact, key, format_, own)
        finally:
            self._turn.release()

    def _checked(self, artifact: Artifact, key: str, format_: Format | None, own: check.Own | None) -> FileFacts:
        context = self._current()
        try:
            verdict = check.check_as(artifact, format_, context, own) if format_ else check.check(artifact, context)
        except UnreadableError as error:
            verdict = Verdict(artifact.name, "", (), (error.reason.found(error.detail),))
        found = facts.of_content(artifact, verdict)
        seconds = limits.GUARD_VERDICT_SECONDS if found.status is Status.TRUSTED else limits.GUARD_UNTRUSTED_SECONDS
        return self._memory.put(key, found, time.time() + seconds)

    def _current(self) -> Context:
        """The circumstances as of about now: made anew now and then, because answers in them are remembered."""
        now = time.monotonic()
        if self._context is None or now > self._fresh_until:
            self._context = self._world.context(clock.now())
            self._fresh_until = now + limits.GUARD_CONTEXT_SECONDS
        return self._context


def _format(artifact: Artifact) -> Format | None:
    try:
        return identify.identify(artifact)
    except identify.AmbiguousError:
        return None


def _own(artifact: Artifact, format_: Format | None) -> check.Own | None:
    """The seals in a file; None where they are beside it, or it cannot be read, which the check then says."""
    if format_ is None or identify.keeps_beside(format_):
        return None
    try:
        return check.own_seals(artifact, format_)
    except UnreadableError:
        return None


def _stands_alone(format_: Format | None, known: FileFacts | None, own: check.Own | None) -> bool:
    """Whether a content that is known, or has these seals of its own, is judged by itself, whatever lies beside it.

    What is known of it was found out where nothing was beside it, or nothing of that counted.
    """
    if format_ is None or identify.keeps_beside(format_):
        return False
    if known is None:
        return own is not None and bool(own.found or own.broken)
    return any(not seal.catalog for seal in known.seals)


def _beside(artifact: Artifact) -> list[tuple[str, str]]:
    """What is verified is what it is known by: signatures beside it are read once."""
    found = artifact.keep_companions(identify.suffixes_beside())
    return [(suffix, hashlib.sha256(data).hexdigest()) for suffix, data in found.items()]
