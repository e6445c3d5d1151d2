"""A log as files: tiles and bundles, which never change once they are there, and the checkpoint, which does."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from chopmark.core import limits, patch
from chopmark.core.artifact import UnreadableError, read_small
from chopmark.core.errors import InputError, RefusedError
from chopmark.envelopes.tlog import tiles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.envelopes.tlog.tiles import Tile

CHECKPOINT = "checkpoint"
_STAGED = ".staged"
_FLUSHED_SINGLY = 64
"""Files up to which each is flushed by itself; for more, everything is."""


class LogForkError(RefusedError):
    """What would be written contradicts what the log said before, or what it said cannot be read back.

    A log that says two things is worth nothing: this error means that files or the database were restored, damaged
    or changed by somebody else, and nothing more is signed until a person has looked.
    """


class Storage:
    """The folder that is served: `checkpoint`, `tile/...`. Raises WriteError when it cannot be written.

    One process writes at a time (see `logs.locked`).
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def read(self, tile: Tile) -> bytes:
        """A tile or bundle; a partial one from the full one when that has taken its place.

        Raises InputError (UnreadableError when there is no such file).
        """
        try:
            return read_small(os.path.join(self.folder, tile.path), tile.size_max)
        except UnreadableError:
            full = tile._replace(width=tiles.WIDTH)
            path = os.path.join(self.folder, full.path)
            if tile == full or not os.path.isfile(path):
                raise
            return tiles.cut(tile, read_small(path, full.size_max))

    def checkpoint(self) -> bytes:
        """The checkpoint as it is published; empty when there is none. Raises InputError."""
        path = os.path.join(self.folder, CHECKPOINT)
        return read_small(path, limits.NOTE_MAX) if os.path.lexists(path) else b""

    def write_checkpoint(self, note: bytes) -> None:
        """Publish a checkpoint, atomically."""
        patch.write_file(os.path.join(self.folder, CHECKPOINT), note)

    def put(self, pieces: Iterable[tuple[Tile, bytes]]) -> list[Tile]:
        """Write tiles and bundles, complete and on disk when this returns; the full ones among them.

        What is there already stays. Raises LogForkError when something else is there.
        """
        staged = os.path.join(self.folder, _STAGED)
        moves: list[tuple[str, str]] = []
        full = []
        try:
            shutil.rmtree(staged, ignore_errors=True)  # of somebody who was killed
            os.makedirs(staged)
            for tile, data in pieces:
                if tile.width == tiles.WIDTH:
                    full.append(tile)
                target = os.path.join(self.folder, tile.path)
                if os.path.lexists(target):
                    _require_same(target, data)
                    continue
                moves.append((os.path.join(staged, str(len(moves))), target))
                _write(moves[-1][0], data)
            _settle(moves)
            shutil.rmtree(staged, ignore_errors=True)
        except OSError as error:
            message = f"{self.folder}: the log could not be written ({os.strerror(error.errno or 0)})"
            raise patch.WriteError(message) from error
        return full

    def drop_partial(self, full: Iterable[Tile]) -> None:
        """Take away the partial tiles that full ones have replaced (clause "Partial Tiles")."""
        for tile in full:
            shutil.rmtree(os.path.join(self.folder, f"{tile.path}.p"), ignore_errors=True)


def _require_same(path: str, data: bytes) -> None:
    try:
        there = read_small(path, len(data))
    except InputError:
        there = b""
    if there != data:
        message = f"{path}: the log has said something else here already; nothing was signed"
        raise LogForkError(message)


def _write(path: str, data: bytes) -> None:
    with open(path, "wb", buffering=0) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]


def _settle(moves: list[tuple[str, str]]) -> None:
    """Give files their names, once all of them are on disk."""
    if len(moves) > _FLUSHED_SINGLY:
        os.sync()
    else:
        for source, _ in moves:
            with open(source, "rb") as file:
                os.fsync(file.fileno())
    made = set()
    for source, target in moves:
        folder = os.path.dirname(target)
        if folder not in made and not os.path.isdir(folder):
            os.makedirs(folder)
            made.add(os.path.dirname(folder))
        made.add(folder)
        os.replace(source, target)
    for folder in made:
        patch.settle([os.path.join(folder, "")])
