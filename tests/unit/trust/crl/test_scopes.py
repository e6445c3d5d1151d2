"""Issuing distribution points in every combination of their flags (RFC 5280 clauses 5.2.5 and 6.3.3 (b))."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as builders

from chopmark.core.errors import MalformedError
from chopmark.envelopes import der, x509
from chopmark.trust.crl.entry import ALL_REASONS, UnusableError
from chopmark.trust.crl.revocation_list import Crl
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import Cert, Extension, ca_extensions, make, name

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = make(name("Scope Root"), pki.key("p256", "scope root"), extensions=ca_extensions())
URI = der.implicit(6, b"http://ca.example/part.crl")
POINTED = Extension(x509.CRL_DISTRIBUTION_POINTS, der.sequence(der.sequence(der.explicit(0, der.explicit(0, URI)))))
_KEY = pki.key("p256", "scope")
HOLDERS = {
    "user": make(name("Scope User"), _KEY, ROOT, extensions=[material.purposes(material.CODE), POINTED]),
    "authority": make(name("Scope Authority"), _KEY, ROOT, extensions=[*ca_extensions(), POINTED]),
    "no authority": make(name("Scope None"), _KEY, ROOT, extensions=[*ca_extensions(ca=False)[:1], POINTED]),
    "version 1": make(name("Scope Old"), _KEY, ROOT, version=1),
    "version 2": make(name("Scope Old"), _KEY, ROOT, version=2),
}
SOME = frozenset({1, 2})
_FLAG = b"\xff"


def scoped(*, users: bool, authorities: bool, attributes: bool, reasons: bool, pointing: bool, indirect: bool) -> Crl:
    value = der.sequence(
        der.explicit(0, der.explicit(0, URI)) if pointing else b"",
        der.implicit(1, _FLAG) if users else b"",
        der.implicit(2, _FLAG) if authorities else b"",
        der.implicit(3, b"\x05\x60") if reasons else b"",
        der.implicit(4, _FLAG) if indirect else b"",
        der.implicit(5, _FLAG) if attributes else b"",
    )
    held = pki.Entity(ROOT.key, builders.load_der_x509_certificate(ROOT.raw))
    extension = Extension(x509.ISSUING_DISTRIBUTION_POINT, value, critical=True)
    return Crl(material.list_by_hand(held, extensions=[extension]))


NAMES = ("users", "authorities", "attributes", "reasons", "pointing", "indirect")


def combinations() -> Iterator[dict[str, bool]]:
    for values in itertools.product((False, True), repeat=len(NAMES)):
        if any(values):  # a point that says nothing is not allowed at all
            yield dict(zip(NAMES, values, strict=True))


def expected(kind: str, flags: dict[str, bool]) -> frozenset[int]:
    """For which reasons such a list would name such a certificate, by the words of the RFC alone."""
    if flags["attributes"]:
        return frozenset()
    if flags["users"] and kind in ("authority", "version 1", "version 2"):
        return frozenset()
    if flags["authorities"] and kind != "authority":
        return frozenset()
    if flags["pointing"] and kind.startswith("version"):  # which have no extension to name the point
        return frozenset()
    return SOME if flags["reasons"] else ALL_REASONS


@pytest.mark.parametrize("kind", HOLDERS)
def test_a_list_is_about_what_its_scope_says_and_nothing_else(kind: str) -> None:
    holder: Cert = HOLDERS[kind]
    for flags in combinations():
        found = scoped(**flags)
        wanted = expected(kind, flags)
        if wanted:
            assert found.coverage(holder.view) == wanted, flags
        else:
            with pytest.raises(UnusableError):
                found.coverage(holder.view)


def test_a_scope_that_says_nothing_is_none() -> None:
    held = pki.Entity(ROOT.key, builders.load_der_x509_certificate(ROOT.raw))
    extension = Extension(x509.ISSUING_DISTRIBUTION_POINT, der.sequence(), critical=True)
    with pytest.raises(MalformedError):
        Crl(material.list_by_hand(held, extensions=[extension])).coverage(HOLDERS["user"].view)
