"""Wheels: the archive, RECORD and what they say of themselves; what is accepted must mean the same to Python."""

from __future__ import annotations

import io
import warnings
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING

from chopmark.core.artifact import Artifact, BytesView
from chopmark.core.errors import MalformedError
from chopmark.formats._python import metadata
from chopmark.formats._zip import archive
from chopmark.formats.wheel import FORMAT, record
from tests.fuzz import fields
from tests.fuzz.repairs import zip as repairs
from tests.support import wheels
from tests.support.wheels import FILES, NAME, Member

if TYPE_CHECKING:
    from collections.abc import Iterable

mutate = fields.Mutator(repairs.fields, repairs.VALUES, repairs.parts)


def seeds() -> Iterable[bytes]:
    """Wheels and archives of several kinds, a RECORD, and a METADATA."""
    yield wheels.wheel()
    yield wheels.wheel({**FILES, "added.pth": b"import os"}, FILES)
    yield wheels.zipped([Member(b"a/b", b"c" * 90), wheels.described(Member(b"d", b"e" * 9))], end64=True)
    yield wheels.zipped(
        [Member("\u00e9".encode(), b"x", method=0, flags=0x800), Member(b"f/", method=0, mode=0o040755)]
    )
    yield wheels.record(FILES)
    yield wheels.METADATA


def run(data: bytes) -> None:
    """Ask everything, as it is, with numbers that fit, and with the bytes as a list of files."""
    for archive_ in (data, repairs.repaired(data)):
        _ask(archive_)
    with suppress(MalformedError):
        record.read(data)
    with suppress(MalformedError):
        metadata.release(metadata.read(data))
    artifact = Artifact.from_bytes(wheels.wheel(FILES, data), NAME, {})
    with suppress(MalformedError):
        list(FORMAT.examine(artifact))


def _ask(data: bytes) -> None:
    """Nothing but MalformedError may come out."""
    artifact = Artifact.from_bytes(data, NAME, {})
    for question in (FORMAT.examine, FORMAT.release, FORMAT.facts):
        with suppress(MalformedError):
            list(question(artifact) or ())
    with suppress(MalformedError):
        found = archive.read(BytesView(data))
        contents = {name: b"".join(found.content(member)) for name, member in found.members.items()}
        with warnings.catch_warnings(), zipfile.ZipFile(io.BytesIO(data)) as opened:
            warnings.simplefilter("ignore")
            assert {info.filename: opened.read(info) for info in opened.infolist()} == contents
