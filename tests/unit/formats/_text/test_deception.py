"""Lines that look like markers, and characters that nobody sees."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.formats._text import deception, reasons

MARKERS = ("SIG # Begin signature block", "SIG # End signature block")


def places(text: str, genuine: tuple[int, ...] = ()) -> list[int]:
    return deception.lookalikes(text, MARKERS, genuine)


@pytest.mark.parametrize(
    "line",
    [
        "# sig # begin signature block",
        "# SIG # Begin  signature block",
        "# SIG # Begin signature block ",
        "#SIG # Begin signature block",
        "# S1G # Begin signature b1ock",
        "# SlG # Begin signature block",
        "# S\u0406G # Begin signature block",
        "# \u0405\u0406G # \u0412egin sign\u0430ture block",
        "# SIG # Begin signature bl\u200bock",
        "# SIG # Begin\u00a0signature block",
        "\uff03 SIG # Begin signature block",
        "# \uff33\uff29\uff27 # Begin signature block",
        "# SI\u0301G # Begin signature block",
        "// SIG # End signature block",
        "<!-- SIG # End signature block -->",
        "\ufeff# SIG # Begin signature block",
        "# \u202eSIG # Begin signature block\u202c",
    ],
)
def test_what_looks_like_a_marker_is_found(line: str) -> None:
    assert places(f"first\n{line}\nlast") == [2]
    assert places(f"first\r\n{line}\r\nlast") == [2]
    assert places(f"first\r{line}\rlast") == [2]


@pytest.mark.parametrize(
    "line",
    [
        "$begin = '# SIG # Begin signature block'",
        "'# SIG # Begin signature block',",
        '"SIG # Begin signature block"',
        "# SIG # Begin signature block is what Windows writes",
        "# signature block",
        "Begin signature",
        "",
    ],
)
def test_what_speaks_of_a_marker_is_none(line: str) -> None:
    assert places(f"first\n{line}\nlast") == []


def test_genuine_lines_are_left_out() -> None:
    text = "first\n# SIG # Begin signature block\n# AA==\n# SIG # End signature block\n# sig # end signature block"
    assert places(text, (2, 4)) == [5]


@given(st.text(max_size=200))
def test_any_text_can_be_looked_at(text: str) -> None:
    places(text)
    list(deception.hidden(text))
    assert deception.skeleton(text).isascii() or "\ufffd" in deception.skeleton(text)


@given(st.text(st.characters(max_codepoint=127), max_size=200))
def test_the_fast_way_for_ascii_says_the_same(text: str) -> None:
    slow = deception.skeleton(text + "\u00e9").removesuffix("e")
    assert deception.skeleton(text) == slow


def test_line_numbers_count_every_kind_of_line_break() -> None:
    text = "1\n2\r\n3\r4\n\n6"
    assert [deception.line_number(text, text.index(str(number))) for number in (1, 2, 3, 4, 6)] == [1, 2, 3, 4, 6]


def test_reordering_and_invisible_characters_are_named() -> None:
    found = list(deception.hidden("a\n\u202e }\u2066if\n\u200b\n"))
    assert [finding.code for finding in found] == [reasons.BIDI.code, reasons.INVISIBLE.code]
    assert found[0].detail == "U+202E in line 2, U+2066 in line 2"
    assert found[1].detail == "U+200B in line 3"


def test_a_byte_order_mark_at_the_start_is_no_invisible_character() -> None:
    assert list(deception.hidden("\ufeffGrüße")) == []
    assert len(list(deception.hidden("\ufeffGr\ufeffüße"))) == 1


def test_megabytes_are_looked_at_in_seconds() -> None:
    started = time.process_time()
    for text in (
        "# signature block\n" * 300_000,
        "'# SIG # Begin signature block'\n" * 100_000,
        "é# SIG # Begin signature bloc\n" * 200_000,
    ):
        assert places(text) == []
    assert len(places("# SIG # Begin signature block\n" * 100_000)) == 100_000
    assert deception.line_numbers("\r\n" * 100_000, range(0, 200_000, 2))[-1] == 100_000
    assert time.process_time() - started < 10
