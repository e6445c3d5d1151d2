"""The frame of a revocation list: where its parts are, without its entries (RFC 5280 clause 5.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.envelopes import der

if TYPE_CHECKING:
    import datetime as dt

_SIGNED = rb"00\x03"
_TBS = rb"\x02?00[\x17\x18][\x17\x18]?0?\xa0?"
"""Identifier octets of CertificateList and TBSCertList."""
_TIMES = (der.UTC_TIME, der.GENERALIZED_TIME)
_VERSION_2 = der.integer(1)
_EXTENSIONS = der.context(0)
_UTC_TIME = b"\x17\x0d"
_AS_LONG = 15
"""Octets of a UTCTime with its header."""


class Frame(NamedTuple):
    """What a list says beside its entries, and offsets into its DER.

    What is signed lies from `tbs` to `end`, the algorithm behind it up to `behind`, the octets of the signature from
    `bits` on; the algorithm inside from `inside` to `inner`, the issuer from there to `named`; the elements of the
    extensions from `block` to `last`. `entries` is None where nobody is revoked.
    """

    tbs: int
    end: int
    behind: int
    bits: int
    extensible: bool
    inside: int
    inner: int
    named: int
    this_update: dt.datetime
    next_update: dt.datetime | None
    entries: der.Node | None
    block: int
    last: int


def read(raw: bytes) -> Frame:
    """The frame of a list, whatever it looks like. Raises DerError."""
    outer = der.parse(raw).expect(der.SEQUENCE)
    (_, tbs, body, end), (_, _, _, behind), (_, _, bits, last) = der.shaped(raw, outer.body, outer.end, _SIGNED)
    der.whole_bits(raw[bits:last])
    fields = der.shaped(raw, body, end, _TBS)
    extensible = fields[0][0] == der.INTEGER
    if extensible and raw[fields[0][1] : fields.pop(0)[3]] != _VERSION_2:
        raise der.DerError("a CRL of an unknown version")
    (_, inside, _, inner), (_, _, _, named), since, *fields = fields
    until = fields.pop(0) if fields and fields[0][0] in _TIMES else None
    listed = fields.pop(0) if fields and fields[0][0] == der.SEQUENCE else None
    if listed is not None and listed[2] == listed[3]:
        raise der.DerError("an empty list of entries, which has to be left out")  # clause 5.1.2.6
    if fields and not extensible:
        raise der.DerError("extensions in a CRL of version 1")
    block = der.Node(raw, fields[0][1], end).only_child().expect(der.SEQUENCE) if fields else None
    return Frame(
        tbs=tbs,
        end=end,
        behind=behind,
        bits=bits + 1,
        extensible=extensible,
        inside=inside,
        inner=inner,
        named=named,
        this_update=der.read_time(since[0], raw[since[2] : since[3]]),
        next_update=der.read_time(until[0], raw[until[2] : until[3]]) if until else None,
        entries=der.Node(raw, listed[1], listed[3]) if listed else None,
        block=block.body if block else end,
        last=block.end if block else end,
    )


def usual(raw: bytes) -> Frame | None:
    """The same of a list that looks as nearly all small ones do; None if it does not, or is none.

    Version 2 with extensions, both times UTCTime, an issuer and an algorithm of less than 128 octets. Each part begins
    where the one before it ends by its own length, and the last ends where the whole does.
    """
    size = len(raw)
    try:
        tbs = der.HEADERS.get(raw[1], 2)
        body = tbs + der.HEADERS.get(raw[tbs + 1], 2)
        inside = body + 3
        end = body + (raw[tbs + 1] if body == tbs + 2 else int.from_bytes(raw[tbs + 2 : body], "big"))
        inner = inside + 2 + raw[inside + 1]
        named = inner + 2 + raw[inner + 1]
        times = named + 2 * _AS_LONG
        block = times
        if raw[times] == der.SEQUENCE:
            listed = times + der.HEADERS.get(raw[times + 1], 2)
            block = listed + (raw[times + 1] if listed == times + 2 else int.from_bytes(raw[times + 2 : listed], "big"))
            if listed == block or raw[times:listed] != der.header(der.SEQUENCE, block - listed):
                return None
        start = block + 2 * der.HEADERS.get(raw[block + 1], 2)
        behind = end + 2 + raw[end + 1]
        bits = behind + der.HEADERS.get(raw[behind + 1], 2)
        fits = (
            raw[inside] == raw[inner] == raw[end] == der.SEQUENCE
            and (raw[inside + 1] | raw[inner + 1] | raw[end + 1]) < der.LONG
            and raw[body:inside] == _VERSION_2
            and raw[named : named + 2] == raw[named + _AS_LONG : named + _AS_LONG + 2] == _UTC_TIME
            and start <= end
            and raw[bits] == 0
        )
    except IndexError:
        return None
    if not (
        fits
        and raw[:tbs] == der.header(der.SEQUENCE, size - tbs)
        and raw[tbs:body] == der.header(der.SEQUENCE, end - body)
        and raw[block:start] == der.headers(_EXTENSIONS, der.SEQUENCE, end - start)
        and raw[behind:bits] == der.header(der.BIT_STRING, size - bits)
    ):
        return None
    return Frame(
        tbs=tbs,
        end=end,
        behind=behind,
        bits=bits + 1,
        extensible=True,
        inside=inside,
        inner=inner,
        named=named,
        this_update=der.read_time(der.UTC_TIME, raw[named + 2 : named + _AS_LONG]),
        next_update=der.read_time(der.UTC_TIME, raw[named + _AS_LONG + 2 : times]),
        entries=der.Node(raw, times, block) if block != times else None,
        block=start,
        last=end,
    )
