"""Folders that appear whole: what others left in preparation is cleared away, what they work at is not."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from chopmark.authority import appearing

if TYPE_CHECKING:
    import pytest


def test_what_was_killed_is_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "ca"
    left = tmp_path / ".ca.0123456789ab.chopmark"
    (left / "keys").mkdir(parents=True)
    other = tmp_path / ".other.0123456789ab.chopmark"
    other.mkdir()
    with appearing.prepared(str(target)):
        assert left.exists()  # it may have been made just now
    monkeypatch.setattr(appearing, "_FRESH", -1)
    with appearing.prepared(str(target)) as at_work:
        assert not left.exists()
        with appearing.prepared(str(target)) as second:
            assert Path(at_work).is_dir()
            appearing.appear(second, str(target))
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "ca"]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with contextlib.suppress(KeyboardInterrupt), appearing.prepared(str(tmp_path / "ca")) as temporary:
        Path(temporary, "key").touch()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
