"""From an open file to facts: one pass for the digest, and a check of signatures where the content is new."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from chopmark.agent import records, world
from chopmark.core import clock, limits, reasons
from chopmark.core.artifact import Artifact, FileView, Identity, UnreadableError
from chopmark.core.verdict import Status, Verdict
from chopmark.engine import check, identify
from chopmark.engine.policing import facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.agent.memory import Memory
    from chopmark.agent.world import World
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
        """Facts about what is in an open file, which keeps its descriptor. Raises OSError, UnreadableError."""
        state = os.fstat(descriptor)
        artifact = Artifact(path, FileView(descriptor, path, state), Identity(state.st_dev, state.st_ino))
        digest = hashlib.sha256()
        for piece in artifact.chunks():
            digest.update(piece)
        sha256 = digest.hexdigest()
        if artifact.view.changed():
            raise UnreadableError(path, reasons.INPUT_CHANGED)
        key = self._key(artifact, sha256)
        known = self._memory.get(key)
        if known is None:
            with self._turn:
                known = self._memory.get(key) or self._checked(artifact, key)
        self._memory.seen(state.st_dev, state.st_ino, key, path)
        return known

    @property
    def files(self) -> tuple[str, ...]:
        """What the world was made of."""
        return self._world.files

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

    def _key(self, artifact: Artifact, sha256: str) -> str:
        try:
            format_name = identify.identify(artifact).name
        except identify.AmbiguousError:
            format_name = ""
        beside = []
        for suffix in identify.suffixes_beside():
            data = artifact.companion(suffix)
            if data is not None:
                beside.append((suffix, hashlib.sha256(data).hexdigest()))
        return records.key(sha256, format_name, beside)

    def _checked(self, artifact: Artifact, key: str) -> FileFacts:
        context = self._current()
        try:
            verdict = check.check(artifact, context)
        except UnreadableError as error:
            verdict = Verdict(artifact.name, "", (), (error.reason.found(error.detail),))
        found = facts.of_file(artifact, verdict, self._world.versions)
        seconds = limits.GUARD_VERDICT_SECONDS if found.status is Status.TRUSTED else limits.GUARD_UNTRUSTED_SECONDS
        self._memory.put(key, found, time.time() + seconds)
        return found

    def _current(self) -> Context:
        """The circumstances as of about now: made anew now and then, because answers in them are remembered."""
        now = time.monotonic()
        if self._context is None or now > self._fresh_until:
            self._context = self._world.context(clock.now())
            self._fresh_until = now + limits.GUARD_CONTEXT_SECONDS
        return self._context
