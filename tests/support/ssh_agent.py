"""An ssh agent that speaks the protocol over a socket: what it answers can be bent for tests."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Answer = bytes | None
"""A whole message without its length; None ends the connection without one."""


def wire(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def framed(message: bytes) -> bytes:
    return wire(message)


def identities(*keys: tuple[bytes, str]) -> bytes:
    body = b"".join(wire(blob) + wire(comment.encode()) for blob, comment in keys)
    return b"\x0c" + len(keys).to_bytes(4, "big") + body


@contextlib.contextmanager
def serving(path: Path, answer: Callable[[bytes], Answer], *, raw: bool = False) -> Iterator[str]:
    """Serve at a socket until the end; `raw` answers are sent without a length in front."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener, answer, raw), daemon=True)
        thread.start()
        yield str(path)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)


def _serve(listener: socket.socket, answer: Callable[[bytes], Answer], raw: bool) -> None:  # noqa: FBT001 - one thread
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(PATIENCE)
                size = int.from_bytes(_exactly(connection, 4), "big")
                said = answer(_exactly(connection, size))
                if said is not None:
                    connection.sendall(said if raw else framed(said))


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise OSError
        data += piece
    return data
