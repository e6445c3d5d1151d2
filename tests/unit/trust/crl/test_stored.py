"""Large lists: found by an index, which is kept on disk, and never believed because it lies there."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import threading
from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.envelopes import der, x509
from chopmark.trust.crl import lookup, origins, stored
from chopmark.trust.crl.entry import KEY_COMPROMISE, Entry, UnusableError
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import Extension, entry, list_by_hand

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark.trust.crl.revocation_list import Crl

ISSUING = pki.world().issuing
SIGNER = material.read(pki.world().signer)
STRANGER = material.read(pki.world().tsa)
MAY, JUNE = material.day("2026-05-01"), material.day("2026-06-01")
REASON = Extension(x509.CRL_REASON, der.encode(der.ENUMERATED, b"\x01"))
SINCE = Extension(x509.INVALIDITY_DATE, der.generalized_time(MAY))
INDIRECT = Extension(x509.ISSUING_DISTRIBUTION_POINT, der.sequence(der.implicit(4, b"\xff")), critical=True)
COUNT = 9_000


def filler(number: int) -> bytes:
    return entry(b"\x01" + hashlib.sha256(number.to_bytes(4, "big")).digest()[:15], MAY, REASON)


@cache
def large(*, revoked: bool = True, day: int = 30) -> bytes:
    """A list of more than CRL_INDEX_MIN bytes; the signer stands in the middle of it."""
    own = [entry(SIGNER.serial_octets, JUNE, REASON, SINCE)] if revoked else []
    middle = COUNT // 2
    entries = [*map(filler, range(middle)), *own, *map(filler, range(middle, COUNT))]
    return list_by_hand(ISSUING, entries, since=material.day(f"2026-06-{day}"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "large.crl"
    file.write_bytes(large())
    return file


def opened(path: Path, folder: Path | None = None) -> Crl:
    """The list in a file as a new process sees it, its signature checked."""
    source = origins.CrlSource([str(path)], cache=str(folder or path.parent / "cache"))
    [found] = source.by_issuer(x509.name_key(SIGNER.issuer))
    found.check_signature(material.read(ISSUING))
    return found


def indexes(path: Path) -> list[Path]:
    return sorted((path.parent / "cache" / "indexes").glob("*"))


def is_kept(found: Crl) -> bool:
    return found.size == 0


REVOKED = Entry(JUNE, KEY_COMPROMISE, MAY)


def test_the_second_process_reads_the_index_and_says_the_same(path: Path) -> None:
    assert len(large()) > limits.CRL_INDEX_MIN
    first = opened(path)
    assert not is_kept(first)
    assert (first.find(SIGNER), first.find(STRANGER)) == (REVOKED, None)
    [index] = indexes(path)
    assert index.stat().st_mode & 0o777 == 0o600
    second = opened(path)
    assert is_kept(second)
    assert (second.find(SIGNER), second.find(STRANGER)) == (REVOKED, None)
    assert second.this_update == first.this_update
    assert second.raw[:] == large()


def test_every_entry_is_found_in_the_index(path: Path) -> None:
    opened(path).find(SIGNER)
    again = opened(path)
    block = again._frame.entries  # noqa: SLF001 - what the index points into
    assert block is not None
    for number in range(0, COUNT, 97):
        serial = b"\x01" + hashlib.sha256(number.to_bytes(4, "big")).digest()[:15]
        places = list(again._index.offsets(serial))  # noqa: SLF001
        assert serial in [lookup.serial_of(lookup.entry_at(block, place)) for place in places]


def test_a_small_list_has_no_index_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "small.crl"
    path.write_bytes(list_by_hand(ISSUING, map(filler, range(10))))
    assert opened(path).find(SIGNER) is None
    assert indexes(path) == []
    assert not (tmp_path / "home" / "data").exists()


def test_nothing_is_kept_of_a_list_whose_signature_nobody_checked(path: Path) -> None:
    source = origins.CrlSource([str(path)], cache=str(path.parent / "cache"))
    [found] = source.by_issuer(x509.name_key(SIGNER.issuer))
    assert found.find(SIGNER) == REVOKED
    with pytest.raises(UnusableError):
        found.check_signature(STRANGER)
    assert indexes(path) == []


def test_another_key_is_not_believed_because_of_the_index(path: Path) -> None:
    opened(path).find(SIGNER)
    again = opened(path)
    assert is_kept(again)
    impostor = pki.authority("Example Issuing")  # the name alone is the same
    other = pki.issue(pki.name("Example Issuing"), pki.key("p256", "another"), None, [])
    for each in (impostor, other):
        if each.public_key != ISSUING.public_key:
            with pytest.raises(UnusableError):
                again.check_signature(material.read(each))


def forged_index(path: Path, home: Path) -> bytes:
    """The index of the list without the signer, as somebody makes it who can write everywhere but to the data."""
    key = home / "data" / "cache.key"
    own = key.read_bytes()
    other = path.parent / "other"
    other.mkdir()
    key.write_bytes(bytes(32))
    (other / "large.crl").write_bytes(large(revoked=False))
    opened(other / "large.crl").find(SIGNER)
    key.write_bytes(own)
    [made] = indexes(other / "large.crl")
    return made.read_bytes()


def test_a_forged_index_is_not_believed(path: Path, home: Path) -> None:
    opened(path).find(SIGNER)
    [index] = indexes(path)
    good = index.read_bytes()
    index.write_bytes(forged_index(path, home))
    again = opened(path)
    assert not is_kept(again)
    assert again.find(SIGNER) == REVOKED
    assert index.read_bytes() == good, "and made anew"


@pytest.mark.parametrize("size", [0, 1, 20, 30, 100, 500, 5_000, 40_000, -1])
def test_a_truncated_index_is_made_anew(path: Path, size: int) -> None:
    opened(path).find(SIGNER)
    [index] = indexes(path)
    good = index.read_bytes()
    index.write_bytes(good[:size])
    again = opened(path)
    assert again.find(SIGNER) == REVOKED
    assert again.find(STRANGER) is None
    assert len(index.read_bytes()) == len(good)
    third = opened(path)
    assert is_kept(third)
    assert third.find(SIGNER) == REVOKED


@given(position=st.integers(0, 73_000), mask=st.integers(1, 255))
@settings(max_examples=60)
def test_no_changed_byte_of_an_index_changes_the_answer(place: Path, position: int, mask: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHOPMARK_HOME", str(place.parent / "home"))
        opened(place).find(SIGNER)
        [index] = indexes(place)
        good = index.read_bytes()
        position %= len(good)
        index.write_bytes(good[:position] + bytes((good[position] ^ mask,)) + good[position + 1 :])
        again = opened(place)
        assert again.find(SIGNER) == REVOKED
        assert again.find(STRANGER) is None
        index.write_bytes(good)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sealed")
    (folder / "large.crl").write_bytes(large())
    return folder / "large.crl"


def test_a_list_that_was_changed_in_the_middle_is_not_used(path: Path) -> None:
    opened(path).find(SIGNER)
    serial = SIGNER.serial_octets
    path.write_bytes(large().replace(serial, serial[:-1] + bytes((serial[-1] ^ 1,))))
    again = opened(path)
    assert is_kept(again), "both its ends are as they were"
    with pytest.raises(MalformedError):
        again.find(SIGNER)
    assert again.find(STRANGER) is None, "the index answers for the list that was checked"


def test_a_list_that_shrinks_while_it_is_open_is_no_crash(path: Path) -> None:
    opened(path).find(SIGNER)
    again = opened(path)
    os.truncate(path, 1000)
    with pytest.raises(MalformedError):
        again.find(SIGNER)


def test_the_next_issue_has_an_index_of_its_own(path: Path) -> None:
    opened(path).find(SIGNER)
    path.write_bytes(large(revoked=False, day=29))
    newer = opened(path)
    assert not is_kept(newer)
    assert newer.find(SIGNER) is None
    assert len(indexes(path)) == 2
    assert opened(path).find(SIGNER) is None


def test_old_indexes_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CRL_INDEXES_MAX", 1)
    opened(path).find(SIGNER)
    path.write_bytes(large(revoked=False, day=29))
    opened(path).find(SIGNER)
    assert len(indexes(path)) == 1
    assert is_kept(opened(path))


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o606])
def test_a_key_that_others_can_use_seals_nothing_and_is_replaced(path: Path, home: Path, mode: int) -> None:
    opened(path).find(SIGNER)
    key = home / "data" / "cache.key"
    before = key.read_bytes()
    key.chmod(mode)
    again = opened(path)
    assert not is_kept(again)
    assert again.find(SIGNER) == REVOKED
    assert key.read_bytes() != before
    assert key.stat().st_mode & 0o777 == 0o600
    assert is_kept(opened(path))


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
def test_a_key_that_is_none_is_replaced(path: Path, home: Path, content: bytes) -> None:
    (home / "data").mkdir(parents=True)
    key = home / "data" / "cache.key"
    key.write_bytes(content)
    key.chmod(0o600)
    opened(path).find(SIGNER)
    assert len(key.read_bytes()) == 32
    assert is_kept(opened(path))


def test_where_nothing_can_be_written_the_list_is_read_each_time(tmp_path: Path, path: Path, home: Path) -> None:
    home.write_bytes(b"")  # a file where the folder should be
    for _ in range(2):
        found = opened(path)
        assert not is_kept(found)
        assert found.find(SIGNER) == REVOKED
    blocked = tmp_path / "blocked"
    blocked.write_bytes(b"")
    assert opened(path, blocked).find(SIGNER) == REVOKED


def test_processes_at_the_same_time_write_whole_indexes(path: Path) -> None:
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(opened(path).find(SIGNER))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [REVOKED] * 6
    assert len(indexes(path)) == 1
    assert is_kept(opened(path))


def test_an_indirect_list_keeps_whose_entries_they_are(tmp_path: Path) -> None:
    other = Extension(x509.CERTIFICATE_ISSUER, der.sequence(der.explicit(4, material.name("Other"))), critical=True)
    back = Extension(x509.CERTIFICATE_ISSUER, der.sequence(der.explicit(4, SIGNER.issuer)), critical=True)
    own, foreign = entry(SIGNER.serial_octets, JUNE, REASON), entry(SIGNER.serial_octets, MAY)
    entries = [
        *map(filler, range(COUNT)),
        entry(b"\x07", MAY, other),
        foreign,
        entry(b"\x08", MAY, back),
        own,
        entry(b"\x09", MAY, other),
        foreign,
    ]
    path = tmp_path / "indirect.crl"
    path.write_bytes(list_by_hand(ISSUING, entries, extensions=[INDIRECT]))
    for kept in (False, True):
        found = opened(path)
        assert is_kept(found) is kept
        assert found.find(SIGNER) == Entry(JUNE, KEY_COMPROMISE)


def test_a_published_list_is_taken_from_the_cache_with_its_index(tmp_path: Path) -> None:
    from cryptography import x509 as builders

    url = "http://ca.example/large.crl"
    point = builders.DistributionPoint([builders.UniformResourceIdentifier(url)], None, None, None)
    signer = material.read(pki.leaf(ISSUING, "Pointed", more=(pki.Extension(builders.CRLDistributionPoints([point])),)))
    network = material.Served({url: large()})
    at = material.day("2026-07-02")
    for size in (len(large()), 0):
        source = origins.CrlSource(cache=str(tmp_path / "cache"), fetcher=network)
        ((found, problem),) = source.published(signer, at, lambda _: True)
        assert (found is not None, problem) == (True, "")
        assert found is not None
        found.check_signature(material.read(ISSUING))
        assert found.find(signer) is None
        assert found.size == size
    assert network.asked == [url]


# The walk

SHORT = der.time(MAY)


@pytest.mark.parametrize(
    ("block", "extensible"),
    [
        (b"\x30", True),
        (b"\x30\x00", True),
        (b"\x30\x81", True),
        (b"\x31\x10" + der.integer(1) + SHORT, True),
        (der.sequence(der.octet_string(b"\x01"), SHORT), True),
        (der.sequence(der.encode(der.INTEGER, b""), SHORT), True),
        (der.sequence(der.integer(1)), True),
        (der.sequence(der.integer(1), der.encode(der.IA5_STRING, b"2605010000Z")), True),
        (der.sequence(der.integer(1), der.encode(der.UTC_TIME, b"26050100000xZ")), True),
        (der.sequence(der.integer(1), der.encode(der.UTC_TIME, b"2605010000000")), True),
        (der.sequence(der.integer(1), der.encode(der.GENERALIZED_TIME, b"20260501000000.5Z")), True),
        (der.sequence(der.integer(1), SHORT, der.null()), True),
        (der.sequence(der.integer(1), SHORT, der.sequence()), True),
        (der.sequence(der.integer(1), SHORT, der.sequence(REASON.encoded()), der.null()), True),
        (der.sequence(der.integer(1), SHORT, der.sequence(REASON.encoded(), REASON.encoded())), True),
        (der.sequence(der.integer(1), SHORT, der.sequence(REASON.encoded())), False),
        (der.sequence(der.integer(1), SHORT)[:-1], True),
    ],
)
def test_an_entry_that_is_not_one_spoils_the_list(block: bytes, *, extensible: bool) -> None:
    good = entry(b"\x05", MAY)
    for raw in (block, good + block):
        whole = der.parse(der.sequence(raw))
        assert lookup.index(whole, indirect=False, extensible=extensible).trouble
    assert not lookup.index(der.parse(der.sequence(good)), indirect=False, extensible=extensible).trouble


@given(st.binary(max_size=80))
def test_the_walk_never_fails(block: bytes) -> None:
    found = lookup.index(der.parse(der.sequence(block)), indirect=True, extensible=True)
    assert found.trouble or len(found.places) <= len(block) or not block


def written(serials: list[bytes]) -> Iterator[bytes]:
    for serial in serials:
        yield entry(serial, MAY)


@given(st.lists(st.binary(min_size=1, max_size=6), min_size=1, max_size=30))
def test_what_was_written_is_found(serials: list[bytes]) -> None:
    block = der.parse(der.sequence(*written(serials)))
    index = lookup.index(block, indirect=False, extensible=True)
    assert not index.trouble
    for serial in serials:
        found = {lookup.serial_of(lookup.entry_at(block, place)) for place in index.offsets(serial)}
        assert serial in found


def test_blocks_stand_for_bytes(tmp_path: Path) -> None:
    data = os.urandom(10_000)
    path = tmp_path / "data"
    path.write_bytes(b"head" + data)
    sums = b"".join(hashlib.sha256(data[start : start + 4096]).digest() for start in range(0, len(data), 4096))
    with path.open("rb") as file:
        blocks = stored.Blocks(file.fileno(), 4, len(data), 4096, sums)
    assert len(blocks) == len(data)
    for start, stop in ((0, 0), (0, 1), (4090, 4100), (0, 10_000), (9_999, 20_000), (5, 2), (8192, 8193)):
        assert blocks[start:stop] == data[start:stop]
    assert blocks[9_999] == data[9_999]
    for outside in (10_000, -1):
        with pytest.raises(IndexError):
            blocks[outside]
    path.write_bytes(b"head" + bytes(len(data)))
    with path.open("rb") as file:
        changed = stored.Blocks(file.fileno(), 4, len(data), 4096, sums)
    with pytest.raises(lookup.TamperedError):
        changed[0]


def test_dates_of_entries_are_read_when_asked_for(path: Path) -> None:
    found = opened(path)
    assert found.missing(SIGNER, dt.datetime(2026, 7, 2, tzinfo=dt.UTC)) == ""
