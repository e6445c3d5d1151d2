"""Folders of which every program is run when something happens, and init scripts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.engine.services.commands import Found
from chopmark.engine.services.entry import Call, Entry
from chopmark.engine.services.host import RUN_PARTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.engine.services.host import Host


class _Folder(NamedTuple):
    """Where such programs stand; `name` is what their names must be, `must_execute` whether they are executed.

    Without a `name` they are what run-parts heeds on this host.
    """

    kind: str
    path: str
    name: re.Pattern[str] | None = RUN_PARTS
    must_execute: bool = True


_ANY = re.compile(r"[^.].*")
_FOLDERS = (
    *(_Folder("cron", f"/etc/cron.{each}", None) for each in ("hourly", "daily", "weekly", "monthly", "yearly")),
    *(_Folder("cron", f"/etc/periodic/{each}") for each in ("15min", "hourly", "daily", "weekly", "monthly")),
    _Folder("init", "/etc/local.d", re.compile(r".+\.(?:start|stop)")),
    *(_Folder("network hook", f"/etc/network/{each}") for each in
      ("if-pre-up.d", "if-up.d", "if-down.d", "if-post-down.d")),
    *(_Folder("network hook", f"{base}/NetworkManager/dispatcher.d{below}", _ANY) for base in ("/etc", "/usr/lib")
      for below in ("", "/pre-up.d", "/pre-down.d", "/no-wait.d")),
    *(_Folder("network hook", f"{base}/networkd-dispatcher/{state}.d", _ANY) for base in ("/etc", "/usr/lib")
      for state in ("carrier", "configured", "degraded", "dormant", "no-carrier", "off", "routable")),
    *(_Folder("network hook", f"/etc/ppp/{each}", RUN_PARTS) for each in ("ip-up.d", "ip-down.d", "ipv6-up.d",
    "ipv6-down.d")),
    *(_Folder("dhcp hook", f"/etc/dhcp/dhclient-{each}-hooks.d", _ANY, must_execute=False) for each in ("enter",
    "exit")),
    _Folder("login message", "/etc/update-motd.d"),
    *(_Folder("kernel hook", f"{base}/kernel/{each}", RUN_PARTS) for base in ("/etc", "/usr/share")
      for each in ("preinst.d", "postinst.d", "prerm.d", "postrm.d")),
    *(_Folder("kernel hook", f"{base}/kernel/install.d", re.compile(r".+\.install")) for base in ("/etc", "/usr/lib")),
    *(_Folder("suspend hook", f"{base}/pm-utils/sleep.d", _ANY) for base in ("/etc", "/usr/lib")),
)  # fmt: skip
_SCRIPTS = ("/etc/rc.local", "/etc/rc.d/rc.local", "/etc/ppp/ip-up", "/etc/ppp/ip-down")
_LEVEL = re.compile(r"[SK][0-9]{2}(.+)")


def entries(host: Host) -> Iterator[Entry]:
    """One entry for each program."""
    for folder in _FOLDERS:
        for name, path in host.files(folder.path):
            if name == ".placeholder":
                continue
            if not (folder.name or host.run_parts_names).fullmatch(name):
                yield Entry(folder.kind, path, (), state="ignored")
            else:
                yield _program(host, folder.kind, path, must_execute=folder.must_execute)
    for path in _SCRIPTS:
        if host.root.get(path) is not None:
            yield _program(host, "init", path)
    yield from _init(host)
    yield from _inittab(host)


def _program(host: Host, kind: str, path: str, *, must_execute: bool = True) -> Entry:
    found = host.root.get(path)
    if found is None or (found.is_file and must_execute and not found.is_program):
        return Entry(kind, path, (), state="disabled" if found else "dangling")
    if not must_execute:
        return host.code(kind, path, path, state="enabled")
    return Entry(kind, path, (), (Call(path).start(path),), state="enabled")


def _init(host: Host) -> Iterator[Entry]:
    """Init scripts; systemd makes units of those that have none of the same name (systemd-sysv-generator(8))."""
    enabled = set()
    for level in "0123456S":
        for folder in (f"/etc/rc{level}.d", f"/etc/rc.d/rc{level}.d"):
            for name, _ in host.files(folder):
                if (match := _LEVEL.fullmatch(name)) is not None and name.startswith("S"):
                    enabled.add(match[1])
    for name, path in host.files("/etc/init.d"):
        if name.startswith(".") or name in ("README", "skeleton"):
            continue
        entry = _program(host, "init", path)
        if entry.state == "enabled" and name not in enabled:
            entry = entry._replace(state="disabled")
        yield entry


def _inittab(host: Host) -> Iterator[Entry]:
    """/etc/inittab: id, run levels, action, process (inittab(5))."""
    path = "/etc/inittab"
    for line in host.lines(path):
        fields = line.text.strip().split(":", 3)
        if line.text.lstrip().startswith("#") or len(fields) != 4 or not fields[3]:  # noqa: PLR2004 - as above
            continue
        where = f"{path}:{line.number}"
        found = Found()
        found.script(fields[3].lstrip("+"), Call(where))
        yield Entry("init", where, (path,), tuple(found.starts), tuple(found.findings), "enabled")
