"""Interpreters that the kernel starts for other files (binfmt.d(5), update-binfmts(8); T1546), and its own helpers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.engine.services import reasons
from chopmark.engine.services.commands import Found
from chopmark.engine.services.entry import Call, Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark.engine.services.host import Host, Line

_BASES = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
_INTERPRETER = 6
"""The field of a line that begins with its separator: name, type, offset, magic, mask, interpreter, flags."""
_DEBIAN = "/usr/share/binfmts"
_HELPERS = ("kernel.modprobe", "kernel.hotplug", "kernel.poweroff_cmd")
"""Programs that the kernel runs by itself (Documentation/admin-guide/sysctl/kernel.rst)."""
_PIPED = "kernel.core_pattern"


class _Told(NamedTuple):
    """A program, and the line that names it."""

    argv: list[str]
    number: int


def entries(host: Host) -> Iterator[Entry]:
    """Each file that names a program."""
    for name, path in host.chosen(tuple(f"{base}/binfmt.d" for base in _BASES), ".conf"):
        yield from _entry(host, "binfmt", name, path, _registered)
    for name, path in host.files(_DEBIAN):
        yield from _entry(host, "binfmt", name, path, _of_debian)
    for name, path in host.chosen(tuple(f"{base}/sysctl.d" for base in _BASES), ".conf"):
        yield from _entry(host, "sysctl", name, path, _helpers)
    if host.root.get("/etc/sysctl.conf") is not None:
        yield from _entry(host, "sysctl", "sysctl.conf", "/etc/sysctl.conf", _helpers)


def _entry(
    host: Host, kind: str, name: str, path: str, read: Callable[[list[Line]], Iterator[_Told]]
) -> Iterator[Entry]:
    if host.is_masked(path):
        return
    lines, findings = host.text(path)
    found = Found()
    for argv, number in read(lines):
        where = f"{path}:{number}"
        if argv:
            found.command(argv, Call(where))
        else:
            findings.append(reasons.LINE.found(subject=where))
    if found.starts or found.findings or findings:
        yield Entry(kind, name, (path,), tuple(found.starts), (*findings, *found.findings), "enabled")


def _registered(lines: list[Line]) -> Iterator[_Told]:
    """What the kernel is given as it is (Documentation/admin-guide/binfmt-misc.rst)."""
    for line in lines:
        text = line.text.strip()
        if not text or text[0] in "#;":
            continue
        fields = text.split(text[0])
        if len(fields) > _INTERPRETER:
            yield _Told([fields[_INTERPRETER]] if fields[_INTERPRETER] else [], line.number)


def _of_debian(lines: list[Line]) -> Iterator[_Told]:
    for line in lines:
        word, _, value = line.text.strip().partition(" ")
        if word in ("interpreter", "detector") and value.strip():
            yield _Told([value.strip()], line.number)


def _helpers(lines: list[Line]) -> Iterator[_Told]:
    """NAME = VALUE, with dots or slashes in the name, and a `-` before it (sysctl.d(5))."""
    for line in lines:
        text = line.text.strip()
        if not text or text[0] in "#;":
            continue
        name, _, value = text.partition("=")
        name = name.strip().removeprefix("-").strip().replace("/", ".")
        value = value.strip()
        if name in _HELPERS and value:
            yield _Told([value], line.number)
        elif name == _PIPED and value.startswith("|"):
            yield _Told(value[1:].split(), line.number)
