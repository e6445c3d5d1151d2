"""Discovery: packages in a room, and entry points of others, found by looking and never by a list."""

from __future__ import annotations

import importlib
import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@cache
def modules(package: str) -> tuple[str, ...]:
    """The names of the modules and packages in `package` that are not private, sorted; none is imported.

    pkgutil would do, but loads a library for it that takes half as long as starting Python.
    """
    found: set[str] = set()
    for folder in importlib.import_module(package).__path__:
        if not os.path.isdir(folder):  # in an archive
            import pkgutil

            found.update(info.name for info in pkgutil.iter_modules([folder]))
            continue
        for name in os.listdir(folder):
            if name.endswith(".py"):
                found.add(name.removesuffix(".py"))
            elif "." not in name and name[0] != "_" and os.access(os.path.join(folder, name, "__init__.py"), os.F_OK):
                found.add(name)
    return tuple(sorted(name for name in found if not name.startswith("_")))


def member(package: str, name: str, attribute: str) -> Any:  # noqa: ANN401 - whatever it is that modules offer
    """What one module of `package` offers under `attribute`, with nothing else imported; None for nothing."""
    if name not in modules(package):
        return None
    return getattr(importlib.import_module(f"{package}.{name}"), attribute, None)


@cache
def offered(package: str, attribute: str) -> dict[str, Any]:
    """Every module of `package` that exports `attribute`, by module name."""
    found = {name: member(package, name, attribute) for name in modules(package)}
    return {name: thing for name, thing in found.items() if thing is not None}


def one_by_one(package: str, inner: str, attribute: str) -> Iterator[Any]:
    """What packages of `package` offer in a module `inner` of theirs, and entry points, each loaded in its turn.

    For what is asked in turn until one answers: the rest is not loaded at all. Otherwise as `exported`.
    """
    for name in _having(package, inner):
        yield getattr(importlib.import_module(f"{package}.{name}.{inner}"), attribute)
    yield from _others(package)


@cache
def _others(package: str) -> tuple[Any, ...]:
    return tuple(thing for _, thing in _entry_points(package))


@cache
def _having(package: str, inner: str) -> tuple[str, ...]:
    folders = importlib.import_module(package).__path__
    return tuple(name for name in modules(package) if any(_holds(folder, name, inner) for folder in folders))


def _holds(folder: str, name: str, inner: str) -> bool:
    place = os.path.join(folder, name)
    if os.path.isdir(folder):
        return os.path.isfile(os.path.join(place, f"{inner}.py"))
    import pkgutil  # for archives

    return any(info.name == inner for info in pkgutil.iter_modules([place]))


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
    import pkgutil

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
        names = [name for name in os.listdir(folder or ".") if name.endswith((".dist-info", ".egg-info"))]
    except OSError:
        return False
    wanted = f"[{group}]".encode()
    for name in names:
        try:
            with open(os.path.join(folder, name, "entry_points.txt"), "rb") as file:
                if wanted in file.read():
                    return True
        except OSError:
            continue
    return False
