"""Files of the desktop: what starts with a session (XDG autostart), and what D-Bus starts when somebody calls."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.engine.services import reasons
from chopmark.engine.services.commands import Found
from chopmark.engine.services.entry import Call, Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.finding import Finding
    from chopmark.engine.services.host import Host, Line

_AUTOSTART = ("/etc/xdg/autostart", "/usr/local/share/gnome/autostart", "/usr/share/gnome/autostart")
"""Each of them is read; gnome-session looks among the data as well."""
_SYSTEM_BUS = (
    "/etc/dbus-1/system-services",
    "/run/dbus-1/system-services",
    "/usr/local/share/dbus-1/system-services",
    "/usr/share/dbus-1/system-services",
    "/lib/dbus-1/system-services",
)
_SESSION_BUS = ("/etc/dbus-1/services", "/usr/local/share/dbus-1/services", "/usr/share/dbus-1/services")
_ESCAPES = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
_FIELD = re.compile(r"%(.)")
_QUOTED = re.compile(r"[ \t\n]*(?:\"((?:[^\"\\]|\\.)*)\"|([^ \t\n\"]+))", re.DOTALL)


def entries(host: Host) -> Iterator[Entry]:
    """One entry for each file."""
    for folder in _AUTOSTART:
        for _, path in host.chosen((folder,), ".desktop"):
            yield _autostart(host, path, "user")
    for user in host.users:
        for _, path in host.chosen((f"{user.home}/.config/autostart",), ".desktop"):
            yield _autostart(host, path, f"user {user.name}")
        for _, path in host.chosen((f"{user.home}/.local/share/dbus-1/services",), ".service"):
            yield _bus(host, path, f"user {user.name}")
    for _, path in host.chosen(_SYSTEM_BUS, ".service"):
        yield _bus(host, path, "system")
    for _, path in host.chosen(_SESSION_BUS, ".service"):
        yield _bus(host, path, "user")


class _Value(NamedTuple):
    """A value and the line that it stands in."""

    text: str
    number: int


def _keys(lines: list[Line], group: str) -> dict[str, list[_Value]]:
    """The keys of one group of a desktop file, each with all of its values."""
    found: dict[str, list[_Value]] = {}
    here = ""
    for line in lines:
        text = line.text.strip()
        if text.startswith("[") and text.endswith("]"):
            here = text[1:-1]
        elif here == group and not text.startswith("#"):
            key, equals, value = text.partition("=")
            if equals:
                found.setdefault(key.strip(), []).append(_Value(value.strip(), line.number))
    return found


def _autostart(host: Host, path: str, scope: str) -> Entry:
    """An application that starts with the session (Desktop Application Autostart Specification).

    Of a key that is there twice, which must not be, systemd takes the first value and GLib the last: all of them count.
    """
    lines, findings = host.text(path)
    keys = _keys(lines, "Desktop Entry")
    hidden, commands = keys.get("Hidden", []), [each for each in keys.get("Exec", []) if each.text]
    if (hidden and all(each.text == "true" for each in hidden)) or not commands:
        return Entry("autostart", path, (path,), (), tuple(findings), "disabled", scope)
    found = Found()
    for command in commands:
        where = f"{path}:{command.number}"
        argv = _command_line(command.text)
        if argv:
            found.command(argv, Call(where))
        else:
            findings.append(reasons.LINE.found(command.text[:200], subject=where))
    return Entry("autostart", path, (path,), tuple(found.starts), (*findings, *found.findings), "enabled", scope)


def _command_line(text: str) -> list[str]:
    """The words of Exec= (Desktop Entry Specification, the Exec key); none where it is not written so."""
    value = re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), text)
    argv: list[str] = []
    place, end = 0, len(value.rstrip())
    while place < end:
        match = _QUOTED.match(value, place)
        if match is None:
            return []
        place = match.end()
        if match[1] is not None:
            argv.append(re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL))
            continue
        word = _FIELD.sub(lambda found: "%" if found[1] == "%" else "", match[2])
        if word:
            argv.append(word)
    return argv


def _bus(host: Host, path: str, scope: str) -> Entry:
    """A service that the bus activates (D-Bus Specification, message bus starting services); the first key counts."""
    lines, findings = host.text(path)
    keys = _keys(lines, "D-BUS Service")
    none = [_Value("", 0)]
    command, unit = keys.get("Exec", none)[0], keys.get("SystemdService", none)[0].text
    found = Found()
    if unit:
        return Entry("dbus", path, (path,), (), tuple(findings), f"through {unit}", scope)
    where = f"{path}:{command.number}"
    argv = _split(command.text, where, findings)
    if argv:
        found.command(argv, Call(where))
    return Entry("dbus", path, (path,), tuple(found.starts), (*findings, *found.findings), "enabled", scope)


def _split(command: str, where: str, findings: list[Finding]) -> list[str]:
    try:
        argv = shlex.split(command, comments=True)
    except ValueError:
        argv = []
    if not argv:
        findings.append(reasons.LINE.found(command[:200], subject=where))
    return argv
