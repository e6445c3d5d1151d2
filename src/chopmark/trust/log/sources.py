"""Where a log is read from: a folder, or a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from chopmark.core import limits
from chopmark.core.artifact import UnreadableError, read_small
from chopmark.core.errors import ChopmarkError, InputError, UnavailableError
from chopmark.envelopes.tlog import tiles

if TYPE_CHECKING:
    from chopmark.core.contracts import Fetcher
    from chopmark.envelopes.tlog.tiles import Tile

_CHECKPOINT = "checkpoint"


class MissingError(InputError):
    """A part of the log is not there, for certain."""


class Source(Protocol):
    """A log as somebody serves it. What cannot be read raises MissingError, or UnavailableError when nobody knows."""

    @property
    def where(self) -> str:
        """The folder or address."""

    def checkpoint(self) -> bytes:
        """The checkpoint."""

    def read(self, tile: Tile) -> bytes:
        """A tile or bundle; a partial one from the full one when that has taken its place."""


class FolderSource:
    """A log in a folder."""

    def __init__(self, folder: str) -> None:
        self.where = folder

    def checkpoint(self) -> bytes:
        """The checkpoint. Raises MissingError, InputError."""
        return self._read(_CHECKPOINT, limits.NOTE_MAX)

    def read(self, tile: Tile) -> bytes:
        """A tile or bundle. Raises MissingError, InputError, MalformedError."""
        return _either(tile, self._read)

    def _read(self, path: str, limit: int) -> bytes:
        try:
            return read_small(os.path.join(self.where, path), limit)
        except UnreadableError as error:
            raise MissingError(str(error)) from None


class UrlSource:
    """A log on a server (C2SP tlog-tiles, clause "APIs")."""

    def __init__(self, url: str, fetcher: Fetcher) -> None:
        self.where = url.rstrip("/")
        self._fetcher = fetcher

    def checkpoint(self) -> bytes:
        """The checkpoint. Raises UnavailableError."""
        return self._read(_CHECKPOINT, limits.NOTE_MAX)

    def read(self, tile: Tile) -> bytes:
        """A tile or bundle. Raises UnavailableError, MalformedError."""
        return _either(tile, self._read)

    def _read(self, path: str, limit: int) -> bytes:
        return self._fetcher.get(f"{self.where}/{path}", limit)


class _Read(Protocol):
    def __call__(self, path: str, limit: int, /) -> bytes: ...


def _either(tile: Tile, read: _Read) -> bytes:
    """A partial tile may have been deleted once the full one is there (clause "Partial Tiles")."""
    try:
        return read(tile.path, tile.size_max)
    except (MissingError, UnavailableError) as error:
        full = tile._replace(width=tiles.WIDTH)
        if tile == full:
            raise
        try:
            return tiles.cut(tile, read(full.path, full.size_max))
        except ChopmarkError:
            raise error from None
