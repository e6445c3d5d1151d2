"""The head of an HTTP/1 request, read strictly (RFC 9112).

What different readers take differently is refused instead of being interpreted: two lengths, a length and a transfer
coding, folded lines, a line feed or carriage return alone, space before a colon. Whoever sits in front then never
disagrees with this server about where a request ends.
"""

from __future__ import annotations

import re
from functools import lru_cache
from http import HTTPStatus

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple

END = b"\r\n\r\n"
METHODS = ("GET", "HEAD", "POST")
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_NAME = re.compile(_TOKEN)
_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LONE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
_HOST = re.compile(rb"(?:[A-Za-z0-9._~%!$&'()*+,;=\-]*|\[[0-9A-Fa-f:.v]+\])(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(r"(?i:https?)://([^/?#]+)(/[^?#]*)?(?:\?[^#]*)?")
_LENGTH_DIGITS = 9
_SINGLE = frozenset(
    {b"host", b"content-length", b"content-type", b"transfer-encoding", b"expect", b"if-modified-since"}
)
"""Fields that make no sense twice; where two readers could each take another one, none is right."""


class RefusedRequestError(MalformedError):
    """A request that gets this status, after which the connection is closed: where it ends may be in doubt."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class Head(NamedTuple):
    """A request but for its body, which has `length` octets.

    `path` is as it came, without a query; `content_type` in lower case, without parameters; `etags` and `since` are
    If-None-Match and If-Modified-Since; `line` is the request line, for the log.
    """

    method: str
    path: str
    line: str
    keep: bool
    old: bool
    length: int
    content_type: str
    continues: bool
    etags: str
    since: str


def end_of_head(data: bytes | bytearray, start: int = 0) -> int:
    """Where the empty line after a head begins; -1 when it has not come yet. Raises RefusedRequestError."""
    end = data.find(END, start, start + limits.SERVER_HEAD_MAX + len(END))
    if end >= 0:
        return end
    line = data.find(b"\n", start, start + limits.SERVER_LINE_MAX + 1)
    if line < 0 and len(data) - start > limits.SERVER_LINE_MAX:
        raise RefusedRequestError(HTTPStatus.REQUEST_URI_TOO_LONG, "the request line is too long")
    if len(data) - start > limits.SERVER_HEAD_MAX:
        raise RefusedRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the header is too large")
    # A head with lone line feeds would never end, or end where somebody else does not see it.
    if line >= 0 and _LONE.search(data, start, min(len(data), start + limits.SERVER_HEAD_MAX)):
        raise RefusedRequestError(HTTPStatus.BAD_REQUEST, "lines end with CR LF")
    return -1


def parse(raw: bytes) -> Head:
    """Read a head, without the empty line after it. Raises RefusedRequestError.

    A client that keeps a connection sends the same octets again and again, so what short ones mean is remembered.
    """
    return _remembered(raw) if len(raw) <= limits.SERVER_HEAD_KEPT_MAX else _parse(raw)


@lru_cache(maxsize=limits.SERVER_HEADS_KEPT_MAX)
def _remembered(raw: bytes) -> Head:
    return _parse(raw)


def _parse(raw: bytes) -> Head:
    lines = raw.split(b"\r\n")
    if len(lines[0]) > limits.SERVER_LINE_MAX:
        raise RefusedRequestError(HTTPStatus.REQUEST_URI_TOO_LONG, "the request line is too long")
    if len(lines) - 1 > limits.SERVER_FIELDS_MAX:
        raise RefusedRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "there are too many header fields")
    match = _LINE.fullmatch(lines[0])
    if match is None:
        raise _bad("this is no request line")
    method, target, major, minor = match[1].decode(), match[2].decode(), match[3], match[4]
    if major != b"1":
        raise RefusedRequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    fields = _fields(lines[1:])
    old = minor == b"0"
    _host(fields, old=old)
    if method not in METHODS:
        raise RefusedRequestError(HTTPStatus.NOT_IMPLEMENTED, "only GET, HEAD and POST are known here")
    length = _length(method, fields, old=old)
    expects = fields.get(b"expect", b"").lower()
    if expects not in (b"", b"100-continue"):
        raise RefusedRequestError(HTTPStatus.EXPECTATION_FAILED, "nothing but 100-continue can be expected")
    options = {option.strip().lower() for option in fields.get(b"connection", b"").split(b",")}
    return Head(
        method,
        _path(target),
        lines[0].decode(),
        (b"keep-alive" in options and b"close" not in options) if old else b"close" not in options,
        old,
        length,
        fields.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1"),
        bool(expects) and not old,
        fields.get(b"if-none-match", b"").decode("latin-1"),
        fields.get(b"if-modified-since", b"").decode("latin-1"),
    )


def _bad(text: str) -> RefusedRequestError:
    return RefusedRequestError(HTTPStatus.BAD_REQUEST, text)


def _fields(lines: list[bytes]) -> dict[bytes, bytes]:
    """Values by name in lower case; several of one name are joined by commas (RFC 9110 clause 5.3)."""
    fields: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name):  # a folded line, and space before the colon, are no name either
            raise _bad("a header line is malformed")
        if _CONTROL.search(value):
            raise _bad("there is a control character in a header line")
        name, value = name.lower(), value.strip(b" \t")
        if name in fields:
            if name in _SINGLE:
                raise _bad(f"more than one {name.decode()}")
            value = fields[name] + b", " + value
        fields[name] = value
    return fields


def _host(fields: dict[bytes, bytes], *, old: bool) -> None:
    host = fields.get(b"host")
    if host is None and not old:
        raise _bad("there is no Host (RFC 9112 clause 3.2)")
    if host and not _HOST.fullmatch(host):
        raise _bad("the Host is none")


def _length(method: str, fields: dict[bytes, bytes], *, old: bool) -> int:
    """Octets of the body. Transfer codings are refused: nobody who asks for a time stamp needs one."""
    coding, length = fields.get(b"transfer-encoding"), fields.get(b"content-length")
    if coding is not None:
        if length is not None or old:
            raise _bad("a transfer coding beside a length, or in HTTP/1.0")
        if coding.lower() != b"chunked":
            raise RefusedRequestError(HTTPStatus.NOT_IMPLEMENTED, "this transfer coding is not known")
        raise RefusedRequestError(HTTPStatus.LENGTH_REQUIRED, "a request needs a Content-Length")
    if length is None:
        if method == "POST":
            raise RefusedRequestError(HTTPStatus.LENGTH_REQUIRED, "a request needs a Content-Length")
        return 0
    if not (length.isascii() and length.isdigit()):
        raise _bad("the Content-Length is no number")
    if len(length.lstrip(b"0")) > _LENGTH_DIGITS or int(length) > limits.SERVER_BODY_MAX:
        raise RefusedRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too long")
    if int(length) and method != "POST":
        raise _bad(f"a {method} has no body")
    return int(length)


def _path(target: str) -> str:
    if target.startswith("/"):
        if "#" in target:
            raise _bad("a fragment is not part of a request")
        return target.partition("?")[0]
    match = _ABSOLUTE.fullmatch(target)  # as a proxy is asked (RFC 9112 clause 3.2.2)
    if match is None:
        raise _bad("this is no path")
    return match[2] or "/"
