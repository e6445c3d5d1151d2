"""A stranger finds every page: each is linked from the README, or from a page that is."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [(page.parent / target).resolve() for target in _LINK.findall(page.read_text())]
    assert set((ROOT / "docs").rglob("*.md")) - reached == set()


def test_the_floor_plan_names_every_room() -> None:
    """Formats are found by discovery and have a table of their own; all else that is a folder is in this one."""
    rows = re.findall(r"^\| `(\w+)/` \|(.*)$", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    house = ROOT / "src" / "chopmark"
    rooms = {path.parent.name for path in house.glob("*/__init__.py")}
    assert {room for room, _ in rows} == rooms
    for room, text in rows:
        inside = {path.parent.name for path in (house / room).glob("*/__init__.py")} if room != "formats" else set()
        assert {name for name in inside if f"`{name}/`" not in text} == set(), room
