"""Heads of requests: what is understood, and what two readers could understand differently, which is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.server import parsing
from chopmark.server.parsing import RefusedRequestError, end_of_head, parse


def head(*lines: bytes, first: bytes = b"POST /tsa HTTP/1.1", host: bytes = b"Host: x") -> bytes:
    return b"\r\n".join((first, host, *lines))


def status(raw: bytes) -> int:
    with pytest.raises(RefusedRequestError) as caught:
        parse(raw)
    return int(caught.value.status)


def test_a_head() -> None:
    read = parse(
        head(b"Content-length:  12 ", b"CONTENT-TYPE: Application/OCSP-Request ; x=y", b"Expect: 100-Continue")
    )
    assert (read.method, read.path, read.length, read.content_type) == ("POST", "/tsa", 12, "application/ocsp-request")
    assert read.continues
    assert read.keep
    assert not read.old
    assert read.line == "POST /tsa HTTP/1.1"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a?b=c", "/a"),
        (b"/%41?", "/%41"),
        (b"//a//b", "//a//b"),
        (b"http://example.com/a?b", "/a"),
        (b"HTTP://example.com", "/"),
        (b"https://[::1]:80/x", "/x"),
    ],
)
def test_targets(target: bytes, path: str) -> None:
    assert parse(head(first=b"GET " + target + b" HTTP/1.1")).path == path


@pytest.mark.parametrize("target", [b"a", b"*", b"/a#b", b"ftp://x/", b"http:///x", b"/\xff", b"/a b", b"/\x00", b""])
def test_what_is_no_target(target: bytes) -> None:
    assert status(head(first=b"GET " + target + b" HTTP/1.1")) == 400


@pytest.mark.parametrize(
    ("first", "line", "keep"),
    [
        (b"GET / HTTP/1.1", b"A: b", True),
        (b"GET / HTTP/1.1", b"Connection: close", False),
        (b"GET / HTTP/1.1", b"Connection: Keep-Alive, Close", False),
        (b"GET / HTTP/1.1", b"Connection: upgrade\r\nConnection: close", False),
        (b"GET / HTTP/1.0", b"A: b", False),
        (b"GET / HTTP/1.0", b"Connection: Keep-Alive", True),
        (b"GET / HTTP/1.0", b"Connection: keep-alive, close", False),
        (b"GET / HTTP/1.7", b"A: b", True),
    ],
)
def test_whether_the_connection_stays(first: bytes, line: bytes, *, keep: bool) -> None:
    assert parse(head(line, first=first)).keep is keep


def test_old_requests_need_no_host_and_expect_nothing() -> None:
    read = parse(b"POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue")
    assert read.old
    assert not read.continues


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ((b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
        ((b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400),
        ((b"Content-Length: 5", b"Content-Length: 5"), 400),
        ((b"Content-Length: 5", b"content-length: 6"), 400),
        ((b"Content-Length: 5, 5",), 400),
        ((b"Content-Length: 5 5",), 400),
        ((b"Content-Length: +5",), 400),
        ((b"Content-Length: -5",), 400),
        ((b"Content-Length: 0x5",), 400),
        ((b"Content-Length: 5_0",), 400),
        ((b"Content-Length: \xb2",), 400),
        ((b"Content-Length:",), 400),
        ((b"Content-Length : 5",), 400),
        ((b"Content-Length\t: 5",), 400),
        ((b" Content-Length: 5",), 400),
        ((b"Content-Length: 5", b" 5"), 400),
        ((b"Content-Length:", b"\t5"), 400),
        ((b"Content-Length: 5\rX: y",), 400),
        ((b"Content-Length: 5\nX: y",), 400),
        ((b"Content-Length: 5\x00",), 400),
        ((b"Content-Length: 5", b": nothing"), 400),
        ((b"Content-Length: 5", b"no colon"), 400),
        ((b"Content-Length: 5", b""), 400),
        ((b"Content-Length: 5", b"Host: y"), 400),
        ((b"Content-Length: 5", b"Content-Type: a", b"Content-Type: b"), 400),
        ((b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"), 400),
        ((b"Transfer-Encoding: chunked",), 411),
        ((b"Transfer-Encoding: Chunked",), 411),
        ((b"Transfer-Encoding: identity",), 501),
        ((b"Transfer-Encoding: gzip, chunked",), 501),
        ((b"Transfer-Encoding: \x0bchunked",), 400),
        ((b"Transfer-Encoding:",), 501),
        ((), 411),
        ((b"Content-Length: 00000000000000005",), 0),
        ((b"Content-Length: 65537",), 413),
        ((b"Content-Length: " + b"9" * 4999,), 413),
        ((b"Content-Length: 5", b"Expect: a miracle"), 417),
    ],
)
def test_where_a_request_ends_is_beyond_doubt(lines: tuple[bytes, ...], wanted: int) -> None:
    if wanted:
        assert status(head(*lines)) == wanted
    else:
        assert parse(head(*lines)).length == 5


@pytest.mark.parametrize(
    "raw",
    [
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked",
        b"POST / HTTP/1.1\r\nContent-Length: 0",  # no Host
        b"GET / HTTP/1.1\r\nHost: a b",
        b"GET / HTTP/1.1\r\nHost: a/b",
        b"GET / HTTP/1.1\r\nHost: user@a",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1",  # a body that nobody expects
        b"GET  / HTTP/1.1\r\nHost: x",
        b"GET / HTTP/1.1 \r\nHost: x",
        b" GET / HTTP/1.1\r\nHost: x",
        b"GET\t/ HTTP/1.1\r\nHost: x",
        b"GET / http/1.1\r\nHost: x",
        b"GET / HTTP/11\r\nHost: x",
        b"GET / HTTP/1.1.1\r\nHost: x",
        b"G\x00T / HTTP/1.1\r\nHost: x",
        b"",
    ],
)
def test_what_is_malformed(raw: bytes) -> None:
    assert status(raw) == 400


def test_methods_and_versions() -> None:
    for method in (b"PUT", b"DELETE", b"CONNECT", b"get", b"Post"):
        assert status(head(first=method + b" / HTTP/1.1")) == 501
    assert status(head(first=b"GET / HTTP/2.0")) == 505
    assert status(head(first=b"GET / HTTP/0.9")) == 505


def test_limits() -> None:
    assert status(head(first=b"GET /" + b"a" * limits.SERVER_LINE_MAX + b" HTTP/1.1")) == 414
    fields = [b"A: b"] * (limits.SERVER_FIELDS_MAX - 1)
    assert parse(head(*fields, first=b"GET / HTTP/1.1")).path == "/"
    assert status(head(*fields, b"A: b", first=b"GET / HTTP/1.1")) == 431


def test_where_a_head_ends() -> None:
    assert end_of_head(b"GET / HTTP/1.1\r\n\r\n") == 14
    assert end_of_head(b"xxGET / HTTP/1.1\r\n\r\n", 2) == 16
    for unfinished in (
        b"",
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n\r",
    ):
        assert end_of_head(unfinished) == -1


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"GET / HTTP/1.1\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\rY: z\r\n", 400),
        (b"a" * (limits.SERVER_LINE_MAX + 1), 414),
        (b"GET / HTTP/1.1\r\n" + b"a" * limits.SERVER_HEAD_MAX, 431),
    ],
)
def test_a_head_that_cannot_end_well(data: bytes, wanted: int) -> None:
    with pytest.raises(RefusedRequestError) as caught:
        end_of_head(data)
    assert caught.value.status == wanted


TOKENS = st.sampled_from(
    b"GET|POST| |/|HTTP/1.1|HTTP/1.0|\r\n|\n|\r|\t|:|Host|x|\x00|Content-Length|Transfer-Encoding|chunked|5|,|\xff|http://"
    b"|Expect|Connection|close".split(b"|")
)


@given(st.one_of(st.binary(max_size=200), st.lists(TOKENS, max_size=30).map(b"".join)))
def test_anything_is_read_or_refused(data: bytes) -> None:
    refused = 0
    try:
        end = end_of_head(data)
        read = parse(data[: end if end >= 0 else len(data)])
    except RefusedRequestError as error:
        read = None
        refused = int(error.status)
    if read is None:
        assert 400 <= refused < 600
        return
    assert read.method in parsing.METHODS
    assert read.path.startswith("/")
    assert 0 <= read.length <= limits.SERVER_BODY_MAX
    assert read.line.isprintable()


@given(
    st.integers(0, limits.SERVER_BODY_MAX), st.lists(st.sampled_from([b"A: b", b"b:\tc", b"X-Y: \x80\xff"]), max_size=5)
)
def test_what_is_well_formed_is_understood(length: int, others: list[bytes]) -> None:
    read = parse(head(*others, b"Content-Length: %d" % length))
    assert read.length == length
