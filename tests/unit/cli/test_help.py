"""What every command says of itself: its shape, its examples, and that one name means one thing."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
from collections import defaultdict
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark import cli
from chopmark.cli.parsing import Parser

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
_OPTION = re.compile(r"^  (?:(-\w)(?: [^ ,]+)?, )?(--[\w-]+)(?: ([^ {]\S*))?", re.MULTILINE)
_COMMAND = re.compile(r"^    ([a-z][a-z-]*)(?:  .*)?$", re.MULTILINE)


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@cache
def helps(verb: str) -> dict[str, str]:
    """The help of a verb and of each command below it, by name."""
    return dict(_walk((verb,)))


def _walk(words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    text = _help(words)
    yield " ".join(words), text
    listed = text.partition("\n  COMMAND\n")[2].partition("\n\n")[0]
    for name in _COMMAND.findall(listed):
        yield from _walk((*words, name))


def _help(words: tuple[str, ...]) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as left:
        cli.main([*words, "--help"])
    assert left.value.code == 0
    return said.getvalue()


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_help_fits_into_80_columns(verb: str) -> None:
    for name, text in helps(verb).items():
        assert max(map(len, text.splitlines())) <= 80, name


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_examples_and_they_are_understood(verb: str) -> None:
    examples = re.findall(r"^    \$ (chopmark .*)$", helps(verb)[verb], re.MULTILINE)
    assert examples
    for example in examples:
        _, named, *arguments = shlex.split(example)
        assert named == verb
        module = import_module(f"chopmark.cli.{verb}")
        parser = Parser()
        module.add_arguments(parser)
        assert vars(parser.parse_args(arguments))


def test_what_is_one_letter_here_is_the_same_word_everywhere() -> None:
    words = defaultdict(set)
    for verb in cli.VERBS:
        for text in helps(verb).values():
            for letter, word, _ in _OPTION.findall(text):
                if letter:
                    words[letter].add(word)
    assert {letter: found for letter, found in words.items() if len(found) > 1} == {}


def parsers(verb: str) -> Iterator[ArgumentParser]:
    """The parser of a verb and those of all commands below it."""
    top = Parser(prog=f"chopmark {verb}")
    import_module(f"chopmark.cli.{verb}").add_arguments(top)
    waiting: list[ArgumentParser] = [top]
    while waiting:
        parser = waiting.pop()
        yield parser
        for action in parser._actions:  # noqa: SLF001 - argparse does not say otherwise what it was told
            if isinstance(action.choices, dict):
                waiting += action.choices.values()


@pytest.mark.parametrize("verb", cli.VERBS)
def test_no_option_may_be_cut_short(verb: str) -> None:
    for parser in parsers(verb):
        assert isinstance(parser, Parser), parser.prog
        assert not parser.allow_abbrev, parser.prog


@pytest.mark.parametrize("verb", cli.VERBS)
def test_everything_says_what_it_is(verb: str) -> None:
    hidden = ("chopmark guard hold",)  # what a guard starts by itself
    for parser in parsers(verb):
        nameless = [each.dest for each in parser._actions if not each.help and not isinstance(each.choices, dict)]  # noqa: SLF001
        assert nameless == [] or parser.prog in hidden, parser.prog
    for name, text in helps(verb).items():
        said = text.split("\n\n")[1]
        assert said[0].isupper(), name
        assert said.endswith((".", ":")), name


def test_no_script_of_ours_takes_options_that_are_cut_short() -> None:
    calls = [
        (path, call)
        for folder in ("src", "tools", "bench", "tests")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "vectors" not in path.parts and "ArgumentParser" in (text := path.read_text())
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("ArgumentParser")
    ]
    assert calls
    for path, call in calls:
        assert [each.arg for each in call.keywords].count("allow_abbrev"), f"{path}:{call.lineno}"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["verify", "--stor", "corp", "F"], "--store?"),
        (["verify", "--stroe=corp", "F"], "--store"),
        (["policy", "explain", "F", "--polic", "P"], "--policy"),
        (["guard", "statsu"], "status?"),
        (["git", "--", "sing"], ""),
        (["key"], "COMMAND"),
        (["verify", "-Z", "F"], "-Z"),
        (["verfy"], "verify"),
        (["--verison"], "--version"),
        (["-x"], "no such option"),
    ],
)
def test_what_is_mistyped_is_one_line_that_says_what_was_meant(
    words: list[str], names: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status: object
    try:
        status = cli.main(words)
    except SystemExit as left:
        status = left.code
    said = capsys.readouterr().err
    assert status == 2
    assert said.count("\n") == 1
    assert said.startswith("chopmark")
    assert names in said


def test_where_to_write_is_called_output_everywhere() -> None:
    declared = {word for verb in cli.VERBS for text in helps(verb).values() for _, word, _ in _OPTION.findall(text)}
    assert "--output" in declared
    assert not declared & {"--out", "--policy-signers", "--host", "--port"}
