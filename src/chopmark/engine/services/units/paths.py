"""Where systemd looks for units, the first place that counts first (systemd.unit(5), unit file load path)."""

from __future__ import annotations

from chopmark.core.named import NamedTuple

SYSTEM = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/run/systemd/generator.late",
)
_USER_BEFORE = ("/etc/xdg/systemd/user", "/etc/systemd/user", "/run/systemd/user")
_USER_AFTER = (
    "/usr/local/share/systemd/user",
    "/usr/share/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
)


class Scope(NamedTuple):
    """A manager: the system's, that of all users, or one user's own."""

    name: str
    folders: tuple[str, ...]
    admin: str
    home: str = ""

    @property
    def is_system(self) -> bool:
        """Whether it is the system's."""
        return self.name == "system"


def system() -> Scope:
    """The system manager."""
    return Scope("system", SYSTEM, "/etc/systemd/system")


def users() -> Scope:
    """What the managers of all users have in common."""
    return Scope("user", (*_USER_BEFORE, *_USER_AFTER), "/etc/systemd/user")


def user(name: str, home: str, number: int) -> Scope:
    """The manager of one user, in the folders that the XDG rules have where no variable says otherwise."""
    run = f"/run/user/{number}/systemd"
    folders = (
        f"{home}/.config/systemd/user.control",
        f"{run}/user.control",
        f"{run}/transient",
        f"{run}/generator.early",
        f"{home}/.config/systemd/user",
        *_USER_BEFORE[:2],
        f"{run}/user",
        _USER_BEFORE[2],
        f"{run}/generator",
        f"{home}/.local/share/systemd/user",
        *_USER_AFTER,
        f"{run}/generator.late",
    )
    return Scope(f"user {name}", folders, f"{home}/.config/systemd/user", home)
