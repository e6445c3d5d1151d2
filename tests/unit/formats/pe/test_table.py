"""The certificate table: what several popular verifiers accept there, and chopmark does not."""

from __future__ import annotations

import struct

import pytest

from chopmark.core import limits
from chopmark.core.contracts import SealOptions
from chopmark.core.errors import BrokenError, RefusedError
from chopmark.envelopes import cms
from chopmark.formats.pe import FORMAT, reasons, table
from tests.support import pki, stuffing
from tests.unit.formats.pe import signing
from tests.vectors.pe import make

PROGRAM = make.with_checksum(make.Pe())
FIRMWARE = make.with_checksum(make.Pe(subsystem=make.EFI_APPLICATION))
SIGNED = signing.signed(PROGRAM)
EFI_GUID_OF_PKCS7 = bytes.fromhex("9dd2af4adf68ee498aa9347d375665a7")


def entry(envelope: bytes, *, length: int | None = None, revision: int = 0x200, kind: int = 2) -> bytes:
    size = 8 + len(envelope) if length is None else length
    return struct.pack("<IHH", size, revision, kind) + envelope


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def unaligned() -> bytes:
    """A signature of PROGRAM that needs padding."""
    made = (signing.envelope(PROGRAM, SealOptions(description="x" * more)) for more in range(8))
    return next(each for each in made if len(each) % 8)


def test_a_sound_table_is_said_to_be_sound() -> None:
    assert signing.against(SIGNED) == set()
    assert {reasons.TABLE.code, reasons.LAYOUT.code} <= signing.codes(SIGNED)


@pytest.mark.parametrize("counted", [True, False])
def test_zeros_up_to_the_alignment_may_count_into_the_length_or_not(*, counted: bool) -> None:
    """Windows' tools count them, sbsign does not; all remainders are tried."""
    for more in range(8):
        made = signing.envelope(PROGRAM, SealOptions(description="x" * more))
        length = len(padded(made)) + 8 if counted else None
        assert signing.against(signing.with_table(SIGNED, padded(entry(made, length=length)))) == set()


def test_the_last_entry_may_end_unaligned_with_the_file() -> None:
    made = signing.envelope(PROGRAM)
    assert signing.against(signing.with_table(SIGNED, entry(made))) == set()


@pytest.mark.parametrize("payload", [b"\0" * 8, b"payload ", b"\0" * 64 + b"deep inside" + b"\0" * 5])
def test_payload_in_the_padding_is_refused(payload: bytes) -> None:
    made = padded(signing.envelope(PROGRAM))
    for size in (8 + len(made) + len(payload), 8 + len(made)):
        # Counted as part of the entry, or placed behind it as if it were alignment.
        tampered = signing.with_table(SIGNED, padded(entry(made + payload, length=size)))
        assert signing.against(tampered) & {reasons.PADDING.code, reasons.TABLE_ENTRIES.code}


def test_an_archive_that_ends_in_the_signature_is_refused() -> None:
    """CVE-2020-1464 for what nothing covers inside of a signature: certificates that it does not need."""
    signer = pki.world().signer
    content = signing.content(PROGRAM)
    for payload, codes in ((stuffing.archive(), {"appended.archive"}), (b"PK\5\6" + bytes(18), set())):
        more = (*signer.certificates, stuffing.certificate(payload))
        draft = cms.draft(content, signer, more, signing_time=pki.NOW)
        made = draft.finish(signer.sign(draft.to_be_signed, content.digest_algorithm))
        assert signing.against(signing.embedded(PROGRAM, made)) == codes


def test_one_byte_in_the_padding_is_refused() -> None:
    made = unaligned()
    fill = -len(made) % 8
    assert signing.against(signing.with_table(SIGNED, entry(made + bytes(fill)))) == set()
    filled = signing.with_table(SIGNED, entry(made + bytes(fill - 1) + b"\1"))
    assert signing.against(filled) == {reasons.PADDING.code}
    assert reasons.TABLE.code not in signing.codes(filled)


def test_data_behind_the_table_is_refused() -> None:
    for behind in (b"\0", b"PK\x05\x06" + bytes(18), b"\0" * 4096):
        assert signing.against(SIGNED + behind) == {reasons.TRAILING.code}
        assert reasons.TABLE.code not in signing.codes(SIGNED + behind)


def test_a_second_entry_is_refused_but_still_looked_at() -> None:
    one = table.entry(signing.envelope(PROGRAM))
    twice = signing.with_table(SIGNED, one + one)
    assert [seal.where for seal in FORMAT.extract(signing.artifact(twice))] == ["signature 1", "signature 2"]
    assert signing.against(twice) == {reasons.TABLE_SEVERAL.code}


def test_firmware_takes_several_entries_each_by_itself() -> None:
    one = signing.signed(FIRMWARE)
    other = table.entry(signing.envelope(FIRMWARE, SealOptions("sha384")))
    both = signing.with_table(one, signing.table_of(one) + other)
    assert [seal.where for seal in FORMAT.extract(signing.artifact(both))] == ["signature 1", "signature 2"]
    assert signing.against(both) == set()
    broken = table.entry(signing.envelope(PROGRAM))
    assert signing.against(signing.with_table(one, signing.table_of(one) + broken)) == {"mismatch: image"}


def test_an_entry_that_cannot_be_read_does_not_hide_the_others() -> None:
    one = signing.signed(FIRMWARE)
    garbage = table.entry(bytes.fromhex("3003020101"))
    mixed = signing.with_table(one, garbage + signing.table_of(one))
    assert signing.against(mixed) == {"malformed"}
    found = FORMAT.extract(signing.artifact(mixed))
    assert next(iter(found)).where == "signature 2"


def test_firmware_may_name_pkcs7_by_a_guid() -> None:
    made = signing.envelope(FIRMWARE)
    by_guid = padded(entry(EFI_GUID_OF_PKCS7 + made, kind=0x0EF1))
    assert signing.against(signing.with_table(signing.signed(FIRMWARE), by_guid)) == set()
    other_guid = padded(entry(bytes(16) + made, kind=0x0EF1))
    tampered = signing.with_table(signing.signed(FIRMWARE), other_guid)
    assert signing.against(tampered) == {reasons.TABLE_ENTRIES.code}
    other_kind = padded(entry(EFI_GUID_OF_PKCS7 + made, kind=0x0EF0))
    tampered = signing.with_table(signing.signed(FIRMWARE), other_kind)
    assert signing.against(tampered) == {reasons.TABLE_ENTRIES.code}
    made = signing.envelope(PROGRAM)
    on_windows = signing.with_table(SIGNED, padded(entry(EFI_GUID_OF_PKCS7 + made, kind=0x0EF1)))
    assert signing.against(on_windows) == {reasons.TABLE_ENTRIES.code}


@pytest.mark.parametrize(("revision", "kind"), [(0x100, 2), (0, 2), (0x201, 2), (0x200, 1), (0x200, 4), (0x200, 0xEF0)])
def test_other_revisions_and_types_are_refused(revision: int, kind: int) -> None:
    made = padded(signing.envelope(PROGRAM))
    tampered = signing.with_table(SIGNED, entry(made, revision=revision, kind=kind))
    assert signing.against(tampered) == {reasons.TABLE_ENTRIES.code}


@pytest.mark.parametrize("length", [0, 7, 8, 9, 16, 0x7FFFFFFF, 0xFFFFFFFF])
def test_hostile_lengths_are_refused(length: int) -> None:
    made = padded(signing.envelope(PROGRAM))
    assert signing.against(signing.with_table(SIGNED, entry(made, length=length))) == {reasons.TABLE_ENTRIES.code}


def test_entries_must_fill_the_table() -> None:
    whole = signing.table_of(SIGNED)
    for rest in (1, 4, 7, 8):
        assert signing.against(signing.with_table(SIGNED, whole + bytes(rest))) == {reasons.TABLE_ENTRIES.code}


def test_many_entries_are_not_looked_at() -> None:
    many = padded(entry(b"\x30\x00")) * (limits.SIGNERS_MAX + 1)
    assert signing.against(signing.with_table(SIGNED, many)) == {reasons.TABLE_ENTRIES.code}


@pytest.mark.parametrize(
    ("offset", "size"),
    [
        (0, 8),
        (8, 8),
        (0x1F8, 0x600),
        (0x1F8, 0x400),
        (0x600, 0),
        (0x600, 7),
        (0x600, 0xFFFFFFFF),
        (0xFFFFFFF8, 8),
        (0xFFFFFFF8, 0xFFFFFFF8),
        (0x604, 8),
        (0x700, 8),
    ],
)
def test_tables_in_impossible_places_are_refused(offset: int, size: int) -> None:
    data = make.Pe(security=(offset, size)).build() + bytes(0x40)
    assert signing.against(data) == {reasons.TABLE_PLACE.code}
    with pytest.raises(BrokenError):
        signing.stripped(data)


def test_larger_tables_than_the_limit_are_not_read() -> None:
    data = make.Pe(security=(0x600, limits.ENVELOPE_MAX + 8)).build() + bytes(limits.ENVELOPE_MAX + 8)
    assert signing.against(data) == {reasons.TABLE_PLACE.code}


def test_every_truncation_of_the_table_is_caught() -> None:
    start = signing.headers(SIGNED).table.offset
    for length in [*range(start, start + 64), *range(start + 64, len(SIGNED), 37), len(SIGNED) - 1]:
        assert signing.against(SIGNED[:length]) == {reasons.TABLE_PLACE.code}


def test_a_shorter_table_with_a_matching_directory_is_caught() -> None:
    whole = signing.table_of(SIGNED)
    for length in [8, 9, 16, 64, len(whole) // 2, len(whole) - 8]:
        assert signing.against(signing.with_table(SIGNED, whole[:length]))


def test_nothing_is_signed_on_top_of_trailing_data() -> None:
    with pytest.raises(RefusedError):
        signing.signed(SIGNED + b"payload")
    with pytest.raises(RefusedError):
        signing.stripped(SIGNED + b"payload")
