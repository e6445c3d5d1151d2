"""The HTTP server: what it answers, and what it does about those who are slow, many or rude."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits
from chopmark.core.errors import UsageError
from chopmark.server import http as server
from chopmark.server.http import Reply, Request, Route, file_handler, serve
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def echo(request: Request) -> Reply:
    return Reply(f"{request.method} {request.path} {request.content_type} ".encode() + request.body)


def broken(request: Request) -> Reply:
    raise ZeroDivisionError(request.path)


ROUTES: dict[str, server.Handler] = {
    "/": echo,
    "/echo": echo,
    "/broken": broken,
    "/small": Route(echo, body_max=10),
    "/below/*": Route(echo, echo),
}


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def address(log: list[str]) -> Iterator[tuple[str, int]]:
    with serve(ROUTES, log=log.append) as url:
        yield where(url)


def where(url: str) -> tuple[str, int]:
    host, port = url.removeprefix("http://").removesuffix("/").rsplit(":", 1)
    return host.strip("[]"), int(port)


def ask(
    address: tuple[str, int], method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        reply = connection.getresponse()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
    finally:
        connection.close()


def raw(address: tuple[str, int], data: bytes) -> bytes:
    """Everything that comes back until the server closes."""
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        connection.sendall(data)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


def test_it_answers(address: tuple[str, int], log: list[str]) -> None:
    assert ask(address, "GET", "/echo?query=1")[2] == b"GET /echo  "
    status, headers, body = ask(address, "POST", "/", b"data", Content_Type="Text/Plain; charset=x")
    assert (status, body) == (200, b"POST / text/plain data")
    assert headers["server"] == "chopmark"
    assert headers["x-content-type-options"] == "nosniff"
    assert [line.split('"')[1] for line in log] == ["GET /echo?query=1 HTTP/1.1", "POST / HTTP/1.1"]


def test_head_has_the_length_but_no_body(address: tuple[str, int]) -> None:
    status, headers, body = ask(address, "HEAD", "/echo")
    assert (status, headers["content-length"], body) == (200, "11", b"")


def test_several_requests_in_one_connection(address: tuple[str, int]) -> None:
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    for _ in range(3):
        connection.request("POST", "/echo", b"again")
        assert connection.getresponse().read() == b"POST /echo  again"
    connection.close()


@pytest.mark.parametrize("path", ["/nothing", "/echo/", "/../echo", "/%65cho", "/below", "/below/*", "http://x/no"])
def test_what_is_not_there(path: str, address: tuple[str, int]) -> None:
    reply = raw(address, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert reply.startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"PUT / HTTP/1.1\r\nHost: x\r\n\r\n", b"501"),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"501"),
        (b"GET / HTTP/3.0\r\n\r\n", b"505"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
        (b"GET\r\n\r\n", b"400"),
        (b"GET /\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b"413"),
        (b"POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nConnection: close\r\n\r\n" + b"a" * 11, b"413"),
        (b"GET / HTTP/1.1\nHost: x\n\n", b"400"),
    ],
)
def test_what_is_refused(request_: bytes, status: bytes, address: tuple[str, int]) -> None:
    reply = raw(address, request_)
    assert reply.startswith(b"HTTP/1.1 " + status), reply[:100]
    assert b"Connection: close" in reply
    assert b"Python" not in reply


def test_a_handler_that_fails_does_not_stop_the_server(address: tuple[str, int], log: list[str]) -> None:
    status, _, body = ask(address, "GET", "/broken")
    assert status == 500
    assert b"Zero" not in body
    assert any("ZeroDivisionError" in line for line in log)
    assert ask(address, "GET", "/")[0] == 200


def test_control_characters_do_not_reach_the_log(address: tuple[str, int], log: list[str]) -> None:
    raw(address, b"GET /\x1b[31m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert not any("\x1b" in line for line in log)


def test_half_a_body_gets_no_answer(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert ask(address, "GET", "/")[0] == 200


@pytest.mark.parametrize(
    "start", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nA: ", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1"]
)
def test_who_is_slow_is_cut(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVER_IDLE_SECONDS", 0.3)
    monkeypatch.setattr(limits, "SERVER_REQUEST_SECONDS", 0.5)
    with serve(ROUTES) as url, socket.create_connection(where(url), timeout=PATIENCE) as connection:
        connection.sendall(start)
        connection.settimeout(0.1)

        def is_cut() -> bool:
            connection.sendall(b"a")  # a byte now and then keeps no one waiting for ever
            return connection.recv(1000) == b""

        with contextlib.suppress(ConnectionError):  # which is another way to be cut
            eventually(is_cut, despite=(TimeoutError,))


def test_too_many_at_once_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVER_CONNECTIONS_MAX", 2)
    monkeypatch.setattr(limits, "SERVER_IDLE_SECONDS", PATIENCE)
    rude = (OSError, http.client.HTTPException)
    with serve(ROUTES) as url:
        address = where(url)
        waiting = [socket.create_connection(address, timeout=PATIENCE) for _ in range(2)]
        for connection in waiting:
            connection.sendall(b"GET /")
        eventually(lambda: raw(address, b"").startswith(b"HTTP/1.1 503"), despite=rude)
        for connection in waiting:
            connection.close()
        eventually(lambda: ask(address, "GET", "/")[0] == 200, despite=rude)


def test_a_stop_finishes_what_was_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVER_STOP_SECONDS", PATIENCE)
    began, may_end = threading.Event(), threading.Event()

    def slow(request: Request) -> Reply:
        began.set()
        may_end.wait(PATIENCE)
        return Reply(b"done " + request.body)

    answers: list[bytes] = []
    with serve({"/": slow}) as url:
        address = where(url)
        idle = socket.create_connection(address, timeout=PATIENCE)
        client = threading.Thread(target=lambda: answers.append(ask(address, "POST", "/", b"it")[2]))
        client.start()
        began.wait(PATIENCE)
        threading.Timer(0.2, may_end.set).start()
    client.join()
    assert answers == [b"done it"]
    assert idle.recv(10) == b""
    idle.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(address, timeout=1)


def test_a_stop_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVER_STOP_SECONDS", 0.3)
    began, stuck, ended = threading.Event(), threading.Event(), threading.Event()

    def never(request: Request) -> Reply:
        began.set()
        stuck.wait(2 * PATIENCE)
        ended.set()
        return echo(request)

    with serve({"/": never}) as url, socket.create_connection(where(url), timeout=PATIENCE) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert began.wait(PATIENCE)
    assert not ended.is_set()
    stuck.set()


def test_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    del monkeypatch
    with (
        serve(ROUTES) as url,
        pytest.raises(server.ServerError, match="cannot listen"),
        serve(ROUTES, port=where(url)[1]),
    ):
        pass
    for port in (-1, 65536):
        with pytest.raises(UsageError), serve(ROUTES, port=port):
            pass
    with pytest.raises(server.ServerError), serve(ROUTES, host="203.0.113.1"):
        pass
    if socket.has_ipv6:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            return
        with serve(ROUTES, host="::1") as url:
            assert url.startswith("http://[::1]:")
            assert ask(where(url), "GET", "/")[0] == 200


def test_routes_may_come_later() -> None:
    routes: dict[str, server.Handler] = {}
    with serve(routes) as url:
        assert ask(where(url), "GET", "/late")[0] == 404
        routes["/late"] = echo
        assert ask(where(url), "GET", "/late")[0] == 200


def test_files_as_they_are_now(tmp_path: Path) -> None:
    path = tmp_path / "list.crl"
    with serve({"/list.crl": file_handler(str(path), "application/pkix-crl")}) as url:
        address = where(url)
        assert ask(address, "GET", "/list.crl")[0] == 404
        for content in (b"one", b"two"):
            path.write_bytes(content)
            status, headers, body = ask(address, "GET", "/list.crl")
            assert (status, headers["content-type"], body) == (200, "application/pkix-crl", content)
        status, headers, _ = ask(address, "POST", "/list.crl", b"")
        assert (status, headers["allow"]) == (405, "GET, HEAD")
