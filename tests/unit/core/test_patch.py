"""Patches: the old file or the new one at every moment, with what belonged to it, whatever goes wrong."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import patch
from chopmark.core.artifact import Artifact
from chopmark.core.errors import InputError, MisplacedError
from chopmark.core.patch import Patch, WriteError
from chopmark.core.seal import Range
from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65534
SIGNED = Patch((Range(0, 3), b"-signed-", Range(3, 100)))


def sign(path: Path, change: Patch = SIGNED, target: Path | None = None) -> str:
    with Artifact.open(path) as artifact:
        return patch.apply(change, artifact, None if target is None else os.fspath(target))


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    path = tmp_path / "tool"
    path.write_bytes(b"abcdef")
    return path


@given(
    st.binary(max_size=40),
    st.lists(st.binary(max_size=8) | st.builds(Range, st.integers(0, 50), st.integers(0, 50)), max_size=6),
)
def test_a_patch_is_its_pieces_in_order(data: bytes, pieces: list[Range | bytes]) -> None:
    expected = b"".join(
        piece if isinstance(piece, bytes) else data[piece.offset : piece.offset + piece.length] for piece in pieces
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(data)
        assert Patch(tuple(pieces)).render(Artifact.from_bytes(data)) == expected
        sign(path, Patch(tuple(pieces)))
        assert path.read_bytes() == expected
        assert names(Path(folder)) == {"file"}


def test_the_file_is_replaced_not_written_to(tool: Path) -> None:
    with tool.open("rb") as reader:
        assert sign(tool) == os.path.realpath(tool)
        assert reader.read() == b"abcdef"
    assert tool.read_bytes() == b"abc-signed-def"
    assert names(tool.parent) == {"tool"}


@pytest.mark.parametrize("mode", [0o644, 0o755, 0o600, 0o444, 0o4755, 0o2711, 0o1777])
def test_the_mode_is_kept(tool: Path, mode: int) -> None:
    tool.chmod(mode)
    sign(tool)
    assert stat.S_IMODE(tool.stat().st_mode) == mode


def test_the_umask_does_not_matter(tool: Path) -> None:
    tool.chmod(0o666)
    before = os.umask(0o077)
    try:
        sign(tool)
    finally:
        os.umask(before)
    assert stat.S_IMODE(tool.stat().st_mode) == 0o666


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_owner_is_kept_and_with_it_set_user_id(tool: Path) -> None:
    os.chown(tool, 12345, 23456)
    tool.chmod(0o6755)
    sign(tool)
    state = tool.stat()
    assert (state.st_uid, state.st_gid, stat.S_IMODE(state.st_mode)) == (12345, 23456, 0o6755)


def attributes(path: Path) -> dict[str, bytes]:
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}


def set_attribute(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise
        pytest.skip(f"this file system or user cannot set {name}")


def test_extended_attributes_are_kept(tool: Path) -> None:
    set_attribute(tool, "user.origin", b"https://example.org/tool")
    set_attribute(tool, "user.empty", b"")
    sign(tool)
    assert attributes(tool) == {"user.origin": b"https://example.org/tool", "user.empty": b""}


def test_the_access_control_list_is_kept(tool: Path) -> None:
    # Linux' form of POSIX ACLs: version 2, then (tag, permissions, id): owner, a user, group, mask, others
    everybody = 0xFFFFFFFF
    entries = ((1, 6, everybody), (2, 4, 12345), (4, 4, everybody), (16, 4, everybody), (32, 0, everybody))
    wanted = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    set_attribute(tool, "system.posix_acl_access", wanted)
    mode = tool.stat().st_mode
    sign(tool)
    assert attributes(tool) == {"system.posix_acl_access": wanted}
    assert tool.stat().st_mode == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files capabilities")
def test_capabilities_are_kept(tool: Path) -> None:
    wanted = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service+ep
    set_attribute(tool, "security.capability", wanted)
    sign(tool)
    assert attributes(tool) == {"security.capability": wanted}


def test_an_attribute_that_cannot_be_kept_stops_everything(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_attribute(tool, "user.origin", b"here")

    def refuses(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "setxattr", refuses)
    with pytest.raises(WriteError):
        sign(tool)
    assert tool.read_bytes() == b"abcdef"
    assert names(tool.parent) == {"tool"}


def test_a_symbolic_link_stays_one(tool: Path) -> None:
    folder = tool.parent / "bin"
    folder.mkdir()
    link = folder / "link"
    link.symlink_to("../tool")
    sign(link)
    assert link.is_symlink()
    assert tool.read_bytes() == b"abc-signed-def"
    assert names(folder) == {"link"}


def test_another_hard_link_keeps_the_old_file(tool: Path) -> None:
    other = tool.parent / "other"
    other.hardlink_to(tool)
    sign(tool)
    assert (tool.read_bytes(), other.read_bytes()) == (b"abc-signed-def", b"abcdef")


def test_another_target_leaves_the_artifact_alone(tool: Path) -> None:
    tool.chmod(0o4755)
    target = tool.parent / "signed"
    assert sign(tool, target=target) == os.path.realpath(target)
    assert (tool.read_bytes(), target.read_bytes()) == (b"abcdef", b"abc-signed-def")
    assert stat.S_IMODE(target.stat().st_mode) == 0o755  # it still runs, but nobody asked for set-user-id twice


def test_a_target_that_exists_keeps_its_own_mode(tool: Path) -> None:
    target = tool.parent / "signed"
    target.touch(0o600)
    sign(tool, target=target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_companion_comes_and_goes(tool: Path) -> None:
    tool.chmod(0o755)
    beside = tool.parent / "tool.p7s"
    assert sign(tool, Patch((b"signature",), ".p7s")) == os.path.realpath(beside)
    assert (tool.read_bytes(), beside.read_bytes()) == (b"abcdef", b"signature")
    assert stat.S_IMODE(beside.stat().st_mode) == 0o644
    sign(tool, Patch(None, ".p7s"))
    assert names(tool.parent) == {"tool"}
    sign(tool, Patch(None, ".p7s"))


@pytest.mark.parametrize("length", [200, 240, 255])
def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path, length: int) -> None:
    path = tmp_path / ("ä" * (length // 2) + "x" * (length % 2))
    path.write_bytes(b"abcdef")
    sign(path)
    assert path.read_bytes() == b"abc-signed-def"
    assert names(tmp_path) == {path.name}


def test_a_name_need_not_be_unicode(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9")
    path.write_bytes(b"abcdef")
    set_attribute(path, "user.origin", b"here")
    sign(path)
    assert (path.read_bytes(), attributes(path)) == (b"abc-signed-def", {"user.origin": b"here"})


def test_a_file_that_changed_is_not_replaced(tool: Path) -> None:
    with Artifact.open(tool) as artifact:
        tool.write_bytes(b"ABCDEF")
        with pytest.raises(InputError):
            patch.apply(SIGNED, artifact)
    assert tool.read_bytes() == b"ABCDEF"
    assert names(tool.parent) == {"tool"}


def test_a_file_that_was_replaced_is_not_replaced_again(tool: Path) -> None:
    with Artifact.open(tool) as artifact:
        sign(tool, Patch((b"by somebody else",)))
        with pytest.raises(InputError):
            patch.apply(SIGNED, artifact)
    assert tool.read_bytes() == b"by somebody else"


def test_a_link_that_was_turned_elsewhere_is_not_followed(tool: Path) -> None:
    innocent = tool.parent / "innocent"
    innocent.write_bytes(b"innocent")
    link = tool.parent / "link"
    link.symlink_to("tool")
    with Artifact.open(link) as artifact:
        link.unlink()
        link.symlink_to("innocent")
        with pytest.raises(InputError):
            patch.apply(SIGNED, artifact)
    assert (tool.read_bytes(), innocent.read_bytes()) == (b"abcdef", b"innocent")


def test_a_file_that_went_away_stays_away(tool: Path) -> None:
    with Artifact.open(tool) as artifact:
        tool.unlink()
        with pytest.raises(InputError):
            patch.apply(SIGNED, artifact)
    assert names(tool.parent) == set()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_file_is_not_replaced_by_one(tool: Path, make: Callable[[Path], object]) -> None:
    other = tool.parent / "other"
    make(other)
    before = other.stat()
    with pytest.raises(MisplacedError) as refused:
        sign(tool, target=other)
    with pytest.raises(MisplacedError):
        patch.write_file(str(other), b"new")
    assert refused.value.exit_status == 2
    assert os.path.samestat(before, other.stat())
    assert names(tool.parent) == {"tool", "other"}


@pytest.mark.parametrize("place", ["none/signed", "tool/signed", "x" * 256])
def test_where_there_can_be_no_file_is_said(tool: Path, place: str) -> None:
    with pytest.raises(MisplacedError):
        sign(tool, target=tool.parent / place)
    assert names(tool.parent) == {"tool"}


@pytest.mark.parametrize("nameless", [True, False])
def test_a_fresh_file_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, nameless: bool) -> None:
    if not nameless:
        without_nameless_files(monkeypatch)
    path = tmp_path / "key"
    patch.write_file(str(path), b"precious", 0o600, fresh=True)
    with pytest.raises(FileExistsError):
        patch.write_file(str(path), b"new", fresh=True)
    assert path.read_bytes() == b"precious"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == {"key"}


def test_a_fresh_file_needs_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlinked(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no links")

    without_nameless_files(monkeypatch)
    monkeypatch.setattr("os.link", unlinked)
    patch.write_file(str(tmp_path / "key"), b"precious", fresh=True)
    with pytest.raises(FileExistsError):
        patch.write_file(str(tmp_path / "key"), b"new", fresh=True)
    assert (tmp_path / "key").read_bytes() == b"precious"
    assert names(tmp_path) == {"key"}


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """A folder that other users may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def as_nobody(path: Path) -> str:
    """Apply SIGNED in a process without privileges, and return what it printed."""
    program = (
        "import os, sys\n"
        "from chopmark.core import patch\n"
        "from chopmark.core.artifact import Artifact\n"
        "from chopmark.core.seal import Range\n"
        f"if os.geteuid() == 0: os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "try:\n"
        "    with Artifact.open(sys.argv[1]) as artifact:\n"
        "        patch.apply(patch.Patch((Range(0, 3), b'-signed-', Range(3, 100))), artifact)\n"
        "    print('written')\n"
        "except patch.WriteError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, os.fspath(path)], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_a_read_only_folder_is_refused_in_one_line(everybodys: Path) -> None:
    path = everybodys / "tool"
    path.write_bytes(b"abcdef")
    path.chmod(0o666)
    everybodys.chmod(0o555)
    said = as_nobody(path)
    assert "Permission denied" in said
    assert "\n" not in said
    assert path.read_bytes() == b"abcdef"
    assert names(everybodys) == {"tool"}


def test_a_folder_that_may_not_be_listed_is_no_obstacle(everybodys: Path) -> None:
    path = everybodys / "tool"
    path.write_bytes(b"abcdef")
    if not os.geteuid():
        os.chown(path, NOBODY, NOBODY)
    everybodys.chmod(0o333)
    assert as_nobody(path) == "written"
    everybodys.chmod(0o755)
    assert path.read_bytes() == b"abc-signed-def"
    assert names(everybodys) == {"tool"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give the file to somebody else first")
def test_a_file_of_somebody_else_is_not_taken_over(everybodys: Path) -> None:
    path = everybodys / "tool"
    path.write_bytes(b"abcdef")
    everybodys.chmod(0o777)
    assert "Operation not permitted" in as_nobody(path)
    assert (path.read_bytes(), path.stat().st_uid) == (b"abcdef", 0)
    assert names(everybodys) == {"tool"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, mounted for one test."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", os.fspath(place)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system is not permitted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", os.fspath(place)], check=True)


def test_a_full_disk_leaves_the_old_file(small_disk: Path) -> None:
    path = small_disk / "tool"
    path.write_bytes(b"x" * 150_000)
    with pytest.raises(WriteError, match="No space left") as caught:
        sign(path, Patch((Range(0, 150_000), b"signature")))
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"x" * 150_000
    assert names(small_disk) == {"tool"}
    path.write_bytes(b"abcdef")  # the room is free again
    sign(path)
    assert path.read_bytes() == b"abc-signed-def"


def without_nameless_files(monkeypatch: pytest.MonkeyPatch, number: int = errno.EOPNOTSUPP) -> None:
    """As on a file system that has no O_TMPFILE."""
    real = os.open

    def refuses(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(number, os.strerror(number))
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", refuses)


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL])
def test_a_system_without_nameless_files_will_do(tool: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    without_nameless_files(monkeypatch, number)
    tool.chmod(0o751)
    sign(tool)
    assert tool.read_bytes() == b"abc-signed-def"
    assert stat.S_IMODE(tool.stat().st_mode) == 0o751
    assert names(tool.parent) == {"tool"}


def test_without_nameless_files_a_full_disk_leaves_nothing_behind(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_nameless_files(monkeypatch)
    path = small_disk / "tool"
    path.write_bytes(b"x" * 150_000)
    with pytest.raises(WriteError):
        sign(path, Patch((Range(0, 150_000), b"signature")))
    assert path.read_bytes() == b"x" * 150_000
    assert names(small_disk) == {"tool"}


STEPS = [("fsync", True), ("replace", True), ("fchmod", True), ("link", True)]
STEPS += [("fsync", False), ("replace", False), ("fchmod", False)]


@pytest.mark.parametrize(("step", "nameless"), STEPS)
@pytest.mark.parametrize("interruption", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_a_failure_at_any_step_leaves_the_old_file_alone(
    tool: Path, monkeypatch: pytest.MonkeyPatch, *, step: str, nameless: bool, interruption: BaseException
) -> None:
    if not nameless:
        without_nameless_files(monkeypatch)

    def fails(*_: object, **__: object) -> None:
        raise interruption

    with monkeypatch.context() as patched:
        patched.setattr(os, step, fails)
        with pytest.raises(WriteError if isinstance(interruption, OSError) else KeyboardInterrupt):
            sign(tool)
    assert tool.read_bytes() == b"abcdef"
    assert names(tool.parent) == {"tool"}


def test_a_folder_that_cannot_be_flushed_does_not_undo_what_was_done(
    tool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fails_for_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fails_for_folders)
    sign(tool)
    assert tool.read_bytes() == b"abc-signed-def"


def test_what_a_killed_process_named_is_cleared_away(tool: Path) -> None:
    (tool.parent / ".tool.chopmark").write_bytes(b"whole, but never renamed")
    sign(tool)
    assert tool.read_bytes() == b"abc-signed-def"
    assert names(tool.parent) == {"tool"}


APPLIER = """
import sys
from chopmark.core import patch
from chopmark.core.artifact import Artifact
print("ready", flush=True)
size = 1 << 20
for letter in sys.stdin:
    with Artifact.open(sys.argv[1]) as artifact:
        patch.apply(patch.Patch((letter[:1].encode() * size, letter[:1].encode() * size)), artifact)
    print(letter, end="", flush=True)
"""


def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    """Measure how long a patch takes, then kill at 50 moments spread over a little more than that."""
    path = tmp_path / "tool"
    path.write_bytes(b"0" * (1 << 21))
    path.chmod(0o751)
    chance = random.Random(20260701)  # noqa: S311 - moments, not keys
    rounds, replaced, kept = 50, 0, 0
    process = _applier(path)
    try:
        duration = min(_timed(process, letter) for letter in "abc")
        old = "c"
        for turn in range(rounds):
            new = chr(ord("d") + turn % 20)
            _tell(process, new)
            time.sleep(duration * 1.3 * (turn + chance.random()) / rounds)
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=PATIENCE)
            content = path.read_bytes()
            assert content in (old.encode() * (1 << 21), new.encode() * (1 << 21))
            assert stat.S_IMODE(path.stat().st_mode) == 0o751
            # A whole file between its two names is the one thing that may be left, and the next patch clears it away.
            for stray in names(tmp_path) - {"tool"}:
                assert stray == ".tool.chopmark"
                whole = (tmp_path / stray).read_bytes()
                assert (len(whole), len(set(whole))) == (1 << 21, 1)
            replaced, kept = (replaced + 1, kept) if content[:1] == new.encode() else (replaced, kept + 1)
            if not replaced and turn > rounds / 1.3:  # the machine has become slower since
                duration *= 2
            old = content[:1].decode()
            process = _applier(path)
        _timed(process, "z")
    finally:
        process.kill()
        process.communicate()
    assert names(tmp_path) == {"tool"}
    assert replaced, "no kill came after the replacement: the moments were badly chosen"
    assert kept, "no kill came before the replacement: the moments were badly chosen"


def _applier(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", APPLIER, os.fspath(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _tell(process: subprocess.Popen[str], letter: str) -> None:
    assert process.stdin is not None
    process.stdin.write(letter + "\n")
    process.stdin.flush()


def _timed(process: subprocess.Popen[str], letter: str) -> float:
    started = time.perf_counter()
    _tell(process, letter)
    assert process.stdout is not None
    assert process.stdout.readline() == letter + "\n"
    return time.perf_counter() - started


CROWD = """
import sys
from chopmark.core import patch
from chopmark.core.artifact import Artifact
from chopmark.core.errors import ChopmarkError
letter = sys.argv[2].encode()
done = refused = 0
for _ in range(60):
    try:
        with Artifact.open(sys.argv[1]) as artifact:
            patch.apply(patch.Patch((letter * 100_000, letter * 100_000)), artifact)
        done += 1
    except ChopmarkError:
        refused += 1
print(done, refused)
"""


def test_a_crowd_of_writers_never_mixes(tmp_path: Path) -> None:
    path = tmp_path / "tool"
    path.write_bytes(b"0" * 200_000)
    crowd = [
        subprocess.Popen([sys.executable, "-c", CROWD, os.fspath(path), letter], stdout=subprocess.PIPE, text=True)
        for letter in "abc"
    ]
    while any(process.poll() is None for process in crowd):
        content = path.read_bytes()
        assert len(content) == 200_000
        assert len(set(content)) == 1
    done = [int(process.communicate()[0].split()[0]) for process in crowd]
    assert [process.returncode for process in crowd] == [0, 0, 0]
    assert sum(done) >= 60  # those that were overtaken said so, and whoever overtook them was done
    assert names(tmp_path) == {"tool"}


def test_a_small_file_is_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "key"
    patch.write_file(os.fspath(path), b"secret", 0o600)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"secret", 0o600)
    patch.write_file(os.fspath(path), b"other", 0o640)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"other", 0o640)
    with pytest.raises(WriteError):
        patch.write_file(os.fspath(tmp_path / "none" / "key"), b"x")
    assert names(tmp_path) == {"key"}
