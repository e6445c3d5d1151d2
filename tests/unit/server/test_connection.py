"""Connections: pipelines, conditions, large files, and clients that break off, dawdle or flood."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.server import connection as connection_
from chopmark.server import loop
from chopmark.server.http import Handler, Reply, Request, Route, file_handler, serve
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

CRL = "application/pkix-crl"
GET = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def echo(request: Request) -> Reply:
    return Reply(f"<{request.method} {request.path} ".encode() + request.body + b">")


def tagged(request: Request) -> Reply:
    del request
    return Reply(b"content", CRL, etag='"v1"', modified=1_700_000_000)


ROUTES: dict[str, Handler] = {"/now": Route(echo, echo), "/later": echo, "/tagged": Route(tagged, tagged)}


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with pytest.MonkeyPatch.context() as patch, serve(ROUTES) as url:
        for name in ("SERVER_IDLE_SECONDS", "SERVER_REQUEST_SECONDS"):
            patch.setattr(limits, name, PATIENCE)
        yield where(url)


def where(url: str) -> tuple[str, int]:
    host, port = url.removeprefix("http://").removesuffix("/").rsplit(":", 1)
    return host.strip("[]"), int(port)


def everything(address: tuple[str, int], *pieces: bytes) -> bytes:
    """All that comes back when the pieces are sent one after the other."""
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        return rest(connection)


def rest(connection: socket.socket) -> bytes:
    received = b""
    while piece := connection.recv(1 << 20):
        received += piece
    return received


def bodies(data: bytes) -> list[bytes]:
    """The contents of the answers in a stream of them; every answer must be whole."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        [length] = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
        size = int(length.removeprefix(b"Content-Length: "))
        assert len(data) >= size
        found.append(data[:size])
        data = data[size:]
    return found


def test_a_pipeline_is_answered_in_order(address: tuple[str, int]) -> None:
    post = b"POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    asked = GET % b"/now" + post + GET % b"/later" + GET % b"/now?x" + post + LAST % b"/now"
    late, now = b"<POST /later abc>", b"<GET /now >"
    wanted = [now, late, b"<GET /later >", now, late, now]
    assert bodies(everything(address, asked)) == wanted
    assert bodies(everything(address, *(asked[n : n + 1] for n in range(len(asked))))) == wanted


STREAM = (
    GET % b"/now"
    + b"POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n\r\n\r"
    + b"\r\nPOST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nGET "
    + LAST % b"/now"
)


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_how_a_stream_is_cut_does_not_matter(cuts: list[int], address: tuple[str, int]) -> None:
    at = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in itertools.pairwise(at)]
    assert bodies(everything(address, *pieces)) == [
        b"<GET /now >",
        b"<POST /later \r\n\r>",
        b"<POST /now GET >",
        b"<GET /now >",
    ]


def test_a_head_that_comes_again_means_the_same_and_its_body_what_it_says(address: tuple[str, int]) -> None:
    """A connection remembers the last head: what comes after it is told apart each time anew."""
    post = b"POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n%b"
    longer = b"POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n" + b"x" * 30
    pieces = {
        post % b"abc": [b"abc"],
        post % b"def": [b"def"],
        longer: [b"x" * 30],
        post % b"ghi" + post % b"jkl": [b"ghi", b"jkl"],
        post % b"\r\n\r": [b"\r\n\r"],
        post % b"mno" + GET % b"/now": [b"mno", b""],
        post % b"pqr": [b"pqr"],
    }
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        for piece, wanted in pieces.items():
            connection.sendall(piece)
            received = b""
            while received.count(b"HTTP/1.1 200") < len(wanted) or not received.endswith(b">"):
                received += connection.recv(1 << 16)
            for body, content in zip(bodies(received), wanted, strict=True):
                assert body == (b"<POST /now " + content + b">" if content else b"<GET /now >")
        connection.sendall((post % b"stu").replace(b"/now", b"/nil"))  # as long, and another one
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 404 ")
        connection.sendall(post % b"a")  # half of it
        connection.shutdown(socket.SHUT_WR)
        assert rest(connection) == b""


def test_nothing_after_a_refusal_is_looked_at(address: tuple[str, int]) -> None:
    smuggled = b"POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    reply = everything(address, smuggled + GET % b"/now")
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert reply.count(b"HTTP/1.1") == 1


def test_nothing_after_the_last_request_is_looked_at(address: tuple[str, int]) -> None:
    assert everything(address, LAST % b"/now" + GET % b"/now").count(b"HTTP/1.1") == 1


def test_who_is_refused_can_read_why_though_still_sending(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        connection.sendall(b"POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n")
        with contextlib.suppress(OSError):
            connection.sendall(b"a" * 600_000)
        assert rest(connection).startswith(b"HTTP/1.1 413 ")


def test_a_flood_after_a_refusal_is_cut(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        flood = b"a" * (16 * limits.MIB)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            connection.sendall(flood)


def test_http_1_0(address: tuple[str, int]) -> None:
    assert bodies(everything(address, b"GET /now HTTP/1.0\r\n\r\n")) == [b"<GET /now >"]
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        for _ in range(2):
            connection.sendall(b"GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert b"Connection: keep-alive\r\n" in connection.recv(10_000)


def test_who_asks_before_sending_is_told_to_go_on(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        connection.sendall(b"POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hi")
        assert connection.recv(1000).endswith(b"<POST /now hi>")


def test_an_empty_line_before_a_request_is_skipped_once(address: tuple[str, int]) -> None:
    assert bodies(everything(address, b"\r\n" + LAST % b"/now")) == [b"<GET /now >"]
    assert everything(address, b"\r\n\r\n" + GET % b"/now").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (b'If-None-Match: "v1"', b"304"),
        (b'If-None-Match: W/"v1"', b"304"),
        (b'If-None-Match: "v0", "v1"', b"304"),
        (b"If-None-Match: *", b"304"),
        (b'If-None-Match: "v2"', b"200"),
        (b"If-None-Match: v1", b"200"),
        (b"If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT", b"304"),
        (b"If-Modified-Since: Tuesday, 14-Nov-23 22:13:20 GMT", b"304"),
        (b"If-Modified-Since: Tue Nov 14 22:13:20 2023", b"304"),
        (b"If-Modified-Since: Tue, 14 Nov 2023 22:13:19 GMT", b"200"),
        (b"If-Modified-Since: some day", b"200"),
        (b"If-Modified-Since: Tue, 99 Nov 9999999999 22:13:19 GMT", b"200"),
        (b'If-None-Match: "v2"\r\nIf-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT', b"200"),
    ],
)
def test_conditions(condition: bytes, status: bytes, address: tuple[str, int]) -> None:
    asked = b"GET /tagged HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + condition + b"\r\n\r\n"
    reply = everything(address, asked)
    assert reply.startswith(b"HTTP/1.1 " + status)
    assert b'ETag: "v1"\r\n' in reply
    assert reply.endswith(b"content" if status == b"200" else b"\r\n\r\n")


def test_a_condition_does_not_hold_for_what_is_sent(address: tuple[str, int]) -> None:
    asked = b"POST /tagged HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\nIf-None-Match: *\r\n\r\n"
    assert everything(address, asked).startswith(b"HTTP/1.1 200")


def test_a_large_file_comes_whole_and_does_not_hold_up_others(tmp_path: Path) -> None:
    content = os.urandom(limits.MIB) * 8
    path = tmp_path / "large.crl"
    path.write_bytes(content)
    with serve({"/large": file_handler(str(path), CRL), **ROUTES}) as url:
        with socket.create_connection(where(url), timeout=PATIENCE) as slow:
            slow.sendall(GET % b"/large" + LAST % b"/now")
            first = slow.recv(1000)
            replacement = tmp_path / "new"
            replacement.write_bytes(b"short")
            replacement.replace(path)  # what is under way is the old one, to its end
            assert bodies(everything(where(url), LAST % b"/large")) == [b"short"]
            assert bodies(first + rest(slow)) == [content, b"<GET /now >"]
        path.write_bytes(content)
        head = everything(where(url), b"HEAD /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"Content-Length: %d\r\n" % len(content) in head
        assert head.endswith(b"\r\n\r\n")


def test_a_file_that_shrinks_while_it_is_sent_ends_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "large.crl"
    path.write_bytes(bytes(32 * limits.MIB))
    with (
        serve({"/large": file_handler(str(path), CRL)}) as url,
        socket.create_connection(where(url), timeout=PATIENCE) as slow,
    ):
        slow.sendall(GET % b"/large")
        received = len(slow.recv(1000))
        os.truncate(path, 100)
        received += len(rest(slow))
    assert received < 32 * limits.MIB


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_only_files_are_published(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "there"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with serve({"/it": file_handler(str(path), CRL)}) as url:
        assert everything(where(url), LAST % b"/it").startswith(b"HTTP/1.1 404")


def is_cut(connection: socket.socket) -> bool:
    """Whether the other side has ended a connection, whose last octets are still to be read (proc(5): FIN_WAIT1)."""
    ends = [f":{port:04X}" for port in (connection.getpeername()[1], connection.getsockname()[1])]
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return any([line[1][-5:], line[2][-5:]] == ends and line[3] == "04" for line in lines)


def test_who_does_not_read_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVER_IDLE_SECONDS", 0.3)
    path = tmp_path / "large.crl"
    path.write_bytes(bytes(32 * limits.MIB))
    with (
        serve({"/large": file_handler(str(path), CRL)}) as url,
        socket.create_connection(where(url), timeout=PATIENCE) as slow,
    ):
        slow.sendall(GET % b"/large")
        eventually(lambda: is_cut(slow))
        with contextlib.suppress(ConnectionResetError):
            assert len(rest(slow)) < 32 * limits.MIB


def test_who_reads_slowly_but_steadily_is_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on only while it reads: this machine may pause for longer than it is given."""
    now = [1000.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], time=time.time)
    for module in (connection_, loop):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(limits, "SERVER_IDLE_SECONDS", 1)
    monkeypatch.setattr(limits, "SERVER_REQUEST_SECONDS", 0.2)
    path = tmp_path / "large.crl"
    path.write_bytes(bytes(12 * limits.MIB))
    with (
        serve({"/large": file_handler(str(path), CRL)}) as url,
        socket.create_connection(where(url), timeout=PATIENCE) as slow,
    ):
        slow.sendall(LAST % b"/large")
        received = 0
        while piece := slow.recv(1 << 20):
            now[0] += 0.9 * len(piece) / limits.MIB
            received += len(piece)
            time.sleep(0.06)
    assert received > 12 * limits.MIB


def test_what_takes_too_long_is_answered_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVER_REQUEST_SECONDS", 0.3)
    stuck = threading.Event()

    def never(request: Request) -> Reply:
        stuck.wait(PATIENCE)
        return echo(request)

    with serve({"/never": never, **ROUTES}) as url:
        assert everything(where(url), GET % b"/never" + GET % b"/now").startswith(b"HTTP/1.1 503 ")
        monkeypatch.setattr(limits, "SERVER_REQUEST_SECONDS", PATIENCE)
        assert bodies(everything(where(url), LAST % b"/now")) == [b"<GET /now >"]
        stuck.set()


def test_too_many_that_wait_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVER_WAITING_MAX", 1)
    began, stuck = threading.Event(), threading.Event()

    def slow(request: Request) -> Reply:
        began.set()
        stuck.wait(PATIENCE)
        return echo(request)

    with serve({"/slow": slow, **ROUTES}) as url, socket.create_connection(where(url), timeout=PATIENCE) as first:
        first.sendall(LAST % b"/slow")
        began.wait(PATIENCE)
        assert everything(where(url), LAST % b"/slow").startswith(b"HTTP/1.1 503 ")
        assert bodies(everything(where(url), LAST % b"/now")) == [b"<GET /now >"]
        stuck.set()
        assert bodies(rest(first)) == [b"<GET /slow >"]


def test_those_who_break_off_are_forgotten(address: tuple[str, int]) -> None:
    for sent in (b"", b"GET", b"GET /now HTTP/1.1\r\nHost", GET % b"/later", GET % b"/now" * 100, b"\x00" * 5000):
        for _ in range(10):
            with socket.create_connection(address, timeout=PATIENCE) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                connection.sendall(sent)
    assert bodies(everything(address, LAST % b"/later")) == [b"<GET /later >"]


def test_a_thousand_connections(address: tuple[str, int]) -> None:
    with contextlib.ExitStack() as opened:
        many = [opened.enter_context(socket.create_connection(address, timeout=PATIENCE)) for _ in range(1000)]
        for connection in many[::2]:
            connection.sendall(b"GET /now HTTP/1.1\r\n")
        assert bodies(everything(address, LAST % b"/later")) == [b"<GET /later >"]
        for connection in many:
            connection.sendall(b"Host: x\r\n\r\n" if connection in many[::2] else GET % b"/now")
        assert all(connection.recv(1000).endswith(b"<GET /now >") for connection in many)


def test_idle_connections_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVER_CONNECTIONS_MAX", 3)
    with serve(ROUTES) as url, contextlib.ExitStack() as opened:
        for _ in range(3):
            opened.enter_context(socket.create_connection(where(url), timeout=PATIENCE))
        assert bodies(everything(where(url), LAST % b"/now")) == [b"<GET /now >"]
