"""DER: what is read back is what was written, what is not DER is refused, and nothing hostile costs much."""

from __future__ import annotations

import datetime as dt
import time
import tracemalloc

import pytest
from asn1crypto import core as oracle
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import ChopmarkError
from chopmark.envelopes import der

MOMENTS = st.datetimes(min_value=dt.datetime(1, 1, 1), max_value=dt.datetime(9999, 12, 31)).map(  # noqa: DTZ001 - zone follows
    lambda moment: moment.replace(tzinfo=dt.UTC)
)
ARCS = st.tuples(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 2**40), max_size=6))


@given(st.integers(-(2**600), 2**600))
def test_an_integer_is_what_asn1crypto_writes_and_reads_back(number: int) -> None:
    encoded = der.integer(number)
    assert encoded == oracle.Integer(number).dump()
    assert der.parse(encoded).integer() == number


@given(ARCS)
def test_an_object_identifier_is_what_asn1crypto_writes_and_reads_back(arcs: tuple[int, int, list[int]]) -> None:
    dotted = ".".join(map(str, (arcs[0], arcs[1], *arcs[2])))
    encoded = der.oid(dotted)
    assert encoded == oracle.ObjectIdentifier(dotted).dump()
    assert der.parse(encoded).oid() == dotted


def test_an_arc_above_39_under_2_is_read_back() -> None:
    assert der.parse(der.oid("2.999.3")).oid() == "2.999.3"


@given(MOMENTS)
def test_a_generalized_time_is_read_back_to_the_microsecond(moment: dt.datetime) -> None:
    assert der.parse(der.generalized_time(moment)).time() == moment


@given(MOMENTS)
def test_a_certificate_time_is_read_back_to_the_second(moment: dt.datetime) -> None:
    encoded = der.time(moment)
    assert der.parse(encoded).time() == moment.replace(microsecond=0)
    assert encoded[0] == (der.UTC_TIME if 1950 <= moment.year < 2050 else der.GENERALIZED_TIME)


@given(st.binary(max_size=300), st.text(max_size=80))
def test_strings_are_what_asn1crypto_writes_and_read_back(octets: bytes, text: str) -> None:
    assert der.octet_string(octets) == oracle.OctetString(octets).dump()
    assert der.parse(der.octet_string(octets)).octets() == octets
    assert der.bit_string(octets) == oracle.OctetBitString(octets).dump()
    assert der.parse(der.bit_string(octets)).bit_string() == octets
    assert der.utf8(text) == oracle.UTF8String(text).dump()
    assert der.parse(der.utf8(text)).text() == text


@given(st.lists(st.binary(max_size=20).map(der.octet_string), max_size=8))
def test_a_set_is_sorted_whatever_the_order_of_its_elements(parts: list[bytes]) -> None:
    assert der.set_of(parts) == der.set_of(reversed(parts))
    assert [node.raw for node in der.parse(der.set_of(parts)).children()] == sorted(parts)
    assert [node.raw for node in der.parse(der.set_of(parts)).each()] == sorted(parts)


@pytest.mark.parametrize("size", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000])
def test_lengths_of_every_form_are_read_back(size: int) -> None:
    encoded = der.octet_string(bytes(size))
    assert encoded == oracle.OctetString(bytes(size)).dump()
    assert der.parse(encoded).octets() == bytes(size)


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("30", "children"),  # no length
        ("3005", "children"),  # cut off
        ("300002", "children"),  # something behind it
        ("30800000", "children"),  # indefinite
        ("308100", "children"),  # a length in more bytes than it needs
        ("30820001ff", "children"),
        ("3085000000000100", "children"),  # five bytes of length
        ("3f8101", "children"),  # a tag in several bytes
        ("3003020500", "children"),  # an element that reaches out of its parent
        ("3003040100", "integer"),
        ("0200", "integer"),  # empty
        ("02020001", "integer"),  # padded
        ("0202ffff", "integer"),
        ("0a0101", "oid"),
        ("0600", "oid"),
        (f"0641{'2a' * 65}", "oid"),  # longer than anybody's: turning it into text took others minutes (CVE-2023-2650)
        ("06022a80", "oid"),  # cut off within an arc
        ("06032a8001", "oid"),  # a padded arc
        ("010101", "boolean"),
        ("01020000", "boolean"),
        ("0100", "boolean"),
        ("050100", "null"),
        ("240404020000", "octets"),  # an octet string in pieces
        ("0300", "bit_string"),
        ("030201fe", "bit_string"),  # not whole bytes
        ("03020801", "bits"),
        ("030201ff", "bits"),  # an unused bit that is set
        ("030101", "bits"),
        ("0c02c328", "text"),  # not UTF-8
        ("1e0100", "text"),  # half a character
        ("0401ff", "text"),
        ("3000", "only_child"),
        ("30040500" + "0500", "only_child"),
    ],
)
def test_what_is_not_der_is_refused(raw: str, read: str) -> None:
    with pytest.raises(der.DerError):
        getattr(der.parse(bytes.fromhex(raw)), read)()


@pytest.mark.parametrize(
    "text",
    ["2607011200Z", "260701120000", "260701120000+0100", "261301120000Z", "260230120000Z", "2607011200\xb20Z", ""],
)
def test_a_utc_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(der.DerError):
        der.parse(der.encode(der.UTC_TIME, text.encode("latin-1"))).time()


@pytest.mark.parametrize(
    "text",
    [
        "20260701120000",
        "20260701120000.Z",
        "20260701120000.50Z",
        "20260701120000,5Z",
        "20260701120060Z",
        "202607011200Z",
    ],
)
def test_a_generalized_time_that_is_not_der_is_refused(text: str) -> None:
    with pytest.raises(der.DerError):
        der.parse(der.encode(der.GENERALIZED_TIME, text.encode())).time()


def test_utc_time_turns_the_century_at_fifty() -> None:
    assert der.parse(der.encode(der.UTC_TIME, b"491231235959Z")).time().year == 2049
    assert der.parse(der.encode(der.UTC_TIME, b"500101000000Z")).time().year == 1950


def test_fields_are_taken_in_order_and_none_may_be_left() -> None:
    fields = der.parse(der.sequence(der.integer(1), der.null(), der.integer(2))).fields()
    assert fields.take(der.INTEGER).integer() == 1
    assert fields.optional(der.OCTET_STRING) is None
    assert fields.optional(der.OCTET_STRING, der.NULL) is not None
    with pytest.raises(der.DerError):
        fields.done()
    assert [node.integer() for node in fields] == [2]
    fields.done()
    with pytest.raises(der.DerError):
        fields.take()


def test_a_node_is_a_window_on_the_original_bytes() -> None:
    raw = der.sequence(der.octet_string(b"x"), der.explicit(0, der.integer(5)))
    first, second = der.parse(raw).children()
    assert (first.raw, first.value, first.start, first.end) == (raw[2:5], b"x", 2, 5)
    assert second.retagged(der.SEQUENCE) == der.sequence(der.integer(5))
    assert der.prefix(raw + b"junk").raw == raw
    assert der.parse(der.octet_string(raw)).inside().raw == raw
    assert der.parse(der.bit_string(raw)).inside().raw == raw
    assert der.parse(b"\x03\x02\x05\xa0").bits() == {0, 2}


READERS = [
    "children",
    "only_child",
    "fields",
    "inside",
    "integer",
    "oid",
    "boolean",
    "octets",
    "bit_string",
    "bits",
    "text",
    "time",
    "null",
    "raw",
    "value",
]


@given(st.binary(max_size=60), st.sampled_from(READERS))
def test_random_bytes_raise_nothing_but_der_errors(raw: bytes, read: str) -> None:
    try:
        found = getattr(der.prefix(raw), read)
        if callable(found):
            found()
    except der.DerError:
        pass


@given(st.binary(max_size=40), st.sampled_from([0x02, 0x03, 0x06, 0x0C, 0x13, 0x17, 0x18, 0x1C, 0x1E, 0x30]))
def test_random_values_under_real_tags_raise_nothing_but_der_errors(value: bytes, tag: int) -> None:
    node = der.parse(der.encode(tag, value))
    for read in READERS:
        try:
            found = getattr(node, read)
            if callable(found):
                found()
        except ChopmarkError:
            pass


def test_deep_nesting_costs_nothing() -> None:
    raw = b"\x05\x00"
    for _ in range(200):
        raw = der.sequence(raw)
    raw = b"\x30\x80" * 100_000 + raw
    with pytest.raises(der.DerError):
        der.parse(raw)
    node = der.parse(der.sequence(*[der.sequence()] * 3))
    assert len(node.children()) == 3


def test_a_million_elements_are_refused_as_a_list_and_walked_one_by_one() -> None:
    raw = der.encode(der.SEQUENCE, b"\x05\x00" * 1_000_000)
    node = der.parse(raw)
    tracemalloc.start()
    try:
        started = time.process_time()
        with pytest.raises(der.DerError):
            node.children()
        assert tracemalloc.get_traced_memory()[1] < 50 * limits.MIB
        assert time.process_time() - started < 5
    finally:
        tracemalloc.stop()
    assert sum(1 for _ in node.each()) == 1_000_000


def test_an_integer_of_many_bytes_is_refused_before_it_is_one() -> None:
    with pytest.raises(der.DerError):
        der.parse(der.encode(der.INTEGER, b"\x01" * limits.MIB)).integer()


def test_a_huge_length_is_refused_without_memory() -> None:
    with pytest.raises(der.DerError):
        der.parse(b"\x04\x84\xff\xff\xff\xff" + bytes(100))
