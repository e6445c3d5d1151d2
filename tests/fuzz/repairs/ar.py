"""Archives of ar(5): each member as long as it is until the next header; checksums of tar files and streams in them."""

from __future__ import annotations

import re

from tests.fuzz.repairs import compressed
from tests.support.wheels import with_checksums

_HEADER = 60
_ENDS = re.compile(rb"(?s)(?=.{58}`\n)")


def repaired(data: bytes) -> bytes:
    """With sizes that lead from each header to the next one."""
    places = [match.start() for match in _ENDS.finditer(data, 8)]
    if not places:
        return data
    made = [data[: places[0]]]
    for place, end in zip(places, [*places[1:], len(data)], strict=True):
        if end < place + _HEADER:
            return data
        body = data[place + _HEADER : end]
        if len(body) % 2:
            body += b"\n"
        size = len(body) - (body.endswith(b"\n") and data[place + 56] & 1)
        if body[257:262] == b"ustar":
            body = with_checksums(body)
        else:
            packed = compressed.repaired(body[:size])
            size, body = len(packed), packed + body[size:] + b"\n" * ((len(packed) + len(body) - size) % 2)
        made.append(data[place : place + 48] + b"%-10d`\n" % size + body)
    return b"".join(made)
