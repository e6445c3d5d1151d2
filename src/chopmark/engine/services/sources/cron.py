"""cron, anacron and at: tables of commands, and folders of programs (crontab(5), anacrontab(5), at(1))."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.engine.services import reasons
from chopmark.engine.services.commands import Found
from chopmark.engine.services.entry import Call, Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.engine.services.host import Host, Line

_PATH = ("/usr/bin", "/bin")
"""Unless the table says otherwise (crontab(5))."""
_VARIABLE = re.compile(r"""\s*(["']?)([A-Za-z_]\w*)\1\s*=\s*(.*?)\s*""")
_TIMES = ("@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_FIELDS = 5
"""Minute, hour, day, month, weekday."""


class _Job(NamedTuple):
    when: str
    user: str
    command: str


def entries(host: Host) -> Iterator[Entry]:
    """One entry for each job of each table, and for each program in the folders."""
    yield from _table(host, "/etc/crontab", has_user=True)
    for name, path in host.files("/etc/cron.d"):
        if host.cron_names.fullmatch(name):
            yield from _table(host, path, has_user=True)
        elif name != ".placeholder":
            yield Entry("cron", path, (path,), state="ignored")
    for folder in ("/var/spool/cron/crontabs", "/var/spool/cron", "/var/spool/cron/tabs"):
        for name, path in host.files(folder):
            if not name.startswith("tmp."):
                yield from _table(host, path, has_user=False, scope=f"user {name}")
    yield from _anacron(host)
    for name, path in host.files("/var/spool/cron/atjobs"):
        if not name.startswith("."):
            found = Found()
            found.command(["/bin/sh", path], Call(path, _PATH))
            yield Entry("at", name, (path,), tuple(found.starts), state="enabled")


def _table(host: Host, path: str, *, has_user: bool, scope: str = "system") -> Iterator[Entry]:
    there = host.root.get(path)
    if there is None or not there.is_file:
        return
    lines, findings = host.text(path)
    if findings:
        yield Entry("cron", path, (path,), findings=tuple(findings), scope=scope)
        return
    variables: dict[str, str] = {}
    for line in lines:
        text = line.text.strip()
        if not text or text.startswith("#"):
            continue
        if (match := _VARIABLE.fullmatch(line.text)) is not None:
            variables[match[2]] = match[3].strip("\"'")
            continue
        yield _entry(path, line, _job(text, has_user=has_user), dict(variables), scope)


def _job(text: str, *, has_user: bool) -> _Job | None:
    """The parts of a line; None for one that cron does not accept."""
    count = 1 if text.startswith("@") else _FIELDS
    words = text.split(None, count + has_user)
    if len(words) != count + has_user + 1 or (count == 1 and words[0] not in _TIMES):
        return None
    return _Job(" ".join(words[:count]), words[count] if has_user else "", words[-1])


def _entry(path: str, line: Line, job: _Job | None, variables: dict[str, str], scope: str) -> Entry:
    where = f"{path}:{line.number}"
    if job is None:
        return Entry(
            "cron", where, (path,), findings=(reasons.LINE.found(subject=where),), state="ignored", scope=scope
        )
    folders = tuple(each for each in variables.get("PATH", "").split(":") if each.startswith("/")) or _PATH
    call = Call(where, folders, variables)
    found = Found()
    found.environment(tuple(variables.items()), call)
    found.command([variables.get("SHELL", "/bin/sh"), "-c", _command(job.command)], call)
    whose = f"user {job.user}" if job.user not in ("", "root") else scope
    return Entry("cron", where, (path,), tuple(found.starts), tuple(found.findings), "enabled", whose)


def _command(text: str) -> str:
    """A command up to the first `%` that is not escaped: what follows is given to it as input (crontab(5))."""
    return re.split(r"(?<!\\)%", text, maxsplit=1)[0].replace("\\%", "%")


def _anacron(host: Host) -> Iterator[Entry]:
    path = "/etc/anacrontab"
    variables: dict[str, str] = {}
    for line in host.lines(path):
        text = line.text.strip()
        if not text or text.startswith("#"):
            continue
        if (match := _VARIABLE.fullmatch(line.text)) is not None:
            variables[match[2]] = match[3]
            continue
        words = text.split(None, 3)
        job = _Job(words[0], "", words[3]) if len(words) == 4 else None  # noqa: PLR2004 - period, delay, name, command
        yield _entry(path, line, job, dict(variables), "system")._replace(kind="anacron")
