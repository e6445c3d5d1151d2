"""Where a frame of Zstandard ends (RFC 8878 clause 3.1.1): told from its headers, so that no library is needed."""

from __future__ import annotations

from chopmark.core.errors import MalformedError

MAGIC = b"\x28\xb5\x2f\xfd"
_CONTENT_SIZES, _DICTIONARY_IDS = (0, 2, 4, 8), (0, 1, 2, 4)
_RUN, _RESERVED = 1, 3
"""Types of blocks: one octet that is repeated; none that there is."""


def end(data: bytes) -> int:
    """Behind the first frame. Raises MalformedError where there is none, or it is cut off."""
    if not data.startswith(MAGIC) or len(data) == len(MAGIC):
        raise MalformedError("no frame of Zstandard")
    described = data[4]
    single, checksum = described >> 5 & 1, described >> 2 & 1
    content = max(_CONTENT_SIZES[described >> 6], single)
    place = 5 + (1 - single) + _DICTIONARY_IDS[described & 3] + content
    last = 0
    while not last:
        header = int.from_bytes(data[place : place + 3], "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        place += 3 + (1 if kind == _RUN else size)
        if kind == _RESERVED or place > len(data):
            raise MalformedError("a frame of Zstandard that is cut off, or has a block of no known type")
    place += 4 * checksum
    if place > len(data):
        raise MalformedError("a frame of Zstandard that is cut off")
    return place
