"""Name constraints of every type that is compared (RFC 5280 clause 4.2.1.10), against cases written from the clause."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.core.errors import ChopmarkError
from chopmark.envelopes import der, x509
from chopmark.trust.paths import names
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import Extension, make


def mail(text: str) -> bytes:
    return der.implicit(1, text.encode())


def dns(text: str) -> bytes:
    return der.implicit(2, text.encode())


def uri(text: str) -> bytes:
    return der.implicit(6, text.encode())


def address(text: str) -> bytes:
    return der.implicit(7, ipaddress.ip_address(text).packed)


def network(text: str) -> bytes:
    parsed = ipaddress.ip_network(text)
    return der.implicit(7, parsed.network_address.packed + parsed.netmask.packed)


def directory(raw: bytes) -> bytes:
    return der.explicit(4, raw)


def prefix(count: int) -> bytes:
    """The first attributes of the name of tests."""
    parts = der.parse(material.name("Somebody", "Example Mint")).children()
    return der.sequence(*(part.raw for part in parts[:count]))


def permitted(name: bytes, base: bytes) -> bool:
    """Whether a certificate with this alternative name is allowed when only `base` is permitted."""
    return verdict(name, der.explicit(0, der.sequence(base))) == ""


def excluded(name: bytes, base: bytes) -> bool:
    """Whether it is forbidden when `base` is excluded."""
    return verdict(name, der.explicit(1, der.sequence(base))) != ""


def verdict(name: bytes, trees: bytes, subject: bytes = b"") -> str:
    alternative = Extension(x509.SUBJECT_ALT_NAME, der.sequence(name)) if name else None
    key = pki.key("p256", "names")
    below = make(subject or der.sequence(), key, extensions=[alternative] if alternative else [])
    above = make(material.name("Above"), key, extensions=[Extension(x509.NAME_CONSTRAINTS, der.sequence(trees))])
    constraints = names.subtrees(above.view)
    assert constraints is not None
    return names.violation(names.names_of(below.view), constraints, names.Budget())


WITHIN = [
    (dns("host.example.com"), dns("host.example.com")),
    (dns("my.host.example.com"), dns("host.example.com")),
    (dns("HOST.Example.COM"), dns("host.example.com")),
    (dns("host.example.com."), dns("host.example.com")),
    (dns("anything"), dns("")),
    (dns("a.example.com"), dns(".example.com")),
    (mail("me@host.example.com"), mail("host.example.com")),
    (mail("me@HOST.example.com"), mail("host.EXAMPLE.com")),
    (mail("me@host.example.com"), mail("me@host.example.com")),
    (mail("me@my.host.example.com"), mail(".example.com")),
    (uri("http://host.example.com/x"), uri("host.example.com")),
    (uri("https://me@host.example.com:8080/x?y#z"), uri("host.example.com")),
    (uri("ldap://my.example.com"), uri(".example.com")),
    (address("192.0.2.7"), network("192.0.2.0/24")),
    (address("2001:db8::7"), network("2001:db8::/32")),
    (address("192.0.2.7"), network("0.0.0.0/0")),
    (directory(material.name("Somebody", "Example Mint")), directory(prefix(1))),
    (directory(material.name("Somebody", "Example Mint")), directory(prefix(2))),
    (directory(material.name("Somebody", "EXAMPLE  mint", kind=der.PRINTABLE_STRING)), directory(prefix(1))),
    (directory(material.name("Somebody")), directory(der.sequence())),
]
OUTSIDE = [
    (dns("host1.example.com"), dns("host.example.com")),
    (dns("evilexample.com"), dns("example.com")),
    (dns("example.com"), dns("host.example.com")),
    (dns("example.com"), dns(".example.com")),
    (mail("me@my.host.example.com"), mail("host.example.com")),
    (mail("Me@host.example.com"), mail("me@host.example.com")),
    (mail("me@example.com"), mail(".example.com")),
    (uri("http://my.example.com"), uri("example.com")),
    (uri("http://example.com"), uri(".example.com")),
    (address("192.0.3.7"), network("192.0.2.0/24")),
    (address("2001:db9::7"), network("2001:db8::/32")),
    (address("192.0.2.7"), network("2001:db8::/32")),
    (directory(material.name("Somebody", "Another Mint")), directory(prefix(1))),
    (directory(prefix(1)), directory(prefix(2))),
]


@pytest.mark.parametrize(("name", "base"), WITHIN)
def test_names_within_a_subtree(name: bytes, base: bytes) -> None:
    assert permitted(name, base)
    assert excluded(name, base)


@pytest.mark.parametrize(("name", "base"), OUTSIDE)
def test_names_outside_of_a_subtree(name: bytes, base: bytes) -> None:
    assert not permitted(name, base)
    assert not excluded(name, base)


@pytest.mark.parametrize(
    ("name", "base"),
    [(dns("x.com"), mail("y.com")), (mail("a@x.com"), dns("y.com")), (address("192.0.2.7"), dns("y.com"))],
)
def test_a_constraint_is_about_its_own_type_of_name(name: bytes, base: bytes) -> None:
    assert permitted(name, base)
    assert not excluded(name, base)


def test_a_wildcard_is_excluded_when_one_of_its_names_is() -> None:
    assert excluded(dns("*.example.com"), dns("host.example.com"))
    assert excluded(dns("*.example.com"), dns("example.com"))
    assert not excluded(dns("*.example.com"), dns("deep.host.example.com"))
    assert permitted(dns("*.example.com"), dns("example.com"))
    assert not permitted(dns("*.example.com"), dns("host.example.com"))


@pytest.mark.parametrize(
    "name",
    [
        *(uri("urn:x"), uri("http:///x"), uri("http://192.0.2.7/"), uri("http://[2001:db8::7]/")),
        *(uri("http://[fe80::1%25.example.com]/"), uri("http://[fe80::1%x.example.com]/")),  # CVE-2024-45341
    ],
)
def test_a_uri_without_a_host_name_is_never_within_and_always_excluded(name: bytes) -> None:
    assert not permitted(name, uri("example.com"))
    assert excluded(name, uri("example.com"))


@pytest.mark.parametrize(
    "name",
    [
        der.explicit(0, der.oid("1.2.3"), der.explicit(0, der.utf8("x"))),
        der.explicit(3),
        der.explicit(5),
        der.implicit(8, b"\x2a\x03"),
    ],
)
def test_a_type_that_is_not_compared_is_refused(name: bytes) -> None:
    assert not permitted(name, name)
    assert excluded(name, name)


@pytest.mark.parametrize(
    ("name", "base"),
    [
        (dns("\xe4.example.com"), dns("example.com")),
        (address("192.0.2.7"), der.implicit(7, b"\xc0\x00\x02\x00")),
        (address("192.0.2.7"), der.implicit(7, b"\xc0\x00\x02\x00\xff\x00\xff\x00")),
        (dns("x.example.com"), dns("*.example.com")),
        (dns("x.example.com"), dns("..example.com")),
        (mail("me@example.com"), mail("a@b@example.com")),
        (uri("http://example.com/"), uri("http://example.com/")),
        (dns("x"), der.encode(0x89, b"x")),
        (dns("x"), der.explicit(0, dns("x"))),
        (dns("x"), der.implicit(8, b"\x80")),
    ],
)
def test_what_cannot_be_compared_is_malformed(name: bytes, base: bytes) -> None:
    with pytest.raises(der.DerError):
        permitted(name, base)


def test_an_e_mail_address_in_the_subject_counts_without_alternative_names() -> None:
    attribute = der.sequence(der.oid("1.2.840.113549.1.9.1"), der.encode(der.IA5_STRING, b"me@evil.example"))
    subject = der.sequence(der.encode(der.SET, attribute))
    only = der.explicit(0, der.sequence(mail("good.example")))
    assert verdict(b"", only, subject)
    assert not verdict(dns("x"), only, subject), "RFC 5280: only when there are no alternative names"


def test_an_empty_subject_is_no_name() -> None:
    assert permitted(b"", directory(prefix(1)))


@pytest.mark.parametrize(
    ("name", "base"),
    [
        (mail("nobody"), mail("example.com")),
        (mail("one@two@example.com"), mail("example.com")),
        (mail("me@.example.com"), mail("example.com")),
        (dns(".example.com"), dns("example.com")),
        (dns("a..example.com"), dns("example.com")),
        (dns("a_b.example.com"), dns("example.com")),
        (dns("a.*.example.com"), dns("example.com")),
        (dns("example.org\0.example.com"), dns("example.com")),  # CVE-2009-2408
        (dns(""), dns("")),
        (uri("//example.com"), uri("example.com")),
        (uri("http://exam%70le.com/"), uri("example.com")),
        (uri("http://example.com\\@other.com/"), uri("example.com")),
        (der.implicit(7, b"\xc0\x00\x02"), network("192.0.2.0/24")),
    ],
)
def test_a_name_that_is_not_written_as_it_has_to_be_is_never_allowed(name: bytes, base: bytes) -> None:
    assert not permitted(name, base)
    assert excluded(name, base)


def test_an_internationalised_mailbox_does_not_slip_through_constraints_of_mailboxes() -> None:
    mailbox = der.sequence(der.oid("1.3.6.1.5.5.7.8.9"), der.explicit(0, der.utf8("\xfc@example.com")))
    other = der.encode(der.context(0), der.parse(mailbox).value)
    assert not permitted(other, mail("example.com"))
    assert excluded(other, mail("elsewhere.com"))
    assert permitted(other, dns("example.com"))


@pytest.mark.parametrize("text", ["Example\ufffdMint", "Example\ue000Mint", "Example\U0001f4a9Mint"])
def test_a_name_that_cannot_be_compared_is_within_what_is_excluded_and_nothing_else(text: str) -> None:
    strange = material.name("Somebody", text)
    assert not permitted(directory(strange), directory(prefix(1)))
    assert excluded(directory(strange), directory(prefix(1)))
    alone = der.sequence(der.parse(strange).children()[0].raw)
    assert permitted(directory(strange), directory(alone)), "the same bytes are the same name"


_LABELS = st.lists(st.sampled_from(("a", "b", "ab", "a-b")), min_size=1, max_size=4).map(".".join)


@given(
    st.tuples(st.sampled_from(("", "*.")), _LABELS, st.sampled_from(("", "."))).map("".join),
    st.one_of(st.just(""), st.tuples(st.sampled_from(("", ".")), _LABELS).map("".join)),
)
@settings(max_examples=150)
def test_a_host_is_within_what_ends_like_it_at_a_dot(host: str, domain: str) -> None:
    bare, base = host.removesuffix("."), domain.removesuffix(".")
    expected = not base or ("." + bare).endswith("." + base) if not base.startswith(".") else bare.endswith(base)
    assert permitted(dns(host), dns(domain)) == expected


@given(st.binary(max_size=40))
@settings(max_examples=100)
def test_no_constraint_does_more_than_be_refused(value: bytes) -> None:
    key = pki.key("ed25519", "names")
    above = make(material.name("Above"), key, extensions=[Extension(x509.NAME_CONSTRAINTS, value)])
    try:
        constraints = names.subtrees(above.view)
        if constraints:
            names.violation(names.names_of(above.view), constraints, names.Budget())
    except ChopmarkError:
        pass
