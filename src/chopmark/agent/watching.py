"""What the worker's main thread does: noticing that something changed; and the thread that gives signs of life."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from chopmark.agent import deciding
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.agent.guard import Guard
    from chopmark.agent.holder import Line

_State = tuple[int, int, int, int]


class Watch:
    """Looks again and again until it is told to stop."""

    def __init__(self, guard: Guard, before: dict[str, _State | None]) -> None:
        """`before` are states of files from before the world was made of them (`states`)."""
        self._guard = guard
        self._wake = threading.Event()
        self._stopping = False
        self._wanted = False
        self._states = before
        self._holder: subprocess.Popen[bytes] | None = None
        self._is_held = True
        self._seen = 0.0

    def stop(self) -> None:
        """End `run` soon. For signal handlers and any thread."""
        self._stopping = True
        self._wake.set()

    def reload(self) -> None:
        """Take the world over anew soon. Likewise."""
        self._wanted = True
        self._wake.set()

    def run(self, line: Line) -> None:
        """Until it is told to stop."""
        guard = self._guard
        self._seen = renewed = looked = written = time.monotonic()
        threading.Thread(target=self._live, args=(line,), name="living", daemon=True).start()
        self._states = {**self._look(), **self._states}
        guard.know_interpreters()
        while not self._stopping:
            self._wake.wait(limits.GUARD_LOOK_SECONDS)
            self._wake.clear()
            self._seen = now = time.monotonic()
            if not self._is_held:
                self._replace_holder()
            found = self._look()
            if found != self._states or self._wanted or now - renewed > limits.GUARD_VERDICT_SECONDS:
                self._wanted, renewed = False, now
                guard.reload()
                # As they were before: what changed meanwhile shows in the next look, and so does what was half-written.
                self._states = {path: found.get(path) or state for path, state in self._look().items()}
            guard.loop.know_own()
            guard.tell_kernel()
            if now - written >= limits.GUARD_VERSIONS_SECONDS:
                written = now
                guard.write_versions()
                deciding.know_users()
                guard.know_interpreters()
            if now - looked >= limits.GUARD_MOUNTS_SECONDS:
                looked = now
                guard.protection.look()
                guard.loop.order(guard.kept.expire)

    def _live(self, line: Line) -> None:
        """Signs of life, while questions are answered; the main thread may take a while, when there is much to load."""
        guard = self._guard
        while not self._stopping:
            if time.monotonic() - self._seen < limits.GUARD_LOADING_SECONDS and guard.answers():
                self._is_held = line.alive(failing_open=guard.decider.failing_open)
            time.sleep(limits.GUARD_LOOK_SECONDS)

    def _look(self) -> dict[str, _State | None]:
        return states((*self._guard.watched(), *self._guard.settings.files))

    def _replace_holder(self) -> None:
        """Our holder was killed: start another process that holds the group, and begins anew when we die."""
        if self._holder is not None and self._holder.poll() is None:
            return
        group = os.dup(self._guard.group.descriptor)
        try:
            command = [
                sys.executable,
                "-m",
                "chopmark",
                "guard",
                "hold",
                str(os.getpid()),
                str(group),
                "--",
                *sys.argv[1:],
            ]
            self._holder = subprocess.Popen(  # noqa: S603 - our own command line
                command, pass_fds=(group,), stdin=subprocess.DEVNULL, close_fds=True
            )
        except OSError as error:
            self._guard.stream.say("trouble", detail=f"no holder: {error.strerror}")
        else:
            self._guard.stream.say("holder-replaced", process=self._holder.pid)
        finally:
            os.close(group)


def states(paths: Iterable[str]) -> dict[str, _State | None]:
    """What there is at paths now; None where nothing is."""
    return {path: _state(path) for path in paths}


def _state(path: str) -> _State | None:
    """What tells one state of a file, or of a folder's files, from another."""
    try:
        state = os.stat(path)
        newest = state.st_mtime_ns
        if os.path.isdir(path):
            with os.scandir(path) as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        newest = max(newest, entry.stat().st_mtime_ns, entry.stat().st_ctime_ns)
    except OSError:
        return None
    return state.st_dev, state.st_ino, newest, state.st_size
