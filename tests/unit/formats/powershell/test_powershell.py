"""PowerShell files: signed in every encoding, judged strictly, explained when something converted them."""

from __future__ import annotations

import codecs
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core import reasons as core_reasons
from chopmark.core.artifact import Artifact, UnreadableError
from chopmark.core.contracts import Format, SealOptions
from chopmark.core.errors import BrokenError, MalformedError, RefusedError
from chopmark.core.seal import Range, Recipe
from chopmark.envelopes import authenticode
from chopmark.formats._text import comment_block
from chopmark.formats._text import reasons as text_reasons
from chopmark.formats.powershell import FORMAT, kinds, reasons, text
from tests.support import probing
from tests.support.integrity import Answer, examine

if TYPE_CHECKING:
    from chopmark.formats._text.style import Style

VECTORS = Path(__file__).parents[3] / "vectors" / "powershell"
SAMPLES = sorted((*VECTORS.glob("sample-*"), *VECTORS.glob("more-*")))
HELLO = (VECTORS / "sample-hello.ps1").read_bytes()
BOM = (VECTORS / "sample-bom.psd1").read_bytes()

encodings = st.sampled_from([text.UTF_8, text.UTF_16_LE, text.UTF_16_BE, text.WINDOWS_1252])
every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)


def sign(data: bytes, name: str = "x.ps1", options: SealOptions = probing.DEFAULTS) -> bytes:
    artifact = Artifact.from_bytes(data, name)
    return probing.signed(FORMAT, artifact, options).render(artifact)


def look(data: bytes, name: str = "x.ps1") -> Answer:
    [answer] = examine(FORMAT, Artifact.from_bytes(data, name))
    return answer


def broken(data: bytes, name: str = "x.ps1") -> str:
    with pytest.raises(BrokenError) as caught:
        examine(FORMAT, Artifact.from_bytes(data, name))
    return caught.value.reason.code


def strip(data: bytes, name: str = "x.ps1") -> bytes:
    artifact = Artifact.from_bytes(data, name)
    return FORMAT.strip(artifact).render(artifact)


def raw_block(envelope: bytes = b"x", style: Style = kinds.HASH) -> bytes:
    return comment_block.render(style, envelope, "\r\n").encode()


def envelope_of(data: bytes, name: str = "x.ps1") -> bytes:
    return next(iter(FORMAT.extract(Artifact.from_bytes(data, name)))).envelope.raw


# Round trip


@every_sample
def test_a_signed_file_is_intact_and_its_text_untouched(sample: Path) -> None:
    data = sample.read_bytes()
    signed = sign(data, sample.name)
    assert signed.startswith(data)
    answer = look(signed, sample.name)
    assert answer.intact, answer.wrong
    assert reasons.BLOCK_SOUND.code in answer.codes
    assert reasons.HANDLER.code in answer.codes
    assert answer.where == "signature 1"
    assert strip(signed, sample.name) == data


@every_sample
def test_the_block_is_in_the_encoding_of_the_text_and_in_crlf(sample: Path) -> None:
    data = sample.read_bytes()
    encoding = next((name for bom, name in text.BOMS.items() if data.startswith(bom)), "ascii")
    block = sign(data, sample.name)[len(data) :].decode(encoding)
    lines = block.split("\r\n")
    style = kinds.STYLES[sample.suffix]
    assert lines[:2] == ["", style.begin_line]
    assert lines[-2:] == [style.end_line, ""]
    assert "\n" not in block.replace("\r\n", "")
    assert {len(line) for line in lines[2:-3]} == {len(style.line("")) + comment_block.WIDTH}


def test_it_is_a_format() -> None:
    assert isinstance(FORMAT, Format)
    assert FORMAT.suffixes == (".ps1", ".psm1", ".psd1", ".ps1xml", ".psc1", ".cdxml", ".mof")


@pytest.mark.parametrize(
    ("data", "digested"),
    [
        (b"abcd", "abcd"),
        (b"abc\xe9", "abc\u00e9"),
        (b"a\x93\x81b", "a\u201c\x81b"),
        (b"a\xe9bcd", "a\u00e9bcd"),
        (b"\xef\xbb\xbfab\xc3\xa9", "\ufeffab\u00e9"),
        (b"\xff\xfea\0b\0", "\ufeffab"),
        (b"\xfe\xff\0a\0b", "\ufeffab"),
        (b"\xc3\xa9 within the first 32 bytes", "\u00e9 within the first 32 bytes"),
        (b"#" * 32 + b"\xc3\xa9", "#" * 32 + "\u00c3\u00a9"),
        (b"#" * 31 + b"\xc3\xa9", "#" * 31 + "\u00c3\u00a9"),
        (b"#" * 30 + b"\xc3\xa9", "#" * 30 + "\u00e9"),
    ],
)
def test_the_text_is_read_as_windows_reads_it(data: bytes, digested: str) -> None:
    reading = text.Text(data).readings(len(data))[0]
    value, length = text.digest([data], reading, "sha256")
    assert value == text.digest_of(digested, "sha256")
    assert length == len(data)


@pytest.mark.parametrize("data", [b"\xff", b"\xc3"])
def test_what_became_something_else_meanwhile_is_no_such_text(data: bytes) -> None:
    with pytest.raises(BrokenError):
        text.digest([data], text.UTF_8, "sha256")


@given(st.binary(max_size=60), encodings, st.data())
def test_a_digest_does_not_depend_on_the_pieces(data: bytes, encoding: str, draw: st.DataObject) -> None:
    data = data.decode("latin-1").encode() if encoding == text.UTF_8 else data[: len(data) // 2 * 2]
    cut = draw.draw(st.integers(0, len(data)))
    whole = text.digest_of(text.decode(data, encoding), "sha256"), len(data)
    assert text.digest([data[:cut], data[cut:]], encoding, "sha256") == whole


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_windows_1252_loses_nothing(first: bytes, second: bytes) -> None:
    same = text.decode(first, text.WINDOWS_1252) == text.decode(second, text.WINDOWS_1252)
    assert same is (first == second)


def test_signing_again_replaces_and_appending_nests() -> None:
    once = sign(HELLO)
    assert sign(HELLO, options=SealOptions(append=True)) == sign(once) == once
    assert look(once).codes.isdisjoint({reasons.ENCODING_UNMARKED.code, reasons.INTERPRETER.code})
    twice = sign(once, options=SealOptions(append=True))
    answers = examine(FORMAT, Artifact.from_bytes(twice, "x.ps1"))
    assert [answer.where for answer in answers] == ["signature 1", "nested signature 1.1"]
    assert all(answer.intact for answer in answers)
    assert strip(twice) == HELLO


def test_a_file_that_lost_its_crlf_can_be_signed_again() -> None:
    data = sign(b"'text'\n").replace(b"\r\n", b"\n")
    assert look(sign(data)).intact
    assert strip(data) == b"'text'\n"


# Places where something could hide


@pytest.mark.parametrize(
    ("tail", "code"),
    [
        (b"Remove-Item x\r\n", reasons.BLOCK_TRAILING),
        (b" ", reasons.BLOCK_TRAILING),
        (b"\x00", reasons.BLOCK_TRAILING),
        (b"# comment", reasons.BLOCK_TRAILING),
        (b"\r\n", reasons.BLOCK_FORM),
        (b"\n", reasons.BLOCK_FORM),
    ],
)
def test_nothing_may_follow_the_block(tail: bytes, code: core_reasons.Reason) -> None:
    data = sign(HELLO) + tail
    answer = look(data)
    assert answer.wrong == {code.code}
    if code is reasons.BLOCK_TRAILING:
        with pytest.raises(RefusedError):
            sign(data)
        with pytest.raises(RefusedError):
            strip(data)


def test_a_last_line_break_of_lf_means_nothing_and_is_told() -> None:
    answer = look(sign(HELLO).removesuffix(b"\r\n") + b"\n")
    assert answer.intact
    assert reasons.BLOCK_LAST_BREAK.code in answer.codes


@pytest.mark.parametrize("end", [b"", b"\r"])
def test_the_last_line_break_is_needed(end: bytes) -> None:
    assert look(sign(HELLO).removesuffix(b"\r\n") + end).wrong == {reasons.BLOCK_FORM.code}


def test_two_blocks() -> None:
    signed = sign(HELLO)
    answer = look(signed + b"Remove-Item x\r\n" + raw_block())
    assert answer.wrong == {reasons.BLOCK_SEVERAL.code, reasons.BLOCK_TRAILING.code}
    answer = look(HELLO + raw_block(envelope_of(signed)) + b"Remove-Item x\r\n" + signed[len(HELLO) :])
    assert reasons.BLOCK_SEVERAL.code in answer.wrong
    with pytest.raises(RefusedError):
        sign(signed + signed[len(HELLO) :])
    begun = HELLO + b"# SIG # End signature block\r\n" + signed[len(HELLO) :]
    assert reasons.BLOCK_SEVERAL.code in look(begun).wrong, "an end line before the block"


@pytest.mark.parametrize(
    "line",
    [
        "# sig # begin signature block",
        "# SIG # Begin signature block ",
        "#  SIG # Begin signature block",
        "# S\u0406G # Begin signature block",
        "<!-- SIG # Begin signature block -->",
        "# SIG # End sign\u0430ture block",
    ],
)
def test_lines_that_look_like_markers(line: str) -> None:
    lookalike = f"{line}\r\n".encode()
    assert broken(HELLO + lookalike) == reasons.BLOCK_LOOKALIKE.code
    with pytest.raises(RefusedError):
        sign(HELLO + lookalike)
    signed = sign(HELLO)
    inside = signed.replace(HELLO, HELLO + lookalike)
    assert reasons.BLOCK_LOOKALIKE.code in look(inside).wrong


def test_a_text_that_speaks_of_markers_is_nothing_special() -> None:
    data = HELLO + b"$begin = '# SIG # Begin signature block'\r\n"
    assert examine(FORMAT, Artifact.from_bytes(data, "x.ps1")) == []
    assert look(sign(data)).intact


@pytest.mark.parametrize(
    "block",
    [
        b"\r\n# SIG # Begin signature block\r\n# AAAA\r\n",
        b"\r\n# SIG # End signature block\r\n",
        b"\r\n# SIG # End signature block\r\n# SIG # Begin signature block\r\n",
    ],
)
def test_half_a_block(block: bytes) -> None:
    assert broken(HELLO + block) == reasons.BLOCK_OPEN.code


@pytest.mark.parametrize("body", [b"Remove-Item x", b"# ====", b"# A", b""])
def test_a_block_that_holds_no_signature(body: bytes) -> None:
    data = HELLO + raw_block().replace(b"# eA==", body)
    with pytest.raises(MalformedError):
        look(data)


def test_code_inside_the_block() -> None:
    signed = sign(HELLO)
    end = signed.index(b"\r\n# SIG # End")
    assert broken(signed[:end] + b"\r\nRemove-Item x" + signed[end:]) == reasons.BLOCK_BASE64.code


def test_other_ways_to_write_the_same_block() -> None:
    signed = sign(HELLO)
    place = signed.index(b"\r\n# ", len(HELLO) + 80)
    for changed in (
        signed[:place] + b" " + signed[place:],
        signed[: place + 4] + b" " + signed[place + 4 :],
        signed[: place + 10] + b"\r\n# " + signed[place + 10 :],
        signed[:place] + b"\r\n#" + signed[place:],
    ):
        assert look(changed).wrong == {reasons.BLOCK_FORM.code}


def test_a_signature_made_for_a_program() -> None:
    [payload] = FORMAT.digest(
        Artifact.from_bytes(HELLO), [FORMAT.recipe(Artifact.from_bytes(HELLO, "x.ps1"), probing.DEFAULTS)]
    )
    content = authenticode.pe_content("sha256", payload.value, options=probing.DEFAULTS)
    answer = look(HELLO + raw_block(probing.envelope(content)))
    assert answer.wrong == {reasons.HANDLER_WRONG.code}
    content = authenticode.sip_content(str(kinds.HANDLER).replace("6", "7"), "sha256", payload.value, probing.DEFAULTS)
    assert look(HELLO + raw_block(probing.envelope(content))).wrong == {reasons.HANDLER_WRONG.code}


def test_a_signature_taken_from_another_file() -> None:
    answer = look(b"Remove-Item x" + sign(HELLO)[len(HELLO) :])
    assert answer.wrong == {core_reasons.DIGEST_MISMATCH.code}


def test_every_flipped_character_of_a_block_is_noticed_when_the_envelope_stays() -> None:
    """The envelope's own bytes are tried by the laws; here nothing but the writing changes."""
    signed = sign(HELLO)
    envelope = envelope_of(signed)
    for place in range(len(HELLO), len(signed)):
        changed = signed[:place] + bytes([signed[place] ^ (0x01, 0x20, 0x80)[place % 3]]) + signed[place + 1 :]
        try:
            answers = examine(FORMAT, Artifact.from_bytes(changed, "x.ps1"))
        except MalformedError:
            continue
        for answer in answers:
            assert not answer.intact or envelope_of(changed) != envelope


# Conversions


def test_crlf_lost_on_the_way() -> None:
    answer = look(sign(HELLO).replace(b"\r\n", b"\n"))
    assert answer.wrong == {
        reasons.BLOCK_LINE_BREAKS.code,
        core_reasons.DIGEST_MISMATCH.code,
        reasons.CHANGED_LINE_BREAKS.code,
    }
    assert answer.detail(reasons.CHANGED_LINE_BREAKS) == "they were CR LF"


def test_crlf_gained_on_the_way() -> None:
    data = b"'one'\n'two'\n"
    signed = sign(data)
    answer = look(data.replace(b"\n", b"\r\n") + signed[len(data) :])
    assert answer.wrong == {core_reasons.DIGEST_MISMATCH.code, reasons.CHANGED_LINE_BREAKS.code}
    assert answer.detail(reasons.CHANGED_LINE_BREAKS) == "they were LF"


def test_a_byte_order_mark_lost_or_gained() -> None:
    answer = look(codecs.BOM_UTF8 + sign(HELLO))
    assert answer.wrong == {core_reasons.DIGEST_MISMATCH.code, reasons.CHANGED_BOM.code}
    assert answer.detail(reasons.CHANGED_BOM) == "it was added"
    marked = sign(codecs.BOM_UTF8 + HELLO)
    answer = look(marked.removeprefix(codecs.BOM_UTF8))
    assert answer.detail(reasons.CHANGED_BOM) == "it was removed"


def test_both_at_once() -> None:
    answer = look(codecs.BOM_UTF8 + sign(HELLO).replace(b"\r\n", b"\n"))
    assert {reasons.CHANGED_BOM.code, reasons.CHANGED_LINE_BREAKS.code} <= answer.wrong


def test_a_mark_exchanged_for_another_is_another_text() -> None:
    signed = sign((VECTORS / "sample-utf16le.ps1").read_bytes())
    with pytest.raises(MalformedError):
        look(codecs.BOM_UTF8 + signed[2:])
    assert examine(FORMAT, Artifact.from_bytes(codecs.BOM_UTF16_BE + signed[2:], "x.ps1")) == []


def test_the_same_text_in_another_marked_encoding_is_what_was_signed() -> None:
    """As for Windows: the text is signed, byte order mark included, not its bytes."""
    signed = sign(BOM, "x.psd1").decode()
    for encoding in (text.UTF_16_LE, text.UTF_16_BE):
        assert look(signed.encode(encoding), "x.psd1").intact


# Characters beyond ASCII without a byte order mark


PLAIN = "Write-Output 'a line that is long enough'\r\n"


def test_without_a_mark_it_is_not_signed_unless_told_how() -> None:
    data = (PLAIN + "# \u00e9\r\n").encode()
    with pytest.raises(RefusedError, match="byte order mark"):
        sign(data)
    with pytest.raises(RefusedError, match="utf-16"):
        sign(data, options=SealOptions(variant="utf-16"))
    for variant in (text.UTF_8, text.WINDOWS_1252):
        answer = look(sign(data, options=SealOptions(variant=variant)))
        assert answer.intact
        assert answer.detail(reasons.ENCODING_UNMARKED) == f"signed as {variant}"


def test_in_a_code_page() -> None:
    data = (PLAIN + "# \u00fcber \u201cquotes\u201d\r\n").encode("cp1252")
    with pytest.raises(RefusedError):
        sign(data, options=SealOptions(variant="utf-8"))
    assert look(sign(data, options=SealOptions(variant="windows-1252"))).intact


@pytest.mark.parametrize("character", ["\u2019", "\u00c4", "\u2013", "\u201c"])
def test_signed_as_utf8_where_windows_sees_other_quotes_or_dashes(character: str) -> None:
    data = (PLAIN + f"# {character}\r\n").encode()
    signed = sign(data, options=SealOptions(variant="utf-8"))
    assert look(signed).wrong == {reasons.ENCODING_AMBIGUOUS.code}
    assert look(sign(data, options=SealOptions(variant="windows-1252"))).intact


def test_a_changed_text_without_a_mark_is_changed() -> None:
    data = (PLAIN + "# \u00e9\r\n").encode()
    signed = sign(data, options=SealOptions(variant="utf-8")).replace(b"long", b"last")
    assert core_reasons.DIGEST_MISMATCH.code in look(signed).wrong


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfnot \xff utf-8",
        b"\xc3\xa9 and then something that is no \xff utf-8",
        b"\xff\xfeodd",
        b"nul \x00 without a mark",
    ],
)
def test_what_cannot_be_decoded_is_not_signed(data: bytes) -> None:
    with pytest.raises(RefusedError):
        sign(data)
    with pytest.raises(RefusedError):
        strip(data)
    if not data.startswith(codecs.BOM_UTF16_LE):
        assert broken(data + raw_block()) == reasons.ENCODING_UNKNOWN.code


def test_xml_that_declares_another_encoding() -> None:
    """In UTF-7 the certificates in the block, which nobody signs, could hold the end of the comment and elements."""
    data = b"<?xml version='1.0' encoding='utf-7'?>\r\n<Configuration/>\r\n"
    with pytest.raises(RefusedError, match="utf-7"):
        sign(data, "x.ps1xml")
    artifact = Artifact.from_bytes(data, "x.ps1xml")
    [payload] = FORMAT.digest(artifact, [Recipe("sha256", (Range(0, len(data)),), text.UTF_8)])
    block = raw_block(probing.envelope(FORMAT.content(artifact, payload, probing.DEFAULTS)), kinds.XML)
    assert look(data + block, "x.ps1xml").wrong == {reasons.ENCODING_DECLARED.code}
    for harmless in (b"utf-8", b"us-ascii", b"ISO-8859-1", b"Windows-1252"):
        assert look(sign(data.replace(b"utf-7", harmless), "x.ps1xml"), "x.ps1xml").intact
    wide = "\ufeff<?xml version='1.0' encoding='utf-16'?><Configuration/>"
    assert look(sign(wide.encode("utf-16-le"), "x.ps1xml"), "x.ps1xml").intact
    for misleading in (
        data.replace(b" encoding", b" " * 300 + b"encoding"),
        data.replace(b"utf-7", b"utf-16"),
        wide.replace("utf-16", "utf-7").encode("utf-16-le"),
    ):
        with pytest.raises(RefusedError, match="utf-"):
            sign(misleading, "x.ps1xml")


# What else is told


def test_another_interpreter_in_the_first_line() -> None:
    assert look(sign(b"#!/bin/sh\necho hello\n")).detail(reasons.INTERPRETER) == "sh"
    assert reasons.INTERPRETER.code not in look(sign(b"#!/usr/bin/env pwsh\n'hello'\n")).codes


def test_hidden_characters() -> None:
    answer = look(sign("\ufeff'a\u202eb'\r\n# \u200b\r\n".encode()))
    assert answer.intact
    assert {text_reasons.BIDI.code, text_reasons.INVISIBLE.code} <= answer.codes


def test_windows_signs_nothing_shorter_than_four_bytes() -> None:
    with pytest.raises(RefusedError):
        sign(b"'a'")
    assert look(sign(b"'ab'")).intact


def test_an_envelope_that_is_no_authenticode_is_not_put_in() -> None:
    artifact = Artifact.from_bytes(HELLO, "x.ps1")
    with pytest.raises(MalformedError):
        FORMAT.embed(artifact, b"x", probing.DEFAULTS)


class _Large:
    size = limits.SCRIPT_MAX + 1

    def read(self, offset: int, length: int) -> bytes:
        raise AssertionError((offset, length))

    def changed(self) -> bool:
        return False


def test_what_is_too_large_is_not_read() -> None:
    with pytest.raises(UnreadableError):
        list(FORMAT.extract(Artifact("x.ps1", _Large())))


@pytest.mark.parametrize(
    ("head", "name", "certainty"),
    [
        (HELLO, "x.ps1", 7),
        (HELLO, "folder.d/X.PSM1", 7),
        (HELLO, "x.ps1.txt", 0),
        (HELLO, "ps1", 0),
        (HELLO, "x.ps1/y", 0),
        (b"#!/usr/bin/env pwsh\n", "x", 8),
        (b"#!/usr/bin/pwsh-preview\n", "x.sh", 8),
        (b"#!/bin/sh\n", "x", 0),
        (codecs.BOM_UTF16_LE + "x".encode("utf-16-le"), "x.ps1", 7),
        (b"MZ\x90\x00", "x.ps1", 2),
        (b"\x00\x00", "x.ps1", 2),
        (raw_block(), "x", 5),
        (b"", "x.mof", 7),
        (b"", "", 0),
    ],
)
def test_detection(head: bytes, name: str, certainty: int) -> None:
    assert FORMAT.detect(head, name) == certainty


# Anything at all


ask = partial(probing.ask, FORMAT)
names = st.sampled_from([sample.name for sample in SAMPLES] + ["x"])


@given(st.binary(max_size=200), names)
def test_any_bytes(data: bytes, name: str) -> None:
    ask(data, name)


@given(st.sampled_from(SAMPLES), st.data())
def test_signed_files_changed_at_random(sample: Path, data: st.DataObject) -> None:
    signed = sign(sample.read_bytes(), sample.name)
    ask(data.draw(probing.changed(signed, b"\r\n", b"\n", raw_block())), sample.name)


@given(st.text(st.sampled_from("# SIGBeginEndsignatureblock\r\n-<!>*/A=\u0406\ufeff"), max_size=80), names)
def test_text_made_of_the_parts_of_markers(data: str, name: str) -> None:
    ask(data.encode(), name)
