"""Sections: where every way of digesting a file must come to the same."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from chopmark.core.artifact import BytesView
from chopmark.core.errors import BrokenError, RefusedError
from chopmark.formats.pe import firmware as firmware_digests
from chopmark.formats.pe import reasons
from tests.unit.formats.pe import signing
from tests.vectors.pe import make

TEXT = make.Section(b".text", make.RETURN_ZERO)


def signed_somehow(built: make.Pe) -> bytes:
    """A signature that chopmark itself would refuse to make, over a layout like this."""
    honest = signing.signed(make.Pe(overlay=bytes(0x400)).build())
    envelope = signing.table_of(honest)
    data = replace(built, security=(len(built.build()), len(envelope))).build()
    return data + envelope


@pytest.mark.parametrize("sections", [(TEXT,), (make.Section(b".bss", b"", raw_offset=0x7000, raw_size=0), TEXT)])
def test_an_orderly_layout_is_said_to_be_one(sections: tuple[make.Section, ...]) -> None:
    """What takes no room in the file may be said to lie anywhere."""
    found = signing.codes(signing.signed(make.Pe(sections=sections).build()))
    assert reasons.LAYOUT.code in found
    assert found.isdisjoint({reasons.LAYOUT_LOOSE.code, reasons.SECTION_OUTSIDE.code, reasons.OVERLAY.code})


@pytest.mark.parametrize(
    "section",
    [
        pytest.param(TEXT._replace(raw_size=0x400), id="into the certificate table"),
        pytest.param(TEXT._replace(raw_size=0xFFFFFFFF), id="out of the file"),
        pytest.param(TEXT._replace(raw_offset=0xFFFFFE00), id="behind the file"),
    ],
)
def test_a_section_beyond_what_is_signed_is_refused(section: make.Section) -> None:
    built = make.Pe(sections=(section,))
    assert reasons.SECTION_OUTSIDE.code in signing.against(signed_somehow(built))
    with pytest.raises(RefusedError):
        signing.signed(built.build())


def test_headers_that_would_not_fit_into_the_file_are_not_signed() -> None:
    """Nothing else is wrong with it: without this, the signature would stand in the headers, and not hold."""
    built = make.Pe(sections=(), overlay=bytes(0x600))
    data = bytearray(built.build())[:0x600]
    for size in (0x7FFFFFFF, 0x601):
        struct.pack_into("<I", data, built.optional_at + 60, size)
        with pytest.raises(RefusedError):
            signing.signed(bytes(data))
    struct.pack_into("<I", data, built.optional_at + 60, 0x600)
    assert signing.against(signing.signed(bytes(data))) == set()


LOOSE = [
    pytest.param(make.Pe(gap=b"nobody's bytes".ljust(0x200)), id="gap behind the headers"),
    pytest.param(make.Pe(sections=(TEXT, TEXT._replace(raw_offset=0x200))), id="two sections in one place"),
    pytest.param(make.Pe(sections=(TEXT._replace(raw_offset=0),)), id="a section over the headers"),
    pytest.param(make.Pe(sections=(TEXT, TEXT._replace(raw_offset=0x300, raw_size=0x100))), id="overlap in part"),
    pytest.param(replace(make.Pe(), headers_size=0x180), id="headers end before the section table does"),
]


@pytest.mark.parametrize("built", LOOSE)
def test_a_loose_layout_is_reported_and_covered(built: make.Pe) -> None:
    data = built.build()
    whole = signing.signed(data)
    assert signing.against(whole) == set()
    assert reasons.LAYOUT_LOOSE.code in signing.codes(whole)
    for place in (0x1FF, 0x200, 0x3FF, len(data) - 1):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        assert "mismatch: image" in signing.against(bytes(flipped))


@pytest.mark.parametrize("built", LOOSE)
def test_firmware_would_digest_a_loose_layout_differently(built: make.Pe) -> None:
    firmware = replace(built, subsystem=make.EFI_APPLICATION)
    assert reasons.LAYOUT_FIRMWARE.code in signing.against(signed_somehow(firmware))
    with pytest.raises(RefusedError):
        signing.signed(firmware.build())


def test_only_images_for_firmware_are_digested_as_firmware_does() -> None:
    with pytest.raises(BrokenError) as refused:
        firmware_digests.recipes(BytesView(make.Pe().build()), ["sha256"])
    assert refused.value.reason.code == "pe.not_firmware"
    assert firmware_digests.recipes(BytesView(make.Pe(subsystem=make.EFI_APPLICATION).build()), ["sha256"])


@pytest.mark.parametrize("length", [1, 7, 8, 9, 100, 4096])
def test_data_behind_the_sections_is_signed(length: int) -> None:
    data = make.Pe(overlay=b"\xaa" * length).build()
    whole = signing.signed(data)
    assert signing.against(whole) == set()
    assert (reasons.OVERLAY.code in signing.codes(whole)) == (length > 0 and len(data) + -len(data) % 8 - 0x600 >= 8)
    flipped = bytearray(whole)
    flipped[0x600] ^= 0x80
    assert signing.against(bytes(flipped)) == {"mismatch: image"}


def test_the_zeros_that_align_the_table_are_signed() -> None:
    data = make.Pe(overlay=b"abc").build()
    whole = bytearray(signing.signed(data))
    assert whole[len(data) : signing.headers(bytes(whole)).table.offset] == bytes(5)
    whole[len(data) + 2] = 1
    assert signing.against(bytes(whole)) == {"mismatch: image"}
