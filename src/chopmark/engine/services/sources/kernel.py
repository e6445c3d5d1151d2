"""What devices and kernel modules start: udev rules (udev(7)), and commands and modules by modprobe.d(5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.engine.services import reasons
from chopmark.engine.services.commands import Found
from chopmark.engine.services.entry import Call, Entry
from chopmark.engine.services.units import words
from chopmark.engine.services.units.specifiers import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.engine.services.host import Host, Line

_RULES = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/lib/udev/rules.d",
          "/usr/lib/udev/rules.d")  # fmt: skip
_PROGRAMS = ("/usr/lib/udev", "/lib/udev")
"""Where programs stand that rules name without a folder."""
_TOKEN = re.compile(
    r"""[\s,]*([A-Z_]+)(?:\{([^}]*)\})?\s*(==|!=|\+=|-=|:=|=)\s*
    (?: i?"((?:\\"|[^"])*+)" | i?ei?"((?:\\.|[^"\\])*+)" )\s*""",
    re.DOTALL | re.VERBOSE,
)
"""A key with a value, in which only a quote can be escaped, whatever is before the backslash; with `e` all is."""
_SUBSTITUTION = re.compile(r"\$(?:\$|[a-z]+(?:\{[^}]*\})?)|%(?:%|[a-zA-Z](?:\{[^}]*\})?)")
_WITHOUT_BRACES = re.compile(r"\$(?:\$|[a-z]+)|%(?:%|[a-zA-Z])")
"""The same where no brace is closed any more, which nothing then looks for."""
_MODPROBE = (
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
)
_LOAD = ("/etc/modules-load.d", "/run/modules-load.d", "/usr/local/lib/modules-load.d", "/usr/lib/modules-load.d",
         "/lib/modules-load.d")  # fmt: skip


def entries(host: Host) -> Iterator[Entry]:
    """Each file of rules, of commands, and of modules to load."""
    for name, path in host.chosen(_RULES, ".rules"):
        yield Entry("udev", name, (path,), state="masked") if host.is_masked(path) else _rules(host, name, path)
    for name, path in host.chosen(_MODPROBE, ".conf"):
        entry = _modprobe(host, name, path)
        if entry is not None:
            yield entry
    for name, path in host.chosen(_LOAD, ".conf"):
        yield Entry("modules", name, (path,), state="masked" if host.is_masked(path) else "enabled")
    if host.root.get("/etc/modules") is not None:
        yield host.code("modules", "/etc/modules", "/etc/modules", state="enabled")


def _rules(host: Host, name: str, path: str) -> Entry:
    lines, findings = host.text(path)
    found = Found()
    # A comment is one wherever it stands, and no line continues it (udev-rules.c, udev_rules_parse_file).
    heeded = [line for line in lines if not line.text.lstrip().startswith("#")]
    for line in _joined(heeded):
        if not line.text.strip():
            continue
        where = f"{path}:{line.number}"
        place, end = 0, len(line.text.rstrip())
        while place < end:
            match = _TOKEN.match(line.text, place)
            if match is None:
                findings.append(reasons.LINE.found(line.text[place : place + 80].strip(), subject=where))
                break
            place = match.end()
            _token(found, match, Call(where, _PROGRAMS))
    return Entry("udev", name, (path,), tuple(found.starts), (*findings, *found.findings), "enabled")


def _joined(lines: list[Line]) -> Iterator[Line]:
    """Lines with those that continue them."""
    held = ""
    first = 0
    for line in lines:
        first = first if held else line.number
        if line.text.endswith("\\"):
            held += line.text[:-1]
            continue
        yield line._replace(number=first, text=held + line.text)
        held = ""
    if held:
        yield lines[-1]._replace(number=first, text=held)


def _token(found: Found, match: re.Match[str], call: Call) -> None:
    key, attribute, _, plain, escaped = match.groups()
    value = plain.replace('\\"', '"') if plain is not None else words.unescaped(escaped)
    if key == "ENV" and attribute and value:  # what a device has is in the environment of what is run for it
        found.environment([(attribute, _known(value))], call)
    runs = (
        (key == "RUN" and attribute in (None, "program"))
        or key == "PROGRAM"
        or (key, attribute) == ("IMPORT", "program")
    )
    if not runs or not value:
        return
    argv = words.quoted_words(_known(value))
    if argv:
        found.command(argv, call)


def _known(value: str) -> str:
    """A value with what is substituted in it unknown."""
    end = value.rfind("}") + 1
    parts = ((_SUBSTITUTION, value[:end]), (_WITHOUT_BRACES, value[end:]))
    return "".join(
        pattern.sub(lambda each: each[0][1] if each[0] in ("$$", "%%") else UNKNOWN, part) for pattern, part in parts
    )


def _modprobe(host: Host, name: str, path: str) -> Entry | None:
    """`install` and `remove` are run by a shell in place of loading a module."""
    lines, findings = host.text(path)
    found = Found()
    for line in _joined(lines):
        parts = line.text.split(None, 2)
        if parts[:1] and parts[0] in ("install", "remove") and len(parts) == 3:  # noqa: PLR2004 - with a module and a command
            call = Call(f"{path}:{line.number}")
            found.command(["/bin/sh", "-c", parts[2].replace("$CMDLINE_OPTS", "")], call)
    if not found.starts and not found.findings and not findings:
        return None
    return Entry("modprobe", name, (path,), tuple(found.starts), (*findings, *found.findings), "enabled")
