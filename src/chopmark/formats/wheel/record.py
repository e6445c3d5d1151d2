"""RECORD: the list of a wheel's files with their digests (recording installed projects of PyPA)."""

from __future__ import annotations

import base64
import binascii
import csv
import io
import re

from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats.wheel import reasons

ALGORITHMS = {"sha256": 32, "sha384": 48, "sha512": 64, "sha3_256": 32, "sha3_384": 48, "sha3_512": 64, "blake2b": 64}
"""SHA-256 and what is at least as good, as Python's hashlib calls them, with the bytes of a digest."""
_DIGEST = re.compile(r"([a-z0-9_]+)=([A-Za-z0-9_-]+)").fullmatch
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}").fullmatch
_COLUMNS = 3
_BREAK = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]").search
"""What ends a line for str.splitlines, with which pip reads the list, and not in CSV: behind it stands a path of its
own, which pip deletes with the project, wherever it leads."""


class Row(NamedTuple):
    """A file of the list; no algorithm where it has no digest, or a weak one; no size where none is given."""

    algorithm: str
    digest: bytes
    size: int | None


def read(data: bytes) -> dict[str, Row]:
    """The rows by path. Raises BrokenError for what is no such list, and for a path that is in it twice."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise BrokenError(reasons.RECORD_FORM, "it is not in UTF-8") from None
    if _BREAK(text):
        raise BrokenError(reasons.RECORD_FORM, "a character in it that ends a line for some programs")
    found: dict[str, Row] = {}
    try:
        for columns in csv.reader(io.StringIO(text, newline=""), strict=True):
            if not columns:
                continue
            if len(columns) != _COLUMNS or "\0" in columns[0]:
                raise BrokenError(reasons.RECORD_FORM, f"a line of {len(columns)} columns")
            path = columns[0]
            if path in found:
                raise BrokenError(reasons.RECORD_FORM, f"{path[:200]!a} twice")
            found[path] = _row(path, columns[1], columns[2])
    except csv.Error as error:
        raise BrokenError(reasons.RECORD_FORM, str(error)) from None
    return found


def _row(path: str, digest: str, size: str) -> Row:
    if size and not _SIZE(size):
        raise BrokenError(reasons.RECORD_FORM, f"no size: {size[:40]!a}")
    length = int(size) if size else None
    if not digest:
        return Row("", b"", length)
    match = _DIGEST(digest)
    if match is None:
        raise BrokenError(reasons.RECORD_FORM, f"no digest: {digest[:100]!a}")
    if match[1] not in ALGORITHMS:
        return Row("", b"", length)
    try:
        value = base64.b64decode(match[2] + "=" * (-len(match[2]) % 4), b"-_", validate=True)
    except binascii.Error:
        value = b""
    written = base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
    if len(value) != ALGORITHMS[match[1]] or written != match[2]:
        raise BrokenError(reasons.RECORD_FORM, f"the digest of {path[:200]!a} is none of {match[1]}")
    return Row(match[1], value, length)
