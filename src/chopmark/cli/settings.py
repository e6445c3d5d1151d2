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


def _table(file: str, table: str) -> dict[str, Any]:
    if not os.path.isfile(file):
        return {}
    import tomllib  # only when there is a file to read

    try:
        with open(file, "rb") as stream:
            found = tomllib.load(stream).get(table, {})
    except (tomllib.TOMLDecodeError, OSError) as error:
        message = f"{file}: {error}"
        raise UsageError(message) from None
    return found if isinstance(found, dict) else {}
