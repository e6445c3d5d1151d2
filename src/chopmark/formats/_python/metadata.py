"""METADATA, PKG-INFO and WHEEL: fields as those of e-mail (core metadata specifications of PyPA)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.core.versions import PYTHON, Release
from chopmark.formats._python import naming, reasons

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from chopmark.core.finding import Finding
    from chopmark.formats._python.naming import Named

_FIELD = re.compile(r"([!-9;-~]*):[ \t]*(.*)", re.DOTALL).fullmatch
_MEANING = {b"\x00", b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", "\x85".encode(), "\u2028".encode(), "\u2029".encode()}
"""What ends a line for some programs only."""
SHOWN = ("Requires-Python", "License-Expression", "License", "Author", "Author-email", "Home-page")
"""Fields that people are shown."""


class Said(NamedTuple):
    """The fields by their names in lower case, each with its values in order."""

    fields: Mapping[str, tuple[str, ...]]

    def only(self, name: str) -> str:
        """The value of a field that is there once. Raises BrokenError."""
        values = self.fields.get(name.lower(), ())
        if len(values) != 1 or not values[0]:
            raise BrokenError(reasons.METADATA, f"{len(values)} fields {name} in place of one")
        return values[0]

    def all(self, name: str) -> tuple[str, ...]:
        """The values of a field."""
        return self.fields.get(name.lower(), ())


def read(data: bytes) -> Said:
    """The fields, up to the first line that is none, as Python's own parser has it. Raises BrokenError."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise BrokenError(reasons.METADATA, "it is not in UTF-8") from None
    head = re.split(r"\r?\n\r?\n", text, maxsplit=1)[0]
    if any(each in head.encode() for each in _MEANING) or re.search(r"\r(?!\n)", head):
        raise BrokenError(reasons.METADATA, "a character that ends a line for some programs only")
    found: dict[str, list[str]] = {}
    last = ""
    for line in head.replace("\r\n", "\n").split("\n"):
        if line[:1] in (" ", "\t") and last:
            found[last][-1] += "\n" + line
            continue
        match = _FIELD(line)
        if match is None:
            break
        last = match[1].lower()
        found.setdefault(last, []).append(match[2].rstrip(" \t"))
    return Said({name: tuple(values) for name, values in found.items()})


def held(said: Said, named: Named) -> Iterator[Finding]:
    """Whether the project and the version are those of the file's name."""
    project, version = said.only("Name"), said.only("Version")
    same = naming.same(named, project, version)
    yield (reasons.NAMED if same else reasons.NAME_DIFFERS).found(_shown(f"{project} {version}"))


def release(said: Said) -> Release | None:
    """Which version of which project it is; None where the numbering is not Python's."""
    project, version = said.only("Name"), said.only("Version")
    return Release(naming.normal(project), version, PYTHON) if naming.order_of(version) else None


def facts(said: Said) -> Iterable[tuple[str, str]]:
    """What people are shown."""
    for name in ("Name", "Version", *SHOWN):
        values = said.all(name)
        if values:
            yield name.lower().replace("-", " "), _shown(values[0])


def _shown(text: str) -> str:
    return ascii(" ".join(text.split())[:200])[1:-1]
