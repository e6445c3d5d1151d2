"""The files below a folder, each opened: through no link, on no other file system, however they are moved meanwhile."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from chopmark.agent import openat2
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Generator

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW
_WAY = openat2.NO_OTHER_FILE_SYSTEM | openat2.NO_MAGIC_LINKS | openat2.NO_LINKS | openat2.BENEATH


def files(folder: str) -> Generator[int, None, None]:
    """Descriptors, which are the caller's to close. Only as many folders as the depth are open. Raises OSError."""
    return _files(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def _files(root: int) -> Generator[int, None, None]:
    levels = [_Level(root)]
    try:
        while levels:
            entry = levels[-1].next()
            if entry is None:
                levels.pop().close()
                continue
            with contextlib.suppress(OSError):  # it is gone, or leads elsewhere
                if entry.is_file(follow_symlinks=False):
                    yield openat2.opened(levels[-1].descriptor, entry.name, _FLAGS, _WAY)
                elif entry.is_dir(follow_symlinks=False) and len(levels) < limits.GUARD_AHEAD_DEPTH_MAX:
                    folder_flags = _FLAGS | os.O_DIRECTORY
                    levels.append(_Level(openat2.opened(levels[-1].descriptor, entry.name, folder_flags, _WAY)))
    finally:
        for each in levels:
            each.close()


class _Level:
    """An open folder, and what is in it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        try:
            self.entries = os.scandir(descriptor)
        except OSError:
            os.close(descriptor)
            raise

    def next(self) -> os.DirEntry[str] | None:
        """The next one; None at the end, and where the folder cannot be read any further."""
        try:
            return next(self.entries, None)
        except OSError:
            return None

    def close(self) -> None:
        self.entries.close()
        os.close(self.descriptor)
