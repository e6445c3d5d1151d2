"""Fetching from servers that lie, dawdle and lead astray: an answer in bounded time and memory, or UnavailableError."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from chopmark.core import limits
from chopmark.core.errors import UnavailableError
from chopmark.net import http
from tests.support.patience import PATIENCE

OK = b"HTTP/1.1 200 OK\r\n"
QUICK = 0.4
"""Seconds for a whole request that nobody answers in time."""


class Peer(NamedTuple):
    """A server on loopback: its address, and the requests it has seen."""

    url: str
    seen: list[bytes]


Behaviour = Callable[[socket.socket], None]


@contextlib.contextmanager
def serving(behave: Behaviour) -> Iterator[Peer]:
    """Answer every connection by reading the request's head and then behaving as told."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(PATIENCE)
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(4096)
                if not piece:
                    return
                head += piece
            seen.append(head)
            behave(connection)

    threading.Thread(target=run, daemon=True).start()
    try:
        yield Peer(f"http://127.0.0.1:{listener.getsockname()[1]}/list.crl", seen)
    finally:
        stop.set()
        listener.close()


def says(*parts: bytes) -> Behaviour:
    """Send this and close."""
    return lambda connection: connection.sendall(b"".join(parts))


def whole(body: bytes, *headers: bytes) -> bytes:
    return OK + b"".join(header + b"\r\n" for header in headers) + b"Content-Length: %d\r\n\r\n" % len(body) + body


def drips(head: bytes, drop: bytes) -> Behaviour:
    """Send the head and then a drop now and then, for ever: for longer than a request that is given up may last."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(head)
        until = time.monotonic() + 2 * PATIENCE
        while time.monotonic() < until:
            connection.sendall(drop)
            time.sleep(0.05)

    return behave


def refused(fetcher: http.HttpFetcher, url: str, limit: int = 1000) -> str:
    """Fetch, and say why that failed, in time."""
    begin = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        fetcher.get(url, limit)
    assert time.monotonic() - begin < PATIENCE
    return str(caught.value)


def silence(connection: socket.socket) -> None:
    """Say nothing until the other side has enough of it."""
    connection.settimeout(2 * PATIENCE)
    connection.recv(1)


@pytest.fixture
def fetcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[http.HttpFetcher]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    made = http.HttpFetcher(PATIENCE)
    yield made
    made.close()


@pytest.fixture
def hasty(fetcher: http.HttpFetcher) -> http.HttpFetcher:
    """It, for those who do not answer in time."""
    fetcher._timeout = QUICK  # noqa: SLF001 - what it was made with
    return fetcher


def test_a_body_arrives_as_it_was_sent(fetcher: http.HttpFetcher) -> None:
    body = bytes(range(256)) * 300
    with serving(says(whole(body))) as peer:
        assert fetcher.get(peer.url, len(body)) == body
    assert b"Accept-Encoding: identity" in peer.seen[0]
    assert b"User-Agent: chopmark\r\n" in peer.seen[0]


def test_a_post_carries_its_body_and_type(fetcher: http.HttpFetcher) -> None:
    with serving(says(whole(b"reply"))) as peer:
        assert fetcher.post(peer.url, b"query", "application/timestamp-query", 100) == b"reply"
    assert b"POST /list.crl" in peer.seen[0]
    assert b"application/timestamp-query" in peer.seen[0]


def test_what_failed_once_is_not_asked_again(fetcher: http.HttpFetcher) -> None:
    with serving(says(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")) as peer:
        first = refused(fetcher, peer.url)
        assert refused(fetcher, peer.url) == first
        assert len(peer.seen) == 1


def test_when_too_much_time_is_lost_nothing_more_is_asked(
    hasty: http.HttpFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HTTP_LOST_MAX", QUICK / 2)
    with serving(silence) as silent, serving(says(whole(b"body"))) as peer:
        refused(hasty, silent.url)
        assert "time was lost" in refused(hasty, peer.url)
        assert peer.seen == []


@pytest.mark.parametrize("status", [b"204 No Content", b"206 Partial Content", b"304 Not Modified", b"404 Not Found"])
def test_only_a_200_is_an_answer(fetcher: http.HttpFetcher, status: bytes) -> None:
    with serving(says(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")) as peer:
        refused(fetcher, peer.url)


def test_a_body_over_the_limit_is_refused_wherever_its_length_is_told(fetcher: http.HttpFetcher) -> None:
    with serving(says(whole(b"x" * 1001))) as peer:
        assert "longer" in refused(fetcher, peer.url)
    with serving(says(OK, b"Connection: close\r\n\r\n", b"x" * 5000)) as peer:
        assert "longer" in refused(fetcher, peer.url)
    with serving(says(OK, b"Transfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n")) as peer:
        assert "longer" in refused(fetcher, peer.url)


def test_an_endless_body_costs_no_memory(fetcher: http.HttpFetcher) -> None:
    def behave(connection: socket.socket) -> None:
        connection.sendall(OK + b"\r\n")
        for _ in range(1000):
            connection.sendall(b"x" * 65536)

    with serving(behave) as peer:
        assert "longer" in refused(fetcher, peer.url, 100_000)


def test_a_body_shorter_than_promised_is_refused(fetcher: http.HttpFetcher) -> None:
    with serving(says(OK, b"Content-Length: 100\r\n\r\n", b"short")) as peer:
        refused(fetcher, peer.url)


def test_what_is_longer_than_promised_is_cut_off(fetcher: http.HttpFetcher) -> None:
    with serving(says(OK, b"Content-Length: 5\r\n\r\n", b"shortand more")) as peer:
        assert fetcher.get(peer.url, 100) == b"short"


def test_a_compressed_body_is_refused(fetcher: http.HttpFetcher) -> None:
    with serving(says(whole(b"\x1f\x8b", b"Content-Encoding: gzip"))) as peer:
        assert "compressed" in refused(fetcher, peer.url)


@pytest.mark.parametrize(
    "behave",
    [
        silence,
        drips(b"", b"H"),
        drips(OK, b"X-Drip: 1\r\n"),
        drips(OK + b"Content-Length: 1000000\r\n\r\n", b"x"),
        drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["silence", "status line", "headers", "body", "chunks"],
)
def test_a_slow_server_is_given_up_at_the_deadline(hasty: http.HttpFetcher, behave: Behaviour) -> None:
    with serving(behave) as peer:
        refused(hasty, peer.url)


def test_after_a_slow_server_the_fetcher_still_works(hasty: http.HttpFetcher) -> None:
    fetcher = hasty
    with serving(drips(OK + b"Content-Length: 1000000\r\n\r\n", b"x")) as slow:
        refused(fetcher, slow.url)
    fetcher._timeout = PATIENCE  # noqa: SLF001 - likewise
    with serving(says(whole(b"body"))) as peer:
        assert fetcher.get(peer.url, 100) == b"body"


def test_a_redirect_is_followed(fetcher: http.HttpFetcher) -> None:
    with serving(says(whole(b"there"))) as there:
        location = f"Location: {there.url}".encode()
        with serving(says(b"HTTP/1.1 302 Found\r\n", location, b"\r\nContent-Length: 0\r\n\r\n")) as here:
            assert fetcher.get(here.url, 100) == b"there"


def test_redirects_end(fetcher: http.HttpFetcher) -> None:
    with serving(says(b"HTTP/1.1 301 Moved\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")) as peer:
        assert "redirects" in refused(fetcher, peer.url)
        assert len(peer.seen) == 4


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/", "//", "http://", ""]
)
def test_a_redirect_leads_to_http_or_nowhere(fetcher: http.HttpFetcher, target: str) -> None:
    location = f"Location: {target}".encode()
    with serving(says(b"HTTP/1.1 302 Found\r\n", location, b"\r\nContent-Length: 0\r\n\r\n")) as peer:
        refused(fetcher, peer.url)


def test_a_post_is_not_redirected(fetcher: http.HttpFetcher) -> None:
    with (
        serving(says(b"HTTP/1.1 307 Elsewhere\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")) as peer,
        pytest.raises(UnavailableError),
    ):
        fetcher.post(peer.url, b"query", "text/plain", 100)
    assert len(peer.seen) == 1


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ldap://127.0.0.1/cn=x",
        "http:///x",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "x",
        "",
        "http://\0/",
    ],
)
def test_an_address_that_is_none_is_unavailable(fetcher: http.HttpFetcher, url: str) -> None:
    refused(fetcher, url)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0" * 100,
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"\xff: \xff\r\n\r\n",
    ],
)
def test_what_is_not_http_is_unavailable(fetcher: http.HttpFetcher, answer: bytes) -> None:
    with serving(says(answer)) as peer:
        refused(fetcher, peer.url)


def test_endless_headers_are_refused(fetcher: http.HttpFetcher) -> None:
    with serving(says(OK, b"X: " + b"y" * 500_000)) as peer:
        refused(fetcher, peer.url)


def test_a_closed_port_is_unavailable(fetcher: http.HttpFetcher) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    refused(fetcher, f"http://127.0.0.1:{port}/")


def test_a_forked_process_opens_its_own_connection(fetcher: http.HttpFetcher) -> None:
    with serving(says(whole(b"body"))) as peer:
        assert fetcher.get(peer.url, 100) == b"body"
        context = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()
        child = context.Process(target=lambda: queue.put(fetcher.get(peer.url, 100)))
        child.start()
        assert queue.get() == b"body"
        child.join()
