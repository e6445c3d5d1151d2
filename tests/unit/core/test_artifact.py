"""Artifacts: what is opened, what is refused and why, and what happens when the file moves under the reader."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits, reasons
from chopmark.core.artifact import Artifact, BytesView, FileView, Identity, UnreadableError
from tests.support import silent_fuse
from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    from chopmark.core.reasons import Reason

NOBODY = 65534


def refusal(path: str | os.PathLike[str]) -> Reason:
    with pytest.raises(UnreadableError) as caught:
        Artifact.open(path)
    assert caught.value.exit_status == 2
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_a_regular_file_is_read_by_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "tool"
    path.write_bytes(b"0123456789")
    with Artifact.open(path) as artifact:
        state = path.stat()
        assert artifact.identity == Identity(state.st_dev, state.st_ino)
        assert artifact.view.size == 10
        assert artifact.view.read(2, 3) == b"234"
        assert artifact.head() == b"0123456789"
        path.rename(tmp_path / "elsewhere")
        path.write_bytes(b"another file")
        assert b"".join(artifact.chunks()) == b"0123456789"


def test_an_empty_file_has_no_bytes(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    with Artifact.open(path) as artifact:
        assert (artifact.view.size, artifact.head(), list(artifact.chunks())) == (0, b"", [])


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none") is reasons.INPUT_MISSING


@pytest.mark.parametrize("name", ["a" * 300, "nul\0inside"])
def test_a_name_that_cannot_exist_is_missing(tmp_path: Path, name: str) -> None:
    assert refusal(os.fspath(tmp_path) + "/" + name) is reasons.INPUT_MISSING


def test_a_path_through_a_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file" / "below") is reasons.INPUT_MISSING


def test_a_circle_of_links_is_not_missing_but_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    assert refusal(tmp_path / "link") is reasons.INPUT_UNREADABLE


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    assert refusal(tmp_path) is reasons.INPUT_NOT_A_FILE


def test_a_fifo_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    waiting = threading.Thread(target=lambda: refusal(path), daemon=True)
    waiting.start()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()
    assert refusal(path) is reasons.INPUT_NOT_A_FILE


def test_whoever_waits_to_write_into_a_fifo_is_not_disturbed(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: os.close(os.open(path, os.O_WRONLY)), daemon=True)
    writer.start()
    for _ in range(20):
        assert refusal(path) is reasons.INPUT_NOT_A_FILE
    writer.join(0.1)
    assert writer.is_alive()
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer.join(PATIENCE)
    os.close(reader)
    assert not writer.is_alive()


def test_a_file_that_turns_into_a_fifo_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, fifo = tmp_path / "file", tmp_path / "fifo"
    path.write_bytes(b"x")
    os.mkfifo(fifo)
    state = path.stat()
    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(os, "stat", lambda _: state)
    assert refusal(fifo) is reasons.INPUT_NOT_A_FILE
    monkeypatch.undo()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device_is_not_a_file(device: str) -> None:
    assert refusal(device) is reasons.INPUT_NOT_A_FILE


def test_a_socket_is_not_a_file(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(tmp_path / "socket"))
        assert refusal(tmp_path / "socket") is reasons.INPUT_NOT_A_FILE


def test_a_file_without_permission_is_unreadable() -> None:
    program = (
        "import os, sys\n"
        "from chopmark.core.artifact import Artifact, UnreadableError\n"
        f"if os.geteuid() == 0: os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "try:\n    Artifact.open(sys.argv[1])\nexcept UnreadableError as error:\n    print(error.reason.code)\n"
    )
    # root may read everything, so it asks as somebody else, in a folder that they may enter
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder, "secret")
        path.write_bytes(b"x")
        path.chmod(0)
        answer = subprocess.run(
            [sys.executable, "-c", program, os.fspath(path)], capture_output=True, text=True, check=True, timeout=60
        )
    assert answer.stdout.strip() == reasons.INPUT_UNREADABLE.code


def test_a_failing_medium_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "disk"
    path.write_bytes(b"x")

    def fails(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    with Artifact.open(path) as artifact:
        monkeypatch.setattr(os, "pread", fails)
        with pytest.raises(UnreadableError) as caught:
            artifact.head()
        assert caught.value.reason is reasons.INPUT_UNREADABLE


def test_short_reads_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "slow"
    path.write_bytes(bytes(range(256)))
    real = os.pread
    with Artifact.open(path) as artifact:
        monkeypatch.setattr(os, "pread", lambda fd, length, offset: real(fd, min(length, 7), offset))
        assert artifact.view.read(0, 256) == bytes(range(256))


def test_a_file_that_becomes_shorter_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 100)
    with Artifact.open(path) as artifact:
        os.truncate(path, 10)
        with pytest.raises(UnreadableError) as caught:
            list(artifact.chunks())
        assert caught.value.reason is reasons.INPUT_CHANGED
        assert artifact.view.changed()


def test_what_is_appended_later_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"before")
    with Artifact.open(path) as artifact:
        with path.open("ab") as file:
            file.write(b" and after")
        assert b"".join(artifact.chunks()) == b"before"
        assert artifact.view.read(0, 1 << 40) == b"before"
        assert artifact.view.changed()


def test_a_change_of_the_same_length_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "tool"
    path.write_bytes(b"good")
    os.utime(path, ns=(0, 0))
    with Artifact.open(path) as artifact:
        assert not artifact.view.changed()
        path.write_bytes(b"evil")
        os.utime(path, ns=(0, 0))  # whoever changes a file can set its time back, but not the time of that
        assert artifact.view.changed()


def test_reading_leaves_a_file_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "tool"
    path.write_bytes(b"x" * (3 * limits.READ_CHUNK + 5))
    with Artifact.open(path) as artifact:
        sizes = [len(piece) for piece in artifact.chunks()]
        assert sizes == [limits.READ_PART] * (3 * limits.READ_CHUNK // limits.READ_PART) + [5]
        assert not artifact.view.changed()


def test_a_descriptor_does_not_outlive_its_artifact(tmp_path: Path) -> None:
    path = tmp_path / "tool"
    path.touch()
    with Artifact.open(path) as artifact:
        assert isinstance(artifact.view, FileView)
        descriptor = artifact.view.descriptor
        assert not os.get_inheritable(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_refused_file_leaves_no_descriptor_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        refusal(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


numbers = st.integers(-(1 << 70), 1 << 70) | st.integers(-20, 20)


@given(st.binary(max_size=12), numbers, numbers)
def test_no_range_reads_beyond_the_bytes(data: bytes, offset: int, length: int) -> None:
    expected = data[offset : offset + length] if offset >= 0 and length > 0 else b""
    assert BytesView(data).read(offset, length) == expected


@given(numbers, numbers)
def test_a_file_reads_like_bytes(tmp_path_factory: pytest.TempPathFactory, offset: int, length: int) -> None:
    data = b"0123456789"
    path = tmp_path_factory.getbasetemp() / "ten"
    if not path.exists():
        path.write_bytes(data)
    with Artifact.open(path) as artifact:
        assert artifact.view.read(offset, length) == BytesView(data).read(offset, length)


def test_a_range_of_chunks_ends_where_the_file_ends() -> None:
    artifact = Artifact.from_bytes(b"0123456789")
    assert b"".join(artifact.chunks(4)) == b"456789"
    assert b"".join(artifact.chunks(4, 3)) == b"456"
    assert b"".join(artifact.chunks(4, 1 << 60)) == b"456789"
    assert b"".join(artifact.chunks(40, 3)) == b""


def test_a_companion_is_the_file_beside(tmp_path: Path) -> None:
    path = tmp_path / "tool"
    path.write_bytes(b"x")
    with Artifact.open(path) as artifact:
        assert artifact.companion(".p7s") is None
        (tmp_path / "tool.p7s").write_bytes(b"signature")
        assert artifact.companion(".p7s") == b"signature"


def test_a_companion_that_cannot_be_one_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "tool"
    path.write_bytes(b"x")
    with Artifact.open(path) as artifact:
        (tmp_path / "tool.p7s").mkdir()
        with pytest.raises(UnreadableError) as caught:
            artifact.companion(".p7s")
        assert caught.value.reason is reasons.INPUT_NOT_A_FILE
        (tmp_path / "tool.sig").write_bytes(b"123")
        with pytest.raises(UnreadableError) as caught:
            artifact.companion(".sig", limit=2)
        assert caught.value.reason is reasons.INPUT_TOO_LARGE


def test_companions_are_kept_at_once_and_stay_what_they_were(tmp_path: Path) -> None:
    path, beside = tmp_path / "tool", tmp_path / "tool.sig"
    path.write_bytes(b"x")
    beside.write_bytes(b"one")
    os.setxattr(path, "user.test", b"two")
    wanted = (".p7s", ".sig", "xattr:user.test", "xattr:user.other")
    with Artifact.open(path) as artifact:
        assert not artifact.lacks(wanted)  # nobody has looked
        assert artifact.keep_companions(wanted) == {".sig": b"one", "xattr:user.test": b"two"}
        beside.unlink()
        os.removexattr(path, "user.test")
        (tmp_path / "tool.p7s").write_bytes(b"late")
        assert [artifact.companion(each) for each in wanted] == [None, b"one", b"two", None]
        assert artifact.lacks((".p7s", "xattr:user.other"))
        assert not artifact.lacks((".p7s", ".sig"))
        assert not artifact.lacks((".p7s", ".asc"))  # which nobody has looked for
    (tmp_path / "tool.p7s").unlink()
    (tmp_path / "tool.p7s").mkdir()
    with Artifact.open(path) as artifact, pytest.raises(UnreadableError):
        artifact.keep_companions(wanted)
    given = Artifact.from_bytes(b"x", companions={".sig": b"three"})
    assert given.keep_companions(wanted) == {".sig": b"three"}
    assert Artifact.from_bytes(b"x").keep_companions(wanted) == {}


@pytest.mark.parametrize("error", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_a_companion_that_cannot_be_looked_up_is_not_none(tmp_path: Path, error: int) -> None:
    """Its name leads to a file system whose every answer is that error."""
    (tmp_path / "tool").write_bytes(b"x")
    (tmp_path / "failing").mkdir()
    (tmp_path / "tool.sig").symlink_to(tmp_path / "failing" / "x")
    with ExitStack() as stack:
        try:
            stack.enter_context(silent_fuse.mounted(tmp_path / "failing", error))
        except OSError as refused:
            pytest.skip(f"no FUSE here: {refused.strerror}")
        artifact = stack.enter_context(Artifact.open(tmp_path / "tool"))
        for read in (lambda: artifact.keep_companions((".p7s", ".sig")), lambda: artifact.companion(".sig")):
            with pytest.raises(UnreadableError) as caught:
                read()
            assert (caught.value.reason, caught.value.detail) == (reasons.INPUT_UNREADABLE, os.strerror(error))


def test_a_companion_that_is_a_link_counts_as_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "tool").write_bytes(b"x")
    (tmp_path / "tool.sig").symlink_to("tool.sig")
    (tmp_path / "tool.p7s").symlink_to("nowhere")
    with Artifact.open(tmp_path / "tool") as artifact:
        assert artifact.keep_companions((".p7s",)) == {}
        with pytest.raises(UnreadableError) as caught:
            artifact.keep_companions((".sig",))
    assert caught.value.reason is reasons.INPUT_UNREADABLE


def test_bytes_bring_their_companions_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "memory.p7s").write_bytes(b"from the disk")
    assert Artifact.from_bytes(b"x").companion(".p7s") is None
    assert Artifact.from_bytes(b"x", companions={".p7s": b"given"}).companion(".p7s") == b"given"
