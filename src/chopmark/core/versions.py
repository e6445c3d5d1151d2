"""Which of two versions is the later one, in the numbering of each kind of software.

`compare` knows five schemes: "dotted" (numbers between dots: version resources of Windows, kernel modules), "debian"
(deb-version(7)), "rpm" (rpmvercmp, with epoch and release), "semver" (Semantic Versioning 2.0.0, clause 11), and
"python" (the version specifiers of PyPA, once PEP 440).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

DOTTED, DEBIAN, RPM, SEMVER, PYTHON = "dotted", "debian", "rpm", "semver", "python"


class Release(NamedTuple):
    """What an artifact says that it is: a product, and which version of it, numbered by one of SCHEMES.

    A name is a claim; it is worth as much as the signature over it.
    """

    product: str
    version: str
    scheme: str = DOTTED


def compare(scheme: str, one: str, other: str) -> int:
    """-1, 0 or 1: the first is the earlier, the same, or the later one. Raises MalformedError, KeyError (scheme)."""
    first, second = key(scheme, one), key(scheme, other)
    return 1 if first > second else -1 if first < second else 0


@lru_cache(maxsize=1024)
def key(scheme: str, version: str) -> Any:  # noqa: ANN401 - tuples of a shape that belongs to the scheme
    """What versions of a scheme are ordered by. Raises MalformedError for what is none, KeyError for no scheme."""
    read = SCHEMES[scheme]
    if len(version) > limits.VERSION_MAX:
        raise MalformedError(f"a version of {len(version)} characters")
    return read(version)


# Numbers between dots

_DOTTED = re.compile(r"[0-9]+(?:[.][0-9]+)*")


def _dotted(version: str) -> tuple[int, ...]:
    """Numbers; zeros at the end do not count, because a version resource always has four."""
    text = version.strip()
    if not _DOTTED.fullmatch(text):
        raise MalformedError(f"not numbers between dots: {version!r}")
    numbers = [int(part) for part in text.split(".")]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


# Debian: [epoch:]upstream[-revision], deb-version(7)

_UPSTREAM = re.compile(r"[0-9][A-Za-z0-9.+~:-]*")
_REVISION = re.compile(r"[A-Za-z0-9.+~]+")
_NUMBERS = re.compile(r"([^0-9]*)([0-9]*)")


def _debian(version: str) -> tuple[Any, ...]:
    text = version.strip()
    epoch, colon, rest = text.partition(":")
    if not colon:
        epoch, rest = "0", text
    upstream, hyphen, revision = rest.rpartition("-")
    if not hyphen:
        upstream, revision = rest, "0"  # deb-version(7): no revision is the revision 0
    if not (epoch.isascii() and epoch.isdigit()) or not _UPSTREAM.fullmatch(upstream):
        raise MalformedError(f"not a version of Debian's: {version!r}")
    if not _REVISION.fullmatch(revision) or (not colon and ":" in upstream):
        raise MalformedError(f"not a version of Debian's: {version!r}")
    return int(epoch), _alternating(upstream), _alternating(revision)


def _alternating(text: str) -> tuple[tuple[int, ...] | int, ...]:
    """Text and numbers in turns: "~" before the end, the end before letters, letters before everything else."""
    found: list[tuple[int, ...] | int] = []
    for word, digits in _NUMBERS.findall(text):
        found += [(*map(_weight, word), 0), int(digits or 0)]
    return tuple(found)


def _weight(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


# RPM: [epoch:]version[-release], rpmvercmp

_RPM = re.compile(r"[A-Za-z0-9._+~^]+")
_SEGMENTS = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")
_TILDE, _END, _CARET, _LETTERS, _NUMBER = range(5)


def _rpm(version: str) -> tuple[Any, ...]:
    """A version without a release stands before any with one."""
    text = version.strip()
    epoch, colon, rest = text.partition(":")
    if not colon:
        epoch, rest = "0", text
    number, hyphen, release = rest.partition("-")
    if not (epoch.isascii() and epoch.isdigit()) or not _RPM.fullmatch(number):
        raise MalformedError(f"not a version of RPM's: {version!r}")
    if hyphen and not _RPM.fullmatch(release):
        raise MalformedError(f"not a version of RPM's: {version!r}")
    return int(epoch), _segments(number), _segments(release) if hyphen else ()


def _segments(text: str) -> tuple[tuple[int, int, str], ...]:
    """Runs of digits and of letters; "~" before the end, "^" behind it, letters before digits; the rest separates."""
    found = []
    for part in _SEGMENTS.findall(text):
        if part == "~":
            found.append((_TILDE, 0, ""))
        elif part == "^":
            found.append((_CARET, 0, ""))
        elif part[0] in "0123456789":
            found.append((_NUMBER, int(part), ""))
        else:
            found.append((_LETTERS, 0, part))
    return (*found, (_END, 0, ""))


# Semantic Versioning 2.0.0

_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = re.compile(
    r"v?(0|[1-9][0-9]*)[.](0|[1-9][0-9]*)[.](0|[1-9][0-9]*)"
    rf"(?:-({_IDENTIFIER}(?:[.]{_IDENTIFIER})*))?(?:[+][0-9A-Za-z-]+(?:[.][0-9A-Za-z-]+)*)?"
)


def _semver(version: str) -> tuple[Any, ...]:
    """Clause 11: what is behind "+" does not count, a pre-release comes before its release."""
    match = _SEMVER.fullmatch(version.strip())
    if match is None:
        raise MalformedError(f"not a semantic version: {version!r}")
    numbers = tuple(int(match[group]) for group in (1, 2, 3))
    if match[4] is None:
        return (*numbers, 1, ())
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in match[4].split(".")]
    return (*numbers, 0, tuple(parts))


# Python: [epoch!]release[{a|b|rc}N][.postN][.devN][+local], with the spellings that PEP 440 takes for the same

_PYTHON = re.compile(
    r"v?(?:(?P<epoch>[0-9]+)!)?(?P<release>[0-9]+(?:[.][0-9]+)*)"
    r"(?:[-_.]?(?P<pre>alpha|beta|preview|pre|rc|a|b|c)[-_.]?(?P<pre_number>[0-9]*))?"
    r"(?:-(?P<post_alone>[0-9]+)|[-_.]?(?P<post>post|rev|r)[-_.]?(?P<post_number>[0-9]*))?"
    r"(?:[-_.]?(?P<dev>dev)[-_.]?(?P<dev_number>[0-9]*))?"
    r"(?:[+](?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?"
)
_DEVELOPED, _ALPHA, _BETA, _CANDIDATE, _FINAL = range(-1, 4)
_STAGES = {"a": _ALPHA, "alpha": _ALPHA, "b": _BETA, "beta": _BETA}
"""All other words are those of a release candidate."""


def _python(version: str) -> tuple[Any, ...]:
    """1.dev before 1a before 1b before 1rc before 1 before 1.post; .dev before and +local behind each of them."""
    match = _PYTHON.fullmatch(version.strip().lower())
    if match is None or not version.isascii():
        raise MalformedError(f"not a version of Python's: {version!r}")
    release = _dotted(match["release"])
    stage, number = _FINAL, 0
    if match["pre"]:
        stage, number = _STAGES.get(match["pre"], _CANDIDATE), int(match["pre_number"] or 0)
    later = -1
    if match["post_alone"] or match["post"]:
        later = int(match["post_alone"] or match["post_number"] or 0)
    elif match["dev"] and not match["pre"]:
        stage = _DEVELOPED
    unfinished = (0, int(match["dev_number"] or 0)) if match["dev"] else (1, 0)
    parts = re.split(r"[-_.]", match["local"] or "")
    local = tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts if part)
    return int(match["epoch"] or 0), release, stage, number, later, unfinished, local


SCHEMES: dict[str, Callable[[str], Any]] = {
    DOTTED: _dotted,
    DEBIAN: _debian,
    RPM: _rpm,
    SEMVER: _semver,
    PYTHON: _python,
}
