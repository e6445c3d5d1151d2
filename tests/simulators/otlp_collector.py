"""An OpenTelemetry collector's receiver for logs over HTTP: it says what it is told to, and remembers what it got."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Answer(NamedTuple):
    """One answer: the status, a Retry-After, the body."""

    status: int = 200
    retry_after: str = ""
    body: bytes = b"{}"


class Request(NamedTuple):
    """What arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


class Collector:
    """Answers `answers` one after the other, and then always that it has everything."""

    def __init__(self, answers: Sequence[Answer] = (), *, certificate: tuple[Path, Path] | None = None) -> None:
        """`certificate` is a file with it and one with its key, for TLS."""
        collector = self
        self.requests: list[Request] = []
        self._answers = list(answers)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = collector.answer(Request(self.path, headers, body))
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer.body)))
                if answer.retry_after:
                    self.send_header("Retry-After", answer.retry_after)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def answer(self, request: Request) -> Answer:
        """Refuse what is none of ours (OTLP/HTTP Request); else whatever is next."""
        self.requests.append(request)
        if request.path != "/v1/logs":
            return Answer(404)
        if request.headers.get("content-type") != "application/json":
            return Answer(415)
        return self._answers.pop(0) if self._answers else Answer()

    @property
    def address(self) -> str:
        """For `--events`."""
        return f"otlp+{self.scheme}://127.0.0.1:{self._server.server_address[1]}"

    def records(self) -> list[dict[str, Any]]:
        """The log records of all requests."""
        return [
            record
            for request in self.requests
            for logs in json.loads(request.body)["resourceLogs"]
            for scope in logs["scopeLogs"]
            for record in scope["logRecords"]
        ]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
