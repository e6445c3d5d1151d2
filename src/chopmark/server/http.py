"""A small HTTP server: routes to functions, with limits on sizes, times and connections, and a graceful stop.

It speaks plain HTTP: what it serves is signed (CRLs, certificates, time stamps), and is fetched in order to check
signatures, which must not need another check first.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from chopmark.core import limits
from chopmark.core.errors import ChopmarkError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Handler = Callable[["Request"], "Reply"]
    Log = Callable[[str], None]

_LENGTH_DIGITS = 9
_PORT_MAX = 65535


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked: method (GET or POST), path without query, content type in lower case without parameters, body."""

    method: str
    path: str
    content_type: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


def refusal(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> Reply:
    """An answer that says no, in a line of text."""
    return Reply(f"{text}\n".encode(), status=status, headers=headers)


class ServerError(ChopmarkError):
    """The server cannot listen."""


class Server(ThreadingHTTPServer):
    """Serves `routes` (path to handler; they may change while it runs); `url` ends with a slash.

    Raises ServerError when the address is taken or is none.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, routes: Mapping[str, Handler], host: str, port: int, log: Log) -> None:
        self.routes = routes
        self.log = log
        self._places = threading.BoundedSemaphore(limits.SERVER_CONNECTIONS_MAX)
        self._open: dict[socket.socket, _Connection] = {}
        self._lock = threading.Lock()
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            message = f"cannot listen on {host}, port {port}: {getattr(error, 'strerror', None) or error}"
            raise ServerError(message) from None

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.server_address[:2]
        shown = str(host)
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"

    def server_bind(self) -> None:
        """Bind without asking the name service who we are, as the base class does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class's shape
        """Start a thread for a connection, if there is a place."""
        if not self._places.acquire(blocking=False):
            with contextlib.suppress(OSError):
                request.settimeout(1)
                request.sendall(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\r\n")
            self.shutdown_request(request)
            return
        with self._lock:
            self._open[request] = _Connection(time.monotonic() + limits.SERVER_IDLE_SECONDS)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - likewise
        """Serve a connection and give its place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open.pop(request, None)
            self._places.release()

    def service_actions(self) -> None:
        """Cut connections that are too slow; called several times a second."""
        now = time.monotonic()
        with self._lock:
            overdue = [one for one, state in self._open.items() if now > state.deadline]
        for one in overdue:
            _cut(one)

    def request_began(self, connection: socket.socket) -> None:
        """The first line of a request has come."""
        self._mark(connection, _Connection(time.monotonic() + limits.SERVER_REQUEST_SECONDS, busy=True))

    def request_ended(self, connection: socket.socket) -> None:
        """The request is answered."""
        self._mark(connection, _Connection(time.monotonic() + limits.SERVER_IDLE_SECONDS))

    def _mark(self, connection: socket.socket, state: _Connection) -> None:
        with self._lock:
            if connection in self._open:
                self._open[connection] = state

    def stop(self) -> None:
        """Take no more connections, finish the requests under way within SERVER_STOP_SECONDS, then close."""
        self.shutdown()
        self.server_close()
        deadline = time.monotonic() + limits.SERVER_STOP_SECONDS
        while True:
            with self._lock:
                idle = [one for one, state in self._open.items() if not state.busy]
                left = list(self._open)
            if not left:
                return
            late = time.monotonic() > deadline
            for one in left if late else idle:
                _cut(one)
            if late:
                return
            time.sleep(0.01)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 - the base class's shape
        """A connection that broke is nothing to report; anything else is one line."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.log(f"{client_address[0]}: {type(error).__name__}: {error}")


@dataclass(frozen=True, slots=True)
class _Connection:
    """Until when it may live without something happening (monotonic seconds), and whether a request is under way."""

    deadline: float
    busy: bool = False


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = limits.SERVER_IDLE_SECONDS
    server: Server

    def version_string(self) -> str:
        """Who answers, without versions of anything."""
        return "chopmark"

    def parse_request(self) -> bool:
        """The request line has come: from now on the clock runs."""
        self.server.request_began(self.connection)
        if not super().parse_request():
            return False
        if self.request_version == "HTTP/0.9":  # an answer to it would have no status
            self.send_error(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
            return False
        return True

    def handle_one_request(self) -> None:
        """Serve one request of the connection."""
        try:
            super().handle_one_request()
        except (OSError, ValueError):  # gone, too slow, or cut
            self.close_connection = True
        finally:
            self.server.request_ended(self.connection)

    def do_GET(self) -> None:
        """Answer a GET."""
        self._answer(self._routed(b""))

    def do_HEAD(self) -> None:
        """Answer a HEAD like a GET."""
        self._answer(self._routed(b""))

    def do_POST(self) -> None:
        """Answer a POST, whose body has a length."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Transfer-Encoding") or not (length.isascii() and length.isdigit()):
            self.close_connection = True
            self._answer(refusal(HTTPStatus.LENGTH_REQUIRED, "a request needs a Content-Length"))
        elif len(length) > _LENGTH_DIGITS or int(length) > limits.TIMESTAMP_REQUEST_MAX:
            self.close_connection = True
            self._answer(refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too long"))
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                self._answer(self._routed(body))

    def _routed(self, body: bytes) -> Reply:
        path = self.path.partition("?")[0]
        handler = self.server.routes.get(path)
        if handler is None:
            return refusal(HTTPStatus.NOT_FOUND, "there is nothing here")
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        method = "GET" if self.command == "HEAD" else self.command
        try:
            return handler(Request(method, path, kind, body))
        except Exception as error:  # noqa: BLE001 - one bad request must not take the server down
            self.server.log(f"{self.command} {path}: {type(error).__name__}: {error}")
            return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "this went wrong here")

    def _answer(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in reply.headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What the base class refuses (methods, versions, header lines), in our own words."""
        self.close_connection = True
        self.command = self.command or "GET"
        self.request_version = self.protocol_version
        self._answer(refusal(HTTPStatus(code), HTTPStatus(code).phrase))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
        """One line for each request."""
        shown = "".join(character if character.isprintable() else "?" for character in self.requestline[:200])
        self.server.log(f'{self.client_address[0]} "{shown}" {int(code)}')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Everything else that the base class would print is not worth a line."""


def quiet(line: str) -> None:
    """A log that keeps nothing."""


@contextlib.contextmanager
def serve(routes: Mapping[str, Handler], host: str = "127.0.0.1", port: int = 0, log: Log = quiet) -> Iterator[str]:
    """Serve in the background while the block runs; the URL, with a slash at its end. Port 0 takes a free one.

    Raises ServerError when it cannot listen.
    """
    if not 0 <= port <= _PORT_MAX:
        message = f"not a port: {port}"
        raise UsageError(message)
    server = Server(routes, host, port, log)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="chopmark server", daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.stop()
        thread.join(limits.SERVER_STOP_SECONDS)


def file_handler(path: str, content_type: str) -> Handler:
    """A handler that answers with a file as it is at that moment."""

    def handle(request: Request) -> Reply:
        if request.method != "GET":
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "only GET", ("Allow", "GET, HEAD"))
        try:
            with open(os.fspath(path), "rb") as file:
                return Reply(file.read(), content_type, headers=(("Cache-Control", "max-age=60"),))
        except OSError:
            return refusal(HTTPStatus.NOT_FOUND, "it is not published yet")

    return handle
