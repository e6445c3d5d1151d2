"""Entries of the log: one event each, as canonical JSON (RFC 8785), so that equal events are equal bytes.

An entry names things by digest and never holds them: what is in a log is there for good, and for everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import rfc8785

from chopmark.core import clock, limits
from chopmark.core.errors import RefusedError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

TYPE = "chopmark.event.v1"
"""What every entry says of itself, so that no other application's entries are taken for ours."""


def encode(action: str, at: dt.datetime, facts: Mapping[str, str | int]) -> bytes:
    """An event as an entry; facts that are empty are left out. Raises RefusedError when it is too long for a log."""
    event = {"type": TYPE, "action": action, "at": clock.show(at)}
    told = {name: value for name, value in facts.items() if value != ""}
    try:
        raw = rfc8785.dumps({**told, **event})
    except rfc8785.CanonicalizationError as error:
        message = f"{action}: this cannot be logged ({error})"
        raise RefusedError(message) from None
    if len(raw) > limits.LOG_ENTRY_MAX:
        message = f"{action}: an entry of {len(raw)} bytes, more than a log takes ({limits.LOG_ENTRY_MAX})"
        raise RefusedError(message)
    return raw
