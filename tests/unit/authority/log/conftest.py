"""Logs in folders."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from chopmark.authority.log.folder import FolderLog
from chopmark.keys import generate

if TYPE_CHECKING:
    from pathlib import Path

ORIGIN = "example.com/log"


def begun(folder: Path, origin: str = ORIGIN) -> FolderLog:
    """An empty log."""
    folder.mkdir()
    generate.store(str(folder / "log.pem"), generate.encode(generate.new("ed25519"), None))
    return FolderLog.make(str(folder), origin, "folder:log.pem")


def entries(count: int, start: int = 0) -> list[bytes]:
    """Entries of various lengths, each unlike every other."""
    return [
        hashlib.sha256(b"%d" % number).hexdigest()[: 8 + number % 50].encode() + b"%d" % number
        for number in range(start, start + count)
    ]


@pytest.fixture
def log(tmp_path: Path) -> FolderLog:
    return begun(tmp_path / "log")
