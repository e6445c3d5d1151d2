# ruff: noqa: PTH115, PTH118, PTH123 - names are bytes here, which paths of pathlib are not
"""Catalogs of trees: what is listed, what is found to differ, what cannot be seen."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits
from chopmark.core import patch as patches
from chopmark.core.artifact import Artifact
from chopmark.core.errors import BrokenError, InputError, UsageError
from chopmark.core.verdict import Verdict
from chopmark.engine.catalog import judging, making, seeing, walking
from chopmark.formats.catalog import listing, sealing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chopmark.core.finding import Finding

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="only root may do this")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    for folder in ("a/deep/er", "a-b", "empty"):
        (top / folder).mkdir(parents=True)
    for name in ("a/x", "a/deep/er/file", "a-b/y", "z", "a.txt", b"we\xffird\n name"):
        path = os.path.join(os.fsencode(top), os.fsencode(name))
        with open(path, "wb") as file:
            file.write(b"content of " + os.fsencode(name))
    (top / "big").write_bytes(b"0123456789abcdef" * (limits.READ_CHUNK // 8))
    (top / "nothing").touch()
    (top / "link").symlink_to("../outside")
    (top / "folder-link").symlink_to("a")
    os.mkfifo(top / "pipe")
    (tmp_path / "outside").write_bytes(b"outside")
    return top


def make(tree: Path, jobs: int = 1, **wishes: object) -> making.Made:
    return making.make(making.Wish(str(tree), f"{tree}.catalog", **wishes), jobs)  # type: ignore[arg-type]


def rows(tree: Path) -> dict[bytes, listing.Entry]:
    with Artifact.open(f"{tree}.catalog") as artifact:
        found = listing.Listing(artifact.chunks(0, sealing.read(artifact).end))
        return {path: listing.entry(line) for path, line in found.rows()}


def compared(tree: Path, jobs: int = 1) -> list[Finding]:
    with Artifact.open(f"{tree}.catalog") as artifact:
        found = listing.Listing(artifact.chunks(0, sealing.read(artifact).end))
        checked = judging.Checked(artifact, Verdict("", "", (), ()), found)
        return list(judging.verify(checked, str(tree), jobs))


def said(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(finding.code.removeprefix("catalog."), finding.subject) for finding in findings}


def test_everything_is_listed_as_it_is(tree: Path) -> None:
    made = make(tree)
    found = rows(tree)
    assert made.findings == ()
    assert made.files == len(found)
    paths = [os.path.relpath(os.path.join(folder, name), os.fsencode(tree))
             for folder, folders, names in os.walk(os.fsencode(tree)) for name in (*folders, *names)]  # fmt: skip
    assert list(found) == [b"", *sorted(paths)]
    for path, entry in found.items():
        where = os.path.join(os.fsencode(tree), path)
        state = os.lstat(where)
        assert int(entry.mode, 8) == state.st_mode & 0o7777
        assert (int(entry.uid), int(entry.gid)) == (state.st_uid, state.st_gid)
        if entry.kind == b"f":
            with open(where, "rb") as file:
                assert entry.content.decode() == hashlib.sha256(file.read()).hexdigest()
            assert int(entry.size) == state.st_size
    assert found[b"link"].content == b"../outside"
    assert found[b"pipe"].kind == b"p"


@pytest.mark.parametrize("unit", [1, 3, 256])
def test_any_number_of_processes_lists_the_same(tree: Path, monkeypatch: pytest.MonkeyPatch, unit: int) -> None:
    make(tree)
    whole = (tree.parent / "tree.catalog").read_bytes()
    monkeypatch.setattr(limits, "CATALOG_UNIT_MAX", unit)
    monkeypatch.setattr(limits, "CATALOG_AHEAD_MAX", 2)
    for jobs in (1, 2, 3):
        make(tree, jobs)
        assert (tree.parent / "tree.catalog").read_bytes() == whole


def test_an_unchanged_tree_is_the_same(tree: Path) -> None:
    make(tree)
    assert [finding.code for finding in compared(tree, 2)] == ["catalog.same"]


def test_each_change_is_named(tree: Path) -> None:
    (tree / "moved").write_bytes(b"something to move")
    make(tree)
    (tree / "z").write_bytes(b"content of Z")
    (tree / "a/x").unlink()
    (tree / "a/deep/new").write_bytes(b"new")
    (tree / "moved").rename(tree / "a/elsewhere")
    (tree / "a.txt").chmod(0o4755)
    (tree / "link").unlink()
    (tree / "link").symlink_to("/etc/passwd")
    (tree / "nothing").unlink()
    (tree / "nothing").symlink_to("z")
    assert said(compared(tree)) == {
        ("changed", "z"),
        ("missing", "a/x"),
        ("added", "a/deep/new"),
        ("renamed", "moved"),
        ("mode", "a.txt"),
        ("target", "link"),
        ("kind", "nothing"),
    }


@as_root
def test_owners_and_capabilities_are_compared(tree: Path) -> None:
    make(tree)
    os.chown(tree / "z", 12, 34)
    try:
        os.setxattr(tree / "a/x", "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
    except OSError:
        pytest.skip("this file system keeps no capabilities")
    os.setxattr(tree / "a.txt", "security.other", b"1")
    assert said(compared(tree)) == {("owner", "z"), ("capabilities", "a/x"), ("attributes", "a.txt")}
    make(tree)
    assert said(compared(tree)) == {("same", "")}


def test_a_folder_that_became_a_link_is_not_followed(tree: Path) -> None:
    make(tree)
    (tree / "a").rename(tree.parent / "a")
    (tree / "a").symlink_to(tree.parent / "a")
    found = said(compared(tree))
    assert ("kind", "a") in found
    assert ("missing", "a/x") in found


def test_a_folder_swapped_for_a_link_meanwhile_is_a_race(tree: Path) -> None:
    with walking.walk_of(str(tree), one_file_system=True) as walk:
        state = (tree / "a").stat()
        task = seeing.Task(b"a", (state.st_dev, state.st_ino))
        (tree / "a").rename(tree / "b")
        (tree / "a").symlink_to("b")
        [seen] = seeing.look(walk, [task])
        assert seen.parts == []
        assert [finding.code for finding in seen.findings] == ["catalog.racing"]
        (tree / "a").unlink()
        (tree / "a").mkdir()
        [seen] = seeing.look(walk, [task])
        assert [finding.code for finding in seen.findings] == ["catalog.racing"]


def test_a_file_that_changes_while_it_is_read_is_not_vouched_for(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = seeing.hashed

    def slow(descriptor: int, size: int) -> tuple[bytes, int]:
        answer = hashed(descriptor, size)
        os.utime(tree / "z", ns=(1, 1))
        return answer

    monkeypatch.setattr(seeing, "hashed", slow)
    made = make(tree)
    assert ("racing", "z") in said(list(made.findings))
    assert rows(tree)[b"z"].content == listing.UNREAD
    monkeypatch.undo()
    assert said(compared(tree)) == {("unvouched", "z")}


def test_a_file_that_cannot_be_opened_is_a_finding(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def refused(path: str | bytes, *arguments: int, **options: int) -> int:
        if path in (b"z", b"a-b"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **options)

    make(tree)
    monkeypatch.setattr(os, "open", refused)
    assert said(compared(tree)) == {("unreadable", "z"), ("unreadable", "a-b")}
    made = make(tree)
    assert said(list(made.findings)) == {("unreadable", "z"), ("unreadable", "a-b")}
    monkeypatch.undo()
    assert said(compared(tree)) == {("unvouched", "z"), ("unvouched", "a-b")}


def test_what_is_left_out_is_said_and_left_out_again(tree: Path) -> None:
    make(tree, excluded=("a", "z"))
    (tree / "z").write_bytes(b"other")
    (tree / "a/x").write_bytes(b"other")
    assert said(compared(tree)) == {("excluded", ""), ("same", "")}
    with pytest.raises(UsageError):
        make(tree, excluded=("../outside",))


def test_a_catalog_in_its_own_tree_does_not_list_itself(tree: Path) -> None:
    target = tree / "own.catalog"
    for _ in range(2):
        making.make(making.Wish(str(tree), str(target)), 1)
    with Artifact.open(target) as artifact:
        found = listing.Listing(artifact.chunks())
        assert found.header.excluded == (b"own.catalog",)
        assert not [path for path, _ in found.rows() if path.startswith(b"own")]


@as_root
def test_other_file_systems_are_entered_only_when_asked(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tree.stat().st_dev
    real = os.fstat

    def elsewhere(descriptor: int) -> os.stat_result:
        state = real(descriptor)
        if state.st_ino == inode:
            fields = list(state)
            fields[2] = device + 1
            return os.stat_result(fields, {"st_mtime_ns": state.st_mtime_ns, "st_ctime_ns": state.st_ctime_ns})
        return state

    inode = (tree / "a").stat().st_ino
    monkeypatch.setattr(os, "fstat", elsewhere)
    assert said(list(make(tree).findings)) == {("beyond", "a")}
    assert rows(tree)[b"a"].content == listing.BEYOND
    assert b"a/x" not in rows(tree)
    make(tree, one_file_system=False)
    assert b"a/x" in rows(tree)
    monkeypatch.setattr(walking, "_pseudo_devices", lambda: frozenset({device + 1}))
    make(tree, one_file_system=False)
    assert b"a/x" not in rows(tree)


def test_a_name_does_not_say_of_what_kind_a_mount_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel writes spaces of a mount point otherwise, and leaves other blanks as they are."""
    shown = tmp_path / "mountinfo"
    shown.write_bytes(b"1 0 0:5 / /proc rw - proc proc rw\n2 0 0:9 / /x\x0ba\x0b-\x0bproc rw - fuse.a a rw\n")
    monkeypatch.setattr(walking, "open", lambda _, mode: shown.open(mode), raising=False)
    assert walking._pseudo_devices() == {os.makedev(0, 5)}  # noqa: SLF001


def test_what_the_kernel_answers_is_no_tree() -> None:
    with pytest.raises(UsageError), walking.walk_of("/proc", one_file_system=True):
        pass


@pytest.fixture
def interrupted(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A run that ended just before its catalog was written."""
    monkeypatch.setattr(limits, "CATALOG_SETTLED", -1.0)

    def never(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(listing, "tail", never)
        with pytest.raises(KeyboardInterrupt):
            make(tree)
    yield tree
    assert not (tree.parent / "tree.catalog.partial").exists()


def test_an_interrupted_run_goes_on(interrupted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = interrupted
    assert not (tree.parent / "tree.catalog").exists()
    (tree / "z").write_bytes(b"changed since")
    read: list[bytes] = []
    hashed = seeing.hashed  # who reads a file passes here

    def counted(descriptor: int, size: int) -> tuple[bytes, int]:
        read.append(os.fsencode(os.readlink(f"/proc/self/fd/{descriptor}")).rpartition(b"/")[2])
        return hashed(descriptor, size)

    monkeypatch.setattr(seeing, "hashed", counted)
    made = make(tree)
    assert read == [b"z"]
    assert made.known > 1
    resumed = (tree.parent / "tree.catalog").read_bytes()
    make(tree)
    assert (tree.parent / "tree.catalog").read_bytes() == resumed


def test_a_half_written_line_is_not_gone_on_from(interrupted: Path) -> None:
    partial = interrupted.parent / "tree.catalog.partial"
    whole = partial.read_bytes()
    partial.write_bytes(whole[:-5])
    assert make(interrupted).known == whole.count(b"\n") - 2


def test_what_others_can_write_is_not_gone_on_from(interrupted: Path) -> None:
    partial = interrupted.parent / "tree.catalog.partial"
    partial.chmod(0o622)
    with pytest.raises(UsageError):
        make(interrupted)
    partial.unlink()
    partial.symlink_to("outside")
    with pytest.raises(InputError):
        make(interrupted)
    partial.unlink()


def test_another_tree_is_not_gone_on_from(interrupted: Path) -> None:
    interrupted.rename(interrupted.parent / "older")
    (interrupted.parent / "tree").mkdir()
    assert make(interrupted).known == 0


def forge(partial: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Another state with digests of nothing, where the words of each line are changed as well."""
    head, *lines = partial.read_bytes().splitlines(keepends=True)
    words = [line.split(b" ") for line in lines]
    forged = [b" ".join(change([*each[:5], b"0" * 64, each[6]])) for each in words]
    partial.write_bytes(head + b"".join(forged))


@pytest.mark.parametrize("word", range(5))
def test_what_was_seen_of_another_file_is_not_taken_over(interrupted: Path, word: int) -> None:
    """Device, inode, size and both times must be those of the file that is there now."""
    partial = interrupted.parent / "tree.catalog.partial"
    forge(partial, lambda words: [*words[:word], b"7%b" % words[word], *words[word + 1 :]])
    make(interrupted)
    assert not [entry for entry in rows(interrupted).values() if entry.content == b"0" * 64]


def test_what_was_seen_of_a_file_stays_with_its_path(interrupted: Path) -> None:
    partial = interrupted.parent / "tree.catalog.partial"
    forge(partial, lambda words: [*words[:6], b"no/such/" + words[6]])
    make(interrupted)
    assert not [entry for entry in rows(interrupted).values() if entry.content == b"0" * 64]


def test_files_changed_since_are_read_again_however_well_it_is_hidden(interrupted: Path) -> None:
    """Same size and times of changing; a file in another's place; one that is written over through a second name."""
    tree = interrupted
    times = {path: path.stat() for path in (tree / "z", tree / "a.txt", tree / "a/x", tree / "a-b/y")}
    (tree / "z").write_bytes(b"CONTENT OF z")
    (tree / "a.txt").rename(tree / "old")
    (tree / "old").rename(tree / "a.txt")
    os.link(tree / "a/x", tree.parent / "second")
    (tree.parent / "second").write_bytes(b"CONTENT OF x")
    (tree / "new").write_bytes(b"CONTENT OF y")
    (tree / "new").replace(tree / "a-b/y")
    for path, state in times.items():
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    make(tree)
    resumed = (tree.parent / "tree.catalog").read_bytes()
    make(tree, fresh=True)
    assert resumed == (tree.parent / "tree.catalog").read_bytes()
    assert said(compared(tree)) == {("same", "")}


@pytest.mark.parametrize("begins", [b"chopmark catalog kept 1 ", b"chopmark catalog kept 22", b"chopmark cat"])
def test_the_state_of_another_version_is_not_gone_on_from(interrupted: Path, begins: bytes) -> None:
    partial = interrupted.parent / "tree.catalog.partial"
    partial.write_bytes(
        begins + (partial.read_bytes()[len(begins) :] if begins.startswith(b"chopmark catalog") else b"")
    )
    assert make(interrupted).known == 0


@pytest.mark.parametrize("fresh", [False, True])
def test_a_file_of_something_else_is_not_written_over(tree: Path, *, fresh: bool) -> None:
    partial = tree.parent / "tree.catalog.partial"
    partial.write_bytes(b"what somebody wrote")
    with pytest.raises(UsageError):
        make(tree, fresh=fresh)
    assert partial.read_bytes() == b"what somebody wrote"
    partial.write_bytes(b"")
    os.link(partial, tree.parent / "also")
    with pytest.raises(UsageError):
        make(tree, fresh=fresh)


def test_two_at_once_do_not_share_what_they_saw(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    partial = tree.parent / "tree.catalog.partial"
    with open(partial, "wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UsageError):
            make(tree)
    # and where the other one was done, and took it away, just before our turn
    monkeypatch.setattr(fcntl, "flock", lambda *_: partial.unlink())
    with pytest.raises(UsageError):
        make(tree)


def test_a_disk_that_is_full_leaves_the_old_catalog(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tree)
    before = (tree.parent / "tree.catalog").read_bytes()
    (tree / "z").write_bytes(b"other")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "writev", full)
    monkeypatch.setattr(making, "_keeper", lambda _: lambda _: None)
    with pytest.raises(patches.WriteError):
        make(tree)
    assert (tree.parent / "tree.catalog").read_bytes() == before
    assert not (tree.parent / "tree.catalog.partial").exists()


def test_two_catalogs_are_compared(tree: Path) -> None:
    make(tree)
    (tree.parent / "tree.catalog").rename(tree.parent / "before.catalog")
    (tree / "z").write_bytes(b"other")
    (tree / "new").mkdir()
    make(tree)
    files = [str(tree.parent / "before.catalog"), f"{tree}.catalog"]
    assert said(list(judging.diff(*files))) == {("changed", "z"), ("added", "new")}
    assert said(list(judging.diff(*reversed(files)))) == {("changed", "z"), ("missing", "new")}
    (tree.parent / "before.catalog").write_bytes(b"chopmark catalog 1\n")
    with pytest.raises(BrokenError):
        list(judging.diff(*files))


def test_catalogs_about_other_files_are_not_the_same(tmp_path: Path) -> None:
    """A path that one leaves out has no line: a tree with something added there would be what the catalog says."""

    def written(name: str, **changes: object) -> str:
        header = listing.Header(b"/srv", excluded=(b"cache",))._replace(**changes)  # type: ignore[arg-type]
        (tmp_path / name).write_bytes(listing.head(header) + b"d 0755 0 0 - - .\n" + listing.tail(1))
        return str(tmp_path / name)

    before = written("before")
    assert list(judging.diff(before, written("same"))) == []
    for changes, expected in (
        ({"excluded": (b"bin", b"cache")}, ("catalog.scope", "bin")),
        ({"excluded": ()}, ("catalog.scope", "cache")),
        ({"one_file_system": False}, ("catalog.scope", "")),
        ({"only_listed": True}, ("catalog.scope", "")),
        ({"root": b"/opt"}, ("catalog.root", "")),
    ):
        assert [(each.code, each.subject) for each in judging.diff(before, written("after", **changes))] == [expected]


def test_names_as_long_and_folders_as_deep_as_they_get(tmp_path: Path) -> None:
    top = tmp_path / "tree"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(b"\xff" * 255, dir_fd=here)
        below = os.open(b"\xff" * 255, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=here))
    os.close(here)
    make(top)
    assert max(map(len, rows(top))) == 30 * 256 + 4
    assert said(compared(top, 2)) == {("same", "")}
