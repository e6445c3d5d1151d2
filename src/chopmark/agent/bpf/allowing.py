"""From files to verdicts in the kernel, with no guard in between: once, by the policy as it is now."""

from __future__ import annotations

import os
import stat
import threading
import time
from typing import TYPE_CHECKING

from chopmark.agent import leases, processes, uses
from chopmark.agent.bpf import sealing
from chopmark.agent.question import Asked
from chopmark.core.errors import InputError, RefusedError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from chopmark.agent.bpf.pinned import Pinned
    from chopmark.agent.deciding import Decider
    from chopmark.agent.examining import Examination


class Allowed(NamedTuple):
    """What became of a file: whether the kernel lets it run now, why, and whether it knows its fs-verity digest too."""

    path: str
    allowed: bool
    why: str
    by_digest: bool = False


def allow(pinned: Pinned, examination: Examination, decider: Decider, path: str) -> Allowed:
    """Judge a file and tell the kernel. `leases.block` must have been called.

    Raises InputError for what cannot be read, RefusedError where writers cannot be kept out meanwhile, OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise InputError(f"{path}: not a regular file")
        if pinned.flags(state.st_dev) is None:
            raise RefusedError(f"{path}: its file system is not protected: its writers are not seen")
        writes = pinned.writes(descriptor)  # before the lease: who writes after it is counted
        _alone(descriptor, path)
        facts = examination.examine(descriptor, path)
        me = threading.get_native_id()
        key = (state.st_dev, state.st_ino)
        asked = Asked(descriptor, key, uses.EXEC, me, processes.program(me), os.path.realpath(path), time.monotonic())
        answer = decider.decide(facts, asked)
        if not answer.allow or not answer.everybody:
            why = decider.why(answer)
            return Allowed(
                path, allowed=False, why=why if not answer.allow else f"Not for everybody, or for a while only: {why}"
            )
        pinned.allow(descriptor, writes)
        digest = sealing.digest(descriptor) if pinned.proves else None
        if digest is not None:
            pinned.list_digest(digest)
        return Allowed(path, allowed=True, why=decider.why(answer), by_digest=digest is not None)
    finally:
        os.close(descriptor)


def _alone(descriptor: int, path: str) -> None:
    """Make sure that nobody has the file open, or mapped, for writing at this moment."""
    try:
        leased = leases.take(descriptor)
    except leases.BeingWrittenError:
        raise RefusedError(f"{path}: somebody has it open for writing") from None
    if not leased:
        raise RefusedError(f"{path}: its file system cannot tell who writes")
    leases.give_back(descriptor)
