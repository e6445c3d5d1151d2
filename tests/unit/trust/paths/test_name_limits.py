"""Limits that a store puts on names below a root: written, read back, and enforced like constraints of the root."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core.errors import UsageError
from chopmark.envelopes import der, x509
from chopmark.trust.moment import Moment
from chopmark.trust.paths import name_limits, path
from chopmark.trust.stores import source, store
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import CODE, Cert, Extension, ca_extensions, codes, make, name, purposes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ROOT = make(name("Root"), pki.key("p256", "root"), extensions=ca_extensions())
MIDDLE = make(name("Middle"), pki.key("p256", "middle"), ROOT, extensions=ca_extensions())
NAMES = Extension(
    x509.SUBJECT_ALT_NAME, der.sequence(der.implicit(2, b"a.example.com"), der.implicit(7, b"\x0a\0\0\1"))
)
LEAF = make(name("Leaf"), pki.key("p256", "leaf"), MIDDLE, extensions=[purposes(CODE), NAMES])
DIRECT = make(name("Leaf"), pki.key("p256", "leaf"), ROOT, extensions=[purposes(CODE), NAMES])


def found(folder: Path, leaf: Cert, permitted: Sequence[str] = (), excluded: Sequence[str] = ()) -> path.Path:
    file = folder / "store.pem"
    file.write_bytes(source.remark(permitted=permitted, excluded=excluded).encode() + material.pem(ROOT.raw))
    return path.find(leaf.view, CODE, Moment(pki.NOW), path.Material(store.load([str(file)]), [MIDDLE.raw]))


@pytest.mark.parametrize("leaf", [LEAF, DIRECT], ids=["below an authority", "below the root"])
@pytest.mark.parametrize(
    ("permitted", "excluded", "good"),
    [
        (["dn:O=Example Mint"], [], True),
        (["dn:O=EXAMPLE MINT"], [], True),
        (["dn:O=Somebody Else"], [], False),
        (["dn:O=Somebody Else", "dn:O=Example Mint"], [], True),
        ([], ["dn:O=Example Mint"], False),
        ([], ["dn:O=Somebody Else"], True),
        (["dns:example.com"], [], True),
        (["dns:example.org"], [], False),
        (["dns:.example.com", "ip:10.0.0.0/8"], [], True),
        (["ip:192.0.2.0/24"], [], False),
        ([], ["ip:10.0.0.1/32"], False),
        (["ip:2001:db8::/32"], [], False),
        (["email:example.com", "uri:example.com"], [], True),
        (["dns:example.com"], ["dns:a.example.com"], False),
    ],
)
def test_names_obey_the_store(
    tmp_path: Path, leaf: Cert, permitted: Sequence[str], excluded: Sequence[str], *, good: bool
) -> None:
    result = found(tmp_path, leaf, permitted, excluded)
    assert codes(result.findings) == (set() if good else {"store.name"})
    assert result.trusted is good


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dn:",
        "dns:",
        "example.com",
        "dn:Nonsense",
        "dn:X=1",
        "dns:*.example.com",
        "ip:10.0.0.1/8",
        "ip:x",
        "mail:x@y",
    ],
)
def test_what_is_no_name_is_a_wrong_call(text: str) -> None:
    with pytest.raises(UsageError):
        name_limits.subtrees((text,), ())
    with pytest.raises(UsageError):
        source.remark(excluded=[text])


def test_a_remark_with_a_limit_that_is_not_understood_makes_the_store_unusable(tmp_path: Path) -> None:
    file = tmp_path / "store.pem"
    file.write_bytes(b"# chopmark: permit=dns:..example\n" + material.pem(ROOT.raw))
    with pytest.raises(UsageError):
        store.load([str(file)])


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_names_survive_being_a_word_of_a_remark(texts: list[str]) -> None:
    word = name_limits.join(texts)
    assert word.split() == [word]
    assert word.isascii()
    assert list(name_limits.split(word)) == texts


def test_store_add_keeps_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    store.add("limited", [ROOT.raw], permitted=["dn:O=Example Mint, C=GB"], excluded=["dns:a.example", "dns:b.example"])
    (anchor,) = store.load(["limited"]).sources[0].every()
    assert anchor.constraints.permitted_names == ("dn:O=Example Mint, C=GB",)
    assert anchor.constraints.excluded_names == ("dns:a.example", "dns:b.example")
