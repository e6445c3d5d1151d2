"""Ends of ZIP archives in signatures: Java and Python run an archive whose end stands anywhere near that of a file.

What a signature brings besides (certificates that it does not need, revocation lists) is covered by nothing.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from chopmark.formats._appended import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import View
    from chopmark.core.finding import Finding

_END, _ENTRY, _LOCATOR = b"PK\5\6", b"PK\1\2", b"PK\6\7"
_SIZE = struct.Struct("<L")
_SIZE_AT, _LOCATOR_SIZE = 12, 20


def findings(view: View, start: int, end: int) -> Iterator[Finding]:
    """Whether a range that nothing covers has what programs take for the end of an archive (APPNOTE.TXT clause 4.3.16).

    The four octets alone may be there by accident; that a list of members ends just before them, no longer.
    """
    raw = view.read(start, end - start)
    place = raw.find(_END)
    while place >= 0:
        if _ends_a_list(view, start + place):
            yield reasons.ARCHIVE.found(f"at byte {start + place}")
            return
        place = raw.find(_END, place + 1)


def _ends_a_list(view: View, place: int) -> bool:
    size = view.read(place + _SIZE_AT, _SIZE.size)
    if len(size) < _SIZE.size:
        return False
    begin = place - _SIZE.unpack(size)[0]
    wide = place >= _LOCATOR_SIZE and view.read(place - _LOCATOR_SIZE, 4) == _LOCATOR
    return wide or (0 <= begin < place and view.read(begin, 4) == _ENTRY)
