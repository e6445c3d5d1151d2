"""Page hashes: the rule, in one pass, whatever the pieces."""

from __future__ import annotations

import hashlib
import itertools
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.artifact import BytesView
from chopmark.core.contracts import SealOptions
from chopmark.core.errors import MalformedError, RefusedError
from chopmark.core.seal import Recipe
from chopmark.envelopes import authenticode
from chopmark.formats.pe import FORMAT, image, pages, reasons, table
from tests.support import probing
from tests.unit.formats.pe import signing
from tests.vectors.pe import make

BIG = make.Pe(
    sections=(
        make.Section(b".text", bytes(range(256)) * 40),
        make.Section(b".bss", b"", virtual_size=0x4000),
        make.Section(b".data", b"\x55" * 4096),
        make.Section(b".rsrc", b"\xaa" * 100),
    )
)


def expected(data: bytes, built: make.Pe, algorithm: str = "sha256", page: int = 4096) -> bytes:
    """The table, the simple way: all in memory, page by page."""
    head = signing.headers(data)
    zeroed = bytearray(data[: head.headers_size])
    del zeroed[built.security_at : built.security_at + 8]
    del zeroed[built.checksum_at : built.checksum_at + 4]
    rows = [(0, bytes(zeroed) + bytes(page - head.headers_size))]
    end = head.headers_size
    for section in head.sections:
        raw = data[section.raw_offset : section.raw_offset + section.raw_size]
        for start in range(0, len(raw), page):
            rows.append((section.raw_offset + start, raw[start : start + page].ljust(page, b"\0")))
            end = section.raw_offset + section.raw_size
    size = hashlib.new(algorithm).digest_size
    packed = [struct.pack("<I", offset) + hashlib.new(algorithm, content).digest() for offset, content in rows]
    return b"".join(packed) + struct.pack("<I", end) + bytes(size)


def computed(data: bytes, algorithm: str = "sha256") -> bytes:
    recipe = Recipe(algorithm, signing.headers(data).covered(), pages.TRANSFORM)
    [payload] = FORMAT.digest(signing.artifact(data), [recipe])
    return payload.value


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
@pytest.mark.parametrize(
    ("built", "page"),
    [
        (BIG, 4096),
        (make.Pe(), 4096),
        (make.Pe(plus=False, machine=make.I386), 4096),
        pytest.param(replace(BIG, section_alignment=0x2000), 4096, id="a .NET assembly's alignment"),
        pytest.param(replace(BIG, section_alignment=0x10000), 4096, id="the alignment of system libraries"),
        pytest.param(replace(BIG, machine=make.IA64, section_alignment=0x2000), 8192, id="Itanium"),
        pytest.param(replace(BIG, file_alignment=0x1000), 4096, id="headers of a whole page"),
        pytest.param(replace(BIG, overlay=b"behind"), 4096, id="data behind the last section is in no page"),
        pytest.param(make.Pe(sections=()), 4096, id="no section"),
    ],
)
def test_the_table_is_what_the_rule_says(built: make.Pe, page: int, algorithm: str) -> None:
    data = built.build()
    assert computed(data, algorithm) == expected(data, built, algorithm, page)


@given(cuts=st.lists(st.integers(0, 16000), max_size=12), size=st.integers(0, 9000))
def test_pieces_of_any_size_come_to_the_same(cuts: list[int], size: int) -> None:
    built = make.Pe(sections=(make.Section(b"a", b"\x11" * size), make.Section(b"b", b"\x22" * 5000)))
    data = built.build()
    collector = pages.Pages(signing.artifact(data).view, signing.headers(data), "sha256")
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    for start, end in itertools.pairwise(places):
        collector.feed(start, data[start:end])
    assert collector.table() == expected(data, built)


def test_signed_with_page_hashes_and_verified() -> None:
    whole = signing.signed(BIG.build(), signing.PAGES)
    [seal] = FORMAT.extract(signing.artifact(whole))
    assert [claim.what for claim in seal.claims] == ["image", "page hashes"]
    assert isinstance(seal.envelope, authenticode.AuthenticodeEnvelope)
    assert seal.envelope.page_hashes == ("sha256", expected(BIG.build(), BIG))
    assert signing.against(whole) == set()


def test_a_changed_page_is_a_mismatch_of_both() -> None:
    whole = bytearray(signing.signed(BIG.build(), signing.PAGES))
    whole[0x300] ^= 1
    assert signing.against(bytes(whole)) == {"mismatch: image", "mismatch: page hashes"}


@pytest.mark.parametrize("change", ["digest", "offset", "missing", "end", "more"])
def test_a_wrong_table_in_a_good_signature_is_refused(change: str) -> None:
    data = BIG.build()
    rows = bytearray(expected(data, BIG))
    if change == "digest":
        rows[36 + 4] ^= 1
    elif change == "offset":
        rows[36] ^= 1
    elif change == "missing":
        del rows[36:72]
    elif change == "end":
        rows[-36] ^= 1
    else:
        rows += rows[-36:]
    honest = signing.content(data)
    content = authenticode.pe_content(
        "sha256", honest.digest, page_hashes=("sha256", bytes(rows)), options=SealOptions()
    )
    made = probing.envelope(content)
    with pytest.raises(RefusedError):
        signing.embedded(data, made)
    whole = signing.signed(data)
    assert signing.against(signing.with_table(whole, table.entry(made))) == {"mismatch: page hashes"}


IMPOSSIBLE = [
    pytest.param(make.Pe(section_alignment=0x200), id="sections closer than pages"),
    pytest.param(make.Pe(headers_size=0x1200, sections=BIG.sections), id="headers of more than a page"),
    pytest.param(
        make.Pe(sections=(make.Section(b"a", b"x", raw_offset=0x400), make.Section(b"b", b"x", raw_offset=0x200))),
        id="sections out of order",
    ),
]


@pytest.mark.parametrize("built", IMPOSSIBLE)
def test_where_there_is_no_rule_none_are_made_and_claimed_ones_are_left_open(built: make.Pe) -> None:
    data = built.build()
    with pytest.raises(RefusedError):
        signing.signed(data, signing.PAGES)
    whole = signing.signed(data)
    honest = signing.content(data)
    content = authenticode.pe_content("sha256", honest.digest, page_hashes=("sha256", bytes(72)), options=SealOptions())
    claimed = signing.with_table(whole, table.entry(probing.envelope(content)))
    assert signing.against(claimed) == {reasons.PAGE_HASHES_IMPOSSIBLE.code}
    with pytest.raises(MalformedError):
        computed(data)


def test_a_table_larger_than_an_envelope_is_not_begun() -> None:
    class LargeView(BytesView):
        size = 0xF0001000

    section = make.Section(b"huge", b"x", raw_size=0xF0000000)
    head = image.read(LargeView(make.Pe(sections=(section,)).build()))
    assert str(limits.ENVELOPE_MAX) in pages.impossible(head)
