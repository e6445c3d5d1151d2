"""Contents of a catalog in memory, found by digest and by path."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from chopmark.engine.catalog import contents

if TYPE_CHECKING:
    import pytest

FILES = st.lists(
    st.tuples(st.binary(max_size=6), st.sampled_from([b"", *(hashlib.sha256(bytes([n])).digest() for n in range(9))])),
    max_size=60,
    unique_by=lambda file: file[0],
)


@given(FILES, st.binary(max_size=6))
def test_what_is_listed_is_found_and_nothing_else(files: list[tuple[bytes, bytes]], other: bytes) -> None:
    made = contents.Contents(files)
    first: dict[bytes, bytes] = {}
    for path, digest in files:
        assert made.at(path) == digest
        first.setdefault(digest, path)
    for digest, path in first.items():
        assert (digest in made) is bool(digest)
        assert made.first(digest) == (path if digest else None)
    assert len(made) == len(files)
    assert made.at(other) == dict(files).get(other)
    assert bytes(32) not in made
    assert made.first(hashlib.sha256(b"nobody").digest()) is None


def test_others_have_another_fingerprint() -> None:
    one, two = (hashlib.sha256(each).digest() for each in (b"1", b"2"))
    same = {contents.Contents([(b"a", one), (b"b", two)]).fingerprint for _ in range(2)}
    assert len(same) == 1
    assert contents.Contents([(b"a", two), (b"b", one)]).fingerprint not in same
    assert contents.Contents([]).fingerprint not in same


def test_paths_of_more_than_four_gigabytes_would_be_numbered_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_FREE", 10)
    made = contents.Contents((b"path-%d" % number, hashlib.sha256(b"%d" % number).digest()) for number in range(9))
    assert made.at(b"path-8") == hashlib.sha256(b"8").digest()
