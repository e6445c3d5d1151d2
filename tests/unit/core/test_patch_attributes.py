"""Patches of extended attributes: set and removed on the open file, or given to a copy."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from chopmark.core import patch
from chopmark.core.artifact import ATTRIBUTE, Artifact, UnreadableError
from chopmark.core.errors import InputError
from chopmark.core.patch import Patch, WriteError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "user.chopmark"
PLACE = ATTRIBUTE + NAME
SET = Patch((b"value",), PLACE)
REMOVE = Patch(None, PLACE)


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    path = tmp_path / "tool"
    path.write_bytes(b"abcdef")
    path.chmod(0o750)
    try:
        os.setxattr(path, NAME, b"")
        os.removexattr(path, NAME)
    except OSError as error:
        pytest.skip(f"the temporary folder keeps no extended attributes ({error.strerror})")
    return path


def test_it_is_set_read_and_removed_on_the_same_file(tool: Path) -> None:
    os.link(tool, tool.with_name("other"))
    inode = tool.stat().st_ino
    with Artifact.open(tool) as artifact:
        assert artifact.companion(PLACE) is None
        assert patch.apply(SET, artifact) == str(tool)
        assert artifact.companion(PLACE) == b"value"
        assert patch.apply(REMOVE, artifact) == str(tool)
        assert patch.apply(REMOVE, artifact) == str(tool)
        assert artifact.companion(PLACE) is None
    assert tool.stat().st_ino == inode
    assert tool.stat().st_nlink == 2
    assert tool.read_bytes() == b"abcdef"


def test_a_target_is_a_copy_with_it(tool: Path) -> None:
    target = tool.with_name("copy")
    with Artifact.open(tool) as artifact:
        assert patch.apply(SET, artifact, str(target)) == str(target)
        assert artifact.companion(PLACE) is None
        assert os.getxattr(target, NAME) == b"value"
        assert (target.read_bytes(), target.stat().st_mode) == (b"abcdef", tool.stat().st_mode)
        patch.apply(REMOVE, artifact, str(target))
    assert NAME not in os.listxattr(target)
    assert {entry.name for entry in tool.parent.iterdir()} == {"tool", "copy"}


def test_it_goes_to_the_file_that_was_opened(tool: Path) -> None:
    with Artifact.open(tool) as artifact:
        tool.rename(tool.with_name("moved"))
        tool.write_bytes(b"another")
        with pytest.raises(InputError):
            patch.apply(SET, artifact)
    assert NAME not in os.listxattr(tool)


@pytest.mark.parametrize("target", ["", "copy"])
def test_a_file_that_changed_meanwhile_gets_none(tool: Path, target: str) -> None:
    with Artifact.open(tool) as artifact:
        tool.write_bytes(b"abcdefg")
        with pytest.raises(InputError):
            patch.apply(SET, artifact, str(tool.with_name(target)) if target else None)
    assert NAME not in os.listxattr(tool)
    assert {entry.name for entry in tool.parent.iterdir()} == {"tool"}


def test_bytes_in_memory_keep_them_among_their_companions() -> None:
    artifact = Artifact.from_bytes(b"", companions={PLACE: b"value"})
    assert artifact.companion(PLACE) == b"value"
    assert Artifact.from_bytes(b"").companion(PLACE) is None
    with pytest.raises(WriteError):
        patch.apply(SET, artifact)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("target", ["", "copy"])
def test_what_the_file_system_refuses_is_one_error(
    tool: Path, number: int, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "setxattr", refuse)
    with Artifact.open(tool) as artifact, pytest.raises(WriteError) as caught:
        patch.apply(SET, artifact, str(tool.with_name(target)) if target else None)
    assert os.strerror(number) in str(caught.value)
    assert {entry.name for entry in tool.parent.iterdir()} == {"tool"}


@pytest.mark.parametrize("number", [errno.ENODATA, errno.ENOTSUP])
def test_a_file_system_without_them_has_none(tool: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "getxattr", refuse)
    with Artifact.open(tool) as artifact:
        assert artifact.companion(PLACE) is None


def test_one_that_cannot_be_read_is_not_missing(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "getxattr", fail)
    with Artifact.open(tool) as artifact, pytest.raises(UnreadableError):
        artifact.companion(PLACE)
