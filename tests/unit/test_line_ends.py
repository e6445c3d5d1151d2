"""Lines of others' files end where their own reader ends them; Python's text ends them in ten ways (docs/adr/0273)."""

from __future__ import annotations

import re
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2] / "src" / "chopmark"
_SPLITTING = re.compile(r"\.splitlines\(|\bopen\((?=[^)]*\bencoding=)(?![^)]*\bnewline=)")
KNOWN = {
    "for people": "agent/bpf/kernel.py cli/blocklist.py cli/demo.py formats/pe/facts.py supply/dpkg/opening.py",
    "as pip reads it, and Python when it starts": "formats/wheel/contents.py formats/wheel/placing.py",
    "compared with how it is written": "formats/_text/comment_block.py",
    "our own list, in hex digits": "authority/lint/weak_keys.py",
    "nothing, in place of a stream that is closed": "cli/__init__.py",
    "numbers of our own process, or of an open file": "agent/doctor.py agent/overlays.py",
}
"""Files by why their lines may end at whatever Unicode calls an end."""


def test_lines_end_at_line_feeds_or_it_is_said_why_not() -> None:
    texts = ((path, path.read_text()) for path in SOURCES.rglob("*.py"))
    likely = [(path, text) for path, text in texts if "splitlines" in text or "encoding=" in text]
    found = {str(path.relative_to(SOURCES)) for path, text in likely if _SPLITTING.search(text)}
    assert found == {name for names in KNOWN.values() for name in names.split()}
