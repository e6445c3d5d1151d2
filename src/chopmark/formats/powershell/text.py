"""PowerShell files as text: which characters the bytes are, as Windows' signature handler reads them.

What is signed is the text in UTF-16LE, byte order mark included. With a byte order mark there is one reading. Without
one, the handler looks at the first 32 bytes: if those hold a UTF-8 sequence beyond ASCII, everything is UTF-8, else
everything is in the code page of the machine. Windows-1252 is taken for that, which maps every byte to one character.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from array import array
from typing import TYPE_CHECKING

from chopmark.core.errors import BrokenError
from chopmark.formats.powershell import reasons

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

UTF_8 = "utf-8"
UTF_16_LE = "utf-16-le"
UTF_16_BE = "utf-16-be"
WINDOWS_1252 = "windows-1252"

BOMS = {codecs.BOM_UTF8: UTF_8, codecs.BOM_UTF16_LE: UTF_16_LE, codecs.BOM_UTF16_BE: UTF_16_BE}

_LOOKED_AT = 32
# Windows maps the five bytes that Windows-1252 leaves undefined to control characters of the same number.
_TABLE = "".join(bytes((code,)).decode("cp1252", "replace").replace("\ufffd", chr(code)) for code in range(256))
_QUOTES = re.compile("[\u2018-\u201b\u201c-\u201e\u2013-\u2015]")
_BEYOND_ASCII = re.compile("[^\x00-\x7f]+")


class Text:
    """The bytes of a file and how they are read.

    `bom` is the encoding that the byte order mark names, or empty; `view` has one character per byte, for UTF-16 one
    per code point, so that ASCII can be looked for in it.
    """

    def __init__(self, raw: bytes) -> None:
        """Find the encoding. Raises BrokenError for UTF-16 of half units."""
        self.raw = raw
        self.bom = next((encoding for bom, encoding in BOMS.items() if raw.startswith(bom)), "")
        self.wide = self.bom in (UTF_16_LE, UTF_16_BE)
        if self.wide and len(raw) % 2:
            raise BrokenError(reasons.ENCODING_UNKNOWN, "an odd number of bytes in UTF-16")
        self.view = raw.decode(self.bom, "surrogatepass") if self.wide else raw.decode("latin-1")

    def offset(self, index: int) -> int:
        """The offset in bytes of a position in `view`."""
        return len(self.view[:index].encode(UTF_16_LE, "surrogatepass")) if self.wide else index

    def readings(self, end: int) -> tuple[str, ...]:
        """How the first `end` bytes may be read: as Windows does, then as UTF-8 if that is something else.

        Raises BrokenError when they cannot be decoded without loss.
        """
        content = self.raw[:end]
        if self.wide:
            return (self.bom,)
        strict = _is_utf8(content)
        if self.bom or looks_like_utf8(self.raw[:_LOOKED_AT]):
            if not strict:
                raise BrokenError(reasons.ENCODING_UNKNOWN, "not UTF-8 throughout")
            return (UTF_8,)
        if b"\x00" in content:
            raise BrokenError(reasons.ENCODING_UNKNOWN, "NUL without a byte order mark")
        if content.isascii():
            return (UTF_8,)
        return (WINDOWS_1252, UTF_8) if strict else (WINDOWS_1252,)

    def unmarked(self, end: int) -> bool:
        """Whether characters beyond ASCII have no byte order mark to say what they are."""
        return not self.bom and not self.raw[:end].isascii()

    def shown(self) -> str:
        """The text as an editor shows it; what cannot be decoded is replaced."""
        return self.view if self.wide else self.raw.decode(UTF_8, "replace")


def looks_like_utf8(data: bytes) -> bool:
    """Whether Windows' handler takes a beginning for UTF-8: whole sequences, and at least one beyond ASCII."""
    expected = 0
    beyond = False
    for octet in data:
        if expected:
            if octet & 0xC0 != 0x80:
                return False
            expected -= 1
        elif octet & 0x80:
            beyond = True
            ones = next((bit for bit in range(8) if not octet & (0x80 >> bit)), 8)
            if ones == 1:
                return False
            expected = ones - 1
    return beyond and not expected


def digest(pieces: Iterable[bytes], encoding: str, algorithm: str) -> tuple[bytes, int]:
    """The digest of bytes read in an encoding and written in UTF-16LE, and how many bytes were read.

    Raises BrokenError when they cannot be decoded.
    """
    hasher = hashlib.new(algorithm, usedforsecurity=False)
    length = 0
    try:
        for piece in _transcoded(pieces, encoding):
            hasher.update(piece[1])
            length += piece[0]
    except UnicodeDecodeError:
        raise BrokenError(reasons.ENCODING_UNKNOWN, f"not {encoding}") from None
    return hasher.digest(), length


def digest_of(text: str, algorithm: str) -> bytes:
    """The digest of a text that is decoded already."""
    return hashlib.new(algorithm, text.encode(UTF_16_LE, "surrogatepass"), usedforsecurity=False).digest()


def decode(content: bytes, encoding: str) -> str:
    """Bytes in one of the four encodings as text, the byte order mark included. Raises UnicodeDecodeError."""
    if encoding == WINDOWS_1252:
        return codecs.charmap_decode(content, "strict", _TABLE)[0]
    return content.decode(encoding, "surrogatepass" if encoding != UTF_8 else "strict")


def same_structure(content: bytes) -> bool:
    """Whether quotes and dashes stand at the same places, read as UTF-8 and as Windows-1252.

    PowerShell takes typographic ones for the ASCII ones, so that only these can make another program of a text in which
    ASCII is the same. Raises UnicodeDecodeError when it is not UTF-8.
    """
    return _structure(decode(content, UTF_8)) == _structure(decode(content, WINDOWS_1252))


def _structure(text: str) -> str:
    return _BEYOND_ASCII.sub(lambda match: "".join(_QUOTES.findall(match.group())), text)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode(UTF_8)
    except UnicodeDecodeError:
        return False
    return True


def _transcoded(pieces: Iterable[bytes], encoding: str) -> Iterator[tuple[int, bytes]]:
    """Each piece's length and its text in UTF-16LE."""
    decoder = codecs.getincrementaldecoder(UTF_8)() if encoding == UTF_8 else None
    rest = b""
    for piece in pieces:
        if encoding == UTF_16_LE:
            yield len(piece), piece
        elif encoding == UTF_16_BE:
            units = array("H", (rest + piece)[: (len(rest) + len(piece)) // 2 * 2])
            rest = (rest + piece)[2 * len(units) :]
            units.byteswap()
            yield len(piece), units.tobytes()
        elif decoder:
            yield len(piece), decoder.decode(piece).encode(UTF_16_LE)
        else:
            yield len(piece), decode(piece, WINDOWS_1252).encode(UTF_16_LE)
    if decoder:
        yield 0, decoder.decode(b"", final=True).encode(UTF_16_LE)
