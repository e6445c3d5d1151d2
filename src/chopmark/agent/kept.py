"""Files that were looked at and are leased since: what they contain is known until the lease is broken.

A kept file whose decision is the same for everybody also gets an ignore mark, so that the kernel answers by itself.
The mark alone would not do: it survives writes through a shared mapping, and only a lease tells of those.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Any

from chopmark.agent import fanotify, leases
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MASK = fanotify.OPEN_PERM | fanotify.OPEN_EXEC_PERM

Key = tuple[int, int]
"""Device and inode: the file, whatever it is called."""


class File:
    """A leased file and what is known of it; `used` says that somebody may have been let in since it is kept."""

    __slots__ = ("descriptor", "facts", "ignored", "until", "used", "writes")

    def __init__(self, descriptor: int, facts: Any, until: float) -> None:  # noqa: ANN401 - the judge's own
        self.descriptor = descriptor
        self.facts = facts
        self.until = until
        self.ignored = False
        self.used = True
        self.writes = 0


class Kept:
    """At most `maximum` of them, the ones asked about last; each costs a descriptor.

    Which of those that the kernel allows by itself are used, nobody knows: they count from when they were asked about.

    Not safe for threads: it belongs to the loop.
    """

    def __init__(self, group: fanotify.Group, maximum: int, release: Callable[[Key, int], None]) -> None:
        """`release` gives a lease back, as soon as nobody uses the file, and closes the descriptor."""
        self._group = group
        self._release = release
        self._maximum = maximum
        self._files: OrderedDict[Key, File] = OrderedDict()
        self._keys: dict[int, Key] = {}

    def __len__(self) -> int:
        return len(self._files)

    @property
    def has_room(self) -> bool:
        """Whether files that nobody asked about may be kept as well, without others having to go."""
        return len(self._files) < self._maximum - self._maximum // limits.GUARD_KEPT_PARTS

    @property
    def ignored(self) -> int:
        """How many the kernel allows by itself. For any thread."""
        return sum(file.ignored for file in list(self._files.values()))

    def get(self, key: Key) -> File | None:
        """What is known of a file, if its lease is whole and it was not kept for a moment only."""
        file = self._files.get(key)
        if file is None:
            return None
        if file.until < time.monotonic() or not leases.held(file.descriptor):
            self.drop(key)
            return None
        self._files.move_to_end(key)
        return file

    def keep(self, key: Key, descriptor: int, facts: Any, until: float) -> File:  # noqa: ANN401 - the judge's own
        """Take over a descriptor whose lease is held; `until` is in seconds of time.monotonic()."""
        self.drop(key)
        if len(self._files) >= self._maximum:
            # Several at once: each time that leases are given back, everybody who runs is looked at (releasing).
            for old in list(islice(self._files, max(1, self._maximum // limits.GUARD_KEPT_PARTS))):
                self.drop(old)
        file = self._files[key] = File(descriptor, facts, until)
        self._keys[descriptor] = key
        return file

    def ignore(self, file: File) -> None:
        """Let the kernel allow this one; where it cannot, it is asked about again, that is all."""
        if not file.ignored:
            try:
                self._group.ignore(file.descriptor, MASK)
            except OSError:  # a file system without marks
                return
            file.ignored = True

    def drop(self, key: Key) -> None:
        """Know nothing of a file any more, and let writers go on once nobody uses it."""
        file = self._files.pop(key, None)
        if file is not None:
            del self._keys[file.descriptor]
            self._heed(file)
            if file.used:
                self._release(key, file.descriptor)
            else:  # no use in looking for who runs what everybody was denied
                leases.give_back(file.descriptor)
                os.close(file.descriptor)

    def broken(self, descriptor: int) -> bool:
        """Drop the file whose lease is wanted back; False when it is no file of ours (any more)."""
        key = self._keys.get(descriptor)
        if key is not None:
            self.drop(key)
        return key is not None

    def all_broken(self) -> None:
        """Drop those whose lease is wanted back, when nobody knows which they are."""
        for key in [self._keys[each] for each in self._keys if not leases.held(each)]:
            self.drop(key)

    def sweep(self, keep: Callable[[Any], bool]) -> int:
        """Drop every file whose facts no longer hold; how many."""
        gone = [key for key, file in self._files.items() if not keep(file.facts)]
        for key in gone:
            self.drop(key)
        return len(gone)

    def expire(self) -> None:
        """Drop what was kept for long enough."""
        now = time.monotonic()
        for key in [key for key, file in self._files.items() if file.until < now]:
            self.drop(key)

    def each(self) -> Iterable[tuple[Key, File]]:
        """All of them, the one used least recently first."""
        return list(self._files.items())

    def heed(self, file: File) -> None:
        """Ask us again about this one."""
        self._heed(file)

    def _heed(self, file: File) -> None:
        if file.ignored:
            self._group.heed(file.descriptor, MASK)
            file.ignored = False
