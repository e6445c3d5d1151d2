"""Digests: the same as hashlib's over the same bytes, and no range leaves the artifact."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import digest, limits
from chopmark.core.artifact import BytesView, FileView
from chopmark.core.errors import MalformedError
from chopmark.core.seal import Range, Recipe

if TYPE_CHECKING:
    from pathlib import Path

NAMES = sorted(digest.ALGORITHMS)


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_those_of_hashlib(name: str) -> None:
    assert digest.ALGORITHMS[name].name == name
    assert len(digest.of(b"", name)) == digest.ALGORITHMS[name].size
    assert digest.of(b"abc", name) == hashlib.new(name, b"abc", usedforsecurity=False).digest()


def test_new_signatures_use_strong_digests_only() -> None:
    assert {digest.ALGORITHMS[name].strength for name in digest.SIGNING_ALGORITHMS} == {digest.Strength.STRONG}


def test_the_weakest_is_the_broken_one_then_the_dated_then_the_shorter() -> None:
    assert digest.weakest(NAMES) == "md5"
    assert digest.weakest(["sha512", "sha1", "sha256"]) == "sha1"
    assert digest.weakest(["sha512", "sha384"]) == "sha384"
    assert digest.weakest(["sha256"]) == "sha256"


@st.composite
def recipes(draw: st.DrawFn, size: int) -> list[Recipe]:
    offsets = st.integers(0, size)
    within = offsets.flatmap(lambda offset: st.builds(Range, st.just(offset), st.integers(0, size - offset)))
    parts = draw(st.lists(st.lists(within | st.binary(max_size=9), max_size=5).map(tuple), max_size=4))
    return draw(st.lists(st.builds(Recipe, st.sampled_from(NAMES), st.sampled_from(parts)))) if parts else []


@given(st.binary(max_size=64).flatmap(lambda data: st.tuples(st.just(data), recipes(len(data)))))
def test_ranges_hash_as_if_they_were_joined(case: tuple[bytes, list[Recipe]]) -> None:
    data, wanted = case
    descriptor = os.memfd_create("small")
    os.write(descriptor, data)
    small = FileView(descriptor, "small")
    payloads = digest.hash_ranges(BytesView(data), wanted)
    assert digest.hash_ranges(small, wanted) == payloads
    small.close()
    assert [payload.recipe for payload in payloads] == wanted
    for payload in payloads:
        joined = b"".join(
            part if isinstance(part, bytes) else data[part.offset : part.offset + part.length]
            for part in payload.recipe.ranges
        )
        assert payload.value == hashlib.new(payload.recipe.algorithm, joined, usedforsecurity=False).digest()
        assert payload.length == len(joined)


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (1, 3, 4, 0, 2)])
def test_what_begins_alike_goes_on_by_itself(order: tuple[int, ...]) -> None:
    """What a large first part came to is kept for the next recipe; nothing that follows it may get in there."""
    data = b"h" * 5000 + b"r" * 5000
    head, rest = Range(0, 5000), Range(5000, 5000)
    joined = {
        (rest, b"one"): data[5000:] + b"one",
        (rest,): data[5000:],
        (rest, head, b"two"): data[5000:] + data[:5000] + b"two",
        (b"", rest, rest): 2 * data[5000:],
        (head, rest): data,
    }
    each = list(joined)
    wanted = [Recipe(name, each[number]) for number in order for name in ("sha256", "sha1", "sha256")]
    descriptor = os.memfd_create("small")
    os.write(descriptor, data)
    small = FileView(descriptor, "small")
    for payload in digest.hash_ranges(small, wanted):
        whole = joined[payload.recipe.ranges]
        assert payload.value == hashlib.new(payload.recipe.algorithm, whole, usedforsecurity=False).digest()
        assert payload.length == len(whole)
    small.close()


class CountingView(BytesView):
    """Bytes that remember how they were read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads: list[int] = []

    def read(self, offset: int, length: int) -> bytes:
        self.reads.append(length)
        return super().read(offset, length)


@pytest.mark.parametrize("size", [100, 9000])
@pytest.mark.parametrize("order", [(10, 100, 50), (100, 10, 50), (50, 10, 100, 10, 0), (100, 100)])
def test_beginnings_of_small_files_go_on_from_each_other(tmp_path: Path, size: int, order: tuple[int, ...]) -> None:
    content = bytes(range(100)) * (size // 100)
    (tmp_path / "x").write_bytes(content)
    view = FileView(os.open(tmp_path / "x", os.O_RDONLY), "x")
    for part in order:
        end = part * size // 100
        recipe = Recipe("sha256", (Range(0, end),))
        assert digest.hash_ranges(view, [recipe])[0].value == hashlib.sha256(content[:end]).digest()
    assert digest.whole(view, "sha256") == hashlib.sha256(content).digest()
    view.close()


def test_several_algorithms_over_the_same_ranges_cost_one_pass_in_bounded_pieces() -> None:
    data = bytes(limits.READ_IN_PARTS_MAX + 3)
    view = CountingView(data)
    whole = (Range(0, len(data)),)
    payloads = digest.hash_ranges(view, [Recipe(name, whole) for name in ("sha256", "sha1", "sha256")])
    assert view.reads == [limits.READ_CHUNK] * (limits.READ_IN_PARTS_MAX // limits.READ_CHUNK) + [3]
    assert [payload.value for payload in payloads] == [digest.of(data, name) for name in ("sha256", "sha1", "sha256")]


@pytest.mark.parametrize(
    "hostile",
    [
        Range(0, 11),
        Range(11, 0),
        Range(-1, 1),
        Range(-1, 5),
        Range(5, -1),
        Range(10, -10),
        Range(1 << 63, 1),
        Range(0, 1 << 64),
        Range(-(1 << 64), 1 << 64),
    ],
)
def test_no_range_leaves_the_artifact(hostile: Range) -> None:
    with pytest.raises(MalformedError):
        digest.hash_ranges(BytesView(b"0123456789"), [Recipe("sha256", (hostile,))])


def test_an_empty_range_at_the_end_is_nothing() -> None:
    (payload,) = digest.hash_ranges(BytesView(b"0123456789"), [Recipe("sha256", (Range(10, 0), b""))])
    assert (payload.value, payload.length) == (hashlib.sha256().digest(), 0)
