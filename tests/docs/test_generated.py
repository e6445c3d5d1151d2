"""The reference pages say what the code does, and no link leads nowhere."""

from __future__ import annotations

import pytest

from tools import docs


@pytest.mark.parametrize("page", ["reasons.md", "formats.md", "commands.md"])
def test_page_is_up_to_date(page: str) -> None:
    assert (docs.DOCS / "reference" / page).read_text() == docs.pages()[page], "run make docs"


def test_links_lead_somewhere() -> None:
    assert docs.dead_links() == []


def test_every_verb_has_help_in_80_columns() -> None:
    too_wide = [
        line for line in docs.pages()["commands.md"].splitlines() if len(line) > 80 and not line.startswith("<")
    ]
    assert too_wide == []
