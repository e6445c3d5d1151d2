"""A wheel taken apart, and held to its own list of files and to its name."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.counting import counted
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats._python import metadata, naming
from chopmark.formats._python import reasons as common
from chopmark.formats._zip import archive
from chopmark.formats._zip import reasons as zip_reasons
from chopmark.formats.wheel import placing, reasons, record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chopmark.core.artifact import Artifact
    from chopmark.core.finding import Finding
    from chopmark.core.reasons import Reason
    from chopmark.core.versions import Release
    from chopmark.formats._python.metadata import Said
    from chopmark.formats._python.naming import Named
    from chopmark.formats._zip.archive import Archive
    from chopmark.formats._zip.directory import Member
    from chopmark.formats.wheel.record import Row

_INFO, _DATA = ".dist-info", ".data"
_SIGNATURES = ("RECORD.jws", "RECORD.p7s")
_PLACES = frozenset({"purelib", "platlib", "headers", "scripts", "data"})
_CODE = (".so", ".pyd", ".dll", ".dylib")
_STARTERS = frozenset({"sitecustomize", "usercustomize"})
"""Modules that are imported at every start, be they files or packages (site)."""
_ENVIRONMENT = "pyvenv.cfg"
_PYTHON = re.compile(r"(?:bin|Scripts)/(?:python|pypy)[0-9.]*w?(?:\.exe)?").fullmatch


class Wheel(NamedTuple):
    """The archive, its folder of metadata (with the slash), and what that says."""

    archive: Archive
    info: str
    metadata: Said
    wheel: Said


def opened(artifact: Artifact) -> Wheel:
    """Take a wheel apart. Raises BrokenError."""
    return _read(archive.read(artifact.view))


def examine(artifact: Artifact) -> Iterator[Finding]:
    """Everything that can be said of it without knowing who made it. Raises BrokenError where that ends."""
    packed = archive.read(artifact.view)
    yield zip_reasons.READ.found(f"{len(packed.members)} members")
    yield from _each(zip_reasons.ALIKE, (f"{one!a}, {two!a}" for one, two in archive.alike(packed.members)))
    named = naming.wheel(artifact.name)
    if named is None:
        yield common.FILE_NAME.found()
    found = _read(packed)
    if named is not None:
        yield from metadata.held(found.metadata, named)
        _hold_folders(found, named)
        said = frozenset(tag.lower() for tag in found.wheel.all("Tag"))
        if said != named.tags:
            yield reasons.TAGS.found(", ".join(sorted(said))[:200])
    yield from _recorded(found)
    doubles = placing.doubles(found.archive.members)
    yield from _each(reasons.COLLIDES, (f"{one!a}, {two!a}" for one, two in doubles))
    yield from _each(common.START, starters(found))


def release(artifact: Artifact) -> Release | None:
    """Which version of which project it is."""
    return metadata.release(opened(artifact).metadata)


def facts(artifact: Artifact) -> Iterator[tuple[str, str]]:
    """What is in it, for people."""
    found = opened(artifact)
    yield from metadata.facts(found.metadata)
    yield "tags", ", ".join(found.wheel.all("Tag"))[:200]
    yield "built by", ", ".join(found.wheel.all("Generator"))[:200]
    members = found.archive.members.values()
    yield "files", f"{sum(not each.is_folder for each in members)}, {sum(each.size for each in members):,} bytes"
    code = [each.name for each in members if each.name.endswith(_CODE) or ".so." in each.name]
    yield "native code", counted(len(code), "file") if code else "none"
    if begun := list(starters(found)):
        yield "at start-up", ", ".join(begun)[:200]


def starters(found: Wheel) -> Iterator[str]:
    """Files that Python looks at whenever it starts, once they are installed (site; PEP 829), or that are Python."""
    for member in found.archive.members.values():
        scheme, path = placing.of(member.name)
        top = path.partition("/")[0]
        is_imported = scheme == placing.PACKAGES and top.partition(".")[0] in _STARTERS
        is_code = scheme == placing.PACKAGES and path == top and _is_run(found.archive, member)
        is_python = scheme == placing.PREFIX and (path == _ENVIRONMENT or _PYTHON(path))
        if is_imported or is_code or is_python:
            yield member.name
    points = found.archive.members.get(f"{found.info}entry_points.txt")
    if points is not None:
        data = found.archive.whole(points, limits.PYTHON_METADATA_MAX)
        yield from (f"{points.name}: {name}" for name in placing.scripts(data) if _PYTHON(f"bin/{name}"))


def _is_run(packed: Archive, member: Member) -> bool:
    """Whether a line is code. Which characters end a line, and begin the file, depends on the version of Python."""
    if not member.name.endswith(".pth"):
        return member.name.endswith(".start")
    if member.size > limits.PYTHON_METADATA_MAX:
        return True
    text = packed.whole(member, limits.PYTHON_METADATA_MAX).decode("utf-8-sig", "replace")
    return any(line.startswith(("import ", "import\t")) for line in text.splitlines())


def _read(packed: Archive) -> Wheel:
    tops = {name.partition("/")[0] for name in packed.members if "/" in name}
    infos = [top for top in tops if top.endswith(_INFO)]
    if len(infos) != 1:
        raise BrokenError(reasons.DIST_INFO, f"{len(infos)} folders")
    info = f"{infos[0]}/"
    said = {}
    for name in ("METADATA", "WHEEL"):
        member = packed.members.get(info + name)
        if member is None:
            raise BrokenError(reasons.DIST_INFO, f"no {name}")
        said[name] = metadata.read(packed.whole(member, limits.PYTHON_METADATA_MAX))
    version = said["WHEEL"].only("Wheel-Version")
    if version.partition(".")[0] != "1":
        raise BrokenError(reasons.VERSION, ascii(version[:40]))
    return Wheel(packed, info, said["METADATA"], said["WHEEL"])


def _hold_folders(found: Wheel, named: Named) -> None:
    """Whether the folders of metadata and data are those of this project. Raises BrokenError."""
    for name in found.archive.members:
        top, slash, rest = name.partition("/")
        if not slash:
            continue
        if top.endswith(_INFO) and not _is_of(top.removesuffix(_INFO), named):
            raise BrokenError(reasons.DIST_INFO, ascii(top))
        place = rest.partition("/")[0]
        if top.endswith(_DATA) and not (_is_of(top.removesuffix(_DATA), named) and (place in _PLACES or not rest)):
            raise BrokenError(reasons.DATA_FOLDER, ascii(name[:200]))


def _is_of(folder: str, named: Named) -> bool:
    project, _, version = folder.rpartition("-")
    return naming.same(named, project, version.replace("_", "-"))


def _recorded(found: Wheel) -> Iterator[Finding]:
    """Whether the files are those of RECORD, each looked at once."""
    packed, own = found.archive, f"{found.info}RECORD"
    member = packed.members.get(own)
    if member is None:
        raise BrokenError(reasons.RECORD_FORM, "there is none")
    rows = record.read(packed.whole(member, limits.PYTHON_RECORD_MAX))
    apart = {own, *(found.info + name for name in _SIGNATURES)}
    signed = [name for name in packed.members if name in apart - {own}]
    if signed:
        yield reasons.RECORD_SIGNED.found(", ".join(signed))
    wrong: dict[Reason, list[str]] = {}
    for each in packed.members.values():
        reason = _compared(packed, each, rows.get(each.name), apart)
        if reason is not None:
            wrong.setdefault(reason, []).append(ascii(each.name))
    if missing := [ascii(path) for path in rows if path not in packed.members]:
        wrong[reasons.RECORD_MISSING] = missing
    for reason, names in wrong.items():
        yield from _each(reason, names)
    if not wrong:
        yield reasons.RECORD_HOLDS.found(f"{len(rows)} files")


def _compared(packed: Archive, member: Member, row: Row | None, apart: Iterable[str]) -> Reason | None:
    """What is wrong with a member, if something is; its bytes are read in any case."""
    hasher = hashlib.new(row.algorithm, usedforsecurity=False) if row is not None and row.algorithm else None
    for piece in packed.content(member):
        if hasher is not None:
            hasher.update(piece)
    if row is None:
        return None if member.is_folder or member.name in apart else reasons.RECORD_UNLISTED
    if hasher is None:
        return None if member.is_folder or member.name in apart else reasons.RECORD_WEAK
    holds = hasher.digest() == row.digest and row.size in (None, member.size)
    return None if holds else reasons.RECORD_CHANGED


def _each(reason: Reason, names: Iterable[str]) -> Iterator[Finding]:
    """A finding for each name, up to so many."""
    for number, name in enumerate(names):
        if number == limits.PYTHON_NAMED_MAX:
            yield reason.found("and others")
            return
        yield reason.found(name[:300], subject=name[:300])
