"""Discovery: modules of a package and entry points of others; no name is replaced in silence."""

from __future__ import annotations

import shutil
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from chopmark.core import discovery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    package = tmp_path / "chopmark_test_room"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "alpha.py").write_text("FORMAT = 'a'\n")
    (package / "beta").mkdir()
    (package / "beta" / "__init__.py").write_text("FORMAT = 'b'\n")
    (package / "helper.py").write_text("OTHER = 1\n")
    (package / "_private.py").write_text("raise RuntimeError('not to be imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    discovery.exported.cache_clear()
    yield tmp_path
    discovery.exported.cache_clear()
    for name in [name for name in sys.modules if name.startswith("chopmark_test_room")]:
        del sys.modules[name]


def install(folder: Path, entry: str, code: str, group: str = "chopmark_test_room") -> None:
    information = folder / "plugin-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")
    (folder / "chopmark_test_plugin.py").write_text(code)


def test_modules_that_export_it_are_found(room: Path) -> None:
    assert room.exists()
    assert discovery.exported("chopmark_test_room", "FORMAT") == {"alpha": "a", "beta": "b"}


def test_an_installed_package_takes_part(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(room, "gamma = chopmark_test_plugin:THING", "THING = 'g'\n")
    found = discovery.exported("chopmark_test_room", "FORMAT")
    monkeypatch.delitem(sys.modules, "chopmark_test_plugin")
    assert found == {"alpha": "a", "beta": "b", "gamma": "g"}


def test_an_installed_package_replaces_nothing(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(room, "alpha = chopmark_test_plugin:THING", "THING = 'evil'\n")
    with pytest.raises(ValueError, match="alpha"):
        discovery.exported("chopmark_test_room", "FORMAT")
    monkeypatch.delitem(sys.modules, "chopmark_test_plugin", raising=False)


def test_folders_that_are_not_there_do_no_harm(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(room / "none"), str(room / "archive.zip")])
    (room / "broken.egg-info").touch()
    assert set(discovery.exported("chopmark_test_room", "FORMAT")) == {"alpha", "beta"}


def turns(folder: Path, name: str) -> None:
    """A room whose packages beta and gamma have a module `inner`."""
    for inside in ("", "alpha", "beta", "gamma"):
        (folder / name / inside).mkdir()
        (folder / name / inside / "__init__.py").touch()
    (folder / name / "beta" / "inner.py").write_text("THING = 'b'\n")
    (folder / name / "gamma" / "inner.py").write_text("THING = 'c'\n")


def test_one_by_one_loads_no_more_than_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns(tmp_path, "chopmark_test_turns")
    monkeypatch.syspath_prepend(tmp_path)
    found = discovery.one_by_one("chopmark_test_turns", "inner", "THING")
    assert next(found) == "b"
    assert "chopmark_test_turns.gamma" not in sys.modules
    assert list(found) == ["c"]
    assert "chopmark_test_turns.alpha" not in sys.modules


def test_entry_points_have_the_last_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns(tmp_path, "chopmark_test_last_turn")
    install(tmp_path, "gamma = chopmark_test_plugin:THING", "THING = 'g'\n", "chopmark_test_last_turn")
    monkeypatch.syspath_prepend(tmp_path)
    found = list(discovery.one_by_one("chopmark_test_last_turn", "inner", "THING"))
    monkeypatch.delitem(sys.modules, "chopmark_test_plugin")
    assert found == ["b", "c", "g"]


def test_turns_are_found_in_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns(tmp_path, "chopmark_test_zipped")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        for path in sorted((tmp_path / "chopmark_test_zipped").rglob("*")):
            archive.write(path, path.relative_to(tmp_path))
    shutil.rmtree(tmp_path / "chopmark_test_zipped")
    monkeypatch.syspath_prepend(str(tmp_path / "archive.zip"))
    assert list(discovery.one_by_one("chopmark_test_zipped", "inner", "THING")) == ["b", "c"]
