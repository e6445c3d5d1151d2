"""Looking at files before somebody wants them, where not all of them can be looked at."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from chopmark.agent import fanotify, uses
from chopmark.agent.ahead import Ahead
from tests.support.patience import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

    from chopmark.agent.judging import Task


class Written(fanotify.Group):
    """Files that were written, one at a time, and whatever error comes before each."""

    def __init__(self) -> None:
        reading, self._writing = os.pipe2(os.O_NONBLOCK)
        super().__init__(reading)
        self._files: list[Path | Exception] = []

    def write(self, *files: Path | Exception) -> None:
        self._files += files
        os.write(self._writing, b"x" * len(files))

    def read(self, most: int = 256) -> list[fanotify.Event]:
        assert most > 1
        os.read(self.descriptor, 1)
        found = self._files.pop(0)
        if isinstance(found, Exception):
            raise found
        return [fanotify.Event(os.open(found, os.O_RDONLY), fanotify.CLOSE_WRITE, 1)]

    def close(self) -> None:
        os.close(self._writing)
        super().close()


def test_what_cannot_be_opened_or_read_keeps_nothing_else_from_being_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, looked = Written(), list[str]()
    monkeypatch.setattr(fanotify.Group, "told", lambda: group)

    def is_code(descriptor: int, path: str, mode: int) -> bool:  # noqa: ARG001
        if path.endswith("bad"):
            raise OSError(5, "Input/output error")
        return True

    monkeypatch.setattr(uses, "is_code", is_code)

    def look(task: Task, done: Callable[[], None]) -> None:
        looked.append(task.path.rpartition("/")[2])
        os.close(task.descriptor)
        done()

    pending: Any = SimpleNamespace(is_idle=True, has_room=True)
    ahead = Ahead(look, pending, lambda _: True)
    ahead.start()
    for name in ("bad", "good", "last"):
        (tmp_path / name).write_bytes(b"x")
    group.write(fanotify.UnopenedError(6, "No such device or address"), tmp_path / "bad", tmp_path / "good")
    eventually(lambda: looked == ["good"])
    folder = tmp_path / "folder"
    folder.mkdir()
    scandir = os.scandir

    class Torn:
        """A folder of which no more can be read."""

        def __init__(self, where: int) -> None:
            self.close = scandir(where).close

        def __iter__(self) -> Iterator[Any]:
            return self

        def __next__(self) -> Any:  # noqa: ANN401 - an entry
            raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", Torn)
        ahead.warm(str(folder))
        eventually(lambda: not ahead._folders)  # noqa: SLF001 - there is nothing more
    group.write(tmp_path / "last")
    eventually(lambda: looked == ["good", "last"])
    ahead.end()
    assert not ahead.is_alive()
