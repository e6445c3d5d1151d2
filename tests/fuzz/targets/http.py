"""Heads of HTTP requests: read or refused with a status, and never two requests taken for one."""

import contextlib
from collections.abc import Iterable

from chopmark.core import limits
from chopmark.server import parsing


def seeds() -> Iterable[bytes]:
    yield b'GET /ocsp/MEAw HTTP/1.1\r\nHost: x\r\nIf-None-Match: "a"\r\n\r\n'
    yield b"POST / HTTP/1.0\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello"
    yield b"POST http://x/y?z HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\n\r\n"


def run(data: bytes) -> None:
    with contextlib.suppress(parsing.RefusedRequestError):
        end = parsing.end_of_head(data)
        if end >= 0:
            assert data[end : end + 4] == parsing.END
            assert parsing.END not in data[:end]
            _fitting(data[:end], parsing.parse(data[:end]))


def _fitting(raw: bytes, head: parsing.Head) -> None:
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert head.path.startswith("/")
    assert head.line.isprintable()
    assert 0 <= head.length <= limits.SERVER_BODY_MAX
