"""What the interoperability tests share: the real files, kept from one run to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.interop import corpus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CACHE = corpus.cache_dir()
"""Looked up while this is imported, because the tests' own HOME and settings are empty."""


@pytest.fixture(scope="session", autouse=True)
def corpus_cache(clean_settings: Path) -> Iterator[Path]:  # noqa: ARG001 - this comes after the settings were hidden
    """Where the files of `corpus` are, for the tests and for the programs that they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHOPMARK_CORPUS", str(CACHE))
        yield CACHE
