"""The pages about ATT&CK and known attacks name what there is: techniques of M1045, commands, tests, reason codes."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from chopmark import cli
from tests.unit import test_catalogues
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
KNOWN = [each for area in docs.known_attacks_table()["area"] for each in area["weakness"]]


def every() -> Iterator[dict[str, Any]]:
    for group in ("measure", "component", "technique"):
        yield from TABLE[group]


@cache
def source(node: str) -> str:
    return (docs.ROOT / node.partition("::")[0]).read_text()


@cache
def constants_in(file: str) -> set[str]:
    return test_catalogues.constants_named(source(file))


def shown(code: str, nodes: list[str]) -> bool:
    """Whether one of the files of these tests names a reason code: whole, behind its area, or by its constant."""
    files = {node.partition("::")[0] for node in nodes}
    names = (code, f'"{code.partition(".")[2]}"')
    return any(name in source(file) for file in files for name in names) or any(
        code in constants_in(file) for file in files
    )


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
    for node in {node for each in (*every(), *KNOWN) for node in each.get("tests", ())}:
        function = node.partition("::")[2] or r"test_\w+"
        if not re.search(rf"^ *def {function}\(", source(node), re.MULTILINE):
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


def test_each_known_attack_says_what_is_made_of_it_by_codes_that_its_tests_name() -> None:
    assert len(KNOWN) >= 100
    assert len({each["name"] for each in KNOWN}) == len(KNOWN)
    assert [each["name"] for each in KNOWN if not (each["tests"] and (each.get("codes") or each.get("says")))] == []
    claims = [(each["name"], code, each["tests"]) for each in KNOWN for code in each.get("codes", ())]
    assert {code for _, code, _ in claims} <= set(test_catalogues.constants().values())
    assert [f"{name}: {code}" for name, code, nodes in claims if not shown(code, nodes)] == []
