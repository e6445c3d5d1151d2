"""Files of variables, and lists of them, as systemd reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.engine.services.units import environment, specifiers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=2", {"A": "1", "B": "2"}),
        ("  A = 1 2  \n", {"A": "1 2"}),  # blanks around both count for systemd alone
        ("A=\"x\"'y' z\n", {"A": "xyz"}),
        ('A=x"y"\n', {"A": 'x"y"'}),
        ("A=x\\\n  y\nB=z", {"A": "x  y", "B": "z"}),
        ("A='x\ny'\nB=z", {"A": "x\ny", "B": "z"}),
        ('A="a\\"b\\$c\\d\\\ne"\n', {"A": 'a"b$c\\de'}),
        ("# A=1\n;B=2\nC=3", {"C": "3"}),
        ("# x \\\nA=1", {"A": "1"}),
        ("nonsense\n=x\n1A=x\nA-B=x\nA=1", {"A": "1"}),
        ("='x\nA=1\n'", {"A": "1"}),
        ("A=1\rB=2\r\nC=3", {"A": "1", "B": "2", "C": "3"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=", {"A": ""}),
        ('A="open\\', {"A": "open"}),
        ("A=x\\", {"A": "x"}),
    ],
)
def test_files(text: str, expected: dict[str, str]) -> None:
    assert dict(environment.assignments(text.encode())) == expected


def _plain(text: str) -> str:
    if "%X" in text:
        raise specifiers.LineError("no such specifier")
    return text.replace("%n", "name")


@pytest.mark.parametrize(
    ("value", "expected", "count"),
    [
        ('A=1 "B=2 3" C=%n', {"A": "1", "B": "2 3", "C": "name"}, 0),
        ('A=1 "B=2', {"A": "1"}, 1),  # what stands before counts
        ("A=1 B=%X C=3", {"A": "1", "C": "3"}, 1),
        ("A 1B=2 C=3", {"C": "3"}, 0),
        ("", {}, 0),
    ],
)
def test_lists(value: str, expected: dict[str, str], count: int) -> None:
    problems: list[str] = []
    assert dict(environment.listed(value, _plain, problems)) == expected
    assert len(problems) == count


@given(st.text(alphabet="AB1=\n\r \t'\"\\#;$", max_size=40))
def test_nothing_breaks_it(text: str) -> None:
    for name, value in environment.assignments(text.encode()):
        assert name.isidentifier()
        assert "\0" not in value
    for name, _ in environment.listed(text, str, []):
        assert name.isidentifier()
