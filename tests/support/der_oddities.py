"""What can be odd about a value of DER, by its type: what reads such values has been wrong about each of these."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_NUMBERS = (0, 1, 2, 3, 17, 127, 128, 255, 256, 65537, 2**31 - 1, 2**31, 2**32, 2**63, 2**64, 2**159, 2**160, 2**256)
_LARGE = (2**521, 2**4095 + 1, 2**4096, 2**16384 - 1, 2**20000)
_OIDS = tuple(
    bytes.fromhex(each)
    for each in (
        *("2a864886f70d010101", "2a864886f70d01010a", "2a864886f70d010108", "2a864886f70d010105"),  # RSA, PSS, MGF1
        *("2a864886f70d01010b", "2a864886f70d010104", "2a8648ce3d0201", "2a8648ce380401", "2a8648ce380403"),  # EC, DSA
        *("2a8648ce3d030107", "2b81040022", "2b81040023", "2b8104000a", "2b81040021", "2b2403030208010107"),  # curves
        *("2a8648ce3d040301", "2a8648ce3d040302", "2a8648ce3d040304", "2b6570", "2b6571", "2b656e"),  # ECDSA, Ed25519
        *("608648016503040311", "608648016503040312", "608648016503040313", "608648016503040320"),  # ML-DSA
        *(
            "2b0e03021a",
            "2a864886f70d0205",
            "608648016503040201",
            "608648016503040203",
            "60864801650304020b",
        ),  # digests
        *("551d0e", "551d0f", "551d11", "551d12", "551d13", "551d14", "551d15", "551d18", "551d1b", "551d1c", "551d1d"),
        *("551d1e", "551d1f", "551d20", "551d21", "551d23", "551d24", "551d25", "551d2e", "551d36", "551d2000"),
        *("2b06010505070101", "2b06010505070103", "2b060105050730", "2b0601050507300105", "2b0601050507300102"),
        *("2b06010505070303", "2b06010505070308", "2b06010505070309", "551d2500", "2b0601040182370a030d"),  # purposes
        *("550403", "550406", "55040a", "55040b", "550405", "2a864886f70d010901", "0992268993f22c640119"),  # names
        *("2a864886f70d010701", "2a864886f70d010702", "2a864886f70d010903", "2a864886f70d010904"),  # CMS
        *("2a864886f70d010905", "2a864886f70d010906", "2a864886f70d010910010e", "2a864886f70d010910022f"),
        "2b060104018237020104",  # Authenticode
    )
)
_ODD_OIDS = (
    b"",
    b"\x80\x01",
    b"\x2a\x80\x01",
    b"\x2a\x86",
    b"\x88\x37\x03",
    b"\xff" * 9 + b"\x7f",
    b"\x2a" + b"\x01" * 63,
)
_TIMES = (
    *(b"000101000000Z", b"491231235959Z", b"500101000000Z", b"991231235959Z", b"260230000000Z", b"260701240000Z"),
    *(b"260701120060Z", b"2607011200Z", b"260701120000+0100", b"260701120000", b"26070112000Z", b"2607 1120000Z"),
    *(b"00000101000000Z", b"00010101000000Z", b"19491231235959Z", b"20260701120000Z", b"99991231235959Z"),
    *(b"20260701120000.5Z", b"20260701120000.50Z", b"20260701120000.Z", b"20260701120000.123456789Z"),
    *(b"20260701120000+0000", b"202607011200Z", b"20260701120000,5Z", b"20160229000000Z", b"99999999999999Z"),
    *(b"\xd9\xa1" * 6 + b"Z", b"", b"Z", b"260701120000z", b"+60701120000Z"),
)
_TEXTS = (
    *(
        b"",
        b" ",
        b"\0",
        b"a\0b",
        b"\x1b[2J",
        b"a\nb",
        b"\r",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xc0\x80",
        b"\xf4\x90\x80\x80",
    ),
    *("\u202eexe.", "\u0130", "\ufb03", "\u1e9e", "e\u0301", "\u00ad", "\U000e0001", "\u2028", "\u0085"),
    *(
        b"\xd8\x00\x00\x41",
        b"\x00\x11\x00\x00",
        b"\0",
        b"CN=x,O=y",
        b"*",
        b"*.*",
        b".",
        b"..",
        b"a." * 130,
        b"x" * 5000,
    ),
    *(
        b"http://",
        b"http://[::1",
        b"http://a:99999999/",
        b"ldap://a/%zz",
        b"http://a\tb/",
        b"file:///etc/passwd",
        b"@",
        b"a@",
    ),
)
_STRINGS = frozenset({0x0C, 0x12, 0x13, 0x14, 0x16, 0x1A, 0x1C, 0x1E, *range(0x80, 0x8A)})
_TAGS = (
    0x01,
    0x02,
    0x03,
    0x04,
    0x05,
    0x06,
    0x0A,
    0x0C,
    0x13,
    0x16,
    0x17,
    0x18,
    0x1C,
    0x1E,
    0x30,
    0x31,
    0x00,
    0x1F,
    0xFF,
)
_UNUSED = (1, 2, 3, 4, 5, 6, 7, 8, 9, 128, 255)


def values(tag: int, value: bytes, random: Random) -> bytes | None:
    """Another value for this type, odd more often than not; None for types whose value is structure."""
    if tag & 0x20:
        return None
    made = _BY_TAG.get(tag, _text if tag in _STRINGS else _octets)
    return made(value, random)


def _integer(value: bytes, random: Random) -> bytes:
    number = int.from_bytes(value, "big", signed=True)
    chosen = random.randrange(10)
    if chosen == 0:
        return b""
    if chosen == 1:  # longer than it needs to be
        return random.choice((b"\0", b"\0\0\0\0", b"\xff")) + value
    if chosen == 2:
        return (b"\0" if random.random() < 0.5 else b"\xff") * random.choice((1, 2, 600))
    picked = random.choice(
        (number + 1, number - 1, -number, number * 2, number ^ 1 << random.randrange(len(value) * 8 + 1))
        if chosen < 6
        else (_LARGE if chosen == 6 else _NUMBERS)
    )
    return _signed(-picked if random.random() < 0.3 else picked)


def _signed(number: int) -> bytes:
    return number.to_bytes((number if number >= 0 else ~number).bit_length() // 8 + 1, "big", signed=True)


def _bits(value: bytes, random: Random) -> bytes:
    chosen = random.randrange(6)
    if chosen == 0:
        return random.choice((b"", b"\0", b"\7", b"\0\0", b"\7\x80", b"\0\xff\xff\xff", b"\1\xff"))
    if chosen == 1:
        return bytes((random.choice(_UNUSED),)) + value[1:]
    if chosen == 2:
        return value[:1] + _octets(value[1:], random)
    if chosen == 3:  # named bits: one more, one less
        return bytes((random.randrange(8),)) + random.randbytes(random.choice((1, 1, 2, 3)))
    return _octets(value, random)


def _object_identifier(value: bytes, random: Random) -> bytes:
    chosen = random.randrange(8)
    if chosen < 5:
        return random.choice(_OIDS)
    if chosen == 5:
        return random.choice(_ODD_OIDS)
    return (
        value + random.choice((b"\0", b"\1", b"\x80", b"\x81\0"))
        if chosen == 6
        else value[: random.randrange(len(value) + 1)]
    )


def _time(_: bytes, random: Random) -> bytes:
    if random.random() < 0.4:
        return b"%02d%02d%02d%02d%02d%02dZ" % tuple(random.randrange(each) for each in (100, 14, 33, 25, 61, 62))
    return random.choice(_TIMES)


def _boolean(_: bytes, random: Random) -> bytes:
    return random.choice((b"\0", b"\xff", b"\xff", b"\1", b"", b"\xff\xff"))


def _null(_: bytes, random: Random) -> bytes:
    return random.choice((b"", b"\0"))


def _text(value: bytes, random: Random) -> bytes:
    if random.random() < 0.3:
        return _octets(value, random)
    picked = random.choice(_TEXTS)
    text = picked if isinstance(picked, bytes) else picked.encode(random.choice(("utf-8", "utf-16-be", "utf-32-be")))
    return random.choice((text, value + text, text + value))


def _octets(value: bytes, random: Random) -> bytes:
    chosen = random.randrange(6)
    if chosen == 0 or not value:
        return random.choice((b"", b"\0", b"\xff", bytes(20), bytes(32), random.randbytes(20), b"\x30\x00"))
    place = random.randrange(len(value))
    if chosen == 1:
        return value[:place]
    if chosen == 2:
        return value[place:]
    if chosen == 3:
        return value + value[place:]
    return value[:place] + bytes((value[place] ^ 1 << random.randrange(8),)) + value[place + 1 :]


_BY_TAG = {
    0x01: _boolean,
    0x02: _integer,
    0x03: _bits,
    0x05: _null,
    0x06: _object_identifier,
    0x0A: _integer,
    0x17: _time,
    0x18: _time,
}


def tag(old: int, random: Random) -> int:
    """Another identifier octet."""
    return random.choice(
        (random.choice(_TAGS), old ^ 0x20, 0x80 | random.randrange(10), 0xA0 | random.randrange(10), old ^ 0x40)
    )


def framed(old: int, inside: bytes, random: Random) -> bytes:
    """A value whose length is longer than it needs to be, indefinite, or wrong."""
    length = len(inside)
    return bytes((old,)) + random.choice(
        (
            b"\x81" + bytes((length & 0xFF,)) + inside,
            b"\x84" + length.to_bytes(4, "big") + inside,
            b"\x85" + length.to_bytes(5, "big") + inside,
            b"\x80" + inside + b"\0\0",
            b"\xff" + inside,
            b"\x84\xff\xff\xff\xff" + inside,
            bytes(((length + 1) & 0x7F,)) + inside,
            bytes((max(length - 1, 0) & 0x7F,)) + inside,
        )
    )
