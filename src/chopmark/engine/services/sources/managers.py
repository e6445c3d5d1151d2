"""Settings of systemd's managers: the variables of everything that they start (systemd-system.conf(5))."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import UnreadableError
from chopmark.engine.services import reasons
from chopmark.engine.services.commands import Found
from chopmark.engine.services.entry import Call, Entry
from chopmark.engine.services.host import unreadable
from chopmark.engine.services.units import environment, text
from chopmark.engine.services.units.specifiers import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.finding import Finding
    from chopmark.engine.services.host import Host
    from chopmark.engine.services.units.text import Setting

_MANAGERS = (("system.conf", "system"), ("user.conf", "user"))
_PLACES = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd")
_KEYS = ("DefaultEnvironment", "ManagerEnvironment")


def entries(host: Host) -> Iterator[Entry]:
    """One entry for each manager whose settings have variables, made of the files that set them."""
    for name, scope in _MANAGERS:
        findings: list[Finding] = []
        settings = [each for path in _files(host, name) for each in _settings(host, path, findings)]
        found = Found()
        for each in _in_force(settings):
            problems: list[str] = []
            call = Call(each.where)
            found.environment(tuple(environment.listed(each.value, _expanded, problems)), call)
            findings += [reasons.UNIT_LINE.found(f"{each.key}: {problem}", subject=each.where) for problem in problems]
        files = tuple(dict.fromkeys(each.path for each in settings))
        if files or findings:
            yield Entry("manager", name, files, tuple(found.starts), (*findings, *found.findings), "enabled", scope)


def _files(host: Host, name: str) -> Iterator[str]:
    """The file of the first place that has it, then the drop-ins in the order of their names."""
    yield from [path for place in _PLACES if host.root.get(path := f"{place}/{name}") is not None][:1]
    for _, path in host.chosen(tuple(f"{place}/{name}.d" for place in _PLACES), ".conf"):
        if not host.is_masked(path):
            yield path


def _settings(host: Host, path: str, findings: list[Finding]) -> list[Setting]:
    try:
        found = text.read(host.root.read(path, limits.SERVICE_FILE_MAX), path)
    except UnreadableError as error:
        findings.append(unreadable(path, error))
        return []
    findings += found.findings
    return [each for each in found.settings if each.section == "Manager" and each.key in _KEYS]


def _in_force(settings: list[Setting]) -> list[Setting]:
    """Without those that an empty assignment takes back."""
    last = {each.key: number for number, each in enumerate(settings) if not each.value}
    return [each for number, each in enumerate(settings) if number > last.get(each.key, -1)]


def _expanded(value: str) -> str:
    return re.sub(r"%(.)", lambda found: "%" if found[1] == "%" else UNKNOWN, value, flags=re.DOTALL)
