"""Some hundreds of kills: an authority's processes die at any moment, on SQLite and on PostgreSQL."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from chopmark.authority.hierarchy import founding
from tests.support import killing
from tests.support.postgres import temporary
from tests.unit.authority.log.conftest import begun

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.interop, pytest.mark.slow]

_SETUP = ("Example Ltd", "http://pki.example.com", "p256")


def test_three_hundred_kills_on_sqlite(tmp_path: Path) -> None:
    folder = str(tmp_path / "ca")
    founding.found(folder, founding.Setup(*_SETUP)).close()
    luck = random.Random(1045)  # noqa: S311 - moments, not secrets
    handed_out: list[str] = []
    for _ in range(5):
        handed_out += killing.kill(folder, 60, luck, longest=0.06)
        killing.check(folder, handed_out)
    assert len(handed_out) >= 225


def test_eighty_kills_on_postgresql(tmp_path: Path) -> None:
    folder = str(tmp_path / "ca")
    luck = random.Random(590)  # noqa: S311 - moments, not secrets
    with temporary() as server:
        founding.found(folder, founding.Setup(*_SETUP, database=server.database())).close()
        handed_out = killing.kill(folder, 80, luck, longest=0.1)
        killing.check(folder, handed_out)
    assert len(handed_out) >= 60


def test_a_hundred_kills_of_a_log_in_a_folder(tmp_path: Path) -> None:
    folder = begun(tmp_path / "log").folder
    told = killing.kill_appending(folder, 100, random.Random(7))  # noqa: S311 - moments, not secrets
    killing.check_appended(folder, told)
