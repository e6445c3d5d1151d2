"""A repository as it lies on disk (gitrepository-layout(5)): its settings, refs and objects. Nothing is ever run."""

from __future__ import annotations

import os
import re
import zlib
from functools import cached_property
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core import reasons as common
from chopmark.core.artifact import Artifact, UnreadableError, read_small
from chopmark.core.errors import BrokenError, InputError, UsageError
from chopmark.core.patch import WriteError, write_file
from chopmark.formats.git import reasons
from chopmark.formats.git.database import objects, packs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from chopmark.formats.git.database.objects import Stored

WIDTHS = {"sha1": 20, "sha256": 32}
_REPLACE = "refs/replace"
_SECTION = re.compile(r'\[\s*([A-Za-z0-9.-]+)\s*(?:"((?:[^"\\]|\\.)*)")?\s*\](.*)', re.ASCII)
_ENTRY = re.compile(r"([A-Za-z][A-Za-z0-9-]*)\s*(?:=\s*(.*))?", re.ASCII)
_BLANKS = " \t\r\n"
"""What is white space to git (GIT_SPACE in ctype.c), and the last of it alone ends a line.

The name of a ref may have all that Unicode calls so (docs/adr/0273).
"""
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_UNDERSTOOD = {"noop", "preciousobjects", "partialclone", "objectformat", "worktreeconfig", "relativeworktrees"}
"""Extensions of a repository (gitrepository-layout(5)) under which reading stays as it is here."""


class Repository:
    """A repository, opened for reading.

    `hash` is the algorithm of its object ids; `git` its own folder, `common` the one that worktrees share. Objects are
    looked for in `folders`, in order; where receive-pack runs hooks, the first is its quarantine.
    """

    def __init__(self, git: str, environment: Mapping[str, str] | None = None) -> None:
        """Read its settings; `environment` is that of a hook. Raises UsageError for a layout that is not understood."""
        self.git = git
        self.common = _pointed(git, "commondir") or git
        settings = _settings(_text(os.path.join(self.common, "config")))
        self.hash = settings.get("extensions.objectformat", "sha1").lower()
        self._understand(settings)
        self.width = WIDTHS[self.hash]
        own = os.path.join(self.common, "objects")
        environment = environment or {}
        first = environment.get("GIT_OBJECT_DIRECTORY", own)
        more = [each for each in environment.get("GIT_ALTERNATE_OBJECT_DIRECTORIES", "").split(os.pathsep) if each]
        self.folders = list(_with_alternates([first, *more, own]))
        self._packs: list[packs.Pack] | None = None
        self.shallow = frozenset(_text(os.path.join(self.common, "shallow")).split())
        self._packed: dict[str, str] | None = None

    def _understand(self, settings: Mapping[str, str]) -> None:
        unknown = {name.partition(".")[2] for name in settings if name.startswith("extensions.")} - _UNDERSTOOD
        version = settings.get("core.repositoryformatversion", "0")
        if self.hash not in WIDTHS or version not in ("0", "1") or unknown:
            what = ", ".join(sorted(unknown)) or f"version {version[:16]}, {self.hash[:16]}"
            message = f"{self.git}: a repository of a kind that is not read here ({what[:200]})"
            raise UsageError(message)

    def _path(self, *names: str) -> str:
        return os.path.join(self.common, *names)

    # Objects

    def read(self, name: str) -> Stored:
        """The object of this id, hashed. Raises BrokenError: it is missing, damaged or not what its id stands for."""
        found = self._find(name)
        if found is None:
            raise BrokenError(reasons.OBJECT_MISSING, name)
        if found.id(self.hash) != name:
            raise BrokenError(reasons.OBJECT_ID_WRONG, name)
        return found

    def _find(self, name: str) -> Stored | None:
        for folder in self.folders:
            path = os.path.join(folder, name[:2], name[2:])
            try:
                # What deflate stores without compressing is longer than it comes out.
                return objects.loose(read_small(path, limits.GIT_OBJECT_MAX + limits.GIT_OBJECT_MAX // 1024))
            except UnreadableError as error:
                if error.reason is not common.INPUT_MISSING:
                    raise BrokenError(reasons.OBJECT_BROKEN, str(error)) from None
            except InputError as error:
                raise BrokenError(reasons.OBJECT_BROKEN, str(error)) from None
        raw = bytes.fromhex(name)
        for pack in self._all_packs():
            found = pack.get(raw)
            if found is not None:
                return found
        return None

    def _all_packs(self) -> list[packs.Pack]:
        if self._packs is None:
            self._packs = []
            for path in self._indexes():
                try:
                    self._packs.append(packs.opened(path, self.width))
                except UnreadableError as error:
                    raise BrokenError(reasons.OBJECT_BROKEN, str(error)) from None
                except BrokenError as error:
                    raise BrokenError(error.reason, f"{path}: {error.detail}") from None
        return self._packs

    def _indexes(self) -> list[str]:
        found = []
        for folder in self.folders:
            inside = os.path.join(folder, "pack")
            found += [os.path.join(inside, name) for name in _listed(inside) if name.endswith(".idx")]
        if len(found) > limits.GIT_PACKS_MAX:
            raise BrokenError(reasons.OBJECT_BROKEN, f"{len(found)} packs")
        return found

    def like(self, prefix: str) -> list[str]:
        """The ids of objects that begin with these digits; more than one says that there are more."""
        found = {prefix[:2] + name for folder in self.folders for name in _listed(os.path.join(folder, prefix[:2]))}
        names = {name for name in found if _ID.fullmatch(name) and name.startswith(prefix)}
        for pack in self._all_packs():
            names.update(pack.index.like(prefix))
        return sorted(names)

    def write(self, stored: Stored) -> str:
        """Put an object into a file of its own, if it is not there yet; its id. Raises WriteError, BrokenError."""
        name = stored.id(self.hash)
        if self._find(name) is None:
            path = self._path("objects", name[:2], name[2:])
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
            except OSError as error:
                raise WriteError(f"{path}: not written ({os.strerror(error.errno or 0)})") from None
            write_file(path, zlib.compress(stored.head + stored.data), 0o444)
        return name

    # Refs

    def ref(self, name: str) -> str | None:
        """The id that a ref has, through symbolic ones; None where there is no such ref. Raises UsageError."""
        for _ in range(limits.GIT_SYMBOLIC_MAX):
            value = self._ref(name)
            if not value.startswith("ref: "):
                return value if _ID.fullmatch(value) and len(value) == 2 * self.width else None
            name = value.removeprefix("ref: ").strip(_BLANKS)
        raise UsageError(f"{name[:200]}: a ref that leads to itself")

    def _ref(self, name: str) -> str:
        if not valid(name):
            return ""
        folders = (self.common,) if name.startswith("refs/") else (self.git,)
        for folder in folders:
            text = _text(os.path.join(folder, name), missing_is_a_folder=True)
            if text:
                return text.rstrip("\n")
        return self._packed_refs().get(name, "")

    def refs(self, below: str = "refs") -> dict[str, str]:
        """Every ref below refs/, or a part of it, that has an id."""
        found = dict.fromkeys(name for name in self._packed_refs() if name.startswith(f"{below}/"))
        for folder, _, names in os.walk(self._path(below)):
            inside = os.path.relpath(folder, self.common)
            found.update(dict.fromkeys(f"{inside}/{name}" for name in names))
            if len(found) > limits.GIT_REFS_MAX:
                raise UsageError(f"{self.git}: more than {limits.GIT_REFS_MAX} refs")
        return {name: value for name in sorted(found) if (value := self.ref(name))}

    @cached_property
    def replaced(self) -> frozenset[str]:
        """The ids of objects in whose place git shows others, or other parents.

        Only the last part of a ref's name counts, and capitals are read as well (replace-object.c).
        """
        grafted = (line.split(" ")[0] for line in _text(self._path("info", "grafts")).split("\n"))
        named = (name.rpartition("/")[2] for name in self.refs(_REPLACE))
        return frozenset(each.lower() for each in (*grafted, *named) if _ID.fullmatch(each.lower()))

    @cached_property
    def replaces_contents(self) -> bool:
        """Whether files or folders are among what is replaced, or what is not there to be looked at."""
        return any(self._kind(name) not in ("commit", "tag") for name in self.replaced)

    def _kind(self, name: str) -> str:
        try:
            return self.read(name).kind if len(name) == 2 * self.width else "commit"
        except BrokenError:
            return ""

    def _packed_refs(self) -> dict[str, str]:
        if self._packed is None:
            self._packed = {}
            for line in _text(self._path("packed-refs"), limits.GIT_PACKED_REFS_MAX).split("\n"):
                value, _, name = line.partition(" ")
                if _ID.fullmatch(value):
                    self._packed[name] = value
        return self._packed


def discover(start: str, environment: Mapping[str, str] | None = None) -> Repository:
    """The repository that a folder is in, or is. Raises UsageError where there is none."""
    folder = os.path.abspath(start)
    while True:
        for candidate in (os.path.join(folder, ".git"), folder):
            git = _gitdir(candidate)
            if git:
                return Repository(git, environment)
        above = os.path.dirname(folder)
        if above == folder:
            raise UsageError(f"{start}: not in a git repository")
        folder = above


def valid(name: str) -> bool:
    """Whether it can be the name of a ref (git-check-ref-format(1)): it never leads out of the repository."""
    parts = name.split("/")
    return (
        all(part and not part.startswith(".") and not part.endswith((".lock", ".")) for part in parts)
        and ".." not in name
        and "@{" not in name
        and not re.search(r"[\x00-\x20\x7f~^:?*\[\\]", name)
        and (name.startswith("refs/") or re.fullmatch(r"[A-Z_]+", name) is not None)
    )


def _gitdir(candidate: str) -> str:
    if os.path.isfile(candidate):
        target = _text(candidate).strip(_BLANKS)
        if not target.startswith("gitdir: "):
            return ""
        candidate = os.path.normpath(os.path.join(os.path.dirname(candidate), target.removeprefix("gitdir: ")))
    if not os.path.isfile(os.path.join(candidate, "HEAD")):
        return ""
    common = _pointed(candidate, "commondir") or candidate
    return candidate if os.path.isdir(os.path.join(common, "objects")) else ""


def _pointed(folder: str, file: str) -> str:
    target = _text(os.path.join(folder, file)).strip(_BLANKS)
    return os.path.normpath(os.path.join(folder, target)) if target else ""


def _with_alternates(folders: Iterable[str]) -> Iterator[str]:
    """The folders, and those that they borrow from (objects/info/alternates), each once and to a bounded depth."""
    seen: set[str] = set()
    waiting = [(folder, 0) for folder in folders]
    while waiting:
        folder, depth = waiting.pop(0)
        real = os.path.realpath(folder)
        if real in seen or depth > limits.GIT_ALTERNATES_DEPTH_MAX:
            continue
        seen.add(real)
        yield folder
        lines = _text(os.path.join(folder, "info", "alternates")).split("\n")
        waiting += [(os.path.join(folder, line), depth + 1) for line in lines if line and not line.startswith("#")]


def _text(path: str, limit: int = limits.GIT_SETTINGS_MAX, *, missing_is_a_folder: bool = False) -> str:
    """A small file of the repository; empty where there is none. Raises UsageError when it cannot be read."""
    try:
        with Artifact.open(path) as file:
            if file.view.size > limit:
                raise UsageError(f"{path}: {file.view.size} bytes; at most {limit} are read")
            return file.view.read(0, limit).decode("utf-8", "surrogateescape")
    except UnreadableError as error:
        if error.reason is common.INPUT_MISSING or (missing_is_a_folder and error.reason is common.INPUT_NOT_A_FILE):
            return ""
        raise


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _settings(text: str) -> dict[str, str]:
    """The settings of a repository that say how it is laid out: section.name in lower case, the last one counts."""
    found: dict[str, str] = {}
    section = ""
    for line in text.split("\n"):
        rest = line.strip(_BLANKS)
        match = _SECTION.match(rest)
        if match:
            section = match[1].lower() + (f".{match[2]}" if match[2] is not None else "")
            rest = match[3].strip(_BLANKS)
        entry = _ENTRY.match(rest)
        if entry and section in ("core", "extensions"):
            value = re.split(r"[#;]", entry[2] or "true")[0].strip(_BLANKS).strip('"')
            found[f"{section}.{entry[1].lower()}"] = value
    return found
