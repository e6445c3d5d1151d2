"""Discovery: packages in a room, and entry points of others, found by looking and never by a list."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from functools import cache
from typing import Any


@cache
def offered(package: str, attribute: str) -> dict[str, Any]:
    """Every module of `package` that exports `attribute`, by module name."""
    room = importlib.import_module(package)
    found: dict[str, Any] = {}
    for info in pkgutil.iter_modules(room.__path__):
        if not info.name.startswith("_"):
            module = importlib.import_module(f"{package}.{info.name}")
            if hasattr(module, attribute):
                found[info.name] = getattr(module, attribute)
    return found


@cache
def exported(package: str, attribute: str) -> dict[str, Any]:
    """What the modules of `package` offer, and entry points of other distributions.

    An installed distribution takes part by an entry point in the group `package` (such as "chopmark.formats"), whose
    object is the exported thing itself. A name that exists already is refused with a ValueError: no silent replacement.
    """
    found = dict(offered(package, attribute))
    for name, thing in _entry_points(package):
        if name in found:
            message = f"{package}: an installed package offers {name!r}, which exists already"
            raise ValueError(message)
        found[name] = thing
    return found


def load_reasons() -> None:
    """Import every `reasons` module of the package, so that the catalogue is whole."""
    import chopmark

    for info in pkgutil.walk_packages(chopmark.__path__, "chopmark."):
        if info.name.endswith(".reasons"):
            importlib.import_module(info.name)


def _entry_points(group: str) -> list[tuple[str, Any]]:
    """Importing importlib.metadata takes longer than verifying a file, so it is asked only when there is something."""
    if not any(_mentions(folder, group) for folder in sys.path):
        return []
    from importlib.metadata import entry_points

    return [(point.name, point.load()) for point in entry_points(group=group)]


def _mentions(folder: str, group: str) -> bool:
    try:
        names = [entry.path for entry in os.scandir(folder or ".") if entry.name.endswith((".dist-info", ".egg-info"))]
    except OSError:
        return False
    wanted = f"[{group}]".encode()
    for name in names:
        try:
            with open(os.path.join(name, "entry_points.txt"), "rb") as file:
                if wanted in file.read():
                    return True
        except OSError:
            continue
    return False
