"""Settings: command line, then CHOPMARK_* variables, then chopmark.toml, then defaults.

`[sign]` is read from chopmark.toml in the current folder or the configuration folder; `[verify]` from the configuration
folder alone, because a folder with code in it must not say whom to trust.
"""

from __future__ import annotations

import os
from typing import Any

from chopmark.core import places
from chopmark.core.errors import UsageError

NAME = "chopmark.toml"
_SWITCH = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}


def setting(given: Any, table: str, name: str, default: Any = None) -> Any:  # noqa: ANN401 - whatever TOML can hold
    """The value in force of one setting. Raises UsageError when a settings file is not TOML."""
    if given is not None:
        return given
    variable = os.environ.get(f"CHOPMARK_{name.upper()}")
    if variable:
        return variable
    files = [os.path.join(places.config(), NAME)]
    if table == "sign":
        files.insert(0, NAME)
    for file in files:
        value = _table(file, table).get(name)
        if value is not None:
            return value
    return default


def words(value: Any) -> list[str]:  # noqa: ANN401
    """A setting that may be a list, or words separated by commas."""
    if isinstance(value, list):
        return [str(item) for item in value]
    return [word.strip() for word in str(value).split(",") if word.strip()]


def text(value: Any, name: str) -> str:  # noqa: ANN401
    """A setting that is one piece of text. Raises UsageError for anything else that TOML can hold."""
    if value is None or isinstance(value, str):
        return value or ""
    message = f"{name} in {NAME} must be text in quotes, not {value!r}"
    raise UsageError(message)


def count(value: Any, name: str) -> int | None:  # noqa: ANN401
    """A setting that is a number from 1 on; None when it is not set. Raises UsageError."""
    if value is None:
        return None
    digits = str(value)
    if not (digits.isascii() and digits.isdigit()) or not int(digits[:9]) > 0:
        message = f"{name} must be a number from 1 on, not {digits[:64]!r}"
        raise UsageError(message)
    return int(digits[:9])


def jobs_wanted(given: int | None, table: str) -> int | None:
    """The number of processes asked for, if any."""
    return count(setting(given, table, "jobs"), "jobs")


def switch(value: Any, name: str) -> bool:  # noqa: ANN401
    """A setting that is on or off. Raises UsageError for what is neither."""
    word = str(value or "no").lower()
    if word not in _SWITCH:
        message = f"{name} must be yes or no, not {word[:64]!r}"
        raise UsageError(message)
    return _SWITCH[word]


def _table(file: str, table: str) -> dict[str, Any]:
    if not os.path.isfile(file):
        return {}
    from chopmark.core import limits, toml  # only when there is a file to read
    from chopmark.core.artifact import read_small

    try:
        found = toml.loads(read_small(file, limits.SETTINGS_MAX)).get(table, {})
    except ValueError as error:
        message = f"{file}: {error}"
        raise UsageError(message) from None
    return found if isinstance(found, dict) else {}
