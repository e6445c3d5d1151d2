"""Certificates are read by short ways where most look alike; what comes out is what reading node by node gives."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chopmark.core.errors import MalformedError
from chopmark.envelopes import algorithms, der, public_keys, stringprep, x509
from tests.unit.envelopes import material

SAMPLES = [material.chain(kind)[0] for kind in material.KINDS] + [material.encoded(material.root())]


def plain_extensions(block: der.Node) -> dict[str, tuple[bool, bytes]]:
    """Clause 4.2, without any short way."""
    found: dict[str, tuple[bool, bytes]] = {}
    for node in block.expect(der.SEQUENCE).children():
        fields = node.fields()
        oid = fields.take().oid()
        critical = fields.optional(der.BOOLEAN)
        value = fields.take().octets()
        fields.done()
        if oid in found:
            raise der.DerError(oid)
        found[oid] = (critical.boolean() if critical else False, value)
    return found


def plain(raw: bytes) -> tuple[Any, ...]:
    """Clause 4.1, likewise."""
    outer = der.parse(raw).fields()
    tbs, algorithm = outer.take(der.SEQUENCE), outer.take(der.SEQUENCE)
    signature = outer.take().bit_string()
    outer.done()
    fields = tbs.fields()
    version = fields.optional(der.context(0))
    number = (version.only_child().expect(der.INTEGER).integer() if version else 0) + 1
    serial = fields.take(der.INTEGER).value
    if not serial:
        raise der.DerError("empty")
    inner, issuer = fields.take(der.SEQUENCE).raw, fields.take(der.SEQUENCE).raw
    validity = fields.take().fields()
    before, after = plain_time(validity.take()), plain_time(validity.take())
    validity.done()
    subject, spki = fields.take(der.SEQUENCE).raw, fields.take(der.SEQUENCE).raw
    fields.optional(der.context(1, constructed=False))
    fields.optional(der.context(2, constructed=False))
    block = fields.optional(der.context(3))
    fields.done()
    extensions = plain_extensions(block.only_child()) if block else {}
    read = (tbs.raw, algorithm.raw, signature, number, serial, inner, issuer, before, after, subject, spki)
    return (*read, list(extensions.items()))


def plain_time(node: der.Node) -> dt.datetime:
    """Clauses 4.1.2.5.1 and 4.1.2.5.2 and fractions, number by number."""
    text = node.value.decode("latin-1")
    try:
        if node.tag == der.UTC_TIME and len(text) == 13 and text[-1] == "Z" and text[:-1].isdigit():
            year = int(text[:2])
            return moment(year + (1900 if year >= 50 else 2000), text[2:12], 0)
        if node.tag == der.GENERALIZED_TIME and text[-1:] == "Z" and text[:14].isdigit() and len(text) >= 15:
            fraction = text[14:-1]
            if not fraction or (fraction[0] == "." and fraction[1:].isdigit() and fraction[-1] != "0"):
                return moment(int(text[:4]), text[4:14], int(f"{fraction[1:]:0<6.6}") if fraction else 0)
    except ValueError:
        pass
    raise der.DerError(text)


def moment(year: int, rest: str, microsecond: int) -> dt.datetime:
    month, day, hour, minute, second = (int(rest[index : index + 2]) for index in range(0, 10, 2))
    return dt.datetime(year, month, day, hour, minute, second, microsecond, dt.UTC)


def short(raw: bytes) -> tuple[Any, ...]:
    read = x509.Certificate(raw)
    whole: tuple[Any, ...] = (read.tbs, read.signature_algorithm_raw, read.signature, read.version, read.serial_octets)
    whole += (read.inner_algorithm_raw, read.issuer, read.not_before, read.not_after, read.subject, read.spki)
    return (*whole, [(oid, tuple(each)) for oid, each in read.extensions.items()])


def plain_key(raw: bytes) -> list[list[tuple[str, str]]]:
    """What a Name is compared by."""
    found = []
    for relative in der.parse(raw).expect(der.SEQUENCE).children():
        pairs = []
        for pair in relative.expect(der.SET).children():
            fields = pair.fields()
            oid, value = fields.take().oid(), fields.take()
            fields.done()
            try:
                text = stringprep.prepare(value.text())
            except (der.DerError, stringprep.ProhibitedError):
                text = "\0" + value.raw.hex()
            pairs.append((oid, text))
        if not pairs:
            raise der.DerError("no attribute")
        found.append(sorted(pairs))
    return found


def outcome(read: Any, raw: bytes) -> Any:  # noqa: ANN401 - whatever is read
    try:
        return read(raw)
    except der.DerError:
        return "refused"


@pytest.mark.parametrize("raw", SAMPLES)
def test_every_flipped_octet_of_a_certificate_is_read_alike(raw: bytes) -> None:
    for position in range(len(raw)):
        for mask in (0x01, 0x20, 0x80, 0xFF):
            changed = raw[:position] + bytes((raw[position] ^ mask,)) + raw[position + 1 :]
            assert outcome(short, changed) == outcome(plain, changed)


PADDED = b"\x30\x82\x00\x80" + bytes.fromhex("317e307c06035504030c75") + b"a" * 117
"""A name, its length in more octets than it needs."""
PARTS = [
    PADDED,
    b"\x30\x81\x80" + PADDED[4:],
    b"\x30\x80" + PADDED[4:] + b"\0\0",
    b"\x30\0",
    b"\x30\x81\x00",
    b"\x05\0",
]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("number", range(2, 7))
def test_parts_with_other_lengths_are_read_alike(number: int, part: bytes) -> None:
    tbs, *behind = der.parse(SAMPLES[0]).children()
    fields = [each.raw for each in tbs.children()]
    fields[number] = part
    changed = der.sequence(der.sequence(*fields), *[each.raw for each in behind])
    assert outcome(short, changed) == outcome(plain, changed)
    outside = der.sequence(tbs.raw, part, behind[1].raw)
    assert outcome(short, outside) == outcome(plain, outside)


@given(st.sampled_from(SAMPLES), st.integers(0, 1500), st.integers(0, 4), st.binary(max_size=6))
def test_certificates_with_other_octets_in_them_are_read_alike(raw: bytes, at: int, size: int, octets: bytes) -> None:
    changed = raw[:at] + octets + raw[at + size :]
    assert outcome(short, changed) == outcome(plain, changed)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"\x06\x03\x55\x1d\x0f", b"\x06\x03\x55\x1d\x8f", b"\x06\x03*\x03\x04", b"\x06\x01*"]),
            st.sampled_from([b"", b"\x01\x01\xff", b"\x01\x01\x00", b"\x01\x01\x01"]),
            st.sampled_from([b"\x04\x02\5\0", b"\x04\x00", b"\x04\x81\x02\5\0", b"\x04\x03\5\0", b"\x0c\x01a"]),
            st.sampled_from([b"", b"\x05\x00"]),
            st.sampled_from([0x30, 0x31]),
        ),
        max_size=3,
    )
)
def test_extensions_of_all_shapes_are_read_alike(shapes: list[tuple[bytes, bytes, bytes, bytes, int]]) -> None:
    block = der.sequence(*(der.encode(tag, *parts) for *parts, tag in shapes))

    def ours(raw: bytes) -> list[Any]:
        return [(oid, tuple(each)) for oid, each in x509.extensions(der.parse(raw)).items()]

    assert outcome(ours, block) == outcome(lambda raw: list(plain_extensions(der.parse(raw)).items()), block)


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from([b"\x06\x03\x55\x04\x03", b"\x06\x03\x55\x04\x83", b"\x06\x02\x2a\x03"]),
                st.sampled_from([0x0C, 0x13, 0x16, 0x1E, 0x02]),
                st.one_of(st.text("aB  \x00\xfc\u200b\ue000", max_size=4).map(str.encode), st.binary(max_size=3)),
                st.sampled_from([b"", b"\x05\x00"]),
            ),
            max_size=2,
        ),
        max_size=3,
    ),
    st.sampled_from([0x31, 0x30]),
)
@example([[]], 0x31)
@example([[(b"\x06\x03\x55\x04\x03", 0x0C, b"a", b"A!" + b"b" * 33)]], 0x31)
def test_names_of_all_shapes_are_compared_alike(
    relative: list[list[tuple[bytes, int, bytes, bytes]]], tag: int
) -> None:
    sets = [[der.sequence(oid, der.encode(kind, text), more) for oid, kind, text, more in pairs] for pairs in relative]
    name = der.sequence(*(der.encode(tag, *pairs) for pairs in sets))

    def ours(raw: bytes) -> list[list[tuple[str, str]]]:
        return [list(pairs) for pairs in x509.name_key(raw)]

    assert outcome(ours, name) == outcome(plain_key, name)


DIGITS = st.text("0123456789.Z+", max_size=16)


@given(st.sampled_from([der.UTC_TIME, der.GENERALIZED_TIME]), st.one_of(DIGITS, st.text(max_size=16)))
@example(der.UTC_TIME, "500101000000Z")
@example(der.UTC_TIME, "491231235959Z")
@example(der.UTC_TIME, "250101240000Z")
@example(der.UTC_TIME, "250229000000Z")
@example(der.UTC_TIME, "25010100000\u00b2Z")
@example(der.GENERALIZED_TIME, "20250101000000.123456789Z")
@example(der.GENERALIZED_TIME, "20250101000000.10Z")
@example(der.GENERALIZED_TIME, "00000101000000Z")
@example(der.GENERALIZED_TIME, "99991231235960Z")
def test_times_are_read_alike(tag: int, text: str) -> None:
    raw = der.encode(tag, text.encode("latin-1", "replace"))
    assert outcome(lambda each: der.parse(each).time(), raw) == outcome(lambda each: plain_time(der.parse(each)), raw)


@given(st.integers(-14, 14), st.integers(0, 14))
def test_times_around_the_end_of_a_day_are_read_alike(hours: int, seconds: int) -> None:
    text = f"2025010{1 + seconds % 9}{(24 + hours) % 100:02}00{50 + seconds:02}Z"
    raw = der.encode(der.GENERALIZED_TIME, text.encode())
    assert outcome(lambda each: der.parse(each).time(), raw) == outcome(lambda each: plain_time(der.parse(each)), raw)


@pytest.mark.parametrize("kind", ["p256", "p384"])
def test_usual_keys_are_refused_as_others_are(kind: str) -> None:
    spki = material.public_der(material.private_key(kind))
    assert public_keys.kind(spki) == "ec"
    for position in range(len(spki)):  # off the curve, compressed, another curve, cut off
        changed = spki[:position] + bytes((spki[position] ^ 1,)) + spki[position + 1 :]
        with pytest.raises(MalformedError):
            public_keys.load(changed)
    with pytest.raises(algorithms.UnsupportedError):
        public_keys.load(spki[:-1] + bytes((spki[-1] ^ 1,)))
    with pytest.raises(MalformedError):
        public_keys.load(spki + b"\0")


@pytest.mark.parametrize("kind", ["p256", "p384"])
def test_a_key_that_nobody_uses_is_refused_as_one_that_is_loaded(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spki = material.public_der(material.private_key(kind))
    half, bits = {"p256": (32, 256), "p384": (48, 384)}[kind]
    prime = {"p256": 2**256 - 2**224 + 2**192 + 2**96 - 1, "p384": 2**384 - 2**128 - 2**96 + 2**32 - 1}[kind]
    head, x, y = spki[: -2 * half], spki[-2 * half : -half], int.from_bytes(spki[-half:], "big")
    negative = head + x + (prime - y).to_bytes(half, "big")
    monkeypatch.setattr(public_keys, "_loaded", {})
    for usable in (spki, negative):
        assert public_keys.require_usable(usable) == ("ec", bits)
    assert not public_keys._loaded  # noqa: SLF001 - it was not loaded
    wrong = [spki[:at] + bytes((spki[at] ^ 1,)) + spki[at + 1 :] for at in range(len(spki))]
    wrong += [head + bytes(2 * half), head + b"\xff" * 2 * half, head + x + prime.to_bytes(half, "big")]
    for each in wrong:
        with pytest.raises(MalformedError):
            public_keys.load(each)
        with pytest.raises(MalformedError):
            public_keys.require_usable(each)


def test_coordinates_beyond_the_prime_are_no_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_keys, "_loaded", {})
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    root = 0x66485C780E2F83D72433BD5D84A06BB6541C2AF31DAE871728BF856A174F93F4  # of b, so that (0, root) is a point
    head = material.public_der(material.private_key("p256"))[:-64]
    assert public_keys.require_usable(head + bytes(32) + root.to_bytes(32, "big")) == ("ec", 256)
    with pytest.raises(algorithms.UnsupportedError):
        public_keys.require_usable(head + prime.to_bytes(32, "big") + root.to_bytes(32, "big"))


def with_extensions(*extensions: bytes) -> bytes:
    tbs, *behind = der.parse(SAMPLES[0]).children()
    *fields, _ = [each.raw for each in tbs.children()]
    changed = der.sequence(*fields, der.explicit(3, der.sequence(*extensions)))
    return der.sequence(changed, *[each.raw for each in behind])


def key_id(octets: bytes) -> bytes:
    return der.sequence(der.oid(x509.SUBJECT_KEY_ID), der.octet_string(der.octet_string(octets)))


@pytest.mark.parametrize("before", [True, False])
def test_certificates_with_other_key_identifiers_are_alike_and_read_as_others(before: bool) -> None:  # noqa: FBT001
    other = der.sequence(der.oid("2.5.29.77"), der.octet_string(der.null()))
    padding = der.sequence(der.oid("1.2.3"), der.octet_string(bytes(150)))
    alike = set()
    for octet in (b"a", b"b", b"c"):
        usual = key_id(octet * 20)
        raw = with_extensions(*((padding, other, usual) if before else (usual, padding, other)))
        assert outcome(short, raw) == outcome(plain, raw)
        assert x509.Certificate(raw).subject_key_id == octet * 20
        alike.add(x509.Certificate(raw).alike)
    assert len(alike) == 1
    unlike = with_extensions(padding, key_id(b"d" * 20), other)
    assert x509.Certificate(unlike).alike not in alike


@pytest.mark.parametrize("size", [19, 20, 21])
def test_what_only_looks_like_a_key_identifier_is_part_of_what_it_stands_in(size: int) -> None:
    found = set()
    own = key_id(b"own identifier of it"[:20])
    for octet in (b"a", b"b"):
        holder = der.sequence(der.oid("1.2.3"), der.octet_string(bytes(150) + key_id(octet * size)))
        raw = with_extensions(holder, own)
        assert outcome(short, raw) == outcome(plain, raw)
        found.add(x509.Certificate(raw).alike)
    assert len(found) == 2


def test_what_is_known_of_extensions_is_changed_by_nobody() -> None:
    padding = der.sequence(der.oid("1.2.3"), der.octet_string(bytes(150)))
    octets = [octet * 20 for octet in (b"x", b"y", b"z")]
    certificates = [x509.Certificate(with_extensions(key_id(each), padding)) for each in octets]
    assert [each.subject_key_id for each in certificates] == octets
