"""Repositories that were made to hurt: bombs, cycles, lies about sizes, ids and names. Each has one answer."""

from __future__ import annotations

import os
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.artifact import BytesView
from chopmark.core.errors import BrokenError, UsageError
from chopmark.formats.git.database import objects, packs, repository
from chopmark.formats.git.database.objects import Stored
from tests.support import git_repo, probing
from tests.support.git_repo import Entry, Repo, copy, delta, literal

if TYPE_CHECKING:
    from pathlib import Path

DATA = git_repo.commit("1" * 40)


@pytest.fixture(params=["sha1", "sha256"])
def repo(request: pytest.FixtureRequest, tmp_path: Path) -> Repo:
    return Repo.make(tmp_path / "r", request.param)


def opened(repo: Repo) -> repository.Repository:
    return repository.discover(str(repo.folder))


def refused(repo: Repo, name: str) -> str:
    with pytest.raises(BrokenError) as raised:
        opened(repo).read(name)
    return raised.value.reason.code


def test_loose_objects_and_packs_with_deltas(repo: Repo) -> None:
    base, over = Stored("commit", DATA), Stored("commit", DATA + b"more")
    twice = Stored("commit", DATA + b"more" + b"!")
    name = over.id(repo.hash)
    grown = delta(len(DATA), len(over.data), copy(0, len(DATA)), literal(b"more"))
    again = delta(len(over.data), len(twice.data), copy(0, len(over.data)), literal(b"!"))
    entries = [
        Entry(base.id(repo.hash), "commit", DATA),
        Entry(name, "offset", grown, base.id(repo.hash)),
        Entry(twice.id(repo.hash), "ref", again, name),
    ]
    repo.pack(entries)
    found = opened(repo)
    for stored in (twice, base, over):
        assert found.read(stored.id(repo.hash)) == stored
    loose = repo.add("tag", git_repo.tag("1" * 40))
    assert found.read(loose).kind == "tag"
    assert found.like(loose[:6]) == [loose]
    assert found.like(name[:6]) == [name]
    assert refused(repo, "5" * len(name)) == "git.object_missing"


def test_what_is_under_another_id_is_refused(repo: Repo) -> None:
    name = Stored("commit", DATA).id(repo.hash)
    repo.add("commit", DATA + b"x", name)
    assert refused(repo, name) == "git.object_id_wrong"
    repo.path(name).unlink()
    repo.pack([Entry(name, "commit", DATA + b"x")])
    assert refused(repo, name) == "git.object_id_wrong"
    repo.add("tag", DATA, name)
    assert refused(repo, name) == "git.object_id_wrong"


LOOSE = {
    "nothing": b"",
    "no stream": b"abc",
    "cut off": zlib.compress(b"commit 3\0abc")[:-3],
    "too short": zlib.compress(b"commit 4\0abc"),
    "too long": zlib.compress(b"commit 2\0abc"),
    "something behind": zlib.compress(b"commit 3\0abc") + b"x",
    "no type": zlib.compress(b"cherry 3\0abc"),
    "no size": zlib.compress(b"commit -3\0abc"),
    "a number of digits": zlib.compress(b"commit " + b"9" * 50 + b"\0abc"),
    "an enormous size": zlib.compress(f"commit {1 << 60}\0abc".encode()),
    "no end of the head": zlib.compress(b"commit 3" + b" " * 100),
}


@pytest.mark.parametrize("name", LOOSE)
def test_damaged_loose_objects(name: str) -> None:
    with pytest.raises(BrokenError) as raised:
        objects.loose(LOOSE[name])
    assert raised.value.reason.code == "git.object_broken"


@pytest.mark.parametrize("claimed", [3, limits.GIT_OBJECT_MAX + 1])
def test_a_bomb_in_a_stream_takes_no_memory(claimed: int) -> None:
    bomb = zlib.compress(f"commit {claimed}\0".encode() + bytes(64 * limits.MIB))
    tracemalloc.start()
    for _ in range(2):
        with pytest.raises(BrokenError):
            objects.loose(bomb)
        with pytest.raises(BrokenError):
            objects.inflate(bomb, 100)
    assert tracemalloc.get_traced_memory()[1] < 8 * limits.MIB
    tracemalloc.stop()


A, B, C = "a" * 40, "b" * 40, "c" * 40
SMALL = delta(1, 1, literal(b"x"))
PACKS = {
    "a cycle of two": [Entry(A, "ref", SMALL, B), Entry(B, "ref", SMALL, A)],
    "a cycle of one": [Entry(A, "ref", SMALL, A)],
    "a base that is missing": [Entry(A, "ref", SMALL, C)],
    "a base before the pack": [Entry(A, "offset", SMALL, 5000)],
    "a base at the same place": [Entry(A, "offset", SMALL, 0)],
    "a base inside of the head": [Entry(A, "offset", SMALL, 12)],
    "an unknown type": [Entry(A, "none", b"x")],
    "a stream that is cut off": [Entry(A, "commit", DATA, stream=zlib.compress(DATA)[:10])],
    "no stream": [Entry(A, "commit", DATA, stream=b"junk")],
    "a size that is too small": [Entry(A, "commit", DATA, size=5)],
    "a size that is too large": [Entry(A, "commit", DATA, size=5000)],
    "an enormous size": [Entry(A, "commit", DATA, size=1 << 62)],
    "a size without end": [Entry(A, "commit", DATA, size=1 << 500)],
    "a delta for another size": [Entry(B, "commit", DATA), Entry(A, "offset", delta(1, 1, copy(0, 1)), B)],
    "a delta that copies too much": [
        Entry(B, "commit", DATA),
        Entry(A, "offset", delta(len(DATA), 9999, copy(0, 9999)), B),
    ],
    "a delta that makes too little": [Entry(B, "commit", DATA), Entry(A, "offset", delta(len(DATA), 9, copy(0, 3)), B)],
    "a delta that makes too much": [Entry(B, "commit", DATA), Entry(A, "offset", delta(len(DATA), 3, copy(0, 9)), B)],
    "a delta with a reserved command": [Entry(B, "commit", DATA), Entry(A, "offset", delta(len(DATA), 1, b"\0x"), B)],
    "a delta that is cut off": [Entry(B, "commit", DATA), Entry(A, "offset", delta(len(DATA), 9, b"\x09abc"), B)],
    "a delta that ends in a command": [Entry(B, "commit", DATA), Entry(A, "offset", delta(len(DATA), 9, b"\xff\0"), B)],
    "a delta of nothing": [Entry(B, "commit", DATA), Entry(A, "offset", b"", B)],
    "a delta that wants much": [Entry(B, "commit", DATA), Entry(A, "offset", delta(len(DATA), 1 << 40, b""), B)],
}


@pytest.mark.parametrize("name", PACKS)
def test_damaged_packs(name: str, tmp_path: Path) -> None:
    repo = Repo.make(tmp_path / "r")
    repo.pack(PACKS[name])
    assert refused(repo, A) == "git.object_broken"


def test_deltas_that_multiply_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each doubles the last one; and each in a long chain makes a large one anew."""
    repo = Repo.make(tmp_path / "r")
    entries, size = [Entry(f"{0:040x}", "commit", b"x" * 1024)], 1024
    while size <= limits.GIT_OBJECT_MAX:
        half = copy(0, min(size, 0xFFFFFF))
        entries.append(Entry(f"{size:040x}", "offset", delta(size, 2 * size, half, half), entries[-1].name))
        size *= 2
    repo.pack(entries)
    assert refused(repo, entries[-1].name) == "git.object_broken"
    long = Repo.make(tmp_path / "l")
    entries = [Entry(f"{0:040x}", "commit", b"x" * 60_000)]
    for step in range(1, 40):
        entries.append(Entry(f"{step:040x}", "offset", delta(60_000, 60_000, copy(0, 60_000)), entries[-1].name))
    long.pack(entries)
    monkeypatch.setattr(limits, "GIT_DELTA_WORK_MAX", 1_000_000)
    assert refused(long, entries[-1].name) == "git.object_broken"
    monkeypatch.setattr(limits, "GIT_DELTA_WORK_MAX", 256 * limits.MIB)
    monkeypatch.setattr(limits, "GIT_DELTAS_MAX", 10)
    assert refused(long, entries[-1].name) == "git.object_broken"


@pytest.mark.parametrize("cut", [0, 4, 100, 1031, 1050])
def test_indexes_that_are_cut_off(cut: int, tmp_path: Path) -> None:
    repo = Repo.make(tmp_path / "r")
    repo.pack([Entry(A, "commit", DATA)])
    path = repo.folder / "objects" / "pack" / "pack-1.idx"
    path.write_bytes(path.read_bytes()[:cut])
    assert refused(repo, A) == "git.object_broken"
    path.with_suffix(".pack").unlink()
    path.write_bytes(git_repo.index([(bytes.fromhex(A), 12)], "sha1"))
    assert refused(repo, A) == "git.object_broken"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.data())
def test_any_damage_to_a_pack_is_an_answer(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    repo = Repo.make(tmp_path_factory.mktemp("p") / "r")
    base, over = Stored("commit", DATA), Stored("commit", DATA + b"more")
    grown = delta(len(DATA), len(over.data), copy(0, len(DATA)), literal(b"more"))
    names = [base.id("sha1"), over.id("sha1")]
    repo.pack([Entry(names[0], "commit", DATA), Entry(names[1], "offset", grown, names[0])])
    folder = repo.folder / "objects" / "pack"
    pack, index = (bytearray((folder / f"pack-1.{kind}").read_bytes()) for kind in ("pack", "idx"))
    for part in (pack, index):
        for _ in range(data.draw(st.integers(0, 3))):
            part[data.draw(st.integers(0, len(part) - 1))] = data.draw(st.integers(0, 255))

    def look() -> None:
        found = packs.Pack(BytesView(bytes(pack)), packs.Index(BytesView(bytes(index)), 20), 20)
        for name in names:
            stored = found.get(bytes.fromhex(name))
            assert stored is None or len(stored.data) <= limits.GIT_OBJECT_MAX

    probing.clearly(look)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_delta_is_an_answer(base: bytes, junk: bytes) -> None:
    for made in (junk, delta(len(base), 5, junk)):
        probing.clearly(lambda made=made: objects.patched(base, made))  # type: ignore[misc]


# What is around the objects


def test_refs_loose_packed_and_symbolic(repo: Repo) -> None:
    name = repo.commit()
    (repo.folder / "packed-refs").write_text(f"# pack-refs\n{name} refs/tags/old\n^{name}\n{'0' * 39} refs/heads/odd\n")
    repo.ref("refs/heads/main", name)
    found = opened(repo)
    assert found.ref("HEAD") == name
    assert found.ref("refs/tags/old") == name
    assert found.ref("refs/heads/odd") is None
    assert found.refs() == {"refs/heads/main": name, "refs/tags/old": name}
    repo.ref("refs/heads/a", "ref: refs/heads/b")
    repo.ref("refs/heads/b", "ref: refs/heads/a")
    with pytest.raises(UsageError):
        found.ref("refs/heads/a")


@pytest.mark.parametrize("break_", ["\x85", "\u2028", "\u2029", "\xa0"])
def test_only_a_line_feed_ends_a_line_and_only_ascii_is_blank(repo: Repo, break_: str) -> None:
    """Git lets a ref be called so, and a clone writes the refs of whoever it is cloned from (docs/adr/0273)."""
    good, evil = repo.commit(text="good"), repo.commit(text="evil")
    (repo.folder / "packed-refs").write_text(f"{evil} refs/tags/v1\n{good} refs/tags/v1{break_}x\n")
    repo.ref("HEAD", f"ref: refs/tags/v1{break_}x")
    found = opened(repo)
    assert (found.ref("refs/tags/v1"), found.ref(f"refs/tags/v1{break_}x"), found.ref("HEAD")) == (evil, good, good)
    repo.ref("HEAD", f"ref: refs/tags/v1{break_}")
    assert opened(repo).ref("HEAD") is None


@pytest.mark.parametrize(
    "name", ["refs/../config", "refs/heads/../../config", "config", "refs//x", "refs/heads/.x", "../x"]
)
def test_names_do_not_lead_out(repo: Repo, name: str) -> None:
    (repo.folder / "config").write_text((repo.folder / "config").read_text())
    assert opened(repo).ref(name) is None
    assert not repository.valid(name)


def test_a_symbolic_ref_does_not_lead_out(repo: Repo, tmp_path: Path) -> None:
    name = repo.commit()
    (tmp_path / "secret").write_text(name + "\n")
    (repo.folder / "HEAD").write_text("ref: ../secret\n")
    assert opened(repo).ref("HEAD") is None


@pytest.mark.parametrize("more", ["[extensions]\n\trefstorage = reftable\n", "[extensions]\n\tobjectformat = md5\n"])
def test_layouts_that_are_not_understood_are_refused(tmp_path: Path, more: str) -> None:
    with pytest.raises(UsageError):
        opened(Repo.make(tmp_path / "r", more=more))
    with pytest.raises(UsageError):
        opened(Repo.make(tmp_path / "s", more="[core]\n\trepositoryformatversion = 2\n"))


def test_worktrees_alternates_and_quarantine(tmp_path: Path) -> None:
    main = Repo.make(tmp_path / "main")
    name = main.commit()
    other = Repo.make(tmp_path / "other")
    (other.folder / "objects" / "info" / "alternates").write_text("# a comment\n../../main/objects\n../objects\n")
    assert opened(other).read(name).kind == "commit"
    work, inside = tmp_path / "work" / "deep", main.folder / "worktrees" / "w"
    work.mkdir(parents=True)
    inside.mkdir(parents=True)
    (work.parent / ".git").write_text(f"gitdir: {inside}\n")
    (inside / "HEAD").write_text(f"{name}\n")
    (inside / "commondir").write_text("../..\n")
    found = repository.discover(str(work))
    assert found.ref("HEAD") == name
    assert found.read(name).kind == "commit"
    new = Repo.make(tmp_path / "new")
    late = new.commit(name)
    hook = {
        "GIT_OBJECT_DIRECTORY": str(new.folder / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(main.folder / "objects"),
    }
    quarantined = repository.discover(str(other.folder), hook)
    assert quarantined.read(late).kind == "commit"
    assert refused(other, late) == "git.object_missing"
    with pytest.raises(UsageError):
        repository.discover(str(tmp_path))


def test_alternates_that_go_round_end(tmp_path: Path) -> None:
    repos = [Repo.make(tmp_path / f"{number}") for number in range(10)]
    for one, two in zip(repos, [*repos[1:], repos[0]], strict=True):
        (one.folder / "objects" / "info" / "alternates").write_text(f"{two.folder}/objects\n")
    assert len(opened(repos[0]).folders) == limits.GIT_ALTERNATES_DEPTH_MAX + 1


def test_settings_and_refs_are_bounded(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    name = repo.commit()
    for number in range(3):
        repo.ref(f"refs/heads/{number}", name)
    monkeypatch.setattr(limits, "GIT_REFS_MAX", 2)
    with pytest.raises(UsageError):
        opened(repo).refs()
    monkeypatch.setattr(limits, "GIT_PACKS_MAX", 0)
    repo.pack([])
    assert refused(repo, "5" * len(name)) == "git.object_broken"
    (repo.folder / "config").write_text("[core]\n" + "# \n" * limits.GIT_SETTINGS_MAX)
    with pytest.raises(UsageError):
        opened(repo)


def test_objects_that_are_no_files_are_not_opened(repo: Repo) -> None:
    name = "5" * (2 * opened(repo).width)
    repo.path(name).parent.mkdir()
    os.mkfifo(repo.path(name))
    assert refused(repo, name) == "git.object_broken"


def test_objects_are_written_once_and_read_only(repo: Repo) -> None:
    found = opened(repo)
    name = found.write(Stored("commit", DATA))
    assert found.read(name).data == DATA
    assert repo.path(name).stat().st_mode & 0o777 == 0o444
    before = repo.path(name).stat().st_ino
    assert found.write(Stored("commit", DATA)) == name
    assert repo.path(name).stat().st_ino == before


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_an_id_that_is_cut_off_is_nobodys(algorithm: str) -> None:
    width = {"sha1": 20, "sha256": 32}[algorithm]
    name = bytes(range(width))
    index = packs.Index(BytesView(git_repo.index([(name, 12)], algorithm)), width)
    assert index.find(name) == 12
    assert index.find(name[:-1]) is None
    assert index.find(b"") is None
