"""The fuzzers' limits on time: what a machine that stands still does not fail, and what does."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.fuzz import run

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 0.02


def spinning(_: bytes) -> None:
    started = time.process_time()
    while time.process_time() - started <= LIMIT:
        pass


def test_only_the_time_of_the_processor_counts() -> None:
    assert not run.slow(lambda _: time.sleep(2 * LIMIT), b"", LIMIT)
    assert run.slow(spinning, b"", LIMIT)


@pytest.mark.parametrize("again", [0, 1, None])
def test_a_pause_is_no_find_and_a_hang_is(again: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LibFuzzer gave up on an input, which alone ends with this; None when it does not end."""

    def script(what: str, *_: str, limit: int) -> subprocess.CompletedProcess[str] | None:
        assert limit >= run.WAIT
        if what == "--confirm":
            return None if again is None else subprocess.CompletedProcess((), again, "", "")
        (tmp_path / "der-timeout-1").write_bytes(b"x")
        return subprocess.CompletedProcess((), 70, "", "==1== ERROR: libFuzzer: timeout after 12 seconds\n")

    monkeypatch.setattr(run, "FINDINGS", tmp_path)
    monkeypatch.setattr(run, "PROJECT", tmp_path)
    monkeypatch.setattr(run, "script", script)
    assert run.fuzz("der", 1)[0] is (again == 0)
