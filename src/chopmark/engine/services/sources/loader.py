"""What the dynamic loader loads into every program, and where it looks (ld.so(8), ldconfig(8); T1574.006)."""

from __future__ import annotations

import fnmatch
import os
import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.engine.services import reasons
from chopmark.engine.services.entry import Call, Entry, Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.finding import Finding
    from chopmark.engine.services.entry import Start
    from chopmark.engine.services.host import Host

_PRELOAD = "/etc/ld.so.preload"
_CONFIGURATION = "/etc/ld.so.conf"
LIBRARIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu",
             "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/lib/i386-linux-gnu", "/usr/lib/i386-linux-gnu",
             "/lib/arm-linux-gnueabihf", "/usr/lib/arm-linux-gnueabihf")  # fmt: skip
"""Where libraries are looked for that are named without a folder."""
_SPECIAL = "glibc-hwcaps"


def entries(host: Host) -> Iterator[Entry]:
    """The preloaded libraries, and each file with folders."""
    folders: list[str] = []
    files = list(_configured(host, folders))
    if host.root.get(_PRELOAD) is not None:
        yield _preload(host, (*dict.fromkeys((*folders, *LIBRARIES)),))
    yield from files


def _configured(host: Host, folders: list[str]) -> Iterator[Entry]:
    """The configuration and what it includes; the folders that they name are added to `folders`."""
    waiting = [_CONFIGURATION] if host.root.get(_CONFIGURATION) else []
    seen: dict[str, None] = {}
    while waiting:
        path = waiting.pop(0)
        if len(seen) == limits.SERVICE_INCLUDES_MAX:
            host.findings.append(reasons.UNREADABLE.found("too many files are included", subject=_CONFIGURATION))
            return
        if path in seen:
            continue
        seen[path] = None
        entry, included = _folders(host, path, folders)
        yield entry
        waiting += included


def _preload(host: Host, folders: tuple[str, ...]) -> Entry:
    """Names separated by blanks and colons; what follows a `#` is a comment."""
    lines, findings = host.text(_PRELOAD)
    starts: list[Start] = []
    for line in lines:
        call = Call(f"{_PRELOAD}:{line.number}", folders)
        for name in re.split(r"[ \t:]+", line.text.partition("#")[0]):
            if "$" in name:
                findings.append(reasons.OPAQUE.found(name, subject=call.where))
            elif name:
                findings.append(reasons.PRELOADED.found(name, subject=call.where))
                starts += [call.start(each, Role.LIBRARY) for each in _candidates(host, name, folders)]
    return Entry("loader", _PRELOAD, (_PRELOAD,), tuple(starts), tuple(findings), "enabled")


def _candidates(host: Host, name: str, folders: tuple[str, ...]) -> list[str]:
    """Where a library of this name stands: which one is loaded depends on the loader's cache, and on the processor.

    A folder's `glibc-hwcaps` comes before itself (ld.so(8), HWCAP SUBFOLDERS). The name alone where there is none.
    """
    if "/" in name:
        return [name]
    found = []
    for folder in folders:
        special = f"{folder}/{_SPECIAL}"
        kinds = [f"{special}/{kind}" for kind, _, _ in _names(host, special)]
        found += [path for each in (*kinds, folder) if host.root.get(path := f"{each}/{name}") is not None]
    return found or [name]


def _names(host: Host, folder: str) -> tuple[tuple[str, bool, bool], ...]:
    try:
        return host.root.names(folder)
    except OSError as error:
        host.findings.append(reasons.UNREADABLE.found(os.strerror(error.errno or 0), subject=folder))
        return ()


def _folders(host: Host, path: str, folders: list[str]) -> tuple[Entry, list[str]]:
    """Folders that everybody may write to, or that hold temporary files, are told; and the files that are included."""
    lines, findings = host.text(path)
    included: list[str] = []
    for line in lines:
        text = line.text.partition("#")[0].strip()
        where = f"{path}:{line.number}"
        if text.startswith("include"):
            for pattern in text.split()[1:]:
                included += _matching(host, pattern if pattern.startswith("/") else f"/etc/{pattern}")
        elif text and not text.startswith("hwcap"):
            folder = text.partition("=")[0].strip()
            folders.append(folder.rstrip("/"))
            findings += _folder_findings(host, folder, where)
    entry = Entry("loader", path, (path,), (), tuple(findings), "enabled")
    return entry, included


def _folder_findings(host: Host, folder: str, where: str) -> Iterator[Finding]:
    found = host.root.get(folder)
    if found is not None and found.exposed:
        yield reasons.WRITABLE.found(found.exposed[-1], subject=where)
    if found is not None and found.escapes:
        yield reasons.ESCAPE.found(folder, subject=where)
    if folder.startswith(("/tmp", "/var/tmp", "/dev/shm", "/home", "/root", "/run/user")):  # noqa: S108 - to be refused
        yield reasons.TEMPORARY.found(folder, subject=where)


def _matching(host: Host, pattern: str) -> list[str]:
    folder, _, name = pattern.rpartition("/")
    return [path for each, path in host.files(folder) if fnmatch.fnmatchcase(each, name)]
