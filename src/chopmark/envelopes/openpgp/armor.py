"""ASCII armour (RFC 9580 clause 6), in the one way in which it is written."""

from __future__ import annotations

import binascii

from chopmark.core.errors import MalformedError

SIGNATURE, PUBLIC_KEY, SECRET_KEY = b"PGP SIGNATURE", b"PGP PUBLIC KEY BLOCK", b"PGP PRIVATE KEY BLOCK"
_WIDTH = 64
_WIDEST = 76
_HEADERS = (b"Version: ", b"Comment: ", b"Hash: ", b"Charset: ", b"MessageID: ")


def begin(label: bytes) -> bytes:
    """The first line."""
    return b"-----BEGIN " + label + b"-----"


def unwrap(data: bytes, label: bytes) -> tuple[bytes, bool]:
    """What is inside of one block with nothing around it, and whether it has headers, which nobody signed.

    A checksum that is there must fit: clause 6.1 would let it pass, but then the file is not what was written. Raises
    MalformedError.
    """
    if b"\r" in data:
        if data.count(b"\r\n") != data.count(b"\r") or data.count(b"\n") != data.count(b"\r"):
            raise MalformedError("line ends of several kinds")
        data = data.replace(b"\r\n", b"\n")
    first, last = begin(label) + b"\n", b"\n-----END " + label + b"-----\n"
    if not data.startswith(first) or not data.endswith(last) or len(data) <= len(first) + len(last):
        raise MalformedError("not one block of armour and nothing else")
    head, blank, body = data[len(first) - 1 : -len(last)].partition(b"\n\n")
    headers = head.split(b"\n")[1:] if head else []
    if not blank or not all(line.startswith(_HEADERS) for line in headers):
        raise MalformedError("headers that cannot be, or none of the empty line behind them")
    return _decoded(body.split(b"\n")), bool(headers)


def _decoded(lines: list[bytes]) -> bytes:
    checksum = lines.pop() if lines[-1].startswith(b"=") else None
    if not lines:
        raise MalformedError("nothing in the armour")
    width = len(lines[0])
    text = b"".join(lines)
    try:
        raw = binascii.a2b_base64(text, strict_mode=True)
        given = None if checksum is None else binascii.a2b_base64(checksum[1:], strict_mode=True)
    except binascii.Error:
        raise MalformedError("not base64") from None
    regular = width <= _WIDEST and all(len(line) == width for line in lines[:-1]) and 0 < len(lines[-1]) <= width
    if not raw or not regular or binascii.b2a_base64(raw, newline=False) != text:
        raise MalformedError("base64 that is not as it is written")
    if given is not None and given != _crc24(raw):
        raise MalformedError("a checksum that does not fit")
    return raw


def wrap(raw: bytes, label: bytes) -> bytes:
    """A block as GnuPG writes it, with a checksum, which older readers want."""
    text = binascii.b2a_base64(raw, newline=False)
    lines = [text[at : at + _WIDTH] for at in range(0, len(text), _WIDTH)]
    checksum = b"=" + binascii.b2a_base64(_crc24(raw), newline=False)
    return b"\n".join((begin(label), b"", *lines, checksum, b"-----END " + label + b"-----", b""))


_TABLE: list[int] = []


def _crc24(data: bytes) -> bytes:
    """Clause 6.1.1."""
    if not _TABLE:
        for octet in range(256):
            value = octet << 16
            for _ in range(8):
                value = value << 1 ^ (0x1864CFB if value & 0x800000 else 0)
            _TABLE.append(value & 0xFFFFFF)
    crc = 0xB704CE
    for octet in data:
        crc = crc << 8 & 0xFFFFFF ^ _TABLE[crc >> 16 ^ octet]
    return crc.to_bytes(3, "big")
