"""Files that shells, sessions and PowerShell read when they start (T1546.004, T1546.013)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import UnreadableError
from chopmark.core.named import NamedTuple
from chopmark.engine.services.commands import Found
from chopmark.engine.services.entry import Call, Entry
from chopmark.engine.services.host import assembled, lines_of, unreadable
from chopmark.engine.services.units import environment
from chopmark.engine.services.units.specifiers import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark.engine.services.host import Host, User

_SYSTEM = (
    "/etc/profile", "/etc/bash.bashrc", "/etc/bashrc", "/etc/bash.bash_logout", "/etc/inputrc",
    *(f"{folder}/{name}" for folder in ("/etc", "/etc/zsh")
      for name in ("zshenv", "zprofile", "zshrc", "zlogin", "zlogout")),
    "/etc/ksh.kshrc", "/etc/mkshrc", "/etc/csh.cshrc", "/etc/csh.login", "/etc/csh.logout", "/etc/fish/config.fish",
    "/etc/X11/Xsession", "/etc/X11/xinit/xinitrc", "/etc/X11/xinit/xserverrc",
    "/etc/ssh/sshrc",
)  # fmt: skip
_FOLDERS = (("/etc/profile.d", ".sh"), ("/etc/profile.d", ".csh"), ("/etc/bash_completion.d", ""),
            ("/etc/fish/conf.d", ".fish"),
            ("/usr/share/fish/vendor_conf.d", ".fish"), ("/etc/X11/Xsession.d", ""), ("/etc/X11/xinit/xinitrc.d",
            ""), ("/etc/xdg/plasma-workspace/env", ".sh"), ("/etc/xdg/plasma-workspace/shutdown", ".sh"))  # fmt: skip
_HOME = (
    ".profile", ".bash_profile", ".bash_login", ".bashrc", ".bash_logout", ".bash_aliases", ".zshenv", ".zprofile",
    ".zshrc",
    ".zlogin", ".zlogout", ".kshrc", ".mkshrc", ".cshrc", ".tcshrc", ".login", ".logout", ".xprofile", ".xinitrc",
    ".xserverrc", ".xsession", ".xsessionrc", ".Xsession", ".config/fish/config.fish", ".vimrc", ".ssh/rc",
)  # fmt: skip
_HOME_FOLDERS = ((".config/fish/conf.d", ".fish"), (".bashrc.d", ""), (".config/plasma-workspace/env", ".sh"),
                 (".config/plasma-workspace/shutdown", ".sh"), (".config/autostart-scripts", ""))  # fmt: skip
_POWERSHELL = ("profile.ps1", "Microsoft.PowerShell_profile.ps1", "Microsoft.VSCode_profile.ps1")
_POWERSHELL_HOMES = ("/opt/microsoft/powershell", "/usr/local/microsoft/powershell", "/usr/lib/powershell",
                     "/snap/powershell/current/opt/powershell")  # fmt: skip
_ENVIRONMENT = ("/etc/environment", "/etc/default/locale")
_ENVIRONMENT_FOLDERS = (
    "/etc/environment.d",
    "/run/environment.d",
    "/usr/local/lib/environment.d",
    "/usr/lib/environment.d",
)
_PAM_VALUE = re.compile(r'(?:DEFAULT|OVERRIDE)=(?:"([^"]*)"?|(\S*))')


def entries(host: Host) -> Iterator[Entry]:
    """One entry for each file that there is."""
    for path in _SYSTEM:
        yield from _there(host, "profile", path)
    for folder, suffix in _FOLDERS:
        for _, path in host.chosen((folder,), suffix):
            yield from _there(host, "profile", path)
    yield from _powershell(host)
    for path in _ENVIRONMENT:
        yield from _environment(host, path, "system", _plain)
    yield from _environment(host, "/etc/security/pam_env.conf", "system", _of_pam)
    for _, path in host.chosen(_ENVIRONMENT_FOLDERS, ".conf"):
        yield from _environment(host, path, "system", _of_systemd)
    for user in host.users:
        yield from _of_user(host, user)


def _of_user(host: Host, user: User) -> Iterator[Entry]:
    scope = f"user {user.name}"
    for name in _HOME:
        yield from _there(host, "profile", f"{user.home}/{name}", scope)
    for folder, suffix in _HOME_FOLDERS:
        for _, path in host.chosen((f"{user.home}/{folder}",), suffix):
            yield from _there(host, "profile", path, scope)
    for name in _POWERSHELL:
        yield from _there(host, "powershell profile", f"{user.home}/.config/powershell/{name}", scope)
    for read in (_plain, _of_pam):
        yield from _environment(host, f"{user.home}/.pam_environment", scope, read)
    for _, path in host.chosen((f"{user.home}/.config/environment.d",), ".conf"):
        yield from _environment(host, path, scope, _of_systemd)


def _there(host: Host, kind: str, path: str, scope: str = "system") -> Iterator[Entry]:
    found = host.root.get(path)
    if found is not None and found.is_file:
        yield host.code(kind, path, path, scope=scope, state="enabled")


def _powershell(host: Host) -> Iterator[Entry]:
    """Profiles of all users stand beside the program (about_Profiles)."""
    for home in _POWERSHELL_HOMES:
        for name in _POWERSHELL:
            yield from _there(host, "powershell profile", f"{home}/{name}")
        for version, _, is_folder in host.root.names(home):
            if is_folder:
                for name in _POWERSHELL:
                    yield from _there(host, "powershell profile", f"{home}/{version}/{name}")


def _environment(host: Host, path: str, scope: str, read: Callable[[bytes], Iterator[_Assigned]]) -> Iterator[Entry]:
    """Variables of all sessions: of interest where they load something."""
    found = host.root.get(path)
    if found is None or not found.is_file:
        return
    try:
        data = host.root.read(path, limits.SERVICE_FILE_MAX)
    except UnreadableError as error:
        yield Entry("environment", path, (path,), (), (unreadable(path, error),), "enabled", scope)
        return
    collected = Found()
    for name, value, number in read(data):
        collected.environment(((name, value),), Call(f"{path}:{number}" if number else path))
    if collected.starts or collected.findings:
        yield Entry("environment", path, (path,), tuple(collected.starts), tuple(collected.findings), "enabled", scope)


class _Assigned(NamedTuple):
    """A variable, its value, and the line that says so (0: not known)."""

    name: str
    value: str
    number: int = 0


def _plain(data: bytes) -> Iterator[_Assigned]:
    """/etc/environment: NAME=VALUE, in quotes or not (pam_env(8))."""
    for line in lines_of(data):
        name, equals, value = line.text.strip().removeprefix("export ").partition("=")
        if equals:
            yield _Assigned(name.strip(), value.strip().strip("\"'"), line.number)


def _of_systemd(data: bytes) -> Iterator[_Assigned]:
    for name, value in environment.assignments(data):
        yield _Assigned(name, value)


def _of_pam(data: bytes) -> Iterator[_Assigned]:
    """NAME [DEFAULT=VALUE] [OVERRIDE=VALUE] (pam_env.conf(5)); what is expanded in a value is unknown."""
    for line in assembled(lines_of(data)):
        name, _, rest = line.text.replace("\t", " ").partition(" ")
        for match in _PAM_VALUE.finditer(rest):
            value = match[1] if match[1] is not None else match[2]
            end = value.rfind("}") + 1  # so that each beginning has an end, and none is looked for in vain
            known = re.sub(r"[$@]\{[^}]*\}", UNKNOWN, value[:end]) + value[end:]
            yield _Assigned(name, known, line.number)
