"""The reference pages say what the code does, and no link leads nowhere."""

from __future__ import annotations

import subprocess
import sys

from tools import docs


def test_pages_are_up_to_date_and_links_lead_somewhere() -> None:
    command = [sys.executable, "tools/docs.py", "--check"]
    done = subprocess.run(command, cwd=docs.ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), "run make docs"


def test_every_verb_has_help_in_80_columns() -> None:
    lines = docs.pages()["reference/commands.md"].splitlines()
    too_wide = [line for line in lines if len(line) > 80 and not line.startswith("<")]
    assert too_wide == []
