"""Where installers put the members of a wheel (binary distribution format of PyPA, "Installing a wheel")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PACKAGES, PREFIX, HEADERS = "packages", "prefix", "headers"
"""Folders: that of packages (purelib and platlib are one nearly everywhere), of the environment, of headers."""
_DATA = ".data"
_AMONG_PACKAGES = re.compile(r"(?:.*/)?(?:site|dist)-packages/(.+)", re.DOTALL).fullmatch
_SECTION = re.compile(r"\[\s*(.*?)\s*\]").fullmatch
_SCRIPTS = ("console_scripts", "gui_scripts")


def of(name: str) -> tuple[str, str]:
    """The folder that a member comes into, and its path there."""
    top, _, rest = name.partition("/")
    if not top.endswith(_DATA):
        return PACKAGES, name
    place, _, path = rest.partition("/")
    match = _AMONG_PACKAGES(path) if place == "data" else None
    if match is not None:
        return PACKAGES, match[1]
    if place == "scripts":
        return PREFIX, f"bin/{path}"
    return {"purelib": PACKAGES, "platlib": PACKAGES, "headers": HEADERS}.get(place, PREFIX), path


def doubles(members: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Members that come to one place: pip leaves the one that it unpacks last, others another."""
    seen: dict[tuple[str, str], str] = {}
    for name in members:
        place = of(name)
        if name.endswith("/") or not place[1]:
            continue
        if place in seen:
            yield seen[place], name
        seen.setdefault(place, name)


def scripts(data: bytes) -> Iterator[str]:
    """The names of programs that are made from entry points (entry points specification of PyPA)."""
    here = ""
    for line in data.decode("utf-8", "replace").splitlines():
        text = line.strip()
        section = _SECTION(text)
        if section is not None:
            here = section[1]
        elif here in _SCRIPTS and text[:1] not in ("", "#", ";"):
            yield re.split(r"[=:]", text, maxsplit=1)[0].strip().replace("\\", "/").rpartition("/")[2]
