"""What exceeds a limit is refused, and not looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits
from chopmark.core.artifact import BytesView
from chopmark.core.errors import BrokenError, InputError, UsageError
from chopmark.formats.deb import contents
from chopmark.supply import keyrings
from chopmark.supply.apt import chain
from chopmark.supply.dpkg.database import Database
from tests.support import debs
from tests.support.debs import NOW, File

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path) -> debs.Host:
    host = debs.Host(tmp_path)
    host.installed("tool", {"usr/bin/tool": b"tool"})
    return host


@pytest.mark.parametrize(("limit", "value"), [("DPKG_STATUS_MAX", 10), ("DPKG_PACKAGES_MAX", 0)])
def test_records_of_packages(host: debs.Host, limit: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, limit, value)
    with pytest.raises(UsageError):
        Database(str(host.root))


def test_lists_of_files(host: debs.Host, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(str(host.root))
    monkeypatch.setattr(limits, "DPKG_LIST_MAX", 3)
    with pytest.raises(InputError):
        database.files(database.packages["tool:amd64"])


def test_releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = debs.lists(tmp_path / "lists", {})
    ring = keyrings.keys_in([debs.keyring()])
    monkeypatch.setattr(limits, "RELEASE_MAX", 100)
    repository = chain.load(str(lists), lambda _: ring, NOW)
    assert {finding.code for finding in repository.judged[0].findings} == {"apt.release_unreadable"}
    assert repository.packages == {}


def test_control_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DEB_CONTROL_MAX", 1000)
    with pytest.raises(BrokenError) as told:
        contents.control(BytesView(debs.deb([File("./x", b"x")])))
    assert told.value.reason.code == "format.unpacked_too_large"
