"""TOML as it comes from others: settings, policies, plans."""

from __future__ import annotations

import tomllib
from typing import Any

_MAX = 1 << 63
_TOO_WIDE = "a number of more than 64 bits"


def loads(data: bytes | str) -> dict[str, Any]:
    """The tables of a text. Raises ValueError for what is not UTF-8, no TOML, nested too deep, or has a huge number.

    TOML promises numbers of 64 bits; Python reads longer ones, and does not show them to anybody.
    """
    try:
        found = tomllib.loads(data if isinstance(data, str) else data.decode())
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise
    except ValueError:  # Python's own words about digits
        raise ValueError(_TOO_WIDE) from None
    pending: list[Any] = [found]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, int) and not -_MAX <= value < _MAX:
            raise ValueError(_TOO_WIDE)
    return found
