"""Sockets of this machine's own services, which have paths instead of addresses: unix(7)."""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


_GONE = frozenset({errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOTCONN, errno.EPIPE})
"""Whoever listened does not any more."""


class Datagrams:
    """Datagrams to a service that logs. Sending never waits."""

    def __init__(self, path: str) -> None:
        """Connect. Raises OSError when nobody listens."""
        self._path = path
        self._socket = self._connected()

    def send(self, data: bytes) -> None:
        """One datagram; a service that was started anew meanwhile gets it as well. Raises OSError."""
        try:
            self._socket.send(data)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            again = self._connected()
            self._socket.close()
            self._socket = again
            again.send(data)

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def _connected(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            made.setblocking(False)  # noqa: FBT003 - the only way to call it
            made.connect(self._path)
        except OSError:
            made.close()
            raise
        return made


@contextlib.contextmanager
def connected(path: str, timeout: float) -> Iterator[socket.socket]:
    """A stream to a service; `timeout` is seconds for each step. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as made:
        made.settimeout(timeout)
        made.connect(path)
        yield made
