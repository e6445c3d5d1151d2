"""Answers of what speaks over a socket: agents and TPMs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable


def exactly(receive: Callable[[int], bytes], count: int, ended: str) -> bytes:
    """So many bytes, which `receive` gives in pieces, as a socket's recv does.

    Raises UnavailableError, with what `ended` says, when there are no more.
    """
    received = bytearray()
    while len(received) < count:
        piece = receive(count - len(received))
        if not piece:
            raise UnavailableError(ended)
        received += piece
    return bytes(received)
