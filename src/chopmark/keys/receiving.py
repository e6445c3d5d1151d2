"""Answers of what speaks over a socket: agents and TPMs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import UnavailableError

if TYPE_CHECKING:
    import socket


def exactly(connection: socket.socket, count: int, ended: str) -> bytes:
    """So many bytes. Raises UnavailableError, with what `ended` says, when the other side sends no more before."""
    received = bytearray()
    while len(received) < count:
        piece = connection.recv(count - len(received))
        if not piece:
            raise UnavailableError(ended)
        received += piece
    return bytes(received)
