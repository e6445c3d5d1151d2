"""Every console example in README.md and docs/how-to is run as it stands, in order, in one folder per page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import preloaded

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "how-to").glob("*.md"))]
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "@@chopmark-example@@"


def examples(page: Path) -> list[tuple[str, str]]:
    """The commands of a page (lines that begin with `$ `) with the output printed below.

    A command goes on behind a backslash, and to the line EOF where it has a text that ends there (`<<'EOF'`).
    """
    found: list[tuple[str, str]] = []
    for block in BLOCK.findall(page.read_text()):
        command: list[str] = []
        output: list[str] = []
        continued = reading = False
        for line in block.splitlines():
            if line.startswith("$ ") or continued:
                if not continued:
                    if command:
                        found.append(("\n".join(command), "\n".join(output)))
                    command, output = [], []
                command.append(line if continued else line[2:])
                reading = line != "EOF" and (reading or "<<'EOF'" in line)
                continued = reading or line.endswith("\\")
            else:
                output.append(line)
        if command:
            found.append(("\n".join(command), "\n".join(output)))
    return found


def matches(expected: str, actual: str) -> bool:
    """Equal line by line, where `...` stands for anything, also for any number of lines when alone."""
    pattern = re.escape(expected.strip()).replace(re.escape("..."), ".*")
    return re.fullmatch(pattern, actual.strip(), re.DOTALL) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_do_what_they_show(page: Path, tmp_path: Path) -> None:
    steps = examples(page)
    assert steps, f"{page.name} shows no command"
    folder = tmp_path / "work"
    folder.mkdir()
    places = [Path(shutil.which("chopmark") or Path(sys.executable).with_name("chopmark")).parent]
    if page.stem != "README":  # which shows the program as it is installed; the others, what it does
        places.insert(0, preloaded.programs())
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CHOPMARK_")},
        "PATH": os.pathsep.join([*map(str, places), os.environ["PATH"]]),
        "CHOPMARK_HOME": str(tmp_path / "home"),
        "HOME": str(tmp_path),
        "COLUMNS": "80",
        "REPO": str(ROOT),
    }
    script = "".join(f"{command}\necho '{MARK}'\n" for command, _ in steps)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if (tmp_path / ".gnupg").exists() and shutil.which("gpgconf"):  # the agents of gpg go on after it
        subprocess.run(["gpgconf", "--kill", "all"], env=environment, capture_output=True, check=False)
    outputs = done.stdout.split(f"{MARK}\n")
    for (command, expected), actual in zip(steps, outputs, strict=False):
        told = f"$ {command}\n--- shown\n{expected}\n--- got\n{actual}\n--- errors\n{done.stderr}"
        assert matches(expected, actual), told
    assert len(outputs) == len(steps) + 1, done.stderr
