"""An HTTP server in this process: routes to functions, with limits on sizes, times and connections, a graceful stop.

It speaks plain HTTP: what it serves is signed (CRLs, certificates, time stamps), and is fetched in order to check
signatures, which must not need another check first.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import ChopmarkError, UsageError
from chopmark.server.access import brief
from chopmark.server.files import file_handler
from chopmark.server.loop import Door, Loop
from chopmark.server.message import Handler, Reply, Request, Route, Routes, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark.server.parsing import Head

    Log = Callable[[str], None]

__all__ = [
    "Handler",
    "Reply",
    "Request",
    "Route",
    "ServerError",
    "file_handler",
    "listen",
    "refusal",
    "serve",
    "url_of",
]

PORT_MAX = 65535
_BACKLOG = 1024


class ServerError(ChopmarkError):
    """The server cannot listen."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises UsageError for what is no port, ServerError when the address is taken or is none."""
    if not 0 <= port <= PORT_MAX:
        message = f"not a port: {port}"
        raise UsageError(message)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        message = f"cannot listen on {host}, port {port}: {getattr(error, 'strerror', None) or error}"
        raise ServerError(message) from None
    listener.settimeout(0)
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a socket listens, with a slash at its end."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


class _Lines:
    """An observer that writes a line for each request."""

    def __init__(self, log: Log) -> None:
        self.error = log

    def request(self, peer: str, head: Head, route: str, reply: Reply, seconds: float) -> None:
        """A request was answered."""
        del route, seconds
        self.error(brief(peer, head, reply))


class _Silence:
    """An observer that says nothing."""

    def request(self, peer: str, head: Head, route: str, reply: Reply, seconds: float) -> None:
        """A request was answered."""

    def error(self, text: str) -> None:
        """Something went wrong."""


@contextlib.contextmanager
def serve(routes: Routes, host: str = "127.0.0.1", port: int = 0, log: Log | None = None) -> Iterator[str]:
    """Serve in the background while the block runs; the URL, with a slash at its end. Port 0 takes a free one.

    `routes` may change while it runs. `log` gets a line for each request, none by default. Raises ServerError when it
    cannot listen.
    """
    listener = listen(host, port)
    url = url_of(listener)
    loop = Loop([Door(listener, routes)], _Lines(log) if log else _Silence())
    thread = threading.Thread(target=loop.run, name="chopmark server", daemon=True)
    thread.start()
    try:
        yield url
    finally:
        loop.stop(limits.SERVER_STOP_SECONDS)
        thread.join(limits.SERVER_STOP_SECONDS + 1)
        listener.close()
