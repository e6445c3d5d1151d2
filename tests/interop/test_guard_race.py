"""A short race between writers and those who run what they write to (`make race` runs the long one)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.guarding import why_not

RUN = Path(__file__).parents[1] / "race" / "run.py"
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "a guard can be tested"),
]


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_nothing_unverified_runs(kind: str) -> None:
    command = [sys.executable, str(RUN), "--count", "6000", "--kind", kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 unverified" in done.stdout
