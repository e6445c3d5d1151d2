"""Names are compared as RFC 4518 prepares them; what it prohibits is equal to nothing but itself."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chopmark.envelopes import der, dn, stringprep, x509


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("", ""),
        ("Some CA", "some ca"),
        ("  Some \t  CA\r\n", "some ca"),
        ("a\x00b\x7fc\x1bd", "abcd"),
        ("soft\u00adhyphen\u200bspace\ufeff", "softhyphenspace"),
        ("a\u00a0b\u2003c\u3000d\u2028e\x85f", "a b c d e f"),
        ("Stra\u00dfe", "strasse"),
        ("\uff21\uff22\uff23", "abc"),
        ("\u212bngstr\u00f6m", "\u00e5ngstr\u00f6m"),
        ("A\u030angstro\u0308m", "\u00e5ngstr\u00f6m"),
        ("\ufb01rma", "firma"),
        ("\u0130stanbul", "i\u0307stanbul"),
        ("\u2460", "1"),
        ("\u03a3\u03c2", "\u03c3\u03c3"),
        ("\u202eevil\u202c", "evil"),
    ],
)
def test_strings_are_mapped_normalised_and_stripped_of_insignificant_spaces(text: str, prepared: str) -> None:
    assert stringprep.prepare(text) == prepared


@pytest.mark.parametrize("text", ["\ufffd", "\ue000", "a\U000f0000", "\ufdd0", "\U0001fffe", "\U0001f4a9", "\u0378"])
def test_what_is_not_assigned_private_or_no_character_cannot_be_compared(text: str) -> None:
    with pytest.raises(stringprep.ProhibitedError):
        stringprep.prepare(text)


@given(st.text())
@example("\u0340\u0341")
def test_preparing_twice_changes_nothing(text: str) -> None:
    try:
        once = stringprep.prepare(text)
    except stringprep.ProhibitedError:
        return
    assert stringprep.prepare(once) == once
    assert "  " not in once
    assert once == once.strip(" ")


@given(st.text(st.characters(max_codepoint=255)))
@example("".join(map(chr, range(0xC0, 0x100))))
def test_the_short_way_for_ascii_and_western_letters_is_the_long_one(text: str) -> None:
    # a letter of Poland's in front makes it go the long way
    assert stringprep.prepare("\u0105" + text).removeprefix("\u0105").strip() == stringprep.prepare(text)


def encoded(text: str, tag: int = der.UTF8_STRING) -> bytes:
    codec = {der.UTF8_STRING: "utf-8", der.BMP_STRING: "utf-16-be", der.TELETEX_STRING: "latin-1"}[tag]
    pair = der.sequence(der.oid("2.5.4.3"), der.encode(tag, text.encode(codec)))
    return der.sequence(der.set_of([pair]))


def test_names_in_other_types_of_string_are_the_same() -> None:
    wanted = x509.name_key(encoded("Stra\u00dfen  AG"))
    assert x509.name_key(encoded("STRASSEN ag", der.BMP_STRING)) == wanted
    assert x509.name_key(encoded("Stra\u00dfen\u00a0AG", der.TELETEX_STRING)) == wanted


def test_a_name_that_cannot_be_compared_is_equal_to_its_own_bytes_alone() -> None:
    strange = encoded("Example \ue000")
    assert x509.name_key(strange) == x509.name_key(bytes(strange))
    assert x509.name_key(strange) != x509.name_key(encoded("Example \ue000", der.BMP_STRING))
    ((pair,),) = x509.name_key(strange)
    assert dn.is_opaque(pair[1])
    ((plain,),) = x509.name_key(encoded("\0Example"))
    assert not dn.is_opaque(plain[1])
