"""Signature lists and signed updates: read strictly, written as firmware reads them."""

from __future__ import annotations

import datetime as dt
import hashlib
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import BrokenError, MalformedError, RefusedError, UsageError
from chopmark.envelopes import der
from chopmark.envelopes.efi import guid, lists, making, moment, update, variables
from tests.support import firmware, pki

SHA256 = hashlib.sha256(b"an image").digest()
X509 = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072"


def code(error: pytest.ExceptionInfo[BrokenError]) -> str:
    return error.value.reason.code


# GUIDs and times


def test_a_guid_is_written_with_its_first_fields_little_endian() -> None:
    assert guid.encode(X509.upper()).hex() == "a159c0a5e494a74a87b5ab155c2bf072"
    assert guid.show(guid.encode(X509)) == X509
    for text in ("", X509[:-1], X509 + "0", X509.replace("-", "")):
        with pytest.raises(UsageError):
            guid.encode(text)


def test_times_are_whole_seconds_in_utc_and_nothing_else() -> None:
    octets = moment.encode(dt.datetime(2026, 5, 1, 14, 30, 5, 999, tzinfo=dt.timezone(dt.timedelta(hours=2))))
    assert octets.hex() == "ea0705010c1e0500" + "00" * 8
    assert moment.read(octets) == dt.datetime(2026, 5, 1, 12, 30, 5, tzinfo=dt.UTC)
    assert moment.is_plain(octets)
    assert moment.read(moment.NEVER) is None


def test_zones_are_heeded_and_what_is_no_time_is_refused() -> None:
    def time(**changes: int) -> bytes:
        fields = {"year": 2026, "month": 5, "day": 1, "nanosecond": 0, "zone": 0} | changes
        return struct.pack(
            "<HBBBBBBIhBB", fields["year"], fields["month"], fields["day"], 12, 0, 0, 0, fields["nanosecond"],
            fields["zone"], 0, 0,
        )  # fmt: skip

    assert moment.read(time(zone=60)) == dt.datetime(2026, 5, 1, 11, tzinfo=dt.UTC)
    assert moment.read(time(zone=0x7FF)) == dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
    assert not moment.is_plain(time(zone=60))
    for wrong in ({"year": 0}, {"month": 13}, {"day": 0}, {"nanosecond": 10**9}, {"zone": 2000}, {"year": 65535}):
        with pytest.raises(BrokenError) as error:
            moment.read(time(**wrong))
        assert code(error) == "efi.time"


# Lists


def test_a_certificate_stands_in_a_list_of_its_own_and_digests_in_one() -> None:
    made = [
        *firmware.entries(firmware.PK, firmware.KEK),
        lists.digest_entry("sha256", SHA256),
        lists.digest_entry("sha256", SHA256[::-1], firmware.OWNER),
        lists.digest_entry("sha384", SHA256 + SHA256[:16]),
        lists.revocation_entry("sha256", SHA256, firmware.TIME),
    ]
    data = lists.write(made)
    assert lists.read(data) == made
    assert data[:16] == guid.encode(X509)
    assert struct.unpack_from("<III", data, 16) == (28 + 16 + len(firmware.PK.der), 0, 16 + len(firmware.PK.der))
    assert [data.count(lists.BY_NAME[name].octets) for name in ("x509", "sha256", "sha384")] == [2, 1, 1]


def test_digests_and_times_of_revocation_are_told_apart() -> None:
    [at, always] = lists.read(
        lists.write([lists.revocation_entry("sha512", SHA256 * 2, when) for when in (firmware.TIME, None)])
    )
    assert (at.digest, at.revoked_at) == (SHA256 * 2, firmware.TIME)
    assert (always.digest, always.revoked_at) == (SHA256 * 2, None)
    [certificate] = firmware.entries(firmware.DB)
    assert (certificate.digest, certificate.revoked_at) == (b"", None)


def test_types_that_nobody_knows_are_kept() -> None:
    unknown = lists.Entry(lists.Kind(guid.show(b"\x07" * 16), b"\x07" * 16, None), firmware.OWNER, b"abc")
    assert lists.read(lists.write([unknown])) == [unknown]
    with_header = b"\x07" * 16 + struct.pack("<III", 28 + 4 + 20, 4, 20) + b"head" + firmware.OWNER + b"data"
    assert [each.data for each in lists.read(with_header)] == [b"data"]


@pytest.mark.parametrize(
    ("size", "header", "each", "expected"),
    [
        (28 + 48 + 1, 0, 48, "efi.list"),  # longer than the file
        (27, 0, 48, "efi.list"),
        (28 + 48, 0, 16, "efi.list"),
        (28 + 48, 0, 0, "efi.list"),
        (28 + 48, 0, 47, "efi.list"),
        (28 + 48, 49, 48, "efi.list"),
        (28 + 48, 0xFFFFFFFF, 48, "efi.list"),
        (28 + 48, 0, 24, "efi.entry"),
        (28 + 48, 0, 48 // 3 * 3, ""),
    ],
)
def test_sizes_have_to_add_up(size: int, header: int, each: int, expected: str) -> None:
    data = lists.BY_NAME["sha256"].octets + struct.pack("<III", size, header, each) + bytes(48)
    if not expected:
        assert len(lists.read(data)) == 1
        return
    with pytest.raises(BrokenError) as error:
        lists.read(data)
    assert code(error) == expected


def test_every_truncation_of_a_list_is_noticed() -> None:
    data = lists.write([*firmware.entries(firmware.DB), lists.digest_entry("sha256", SHA256)])
    whole = {0, len(firmware.written(firmware.DB))}
    for end in range(len(data)):
        if end in whole:
            continue
        with pytest.raises(BrokenError):
            lists.read(data[:end])


def test_a_known_type_has_no_header() -> None:
    data = lists.BY_NAME["sha256"].octets + struct.pack("<III", 28 + 4 + 48, 4, 48) + bytes(52)
    with pytest.raises(BrokenError) as error:
        lists.read(data)
    assert code(error) == "efi.entry"


def test_there_are_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    data = lists.write([lists.digest_entry("sha256", bytes((each,)) * 32) for each in range(5)])
    monkeypatch.setattr(limits, "EFI_ENTRIES_MAX", 4)
    with pytest.raises(BrokenError):
        lists.read(data)
    monkeypatch.setattr(limits, "EFI_LISTS_MAX", len(data) - 1)
    with pytest.raises(BrokenError):
        lists.read(data)
    with pytest.raises(RefusedError):
        lists.write(firmware.entries(firmware.DB, firmware.KEK, firmware.PK))


def test_entries_that_are_not_as_their_type_has_them_are_not_written() -> None:
    for entry in (
        lists.digest_entry("sha256", b"short"),
        lists.digest_entry("sha256", SHA256, b"owner"),
        lists.certificate_entry(b""),
    ):
        with pytest.raises(RefusedError):
            lists.write([entry])


_ENTRY = st.one_of(
    st.builds(lists.digest_entry, st.just("sha256"), st.binary(min_size=32, max_size=32), st.just(firmware.OWNER)),
    st.builds(lists.certificate_entry, st.binary(min_size=1, max_size=40)),
)


@given(st.lists(_ENTRY))
def test_what_was_written_is_read(made: list[lists.Entry]) -> None:
    assert lists.read(lists.write(made)) == made


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for reader in (lists.read, update.read, variables.read):
        with suppress(BrokenError):
            assert reader(data) is not None


# Updates and variables


def test_an_update_is_over_name_guid_attributes_time_and_value() -> None:
    found = firmware.signed("db", append=True)
    vendor = variables.vendor("db")
    expected = b"d\0b\0" + guid.encode(variables.SECURITY) + b"\x67\0\0\0" + moment.encode(firmware.TIME)
    assert found.message("db", vendor, 0x67) == expected + firmware.written(firmware.DB)
    assert found.time == firmware.TIME
    assert found.payload == firmware.written(firmware.DB)


@pytest.mark.parametrize("content_info", [False, True])
def test_the_signature_stands_with_or_without_its_content_info(content_info: bool) -> None:  # noqa: FBT001
    found = firmware.signed(content_info=content_info)
    assert (found.signature == found.content_info) is content_info
    signed = found.signed_data()
    assert (signed.version, signed.content, len(signed.signers), len(signed.certificates)) == (1, None, 1, 1)
    assert not signed.signers[0].attributes_raw
    # Where EDK II looks for the identifier of SHA-256 (AuthService.c, mSha256OidValue).
    place = 32 if content_info else 13
    assert found.signature[place:].startswith(bytes.fromhex("608648016503040201"))
    assert update.read(update.write(found)) == found


def test_only_rsa_keys_sign_updates_and_only_with_their_own_certificate() -> None:
    wish = making.Wish("db", firmware.TIME, b"")
    ec = pki.world().signer
    with pytest.raises(RefusedError):
        making.sign(wish, ec, ec.certificates)
    with pytest.raises(RefusedError):
        making.sign(wish, firmware.KEK, firmware.DB.certificates)
    with pytest.raises(BrokenError):
        making.sign(wish._replace(variable="Boot0000"), firmware.KEK, firmware.KEK.certificates)


def test_what_is_no_update_is_refused() -> None:
    data = update.write(firmware.signed())
    wrong = {
        "cut": data[:39],
        "revision": data[:20] + b"\0\1" + data[22:],
        "type": data[:22] + b"\2\0" + data[24:],
        "guid": data[:24] + bytes(16) + data[40:],
        "length": data[:16] + b"\xff\xff\xff\x7f" + data[20:],
        "no signature": data[:16] + struct.pack("<I", 24) + data[20:],
        "time": b"\xff" * 16 + data[16:],
        "no DER": data[:40] + b"\0" + data[41:],
    }
    for each in wrong.values():
        with pytest.raises(MalformedError):
            update.read(each)


def test_the_end_of_the_signature_is_told_by_its_header_and_by_itself() -> None:
    data = update.write(firmware.signed())
    length = int.from_bytes(data[16:20], "little")
    for other in (length - 1, length + 1):
        with pytest.raises(BrokenError) as error:
            update.read(data[:16] + struct.pack("<I", other) + data[20:])
        assert code(error) == "efi.update"


def test_files_are_recognised_in_all_their_forms() -> None:
    value = firmware.written(firmware.DB)
    found = [variables.read(each) for each in (value, b"\x27\0\0\0" + value, update.write(firmware.signed()))]
    assert {each.value for each in found} == {value}
    assert [each.form for each in found] == ["signature lists", "efivarfs variable", "signed update"]
    assert found[1].attributes == 0x27
    assert variables.read(b"").value == b""
    assert variables.read(b"\x27\0\0\0").value == b""
    for wrong in (b"\x27\1\0\0" + value, b"\x21\0\0\0" + value, b"text", der.null()):
        with pytest.raises(BrokenError):
            variables.read(wrong)


def test_an_update_of_something_else_than_lists_is_no_file_of_keys() -> None:
    with pytest.raises(BrokenError) as error:
        variables.read(update.write(firmware.signed(value=b"something else")))
    assert code(error) == "efi.list"
