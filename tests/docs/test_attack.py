"""The page about ATT&CK names what there is: every technique of M1045, commands that exist, tests that exist."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

import pytest

from chopmark import cli
from tools import docs

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMED = {
    *("T1036", "T1036.001", "T1036.005", "T1059", "T1059.001", "T1127.002", "T1204", "T1204.003", "T1505.001"),
    *("T1505.002", "T1505.004", "T1505.006", "T1525", "T1543", "T1543.003", "T1546.006", "T1546.013", "T1554"),
    *("T1601", "T1601.001", "T1601.002"),
}
"""What MITRE lists under M1045, with the parents of what chopmark counters."""
TABLE = docs.attack_table()


def every() -> Iterator[dict[str, Any]]:
    for group in ("measure", "component", "technique"):
        yield from TABLE[group]


def test_the_measures_components_and_techniques_of_m1045_are_all_there() -> None:
    assert len(TABLE["measure"]) == 5
    assert len(TABLE["component"]) == 4
    identifiers = [each["id"] for each in TABLE["technique"]]
    assert set(identifiers) == NAMED
    assert identifiers == sorted(identifiers)


def test_what_is_not_shown_by_a_test_says_that_it_is_not_done() -> None:
    assert [each["name"] for each in every() if not (each.get("tests") or each.get("later"))] == []


def test_the_tests_are_there() -> None:
    missing = []
    for node in {node for each in every() for node in each.get("tests", ())}:
        path, _, function = node.partition("::")
        file = docs.ROOT / path
        defined = {each.name for each in ast.walk(ast.parse(file.read_text())) if isinstance(each, ast.FunctionDef)}
        if not any(name == function if function else name.startswith("test_") for name in defined):
            missing.append(node)
    assert missing == []


def test_the_commands_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    for command in sorted({command for each in every() for command in each["commands"]}):
        with pytest.raises(SystemExit) as left:
            cli.main([*command.split(), "--help"])
        assert left.value.code == 0, command
        assert capsys.readouterr().out.startswith(f"usage: chopmark {command}")


def test_techniques_that_code_names_are_shown_with_the_codes() -> None:
    page = docs.pages()["reference/attack.md"]
    for technique in filter(docs.codes_of, sorted(NAMED)):
        [section] = re.findall(rf"^### {re.escape(technique)} .*?(?=^##)", page, re.MULTILINE | re.DOTALL)
        assert f"`{docs.codes_of(technique)[0]}`" in section
