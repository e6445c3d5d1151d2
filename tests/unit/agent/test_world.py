"""What verdicts depend on: places that catalogs know, keys, lists, and what was written of a world that is gone."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from chopmark.agent import world
from chopmark.agent.world import Inputs, World
from chopmark.core.signer import Authority
from chopmark.core.verdict import Status
from chopmark.engine.catalog.contents import Contents, Listed
from chopmark.envelopes import x509
from chopmark.policy.facts import FileFacts, SealFacts

if TYPE_CHECKING:
    from pathlib import Path

CONTENT, OTHER = "11" * 32, "22" * 32
SEAL = SealFacts(
    "detached",
    Status.TRUSTED,
    key="aa" * 32,
    authorities=(Authority("CN=CA", "cc" * 32, "dd" * 32), Authority("CN=Root", "ee" * 32, "ff" * 32)),
)
TRUSTED = FileFacts("", CONTENT, "elf", Status.TRUSTED, (SEAL,))
UNSIGNED = FileFacts("", OTHER, "elf")


class Catalog:
    """As if one listed another content at a path."""

    def __init__(self, path: str = "", *, has_places: bool = True) -> None:
        self._path = os.fsencode(path)
        self.has_places = has_places

    def instead(self, path: bytes, digest: bytes) -> bytes:
        return b"\0" * 32 if path == self._path and digest == bytes.fromhex(CONTENT) else b""


def with_catalogs(*catalogs: Catalog, by_place: bool = False) -> World:
    policy = SimpleNamespace(compiled=SimpleNamespace(by_place=by_place))
    return World(cast("Any", policy), cast("Any", None), Inputs(), catalogs=cast("Any", catalogs))


@pytest.mark.parametrize(
    ("catalogs", "seal", "placed"),
    [
        ((), SEAL, False),
        ((Catalog(has_places=False),), SEAL, False),
        ((Catalog(),), SEAL, True),  # a signature of its own says nothing of where a file belongs
        ((Catalog(has_places=False), Catalog()), SEAL, True),
        ((Catalog(),), SEAL._replace(catalog="c"), False),
        ((Catalog(),), SEAL._replace(catalog="c", status=Status.UNDECIDED), True),
    ],
)
def test_whether_a_content_may_be_something_else_elsewhere(
    catalogs: tuple[Catalog, ...],
    seal: SealFacts,
    placed: bool,  # noqa: FBT001 - a table
) -> None:
    assert with_catalogs(*catalogs).is_placed(TRUSTED._replace(seals=(seal,))) is placed
    listed_twice = TRUSTED._replace(seals=(SEAL, SEAL._replace(catalog="c")))
    assert with_catalogs(*catalogs).is_placed(listed_twice) is False


def test_a_content_where_a_catalog_lists_another_is_rejected_there_and_nowhere_else() -> None:
    state = with_catalogs(Catalog("/a"), Catalog("/b"))
    assert [state.at(TRUSTED, path).status for path in ("/a", "/b", "/c", "")] == [
        Status.REJECTED,
        Status.REJECTED,
        Status.TRUSTED,
        Status.TRUSTED,
    ]
    by_catalog = TRUSTED._replace(seals=(SEAL._replace(catalog="c"),))
    assert state.at(by_catalog, "/a").status is Status.TRUSTED  # what any lists is good wherever it lies
    assert state.at(TRUSTED, "/a").path == "/a"


def test_who_may_write_to_a_place_is_looked_at_where_places_count(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    file = tmp_path / "x"
    file.touch()
    assert with_catalogs().at(TRUSTED, str(file)).writable is None
    assert with_catalogs(by_place=True).at(TRUSTED, str(file)).writable is True


@pytest.mark.parametrize("gone", ["aa" * 32, "ee" * 32])
def test_a_key_that_is_trusted_no_more_touches_whom_it_is_and_who_is_below(gone: str) -> None:
    other = frozenset({"00" * 32})
    touched = world.touched(Inputs(other | {gone}), Inputs(other))
    assert touched is not None
    assert touched(TRUSTED)
    assert not touched(TRUSTED._replace(seals=(SEAL._replace(key="01" * 32, authorities=()),)))
    assert touched(TRUSTED._replace(seals=(SEAL._replace(key="01" * 32, authorities=()), SEAL)))


def test_lists_of_revocations_are_what_verdicts_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(x509, "name_text", str)
    first, second, third = (
        SimpleNamespace(issuer=issuer, raw=raw) for issuer, raw in (("CN=1", b"1"), ("CN=1", b"2"), ("CN=2", b"1"))
    )

    def inputs(*lists: Any) -> Inputs:  # noqa: ANN401 - of trust
        store = SimpleNamespace(sources=(), keyring=SimpleNamespace(every=lambda: ()))
        return world.inputs_of(cast("Any", SimpleNamespace(store=store, store_crls=lists)), (), "")

    assert inputs(first).lists != inputs(second).lists
    assert inputs(first, second) == inputs(second, first)
    assert len({inputs(first).lists, inputs(first, second).lists, inputs(first, third).lists}) == 3
    assert inputs(first, third).lists[:1] == inputs(first).lists
    assert world.touched(inputs(first), inputs(second)) is not None


def listed(name: str, *contents: str) -> Listed:
    return Listed(name, "signer", Contents((b"%d" % at, bytes.fromhex(each)) for at, each in enumerate(contents)))


def test_of_catalogs_that_were_others_all_is_dropped_that_they_may_have_vouched_for() -> None:
    old, new = Inputs(catalogs=(listed("c", CONTENT),)), Inputs(catalogs=(listed("c", CONTENT, OTHER),))
    touched = world.since(world.written(old), new)
    assert touched is not None
    assert touched(TRUSTED._replace(seals=(SEAL, SEAL._replace(catalog="c"))))
    assert touched(UNSIGNED)  # it may be listed now
    assert not touched(TRUSTED)  # by a signature of its own


def test_what_else_has_changed_since_counts_as_well() -> None:
    old = Inputs(frozenset({"ee" * 32}), catalogs=(listed("c", CONTENT),))
    new = Inputs(catalogs=(listed("c", CONTENT, OTHER),))
    touched = world.since(world.written(old), new)
    assert touched is not None
    assert touched(TRUSTED)
    other = SEAL._replace(key="01" * 32, authorities=())
    assert not touched(TRUSTED._replace(seals=(other,)))
    assert touched(TRUSTED._replace(seals=(other, SEAL)))
