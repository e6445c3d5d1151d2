"""What every object is: a type and bytes, and the id that both hash to."""

from __future__ import annotations

import hashlib
import zlib

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats.git import reasons

KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
"""The types of whole objects in a pack (gitformat-pack(5))."""


class Stored(NamedTuple):
    """An object as it was found."""

    kind: str
    data: bytes

    @property
    def head(self) -> bytes:
        """What stands before the bytes in a file of its own, and is hashed with them."""
        return f"{self.kind} {len(self.data)}".encode() + b"\0"

    def id(self, algorithm: str) -> str:
        """The object id that these bytes have, in hex."""
        hasher = hashlib.new(algorithm, self.head, usedforsecurity=False)
        hasher.update(self.data)
        return hasher.hexdigest()


def refuse_size(size: int) -> None:
    """Raise BrokenError for an object that is larger than any that is read."""
    if size > limits.GIT_OBJECT_MAX:
        raise BrokenError(reasons.OBJECT_BROKEN, f"{size} bytes; {limits.GIT_OBJECT_MAX} are the limit")


def inflate(data: bytes | memoryview, size: int) -> bytes:
    """Exactly `size` bytes from a zlib stream, which may have something behind it. Raises BrokenError."""
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(data, size + 1)
        if len(found) == size and not stream.eof:
            found += stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error as error:
        raise BrokenError(reasons.OBJECT_BROKEN, str(error)) from None
    if len(found) != size or not stream.eof:
        raise BrokenError(reasons.OBJECT_BROKEN, f"a stream that is not {size} bytes")
    return found


def loose(data: bytes) -> Stored:
    """The object in a file of its own: a zlib stream with type and size, and nothing behind it. Raises BrokenError."""
    stream = zlib.decompressobj()
    try:
        head = stream.decompress(data, 64)
        kind, space, rest = head.partition(b" ")
        digits, nul, begin = rest.partition(b"\0")
        name = kind.decode("latin-1")
        if not (space and nul and digits.isdigit() and name in KINDS.values()):
            raise BrokenError(reasons.OBJECT_BROKEN, "neither type nor size")
        size = int(digits)
        refuse_size(size)
        body = begin + stream.decompress(stream.unconsumed_tail, max(size + 1 - len(begin), 1))
        if len(body) == size and not stream.eof:
            body += stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error as error:
        raise BrokenError(reasons.OBJECT_BROKEN, str(error)) from None
    if len(body) != size or not stream.eof or stream.unused_data:
        raise BrokenError(reasons.OBJECT_BROKEN, f"a stream that is not {size} bytes, or has something behind it")
    return Stored(name, body)


def patched(base: bytes, delta: bytes) -> bytes:
    """What a delta makes of another object (gitformat-pack(5), Deltified representation). Raises BrokenError."""
    source, at = _number(delta, 0)
    target, at = _number(delta, at)
    refuse_size(target)
    if source != len(base):
        raise BrokenError(reasons.OBJECT_BROKEN, "a delta for another object")
    made, length, end = [], 0, len(delta)
    while at < end:
        code = delta[at]
        at += 1
        if code & 0x80:
            offset = size = 0
            for bit in range(4):
                if code >> bit & 1:
                    offset |= delta[at] << 8 * bit if at < end else _cut()
                    at += 1
            for bit in range(3):
                if code >> 4 + bit & 1:
                    size |= delta[at] << 8 * bit if at < end else _cut()
                    at += 1
            size = size or 0x10000
            piece = base[offset : offset + size]
        else:
            size = code
            piece = delta[at : at + size]
            at += size
        length += size
        if not size or len(piece) != size or length > target:
            _cut()
        made.append(piece)
    if length != target:
        _cut()
    return b"".join(made)


def _cut() -> int:
    raise BrokenError(reasons.OBJECT_BROKEN, "a delta that copies what is not there, or not what it says")


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A size in groups of seven bits, the lowest first."""
    value = shift = 0
    while at < len(data) and shift <= 56:
        octet = data[at]
        value |= (octet & 0x7F) << shift
        at += 1
        shift += 7
        if octet < 0x80:
            return value, at
    raise BrokenError(reasons.OBJECT_BROKEN, "a size without an end")
