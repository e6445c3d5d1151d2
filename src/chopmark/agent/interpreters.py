"""Interpreters by what is in their files: a copy under another name is one as well.

The names of programs say which interpret (`uses`); the contents of those that lie where a host has its programs are
learnt, and so are those of others that are looked at under such a name. Whoever runs a file with one of these contents
is known by that file, wherever it was moved since.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from typing import TYPE_CHECKING

from chopmark.agent import nearby, processes, uses
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.agent.uses import Rules

FOLDERS = ("/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin", "/usr/local/sbin", "/lib64", "/lib")


class Interpreters:
    """Those that are known. But for `learn` not safe for threads: it belongs to the loop."""

    def __init__(self, rules: Rules, folders: Sequence[str] = FOLDERS) -> None:
        self._rules = rules
        self._folders = folders
        self._learnt: dict[str, str] = {}
        self._seen: dict[tuple[int, ...], str] = {}
        self._own: set[tuple[int, int]] = set()
        self._met: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._copies: dict[tuple[int, int], str] = {}

    def kind(self, thread: int, runs: str) -> str:
        """What kind of interpreter a thread runs, whose program has this path; empty for none.

        Where no copy is known, which is nearly always, nothing is asked but the name.
        """
        found = self._names.get(runs)
        if found is None:
            if len(self._names) >= limits.GUARD_EXECUTING_MAX:
                self._names.clear()
            found = self._names[runs] = self._by_name(runs)
        if found or not self._copies:
            return found
        return self._copies.get(processes.file(thread), "")

    def met(self, key: tuple[int, int], descriptor: int, path: str, sha256: str) -> None:
        """A file was looked at; if it is an interpreter under a name that may not stay one's, remember which it is.

        In a folder that only root can write to it stays what it is called, unless it has another name somewhere.
        """
        kind, called = self._learnt.get(sha256) or self._met.get(sha256, ""), self._by_name(path)
        if not kind and called and uses.is_native(descriptor) and os.fstat(descriptor).st_nlink == 1:
            kind = called
            if len(self._met) >= limits.GUARD_EXECUTING_MAX:
                self._met.clear()
            self._met[sha256] = kind
        if not kind or key in self._own or (called and _stays(path, descriptor)):
            self._copies.pop(key, None)
            return
        if len(self._copies) >= limits.GUARD_EXECUTING_MAX:
            del self._copies[next(iter(self._copies))]
        self._copies[key] = kind

    def learn(self) -> bool:
        """Read the interpreters that a host has; whether there are others than before.

        For any thread, but none that somebody waits for.
        """
        seen: dict[tuple[int, ...], str] = {}
        learnt: dict[str, str] = {}
        own: set[tuple[int, int]] = set()
        for path, kind, names in self._installed():
            with contextlib.suppress(OSError):
                state = os.stat(path)
                mark = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
                sha256 = self._seen.get(mark)
                if sha256 is None:
                    sha256 = _digest(path)
                seen[mark] = sha256
                if sha256:
                    learnt[sha256] = kind
                    if state.st_nlink <= names:
                        own.add((state.st_dev, state.st_ino))
        is_new = learnt != self._learnt
        self._seen, self._learnt, self._own = seen, learnt, own
        return is_new

    def _installed(self) -> Iterator[tuple[str, str, int]]:
        """Paths, kinds, and how many names each has there.

        What is also called something else there does many things, of which that is one.
        """
        for folder in dict.fromkeys(map(os.path.realpath, self._folders)):
            names: dict[int, list[str]] = {}
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    names.setdefault(entry.inode(), []).append(entry.name)
            for called in names.values():
                kinds = [self._by_name(each) for each in called]
                path = os.path.realpath(os.path.join(folder, called[0]))
                if all(kinds) and self._by_name(path):
                    yield path, kinds[0], len(called)

    def _by_name(self, path: str) -> str:
        return uses.interpreter(processes.Program(path).name, self._rules)


def _stays(path: str, descriptor: int) -> bool:
    """Whether a file lies at a path for us as well, has no other name, and nobody but root can give it one."""
    itself, folder, state = nearby.state(path), nearby.state(os.path.dirname(path)), os.fstat(descriptor)
    if itself is None or folder is None or (itself.device, itself.inode) != (state.st_dev, state.st_ino):
        return False
    is_roots = folder.uid == 0 and not folder.mode & (stat.S_IWGRP | stat.S_IWOTH)
    return is_roots and state.st_nlink == 1


def _digest(path: str) -> str:
    """SHA-256 of a native program; empty for anything else. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if uses.is_native(file.fileno()) else ""
