"""Files that shells, sessions and PowerShell read when they start (T1546.004, T1546.013)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.engine.services.commands import Found
from chopmark.engine.services.entry import Call, Entry
from chopmark.engine.services.host import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.engine.services.host import Host, User

_SYSTEM = (
    "/etc/profile", "/etc/bash.bashrc", "/etc/bashrc", "/etc/bash.bash_logout", "/etc/inputrc",
    *(f"{folder}/{name}" for folder in ("/etc", "/etc/zsh")
      for name in ("zshenv", "zprofile", "zshrc", "zlogin", "zlogout")),
    "/etc/ksh.kshrc", "/etc/mkshrc", "/etc/csh.cshrc", "/etc/csh.login", "/etc/csh.logout", "/etc/fish/config.fish",
    "/etc/X11/Xsession", "/etc/X11/xinit/xinitrc", "/etc/X11/xinit/xserverrc",
)  # fmt: skip
_FOLDERS = (("/etc/profile.d", ".sh"), ("/etc/profile.d", ".csh"), ("/etc/bash_completion.d", ""),
            ("/etc/fish/conf.d", ".fish"),
            ("/usr/share/fish/vendor_conf.d", ".fish"), ("/etc/X11/Xsession.d", ""), ("/etc/X11/xinit/xinitrc.d",
            ""))  # fmt: skip
_HOME = (
    ".profile", ".bash_profile", ".bash_login", ".bashrc", ".bash_logout", ".bash_aliases", ".zshenv", ".zprofile",
    ".zshrc",
    ".zlogin", ".zlogout", ".kshrc", ".mkshrc", ".cshrc", ".tcshrc", ".login", ".logout", ".xprofile", ".xinitrc",
    ".xserverrc", ".xsession", ".xsessionrc", ".Xsession", ".config/fish/config.fish", ".vimrc", ".ssh/rc",
)  # fmt: skip
_POWERSHELL = ("profile.ps1", "Microsoft.PowerShell_profile.ps1", "Microsoft.VSCode_profile.ps1")
_POWERSHELL_HOMES = ("/opt/microsoft/powershell", "/usr/local/microsoft/powershell", "/usr/lib/powershell",
                     "/snap/powershell/current/opt/powershell")  # fmt: skip
_ENVIRONMENT = ("/etc/environment", "/etc/default/locale", "/etc/security/pam_env.conf")


def entries(host: Host) -> Iterator[Entry]:
    """One entry for each file that there is."""
    for path in _SYSTEM:
        yield from _there(host, "profile", path)
    for folder, suffix in _FOLDERS:
        for _, path in host.chosen((folder,), suffix):
            yield from _there(host, "profile", path)
    yield from _powershell(host)
    for path in _ENVIRONMENT:
        yield from _environment(host, path, "system")
    for _, path in host.chosen(("/etc/environment.d", "/usr/lib/environment.d"), ".conf"):
        yield from _environment(host, path, "system")
    for user in host.users:
        yield from _of_user(host, user)


def _of_user(host: Host, user: User) -> Iterator[Entry]:
    scope = f"user {user.name}"
    for name in _HOME:
        yield from _there(host, "profile", f"{user.home}/{name}", scope)
    for _, path in host.chosen((f"{user.home}/.config/fish/conf.d",), ".fish"):
        yield from _there(host, "profile", path, scope)
    for name in _POWERSHELL:
        yield from _there(host, "powershell profile", f"{user.home}/.config/powershell/{name}", scope)
    yield from _environment(host, f"{user.home}/.pam_environment", scope)
    for _, path in host.chosen((f"{user.home}/.config/environment.d",), ".conf"):
        yield from _environment(host, path, scope)


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


def _environment(host: Host, path: str, scope: str) -> Iterator[Entry]:
    """Variables of all sessions: of interest where they load something."""
    found = host.root.get(path)
    if found is None or not found.is_file:
        return
    lines, findings = host.text(path)
    collected = Found()
    for line in lines or lines_of(b""):
        name, equals, value = line.text.strip().removeprefix("export ").partition("=")
        if equals:
            collected.environment(((name.strip(), value.strip().strip("\"'")),), Call(f"{path}:{line.number}"))
    if collected.starts or collected.findings or findings:
        starts, all_findings = tuple(collected.starts), (*findings, *collected.findings)
        yield Entry("environment", path, (path,), starts, all_findings, "enabled", scope)
