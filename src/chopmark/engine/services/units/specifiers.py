"""What `%` and a letter stand for in a unit (systemd.unit(5), specifiers), as far as it is known without running it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.engine.services.units import names

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.engine.services.units.paths import Scope


class LineError(Exception):
    """A command line that systemd refuses; `is_ignored` when it says so itself with a `-`, or has no first word."""

    def __init__(self, text: str, *, is_ignored: bool = False) -> None:
        super().__init__(text)
        self.is_ignored = is_ignored


UNKNOWN = "\x00"
"""In place of what only the running system knows: identifiers, versions, names of the machine."""
_SPECIFIER = re.compile(r"%(.)", re.DOTALL)
_RUNNING = frozenset("aAbBdHlmMoqvwW")


def expander(name: str, fragment: str, scope: Scope) -> Callable[[str], str]:
    """A function that replaces specifiers in the settings of one unit; it raises LineError for unknown ones."""
    parsed = names.parse(name)
    if parsed is None:
        return lambda text: text
    known = _known(parsed, fragment, scope)

    def replaced(found: re.Match[str]) -> str:
        letter = found[1]
        if letter in _RUNNING:
            return UNKNOWN
        if letter not in known and letter.isalnum() and letter.isascii():
            raise LineError(f"no such specifier: {found[0]}")
        if letter == "f":
            _check_path(parsed.instance or parsed.prefix)
        return known.get(letter, found[0])

    return lambda text: _SPECIFIER.sub(replaced, text) if "%" in text else text


def _check_path(escaped: str) -> None:
    """Whether a part of a name stands for a path. Raises LineError."""
    if escaped != "-" and ("" in escaped.split("-")):
        raise LineError(f"no path: {escaped}")


def _known(parsed: names.UnitName, fragment: str, scope: Scope) -> dict[str, str]:
    instance = UNKNOWN if parsed.is_template else parsed.instance or ""
    last = parsed.prefix.rpartition("-")[2]
    whole = UNKNOWN if parsed.is_template else parsed.text
    path = names.unescape(parsed.instance or parsed.prefix)
    system = scope.is_system
    home = "/root" if system else scope.home or UNKNOWN
    who = "root" if system else scope.name.removeprefix("user ") if scope.home else UNKNOWN
    return {
        "%": "%",
        "n": whole,
        "N": UNKNOWN if parsed.is_template else whole.rpartition(".")[0],
        "p": parsed.prefix,
        "P": names.unescape(parsed.prefix),
        "i": instance,
        "I": instance if instance == UNKNOWN else names.unescape(instance),
        "j": last,
        "J": names.unescape(last),
        "f": UNKNOWN if parsed.is_template else "/" + path.lstrip("/"),
        "y": fragment,
        "Y": fragment.rpartition("/")[0],
        "t": "/run" if system else UNKNOWN,
        "S": "/var/lib" if system else f"{home}/.local/state",
        "C": "/var/cache" if system else f"{home}/.cache",
        "L": "/var/log" if system else f"{home}/.local/state/log",
        "E": "/etc" if system else f"{home}/.config",
        "D": "/usr/share" if system else f"{home}/.local/share",
        "T": "/tmp",  # noqa: S108 - what systemd puts there
        "V": "/var/tmp",  # noqa: S108
        "h": home,
        "s": "/bin/sh" if system else UNKNOWN,
        "u": who,
        "g": who,
        "U": "0" if system else UNKNOWN,
        "G": "0" if system else UNKNOWN,
    }
