import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from chopmark.core.verdict import Status
from chopmark.demo import cases, show
from tests.support.desk import Desk


def test_it_tells_the_story_in_80_columns_and_leaves_nothing_behind(tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("tmp", "home", "work")}
    for place in places.values():
        place.mkdir()
    environment = {**os.environ, "TMPDIR": str(places["tmp"]), "CHOPMARK_HOME": str(places["home"]), "COLUMNS": "80"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "chopmark", "demo"],
        cwd=places["work"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 20
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.stdout
    assert lines[-1] == f"{len(cases.CASES)} cases: {len(cases.CASES)} as expected, 0 not"
    for case in cases.CASES:
        assert case.title in done.stdout
        assert f"{case.because}: " in done.stdout
    groups = [line.split(maxsplit=2)[2] for line in lines if line.startswith("     expected")]
    assert groups == ["Genuine", "Tampered", "Time and revocation", "Impostors"]
    assert [list(place.iterdir()) for place in places.values()] == [[], [], []]


@pytest.mark.parametrize("change", [{"expected": Status.REJECTED}, {"because": "digest.mismatch"}])
def test_one_verdict_that_differs_is_seen(
    desk: Desk, change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, other = cases.CASES[3:5]
    monkeypatch.setattr(show, "CASES", (good, replace(other, **change)))  # type: ignore[arg-type]
    assert desk.run("demo") == 1
    lines = desk.out.splitlines()
    assert [line[:3] for line in lines if line[:3].strip()] == ["ok ", "NOT", "2 c"]
    assert lines[-1] == "2 cases: 1 as expected, 1 not"


def test_kept_files_can_be_verified(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "CASES", cases.CASES[3:4])
    assert desk.run("demo", "--keep", "kept") == 0
    assert "kept/root.pem" in desk.out
    assert desk.run("verify", "--offline", "--store", "kept/root.pem", "kept/activate.sh") == 0
    assert desk.run("demo", "--keep", "kept") == 2
    assert desk.err.count("\n") == 1
