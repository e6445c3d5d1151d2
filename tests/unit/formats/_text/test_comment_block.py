"""Blocks of base64 in comments: one canonical form, whatever is wrong is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.formats._text import comment_block
from chopmark.formats._text.style import Style

HASH = Style("# ", "", "SIG begin", "SIG end")
XML = Style("<!-- ", " -->", "SIG begin", "SIG end")

styles = st.sampled_from([HASH, XML])
newlines = st.sampled_from(["\n", "\r\n"])
texts = st.text(st.characters(max_codepoint=255), max_size=60).filter(lambda text: "SIG" not in text)


def only(view: str, style: Style) -> comment_block.Block:
    [begin] = comment_block.marker_lines(view, style.begin_line)
    block = comment_block.at(view, begin, style)
    assert block
    return block


@given(styles, newlines, texts, st.binary(min_size=1, max_size=200))
def test_what_is_rendered_is_found_again(style: Style, newline: str, text: str, envelope: bytes) -> None:
    view = text + comment_block.render(style, envelope, newline)
    block = only(view, style)
    assert view[: block.start] == text
    assert comment_block.decode(block) == envelope
    assert comment_block.departures(block, envelope, newline) == []
    assert block.tail == newline


@given(styles, st.binary(min_size=60, max_size=200), st.data())
def test_no_character_of_a_block_can_be_another(style: Style, envelope: bytes, data: st.DataObject) -> None:
    view = "text\n" + comment_block.render(style, envelope, "\n")
    place = data.draw(st.integers(5, len(view) - 2))
    other = data.draw(st.characters(max_codepoint=127).filter(lambda character: character != view[place]))
    changed = view[:place] + other + view[place + 1 :]
    begins = comment_block.marker_lines(changed, style.begin_line)
    block = comment_block.at(changed, begins[0], style) if begins else None
    if block is None:
        return
    try:
        decoded = comment_block.decode(block)
    except comment_block.BlockError:
        return
    canonical = not comment_block.departures(block, decoded, "\n") and block.tail == "\n"
    assert decoded != envelope or not canonical


@pytest.mark.parametrize(
    ("old", "new", "departure"),
    [
        ("\n", "\r\n", comment_block.LINE_BREAKS),
        ("\n", "\r", comment_block.LINE_BREAKS),
        ("# AAAA", "#  AAAA", "line 2 of it is not as it is written"),
        ("# AAAA", "#AAAA", "line 2 of it is not as it is written"),
        ("# AAAA", "# AA\n# AA", "line 2 of it is not as it is written"),
        ("\n# SIG end", " \n# SIG end", "line 3 of it is not as it is written"),
        ("\n# SIG end", "\n#\n# SIG end", "line 4 of it is not as it is written"),
    ],
)
def test_departures_are_named(old: str, new: str, departure: str) -> None:
    view = ("x" + comment_block.render(HASH, bytes(60), "\n")).replace(old, new)
    block = only(view, HASH)
    assert comment_block.decode(block) == bytes(60)
    assert comment_block.departures(block, bytes(60), "\n") == [departure]


def test_base64_with_bits_that_do_not_count_is_not_canonical() -> None:
    view = "x" + comment_block.render(HASH, b"a", "\n")
    block = only(view.replace("YQ==", "YR=="), HASH)
    assert comment_block.decode(block) == b"a"
    assert comment_block.departures(block, b"a", "\n")


def test_a_block_at_the_very_start_has_no_line_break_of_its_own() -> None:
    view = comment_block.render(HASH, b"a", "\n")[1:]
    block = only(view, HASH)
    assert block.start == 0
    assert comment_block.departures(block, b"a", "\n") == ["it does not start on a line of its own"]


def test_behind_a_lone_cr_the_line_break_is_that_of_the_block() -> None:
    block = only("text\r" + comment_block.render(HASH, b"a", "\n"), HASH)
    assert block.start == len("text\r")


@pytest.mark.parametrize("body", ["# YQ==\ncode\n", "# YQ=\n", "# Y*==\n", "# YQ==YQ==\n", "# é\n"])
def test_what_is_no_base64_is_refused(body: str) -> None:
    block = only(f"\n{HASH.begin_line}\n{body}{HASH.end_line}\n", HASH)
    with pytest.raises(comment_block.BlockError):
        comment_block.decode(block)


def test_a_block_without_an_end_is_none() -> None:
    assert comment_block.at(f"\n{HASH.begin_line}\n# YQ==\n", 1, HASH) is None


def test_markers_stand_alone_in_their_line() -> None:
    line = HASH.begin_line
    alone = [f"{line}\n", f"\r{line}\r", f"\n{line}"]
    view = "".join([alone[0], f"x {line}\n{line} \n {line}", alone[1], alone[2]])
    found = comment_block.marker_lines(view, line)
    assert found == [0, view.index("\r") + 1, len(view) - len(line)]
