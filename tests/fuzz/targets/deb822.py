"""Control files, releases and lists of packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.formats.deb import deb822
from chopmark.supply.apt import release
from tests.support import debs

if TYPE_CHECKING:
    from collections.abc import Iterable


def seeds() -> Iterable[bytes]:
    """A release and a list."""
    index = debs.packages({"a_1_all": b"x", "b_2_amd64": b"y"})
    yield index
    yield debs.release({debs.INDEX: index}, debs.NOW, **{"Valid-Until": "Sat, 04 Jul 2026 12:00:00 UTC"})


def run(data: bytes) -> None:
    """Nothing but MalformedError may come out."""
    for paragraph in _paragraphs(data):
        try:
            deb822.fields(paragraph)
        except MalformedError:
            continue
    try:
        release.parse(data)
    except MalformedError:
        return


def _paragraphs(data: bytes) -> list[bytes]:
    try:
        return list(deb822.paragraphs([data]))
    except MalformedError:
        return []
