"""The kernel's programs behind a guard: what it lets through they let through, and without it they deny the rest.

A Second (question). fanotify asks when a file is opened, the programs are asked later in the same execve(2) or
mmap(2), so that they always know already.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chopmark.agent.bpf import btf, pinned, programs, support
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chopmark.agent.question import Asked

NEVER = (1 << 64) - 1
"""No file was written to so often: a verdict that says so does not hold."""


class Behind:
    """Loaded, or taken over from the guard before. Raises UnavailableError where the kernel does not allow it."""

    def __init__(self, place: str, trouble: Callable[[str], None], *, strict: bool) -> None:
        self._trouble = trouble
        self._strict = programs.STRICT if strict else 0
        if not pinned.attached(place):
            support.required()
            pinned.load(btf.of_kernel(), place)
        self._held = pinned.open_pinned(place)
        self._protected: dict[int, int] = {}

    def writes(self, descriptor: int) -> int:
        """How often somebody began to write to it; NEVER where the kernel does not say."""
        try:
            return self._held.writes(descriptor)
        except OSError as error:
            self._trouble(f"verdicts in the kernel: {error.strerror}")
            return NEVER

    def let(self, asked: Asked, writes: int | None, *, everybody: bool) -> None:
        """Tell the kernel; what cannot be told is denied there, and is trouble."""
        try:
            if everybody and writes is not None:
                self._held.allow(asked.descriptor, writes)
                return
            count = self._held.writes(asked.descriptor) if writes is None else writes
            until = time.monotonic_ns() + int(limits.GUARD_ANSWER_SECONDS * 1e9)
            self._held.let(asked.thread, asked.descriptor, count, until)
        except OSError as error:
            self._trouble(f"verdicts in the kernel: {asked.path}: {error.strerror}")

    def renew(self) -> None:
        """Every verdict is void: another policy is in force."""
        try:
            self._held.renew()
        except OSError as error:
            self._trouble(f"verdicts in the kernel: {error.strerror}")

    def protect(self, devices: Iterable[int], *, enforce: bool) -> None:
        """Protect these and no others of ours, or only count there."""
        wanted = dict.fromkeys(devices, self._strict | (programs.ENFORCE if enforce else 0))
        try:
            for device in self._protected.keys() - wanted.keys():
                self._held.release(device)
            for device, flags in wanted.items():
                if self._protected.get(device) != flags:
                    self._held.protect(device, flags)
        except OSError as error:
            self._trouble(f"verdicts in the kernel: {error.strerror}")
            return
        self._protected = wanted
