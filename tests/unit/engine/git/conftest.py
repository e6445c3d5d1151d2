from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark.trust import context as contexts
from chopmark.trust.stores import store
from tests.support import git_repo, pki
from tests.support.git_repo import Repo

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.trust.context import Context


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo.make(tmp_path / "r")


@pytest.fixture(scope="module")
def context() -> Context:
    return contexts.Context(store.load([git_repo.PUBLIC]), pki.NOW, contexts.OFF)
