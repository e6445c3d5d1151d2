"""Where the parts of a certificate are (RFC 5280 clause 4.1): the short way along their lengths, and the long one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.envelopes import der

if TYPE_CHECKING:
    import datetime as dt

_SIGNED = rb"00\x03"
_TBS = rb"\xa0?\x0200000\x81?\x82?\xa3?"
"""Identifier octets of Certificate and TBSCertificate."""
_LONG, _VERSION_3 = b"\x30\x82", b"\xa0\x03\x02\x01\x02\x02"
"""How most certificates begin: a long value in a long value, its version, and the identifier of its serial number."""
_TWO_TIMES = b"\x30\x1e\x17\x0d"
"""How a validity begins whose times are both UTCTime; the second begins as the first does."""
_VERSION, _EXTENSIONS = der.context(0), der.context(3)
_VERSIONS = {b"\xa0\x03\x02\x01\x02": 3, b"\xa0\x03\x02\x01\x01": 2}


def read(raw: bytes) -> tuple[int, ...]:
    """Where the parts of a certificate begin and end, in order. Raises DerError.

    TBSCertificate; the end of the algorithm behind it, and where the octets of the signature start; the version; the
    serial number's octets; the ends of what follows it up to the key; the elements of the extensions.
    """
    outer = der.parse(raw).expect(der.SEQUENCE)
    (_, tbs, body, end), (_, _, _, behind), (_, _, bits, last) = der.shaped(raw, outer.body, outer.end, _SIGNED)
    der.whole_bits(raw[bits:last])
    fields = der.shaped(raw, body, end, _TBS)
    version = 1
    if fields[0][0] == _VERSION:
        _, start, _, after = fields.pop(0)
        written = raw[start:after]
        version = _VERSIONS.get(written) or der.parse(written).only_child().expect(der.INTEGER).integer() + 1
    _, _, number, serial = fields[0]
    if number == serial:
        raise der.DerError("an empty serial number")
    ends = [after for _, _, _, after in fields[1:6]]
    tag, start, _, after = fields[-1]
    if tag != _EXTENSIONS:
        return (tbs, end, behind, bits + 1, version, number, serial, *ends, end, end)
    block = der.Node(raw, start, after).only_child().expect(der.SEQUENCE)
    return (tbs, end, behind, bits + 1, version, number, serial, *ends, block.body, block.end)


def usual(raw: bytes) -> tuple[int, ...] | None:
    """The same of a certificate that looks as nearly all do; None if it does not, or is none.

    Version 3 with extensions, both times UTCTime, names and algorithms of less than 128 octets. Each part begins where
    the one before it ends by its own length, and the last ends where the whole does: there is no other way to read it.
    """
    if raw[:2] != _LONG or raw[4:6] != _LONG or raw[8:14] != _VERSION_3:
        return None
    size, end = len(raw), 8 + (raw[6] << 8 | raw[7])
    try:
        serial = 15 + raw[14]
        algorithm = serial + 2 + raw[serial + 1]
        issuer = algorithm + 2 + raw[algorithm + 1]
        validity = issuer + 32
        subject = validity + 2 + raw[validity + 1]
        key = subject + der.HEADERS.get(raw[subject + 1], 2)
        spki = key + (raw[subject + 1] if key == subject + 2 else int.from_bytes(raw[subject + 2 : key], "big"))
        block = spki + 2 * der.HEADERS.get(raw[spki + 1], 2)
        behind = end + 2 + raw[end + 1]
        bits = behind + der.HEADERS.get(raw[behind + 1], 2)
        fits = (
            raw[serial] == raw[algorithm] == raw[validity] == raw[end] == der.SEQUENCE
            and 0 < raw[14] < der.LONG
            and (raw[serial + 1] | raw[algorithm + 1] | raw[validity + 1] | raw[end + 1]) < der.LONG
            and raw[issuer : issuer + 2] == _TWO_TIMES[:2]
            and block <= end
            and raw[bits] == 0
        )
    except IndexError:
        return None
    if (
        fits
        and raw[:4] == der.header(der.SEQUENCE, size - 4)
        and raw[4:8] == der.header(der.SEQUENCE, end - 8)
        and raw[subject:key] == der.header(der.SEQUENCE, spki - key)
        and raw[spki:block] == der.headers(_EXTENSIONS, der.SEQUENCE, end - block)
        and raw[behind:bits] == der.header(der.BIT_STRING, size - bits)
    ):
        return 4, end, behind, bits + 1, 3, 15, serial, algorithm, issuer, validity, subject, spki, block, end
    return None


def validity(raw: bytes, start: int, end: int) -> tuple[dt.datetime, dt.datetime]:
    """Both times of a validity that stands there, from its header on. Raises DerError."""
    if raw[start : start + 4] == _TWO_TIMES and raw[start + 17 : start + 19] == _TWO_TIMES[2:]:
        return der.read_time(der.UTC_TIME, raw[start + 4 : start + 17]), der.read_time(
            der.UTC_TIME, raw[start + 19 : end]
        )
    outer = der.Node(raw, start, end).expect(der.SEQUENCE)
    times = der.spans(raw, outer.body, outer.end)
    if len(times) != 2:
        raise der.DerError("a validity that is not two times")
    before, after = (der.read_time(tag, raw[body:behind]) for tag, _, body, behind in times)
    return before, after
