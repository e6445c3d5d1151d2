"""Versions: each numbering's own examples, and that every one is an order."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits, versions
from chopmark.core.errors import MalformedError
from chopmark.core.versions import DEBIAN, DOTTED, PYTHON, RPM, SEMVER

ASCENDING = {
    DOTTED: ["0", "0.9", "1.0.0.0", "1.0.0.1", "1.2", "1.10", "2", "10.0"],
    DEBIAN: [
        *("1.0~~", "1.0~rc1-1", "1.0~rc1-2", "1.0", "1.0-0.1", "1.0-1", "1.0-1+deb12u1", "1.0a", "1.0+dfsg-1"),
        *("1.0.1", "1.2", "1.10", "1:0.1", "1:1.0-1~bpo12+1", "1:1.0-1", "2:0"),
    ],
    # rpm's own rpmvercmp.at: tilde sorts before, caret behind, letters before digits
    RPM: [
        *("1.0~rc1", "1.0~rc2", "1.0", "1.0-1", "1.0-2.el9", "1.0^git1-1", "1.0^git2", "1.0a", "1.0.1", "1.0.1^git1"),
        *("1.1", "5.5p1", "5.5p2", "5.5p10", "10xyz", "10.0001", "10.1.1", "1:0.1", "2:0"),
    ],
    # Semantic Versioning 2.0.0, clause 11
    SEMVER: [
        *("1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11"),
        *("1.0.0-rc.1", "1.0.0", "1.9.0", "1.10.0", "1.11.0", "2.0.0"),
    ],
    # PEP 440, "Summary of permitted suffixes and relative ordering"
    PYTHON: [
        *("1.dev0", "1.0.dev456", "1.0a1", "1.0a2.dev456", "1.0a12.dev456", "1.0a12", "1.0b1.dev456", "1.0b2"),
        *("1.0b2.post345.dev456", "1.0b2.post345", "1.0rc1.dev456", "1.0rc1", "1.0", "1.0+abc.5", "1.0+abc.7", "1.0+5"),
        *("1.0.post456.dev34", "1.0.post456", "1.0.15", "1.1.dev1", "1.10", "1!0.1"),
    ],
}
SAME = {
    DOTTED: [("1", "1.0.0.0"), ("1.02", "1.2")],
    DEBIAN: [("1.0", "0:1.0"), ("1.0", "1.0-0"), ("1.0-01", "1.0-1")],
    RPM: [("1.0", "1_0"), ("1.05", "1.5"), ("2.0.1", "2+0.1"), ("0:1", "1")],
    SEMVER: [("1.0.0", "v1.0.0"), ("1.0.0+build.5", "1.0.0+build.6")],
    PYTHON: [
        *(("1.0", "1"), ("1.0", "v1.0.0"), ("1.1RC1", "1.1-rc.1"), ("1.1c1", "1.1preview1"), ("1.1a", "1.1alpha0")),
        *(("1.0-1", "1.0.post1"), ("1.0-r4", "1.0_rev.4"), ("1.0+ubuntu-1", "1.0+ubuntu.1"), ("0!1", "1")),
    ],
}
NONE = {
    DOTTED: ["", "1.", ".1", "1..2", "1.a", "1-2", "v1", "-1", "1.2 3", "٣"],
    DEBIAN: ["", "a1", "1.0-", ":1", "x:1", "1.0_1", "1 0", "1.0-1_2"],
    RPM: ["", "1 0", "1-", "a:1", "1-2-3", "1/2", "-1"],
    PYTHON: [
        "",
        "a",
        "1.",
        "1..0",
        "1.0-",
        "1.0+",
        "1.0+a..b",
        "1.0x",
        "1.0rc1a1",
        "1.0.dev1.post1",
        "2004d",
        "1\u0661",
    ],
    SEMVER: ["", "1", "1.0", "1.0.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0+", "1.0.0-a..b"],
}


@pytest.mark.parametrize("scheme", ASCENDING)
def test_each_numbering_has_its_order(scheme: str) -> None:
    for (i, one), (j, other) in itertools.product(enumerate(ASCENDING[scheme]), repeat=2):
        assert versions.compare(scheme, one, other) == (i > j) - (i < j), (one, other)


@pytest.mark.parametrize(("scheme", "one", "other"), [(s, *pair) for s, pairs in SAME.items() for pair in pairs])
def test_versions_that_are_the_same(scheme: str, one: str, other: str) -> None:
    assert versions.compare(scheme, one, other) == 0


@pytest.mark.parametrize(("scheme", "text"), [(s, text) for s, texts in NONE.items() for text in texts])
def test_what_is_no_version_is_refused(scheme: str, text: str) -> None:
    with pytest.raises(MalformedError):
        versions.key(scheme, text)


def test_a_very_long_version_is_refused() -> None:
    with pytest.raises(MalformedError):
        versions.key(DOTTED, "1" * (limits.VERSION_MAX + 1))


@given(st.sampled_from(sorted(versions.SCHEMES)), st.text("0019aZ.~^+-:_ ", max_size=8), st.text("019a.~-", max_size=8))
def test_comparing_never_fails_otherwise_and_is_an_order(scheme: str, one: str, other: str) -> None:
    try:
        order = versions.compare(scheme, one, other)
    except MalformedError:
        return
    assert versions.compare(scheme, other, one) == -order
