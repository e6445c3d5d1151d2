"""Which format an artifact is: the most certain one has it, and a tie is an error, never a matter of order."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from chopmark.core import discovery
from chopmark.core.artifact import ATTRIBUTE
from chopmark.core.errors import MalformedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Examines, Format

ROOM = "chopmark.formats"
_CERTAIN_MAX = 10


class AmbiguousError(MalformedError):
    """Two formats are equally certain that the artifact is theirs."""


@cache
def formats() -> Mapping[str, Format]:
    """Every format there is, by name."""
    found = {format_.name: cast("Format", format_) for format_ in discovery.exported(ROOM, "FORMAT").values()}
    return MappingProxyType(found)


def identify(artifact: Artifact, name: str = "") -> Format:
    """The format of an artifact, or the one that was asked for by name.

    Raises AmbiguousError on a tie, UsageError for a name that does not exist.
    """
    if name and (format_ := known(name)):
        return format_
    head = artifact.head()
    best, winners, path = 0, [], artifact.name
    for format_, detect, most in asked(head[:1]):
        if most < best:
            break
        certainty = detect(head, path)
        if certainty > best:
            best, winners = certainty, [format_]
        elif certainty and certainty == best:
            winners.append(format_)
    if len(winners) != 1:
        message = " and ".join(sorted(format_.title for format_ in winners)) if best else "nothing known"
        raise AmbiguousError(message)
    return winners[0]


@cache
def asked(first: bytes) -> tuple[tuple[Format, Callable[[bytes, str], int], int], ...]:
    """The formats that may take a file for their own that begins with this octet (empty: with none).

    With how to ask, and how certain each can be at most: the most certain first.
    """
    found = []
    for format_ in formats().values():
        begins: tuple[bytes, ...] | None = getattr(format_, "begins", None)
        is_likely = begins is None or any(each.startswith(first) for each in begins if first)
        most: int = _CERTAIN_MAX if is_likely else getattr(format_, "otherwise", 0)
        if most:
            found.append((format_, format_.detect, most))
    return tuple(sorted(found, key=lambda each: -each[2]))


def known(name: str) -> Format | None:
    """The format of this name, None for no name. Raises UsageError when there is no such format."""
    if not name:
        return None
    found = formats()
    if name not in found:
        message = f"no such format: {name[:64]} (there are {', '.join(sorted(found))})"
        raise UsageError(message)
    return found[name]


def beside(artifact: Artifact, apart_from: Format) -> list[Format]:
    """The formats that keep signatures in a file beside the artifact, as far as there are such files.

    A file that `apart_from` itself keeps its signature in is nobody else's.
    """
    if artifact.lacks(suffixes_beside()):
        return []
    taken = set(_places(apart_from))
    return [format_ for format_ in _keeping() if format_ is not apart_from and _is_beside(artifact, format_, taken)]


def keeps_beside(format_: Format) -> bool:
    """Whether a format has its signatures in files beside what is signed."""
    return hasattr(format_, "companion")


@cache
def _keeping() -> tuple[Format, ...]:
    """The formats that have signatures beside files."""
    return tuple(format_ for format_ in formats().values() if _places(format_))


def claiming(artifact: Artifact) -> list[Examines]:
    """The formats that hold files to what they say of themselves, and that take the artifact for theirs at all."""
    head = artifact.head()
    return [format_ for format_ in _examining(head[:1]) if format_.detect(head, artifact.name)]


@cache
def _examining(first: bytes) -> tuple[Examines, ...]:
    may = {format_.name for format_, _, _ in asked(first)}
    found = (format_ for name, format_ in formats().items() if name in may and hasattr(format_, "examine"))
    return tuple(cast("Examines", format_) for format_ in found)


@cache
def suffixes_beside() -> tuple[str, ...]:
    """What files are called, behind a file's own name, that may have signatures of it."""
    return tuple(dict.fromkeys(each for format_ in formats().values() for each in _places(format_)))


def of_signature(artifact: Artifact, path: str, data: bytes, name: str = "") -> tuple[Format, str]:
    """The format that has a signature of the artifact in this file, and what such a file is called beside it.

    Its name says which, and where several have it what is in it; or `name`, the format's. Raises UsageError, and
    AmbiguousError as `identify` does.
    """
    format_ = identify(artifact, name)
    for each in (format_,) if name else (format_, *_keeping()):
        for suffix in _files(each):
            if path.endswith(suffix) and (each is format_ or _owns(each, data)):
                return each, suffix
    if name and _files(format_):
        return format_, _files(format_)[0]
    if name:
        message = f"{name}: such a signature does not stand in a file of its own"
    else:
        known = ", ".join(dict.fromkeys(suffix for each in _keeping() for suffix in _files(each)))
        message = f"{path}: a signature of which kind? --format says so, or its name ({known})"
    raise UsageError(message)


def _files(format_: Format) -> list[str]:
    return [each for each in _places(format_) if not each.startswith(ATTRIBUTE)]


def _owns(format_: Format, data: bytes) -> bool:
    owns: Callable[[bytes], bool] | None = getattr(format_, "owns", None)
    return owns is None or owns(data)


def _places(format_: Format) -> tuple[str, ...]:
    suffix = getattr(format_, "companion", "")
    places: tuple[str, ...] = getattr(format_, "companions", (suffix,) if suffix else ())
    return places


def _is_beside(artifact: Artifact, format_: Format, taken: set[str]) -> bool:
    for each in _places(format_):
        if each in taken:
            continue
        data = artifact.companion(each)
        if data is not None and _owns(format_, data):
            return True
    return False
