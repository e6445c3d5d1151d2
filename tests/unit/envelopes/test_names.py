"""Names as an authority writes them."""

from __future__ import annotations

import pytest
from cryptography import x509 as other
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core.errors import UsageError
from chopmark.envelopes import names, x509


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("CN=Example", [("CN", "Example")]),
        ("cn=Example,o=Example Ltd", [("CN", "Example"), ("O", "Example Ltd")]),
        (" CN = Example , C=GB ", [("CN", "Example"), ("C", "GB")]),
        (r"O=Example\, Ltd", [("O", "Example, Ltd")]),
        (r"O=A\+B\\C", [("O", "A+B\\C")]),
        ("S=Bavaria,E=a@example.com", [("ST", "Bavaria"), ("emailAddress", "a@example.com")]),
        ("O=Größe = 1", [("O", "Größe = 1")]),
        ("OU=a,OU=b", [("OU", "a"), ("OU", "b")]),
        ("SERIALNUMBER=1,jurisdictionc=DE", [("serialNumber", "1"), ("jurisdictionC", "DE")]),
    ],
)
def test_parse(text: str, parts: list[tuple[str, str]]) -> None:
    assert names.parse(text) == parts


@pytest.mark.parametrize(
    "text", ["", "Example", "CN=a,", "CN=a;O=b,", "CN=a+O=b", "1.2.3=x", "XX=y", "CN=a\\", "=a", "CN"]
)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(UsageError):
        names.encode(names.parse(text))


def test_encoding_is_what_others_read() -> None:
    parts = names.parse("CN=Größe,C=DE,serialNumber=HRB 1,O=Größe GmbH,emailAddress=a@example.com,DC=example")
    raw = names.encode(names.ordered(parts))
    found = x509.name_parts(raw)
    assert [kind for kind, _ in found] == ["DC", "serialNumber", "C", "O", "CN", "emailAddress"]
    again = other.Name(
        [
            other.NameAttribute(other.NameOID.DOMAIN_COMPONENT, "example"),
            other.NameAttribute(other.NameOID.SERIAL_NUMBER, "HRB 1"),
            other.NameAttribute(other.NameOID.COUNTRY_NAME, "DE"),
            other.NameAttribute(other.NameOID.ORGANIZATION_NAME, "Größe GmbH"),
            other.NameAttribute(other.NameOID.COMMON_NAME, "Größe"),
            other.NameAttribute(other.NameOID.EMAIL_ADDRESS, "a@example.com"),
        ]
    )
    assert again.public_bytes() == raw
    assert names.parts(raw) == names.ordered(parts)


def test_every_attribute_comes_back_under_its_name() -> None:
    parts = [(kind, "GB" if attribute.longest == 2 else "x") for kind, attribute in names.ATTRIBUTES.items()]
    assert names.parts(names.encode(parts)) == parts


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (("CN", ""), "says nothing"),
        (("CN", " . - "), "says nothing"),
        (("CN", "a  b"), "spaces"),
        (("CN", "a\n"), "spaces"),
        (("CN", "a\u00a0b"), "spaces"),
        (("CN", "x" * 65), "at most 64"),
        (("CN", "a\u202eb"), r"U\+202E"),
        (("CN", "a\u200db"), r"U\+200D"),
        (("CN", "a\ue000b"), r"U\+E000"),
        (("CN", "a\x7fb"), r"U\+007F"),
        (("CN", "\udcff"), r"U\+DCFF"),
        (("C", "GBR"), "country"),
        (("C", "g1"), "country"),
        (("jurisdictionC", "England"), "country"),
        (("serialNumber", "№ 1"), "PrintableString"),
        (("emailAddress", "ä@example.com"), "ASCII"),
        (("2.5.4.3", "x"), "not an attribute"),
    ],
)
def test_faults(part: tuple[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        names.encode([part])


def test_faults_of_the_whole() -> None:
    assert names.faults([])
    assert names.faults([("CN", "a"), ("CN", "b")])
    assert names.faults([("OU", "a"), ("OU", "b")]) == []


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        raw = names.encode(names.ordered(names.parse(text)))
    except UsageError:
        return
    assert names.parts(raw)


@given(st.lists(st.tuples(st.sampled_from(list(names.ATTRIBUTES)), st.text(max_size=80)), max_size=4))
def test_what_has_no_faults_round_trips(parts: list[tuple[str, str]]) -> None:
    if names.faults(parts):
        return
    assert names.parts(names.encode(parts)) == parts
