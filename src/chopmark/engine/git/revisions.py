"""What people call objects (gitrevisions(7)), and the commits between them. What could mean two objects is refused."""

from __future__ import annotations

import heapq
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError, MalformedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.formats.git import reasons

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chopmark.core.finding import Finding
    from chopmark.formats.git.database.repository import Repository

_SUFFIX = re.compile(r"\^\{(\w*)\}|\^(\d*)|~(\d*)")
_HEX = re.compile(r"[0-9a-f]{4,64}")
_PLACES = ("{}", "refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}", "refs/remotes/{}/HEAD")
_NUMBER_MAX = 9
"""Digits of a number in a revision."""
_DATE = re.compile(rb"> ([0-9]{1,18}) [+-][0-9]{4}$")


class Named(NamedTuple):
    """An object as somebody named it: what was said, its id, and the ref that has just this id, if it was a ref."""

    given: str
    id: str
    ref: str = ""


class Range(NamedTuple):
    """The commits that can be reached from some and not from others."""

    included: tuple[str, ...]
    excluded: tuple[str, ...]


def resolve(repository: Repository, given: str) -> Named:
    """The object that a name is for. Raises UsageError when there is none, or there are several."""
    place = min((at for at in (given.find("^"), given.find("~")) if at >= 0), default=len(given))
    named = _base(repository, given[:place] or "?")
    name, at = named.id, place
    while at < len(given):
        match = _SUFFIX.match(given, at)
        if match is None:
            raise UsageError(f"{given[:200]}: not a way to name an object that is understood here")
        name = _step(repository, name, match, given)
        at = match.end()
    return named._replace(given=given) if place == len(given) else Named(given, name)


def parse(repository: Repository, words: Iterable[str]) -> tuple[list[Named], Range | None]:
    """Single revisions, and the one range that all words with `..` or a leading `^` make up. Raises UsageError."""
    single, included, excluded = [], [], []
    for word in words:
        if "..." in word:
            raise UsageError(f"{word[:200]}: symmetric differences are not understood here; A..B is")
        if word.startswith("^"):
            excluded.append(commit_of(repository, resolve(repository, word[1:]).id))
        elif ".." in word:
            since, _, until = word.partition("..")
            excluded.append(commit_of(repository, resolve(repository, since or "HEAD").id))
            included.append(commit_of(repository, resolve(repository, until or "HEAD").id))
        else:
            single.append(resolve(repository, word))
    if excluded and not included:
        included = [commit_of(repository, each.id) for each in single]
        single = []
    return single, Range(tuple(included), tuple(excluded)) if included else None


def commit_of(repository: Repository, name: str) -> str:
    """The commit that an object is, or that a tag names. Raises UsageError."""
    for _ in range(limits.NESTED_MAX):
        kind, data = _read(repository, name)
        if kind == "commit":
            return name
        if kind != "tag":
            break
        name = data.partition(b"\n")[0].removeprefix(b"object ").decode("latin-1")
    raise UsageError(f"{name[:64]}: not a commit")


def walk(repository: Repository, wanted: Range) -> tuple[list[str], list[Finding]]:
    """The commits of a range, newest first, and why the history could not be followed to its end, if so.

    As git does it: by the dates of committers, which say nothing about truth but in which order to look. Whoever lies
    about them can have commits looked at that did not need to be, and never the other way round. Raises UsageError.
    """
    walking = _Walk(repository)
    for name in wanted.excluded:
        walking.mark(name, excluded=True)
    for name in wanted.included:
        walking.mark(name, excluded=False)
    return walking.run(), walking.findings


class _Walk:
    """One walk: marks go from commits to their parents, and what is excluded stays so."""

    def __init__(self, repository: Repository) -> None:
        self.findings: list[Finding] = []
        self._repository = repository
        self._excluded: dict[str, bool] = {}
        self._parents: dict[str, tuple[str, ...]] = {}
        self._done: set[str] = set()
        self._queue: list[tuple[int, str]] = []
        self._open = 0
        """Commits in the queue that are not excluded."""

    def mark(self, name: str, *, excluded: bool) -> None:
        """Reach a commit. What was reached before and now is excluded takes all of its known ancestors along."""
        if name not in self._excluded:
            self._excluded[name] = excluded
            self._load(name, excluded=excluded)
            return
        waiting = [name] if excluded else []
        while waiting:
            each = waiting.pop()
            if not self._excluded[each]:
                self._excluded[each] = True
                if each in self._done:
                    waiting += self._parents[each]
                else:
                    self._open -= 1

    def run(self) -> list[str]:
        """Go on until nothing that is left can be wanted, and nothing excluded is likely to reach what was found."""
        order: list[str] = []
        oldest, slop = 0, limits.GIT_WALK_SLOP
        while self._queue:
            newest = -self._queue[0][0]
            if not self._open and newest < oldest:
                slop -= 1
            if not self._open and (not order or slop < 0):
                break
            _, name = heapq.heappop(self._queue)
            excluded = self._excluded[name]
            if not excluded:
                self._open -= 1
                order.append(name)
                oldest = newest if len(order) == 1 else min(oldest, newest)
            self._done.add(name)
            for parent in self._parents[name]:
                self.mark(parent, excluded=excluded)
        return [name for name in order if not self._excluded[name]]

    def _load(self, name: str, *, excluded: bool) -> None:
        """Look up where a commit leads. One that is damaged leads nowhere, and is judged as what it is."""
        if len(self._excluded) > limits.GIT_COMMITS_MAX:
            raise UsageError(f"more than {limits.GIT_COMMITS_MAX} commits; name a smaller range")
        parents: tuple[str, ...] = ()
        date = 0
        with suppress(BrokenError):
            parents, date = _links(_read_commit(self._repository, name))
        if name in self._repository.shallow:
            if parents and not excluded:
                self.findings.append(reasons.SHALLOW.found(name))
            parents = ()
        self._parents[name] = parents
        self._open += not excluded
        heapq.heappush(self._queue, (-date, name))


def _links(data: bytes) -> tuple[tuple[str, ...], int]:
    parents, date = [], 0
    for line in data.partition(b"\n\n")[0].split(b"\n"):
        if line.startswith(b"parent "):
            parents.append(line[7:].decode("latin-1"))
        elif line.startswith(b"committer "):
            match = _DATE.search(line)
            date = int(match[1]) if match else 0
            break
    return tuple(parents), date


def _read_commit(repository: Repository, name: str) -> bytes:
    if len(name) != 2 * repository.width or not _HEX.fullmatch(name):
        raise BrokenError(reasons.FORM, "a parent that is no object id")
    kind, data = repository.read(name)
    if kind != "commit":
        raise BrokenError(reasons.OBJECT_KIND, f"{kind} {name}")
    return data


def _read(repository: Repository, name: str) -> tuple[str, bytes]:
    """An object on the way to another. Raises UsageError with the reason why there is no way."""
    if len(name) != 2 * repository.width or not _HEX.fullmatch(name):
        raise UsageError(f"{name[:64]!r}: not an object id")
    try:
        return repository.read(name)
    except MalformedError as error:
        raise UsageError(f"{name}: {error}") from None


def _base(repository: Repository, name: str) -> Named:
    if name == "@":
        name = "HEAD"
    if len(name) == 2 * repository.width and _HEX.fullmatch(name):
        return Named(name, name)
    refs = {place: value for each in _PLACES if (value := repository.ref(place := each.format(name)))}
    like = repository.like(name) if _HEX.fullmatch(name) else []
    if len({*refs.values(), *like}) > 1:
        several = ", ".join([*refs, *(f"objects like {name}" for _ in like[:1])])
        raise UsageError(f"{name[:200]}: it could mean {several}")
    if refs:
        ref, value = next(iter(refs.items()))
        return Named(name, value, ref)
    if like:
        return Named(name, like[0])
    raise UsageError(f"{name[:200]}: no such commit, tag or branch")


def _step(repository: Repository, name: str, match: re.Match[str], given: str) -> str:
    kind, parent, generation = match.groups()
    if kind is not None:
        if kind == "commit":
            return commit_of(repository, name)
        if kind == "" and _read(repository, name)[0] == "tag":
            return commit_of(repository, name)
        if kind == "tag" and _read(repository, name)[0] == "tag":
            return name
        raise UsageError(f"{given[:200]}: not an object of that type")
    number = parent if parent is not None else generation
    if len(number) > _NUMBER_MAX:
        raise UsageError(f"{given[:200]}: no such ancestor")
    count = int(number or 1)
    name = commit_of(repository, name)
    if parent is not None:
        return _parent(repository, name, count, given) if count else name
    for _ in range(count):
        name = _parent(repository, name, 1, given)
    return name


def _parent(repository: Repository, name: str, number: int, given: str) -> str:
    parents, _ = _links(_read(repository, name)[1])
    if number > len(parents):
        raise UsageError(f"{given[:200]}: no such ancestor")
    return parents[number - 1]


def names(found: Iterable[str]) -> Iterator[Named]:
    """Commits that were found and not named."""
    return (Named(name, name) for name in found)
