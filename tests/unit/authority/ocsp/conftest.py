"""A copy of each module's own authority with responders (`served`), and its responder."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from chopmark.authority.ca import Authority
from chopmark.authority.ocsp.responder import Responder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.authority.conftest import Clock


@pytest.fixture
def authority(served: Path, tmp_path: Path, clock: Clock) -> Iterator[Authority]:
    shutil.copytree(served, tmp_path / "ca")
    with Authority.open(str(tmp_path / "ca"), clock=clock) as opened:
        yield opened


@pytest.fixture
def responder(authority: Authority) -> Iterator[Responder]:
    with Responder(authority) as made:
        yield made
