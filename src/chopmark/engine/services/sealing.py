"""The definition of a unit as it is now, to be signed, and to be compared with what was signed."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from chopmark.core import reasons as core_reasons
from chopmark.core.artifact import UnreadableError
from chopmark.core.errors import RefusedError
from chopmark.engine.services import reasons
from chopmark.engine.services.units import names
from chopmark.formats.unit.definition import Definition, File, Link

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.finding import Finding
    from chopmark.engine.services.entry import Entry
    from chopmark.engine.services.rooted import Root

NULL = b"-"
"""In place of a digest: the file is a link to /dev/null."""


def definition(root: Root, entry: Entry, name: str = "") -> Definition:
    """What a unit is made of. Raises UnreadableError."""
    files = tuple(File(os.fsencode(place(root, path)), _digest(root, path)) for path in entry.files)
    links = tuple(sorted(Link(os.fsencode(place(root, path)), os.fsencode(target)) for path, target in entry.links))
    return Definition(entry.scope.encode(), os.fsencode(name or entry.name), files, links)


def place(root: Root, path: str) -> str:
    """A path whose folders are no links; its last part may be one."""
    folder, _, name = path.rpartition("/")
    found = root.get(folder or "/")
    above = found.path if found else folder
    return f"{above.rstrip('/')}/{name}"


def _digest(root: Root, path: str) -> bytes:
    try:
        if root.link(path) == "/dev/null":
            return NULL
    except OSError:
        pass  # opening it tells what is wrong
    with root.artifact(path) as artifact:
        hasher = hashlib.sha256(usedforsecurity=False)
        for piece in artifact.chunks():
            hasher.update(piece)
        if artifact.view.changed():
            raise UnreadableError(path, core_reasons.INPUT_CHANGED)
        return hasher.hexdigest().encode()


def sealable(entry: Entry) -> None:
    """Raises RefusedError for what has no definition that could be signed as a whole."""
    if entry.state == "masked":
        raise RefusedError(f"{entry.name}: it is masked")
    if entry.state == "generated":
        raise RefusedError(f"{entry.name}: it is made anew at each boot ({entry.files[0]})")


def seal_names(entry: Entry) -> Iterator[tuple[str, str]]:
    """(path, name that must stand in it) of the seals that may vouch for a unit: its own, then its template's."""
    for path in entry.seals:
        yield path, entry.name
    parsed = names.parse(entry.name)
    if parsed is not None and parsed.is_instance:
        template = parsed.template.text
        for path in entry.seals:
            yield f"{path.rpartition('/')[0]}/{template}{path.rpartition('/')[2].removeprefix(entry.name)}", template


def differences(signed: Definition, now: Definition) -> Iterator[Finding]:
    """How a unit differs from what was signed."""
    if (signed.scope, signed.name) != (now.scope, now.name):
        yield reasons.SEAL_OTHER.found(f"{_text(signed.name)} of {_text(signed.scope)}")
    was, are = dict(signed.files), dict(now.files)
    for path in dict.fromkeys((*was, *are)):
        if path not in was:
            yield reasons.SEAL_ADDED.found(subject=_text(path))
        elif path not in are:
            yield reasons.SEAL_MISSING.found(subject=_text(path))
        elif was[path] != are[path]:
            yield reasons.SEAL_CHANGED.found(subject=_text(path))
    if was == are and signed.files != now.files:
        yield reasons.SEAL_CHANGED.found("the order in which they are read")
    for link in dict.fromkeys((*signed.links, *now.links)):
        if link not in now.links or link not in signed.links:
            yield reasons.SEAL_LINK.found(_text(link.target), subject=_text(link.path))


def _text(raw: bytes) -> str:
    return os.fsdecode(raw)
