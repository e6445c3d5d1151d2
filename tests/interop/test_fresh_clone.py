"""A stranger clones the project and types what the README says: everything else is done by the project's own files."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 1800
PASSED_ON = re.compile(r"(?i)(pip_|ssl_|https?_proxy|no_proxy|python$)")
"""How this machine reaches package indexes is its own affair; nothing else of the environment is passed on."""


def printed() -> list[str]:
    """The commands of the first block of the README, without what is said about them."""
    block = re.search(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert block
    return [line.partition("#")[0].strip() for line in block[1].splitlines()]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What is committed, and nothing of what lies around here."""
    (tmp_path / "home").mkdir()
    subprocess.run(
        ["git", "clone", "--quiet", "--no-local", "--depth", "1", ROOT.as_uri(), "chopmark"], cwd=tmp_path, check=True
    )
    return tmp_path / "chopmark"


def typed(command: str, clone: Path) -> str:
    """What a shell with nothing but a path and an empty home prints; the command must succeed."""
    own = str(ROOT / ".venv")
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if not part.startswith(own))
    passed_on = {name: value for name, value in os.environ.items() if PASSED_ON.match(name)}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=clone,
        env={**passed_on, "PATH": path, "HOME": str(clone.parent / "home"), "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def test_the_two_commands_of_the_readme(clone: Path) -> None:
    """The demo in full; of the tests a handful, because all of them are run by the CI itself."""
    demo, test = printed()
    assert (demo, test) == ("make demo", "make test")
    said = typed(demo, clone)
    assert "Making .venv" in said, "it was a fresh clone"
    assert re.search(r"^(\d+) cases: \1 as expected, 0 not$", said, re.MULTILINE)
    said = typed(f'{test} ARGS="-k test_places_and_clock"', clone)
    assert re.search(r"\d+ passed", said)
    assert "Making .venv" not in said, "set up once is enough"
    assert typed(". .venv/bin/activate && chopmark --help", clone).startswith("usage: chopmark")
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert changed.stdout == "", "all that is made on the way is ignored by git"
    assert not list((clone.parent / "home").rglob("*chopmark*")), "nothing of ours is left in the home folder"


def test_the_tests_alone_would_do_the_set_up_too(clone: Path) -> None:
    """make says what it would do; that the same set-up works, the other test has shown."""
    _, test = printed()
    steps = typed(f"{test} --dry-run", clone)
    assert re.search(r"tools/venv\.sh\n.*--editable \..*\bpytest\b", steps, re.DOTALL), steps
