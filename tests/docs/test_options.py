"""Every option that a page gives to a command is one of that command."""

from __future__ import annotations

import contextlib
import functools
import io
import re
from pathlib import Path

import pytest

from chopmark import cli

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"commands.md", "reasons.md", "capabilities.md"}
PAGES = [ROOT / "README.md", *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.parent.name != "adr")]
CALL = re.compile(r"chopmark ([a-z0-9-]+)((?: [a-z0-9-]+)*)([^\n`|]*)")
OPTION = re.compile(r"(?<=\s)--[a-z][a-z0-9-]*")


@functools.cache
def help_of(words: tuple[str, ...]) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        cli.main([*words, "--help"])
    return said.getvalue()


def command(verb: str, words: list[str]) -> tuple[str, ...]:
    """The command with those below it that are called; what comes behind them are arguments."""
    called = [verb]
    for word in words[:2]:
        if not re.search(rf"^    {re.escape(word)}\b", help_of(tuple(called)), re.MULTILINE):
            break
        called.append(word)
    return tuple(called)


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in GENERATED], ids=lambda page: page.stem)
def test_options_on_this_page_are_there(page: Path) -> None:
    calls = CALL.findall(page.read_text().replace("\\\n", " "))
    unknown = [
        f"{' '.join(words)} {option}"
        for verb, below, rest in calls
        if verb in cli.VERBS
        for words in [command(verb, below.split())]
        for option in OPTION.findall(rest)
        if not re.search(rf"(?<![\w-]){option}(?![\w-])", help_of(words))
    ]
    assert unknown == []
