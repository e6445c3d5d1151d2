"""Folders for what is about to be written."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from chopmark.core import folders
from chopmark.core.errors import WriteError

if TYPE_CHECKING:
    from pathlib import Path


def test_they_are_made_and_stay(tmp_path: Path) -> None:
    with folders.made(str(tmp_path / "a" / "b")):
        pass
    with folders.made(str(tmp_path / "a" / "b")), folders.made(""):
        pass
    assert (tmp_path / "a" / "b").is_dir()


def test_what_was_made_for_nothing_goes_again(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(KeyboardInterrupt), folders.made(str(tmp_path / "a" / "b" / "c")):
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]


def test_what_others_put_there_stays(tmp_path: Path) -> None:
    with contextlib.suppress(KeyboardInterrupt), folders.made(str(tmp_path / "a" / "b")):
        (tmp_path / "a" / "other").touch()
        raise KeyboardInterrupt
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "other"]


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("file", "file/inner"):
        with pytest.raises(WriteError), folders.made(str(tmp_path / place)):
            pass


def test_what_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place, words in (("none", "no such folder"), ("file", "not a folder"), ("file/inner", "not a folder")):
        with pytest.raises(OSError, match=place) as caught:
            (tmp_path / place).iterdir().__next__()
        assert words in str(folders.unreadable(place, caught.value))
