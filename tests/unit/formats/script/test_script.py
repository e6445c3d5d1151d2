"""Scripts: the block is a comment where it stands, ends the file, and can be written in one way only."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core import reasons as core_reasons
from chopmark.core.artifact import Artifact, UnreadableError
from chopmark.core.contracts import Content, Format, SealOptions
from chopmark.core.errors import BrokenError, MalformedError, RefusedError
from chopmark.envelopes import der
from chopmark.formats._text import comment_block
from chopmark.formats._text import reasons as text_reasons
from chopmark.formats.script import FORMAT, document, reasons
from tests.support import pki, probing, script_vectors
from tests.support.integrity import Answer, examine
from tests.support.patience import PATIENCE

VECTORS = Path(__file__).parents[3] / "vectors" / "script"
SAMPLES = sorted((*VECTORS.glob("sample-*"), *VECTORS.glob("more-*")))
HELLO = (VECTORS / "sample-hello.sh").read_bytes()
HASH = document.STYLES["#"]
CHANGED = {core_reasons.DIGEST_MISMATCH.code}
SLASHES = document.STYLES["//"]

every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)


def sign(data: bytes, name: str = "x.sh", options: SealOptions = probing.DEFAULTS) -> bytes:
    artifact = Artifact.from_bytes(data, name)
    return probing.signed(FORMAT, artifact, options).render(artifact)


def look(data: bytes, name: str = "x.sh") -> Answer:
    [answer] = examine(FORMAT, Artifact.from_bytes(data, name))
    return answer


def broken(data: bytes, name: str = "x.sh") -> str:
    with pytest.raises(BrokenError) as caught:
        examine(FORMAT, Artifact.from_bytes(data, name))
    return caught.value.reason.code


def strip(data: bytes, name: str = "x.sh") -> bytes:
    artifact = Artifact.from_bytes(data, name)
    return FORMAT.strip(artifact).render(artifact)


def raw_block(envelope: bytes = b"x", newline: str = "\n") -> bytes:
    return comment_block.render(HASH, envelope, newline).encode()


# Round trip


@every_sample
def test_a_signed_script_is_intact_and_its_content_untouched(sample: Path) -> None:
    data = sample.read_bytes()
    signed = sign(data, sample.name)
    assert signed.startswith(data)
    answer = look(signed, sample.name)
    assert answer.intact, answer.wrong
    assert reasons.BLOCK_SOUND.code in answer.codes
    assert reasons.BLOCK_EARLIER.code not in answer.codes
    assert strip(signed, sample.name) == data
    assert sign(signed, sample.name) == signed


@pytest.mark.parametrize(
    ("content", "newline"), [(b"", "\n"), (b"\n\r", "\n"), (b"a\r\nb", "\r\n"), (b"\r\n\n", "\n"), (b"\r\n", "\r\n")]
)
def test_the_last_line_break_decides_how_a_block_is_written(content: bytes, newline: str) -> None:
    assert document.newline_of(content) == newline


def test_a_block_that_nobody_signed_is_no_missing_signature() -> None:
    assert examine(FORMAT, Artifact.from_bytes(HELLO, "x.sh")) == []
    lines = sign(HELLO)[len(HELLO) :].replace(b"# ", b"").split(b"\n")
    outer = der.parse(base64.b64decode(b"".join(lines[2:-2]))).children()
    signed = outer[1].only_child().children()
    empty = der.sequence(*(node.raw for node in signed[:-1]), der.encode(der.SET))
    nobody = der.sequence(outer[0].raw, der.explicit(0, empty))
    assert broken(HELLO + raw_block(nobody)) == reasons.BLOCK_FORM.code


def test_a_signature_over_another_kind_of_content_is_none_over_a_script() -> None:
    other = probing.envelope(Content("1.2.3.4", "sha256", sha256(HELLO).digest()))
    assert look(HELLO + raw_block(other)).wrong == {reasons.BLOCK_FORM.code}


def test_signing_again_replaces_and_appending_keeps() -> None:
    once = sign(HELLO)
    assert sign(HELLO, options=SealOptions(append=True)) == once
    assert reasons.INTERPRETER.code not in look(once).codes
    for append, count in ((False, 1), (True, 2)):
        again = sign(once, options=SealOptions("sha384", append=append))
        answers = examine(FORMAT, Artifact.from_bytes(again, "x.sh"))
        assert [answer.intact for answer in answers] == [True] * count


def test_it_is_a_format() -> None:
    assert isinstance(FORMAT, Format)
    assert not set(FORMAT.suffixes) & {".ps1", ".psm1", ".exe", ".mof"}


def test_the_specification_and_its_vectors_agree() -> None:
    described = json.loads((VECTORS / "vectors.json").read_text("utf-8"))
    assert len(described) >= 8
    for case in described:
        signed = (VECTORS / case["file"]).read_bytes()
        artifact = Artifact.from_bytes(signed, case["file"])
        content = signed[: case["content_length"]]
        assert sha256(content).hexdigest() == case["sha256"]
        if case["valid"]:
            answer = look(signed, case["file"])
            assert answer.intact, (case["file"], answer.wrong)
            begin = (case["newline"] + case["comment"] + " " + document.BEGIN + case["newline"]).encode()
            assert signed.startswith(begin, case["content_length"])
            [seal] = FORMAT.extract(artifact)
            assert seal.claims[0].expected == sha256(content).digest()
        else:
            assert case["reason"] in complaints(artifact), case["file"]


def test_the_vectors_are_what_is_written_now() -> None:
    for name, data in script_vectors.files().items():
        assert (VECTORS / name).read_bytes() == data, name


def complaints(artifact: Artifact) -> set[str]:
    try:
        return {code for answer in examine(FORMAT, artifact) for code in answer.wrong}
    except BrokenError as error:
        return {error.reason.code}


@pytest.mark.parametrize(
    ("content", "newline"),
    [
        (b"", "\n"),
        (b"x", "\n"),
        (b"x\n", "\n"),
        (b"x\r\n", "\r\n"),
        (b"x\r\ny", "\r\n"),
        (b"x\r\ny\n", "\n"),
        (b"x\ny\r\n", "\r\n"),
        (b"x\r", "\n"),
        (b"x\ry\r", "\n"),
        (b"\n", "\n"),
        (b"\r\n", "\r\n"),
    ],
)
def test_line_breaks_follow_the_last_of_the_script(content: bytes, newline: str) -> None:
    signed = sign(content)
    assert signed[len(content) :].startswith((newline + HASH.begin_line + newline).encode())
    assert look(signed).intact
    assert strip(signed) == content


def test_two_signers_in_one_block() -> None:
    artifact = Artifact.from_bytes(sign(HELLO), "x.sh")
    second = pki.leaf(pki.world().issuing, "Example Second Signer")
    [payload] = FORMAT.digest(artifact, [FORMAT.recipe(artifact, probing.DEFAULTS)])
    from chopmark.envelopes import cms

    draft = cms.draft(
        FORMAT.content(artifact, payload, probing.DEFAULTS), second, second.certificates, signing_time=pki.NOW
    )
    envelope = draft.finish(second.sign(draft.to_be_signed, "sha256"))
    both = FORMAT.embed(artifact, envelope, SealOptions(append=True)).render(artifact)
    answers = examine(FORMAT, Artifact.from_bytes(both, "x.sh"))
    assert [answer.where for answer in answers] == ["signature block, signer 1", "signature block, signer 2"]
    assert all(answer.intact for answer in answers)
    assert strip(both) == HELLO


# The script still does what it did

COMMANDS = {
    ".sh": ["sh"],
    ".bash": ["bash"],
    ".py": [sys.executable],
    ".pl": ["perl"],
    ".rb": ["ruby"],
    ".php": ["php"],
    ".js": ["node"],
    ".lua": ["lua5.4"],
    ".tcl": ["tclsh"],
    ".mk": ["make", "-s", "-f"],
}


RUNNING = [sample for sample in SAMPLES if shutil.which(COMMANDS.get(sample.suffix, [""])[0])]
"""Those whose interpreter is here; what is not installed is not run."""


@pytest.mark.parametrize("sample", RUNNING, ids=lambda sample: sample.name)
def test_a_signed_script_runs_as_before(sample: Path, tmp_path: Path) -> None:
    command = COMMANDS[sample.suffix]
    script = tmp_path / sample.name
    outputs = []
    for data in (sample.read_bytes(), sign(sample.read_bytes(), sample.name)):
        script.write_bytes(data)
        script.chmod(0o755)
        outputs.append(subprocess.run([*command, script], capture_output=True, timeout=PATIENCE, check=True))
    assert outputs[0].stdout == outputs[1].stdout != b""
    assert outputs[0].stderr == outputs[1].stderr == b""


def test_the_usual_interpreters_are_among_them() -> None:
    assert {".sh", ".bash", ".py", ".pl"} <= {sample.suffix for sample in RUNNING}


# Places where something could hide


@pytest.mark.parametrize("tail", [b"rm -rf /\n", b" ", b"\x00", b"# comment", b"\t\n", raw_block()[1:]])
def test_nothing_may_follow_the_block(tail: bytes) -> None:
    data = sign(HELLO) + tail
    if tail.startswith(b"# -"):
        with pytest.raises(MalformedError):
            look(data)
        return
    assert look(data).wrong == {reasons.BLOCK_TRAILING.code}
    for action in (sign, strip):
        with pytest.raises(RefusedError, match="by hand"):
            action(data)


@pytest.mark.parametrize("tail", [b"\n", b"\r\n", b"\r"])
def test_not_even_a_line_break(tail: bytes) -> None:
    assert look(sign(HELLO) + tail).wrong == {reasons.BLOCK_FORM.code}


def test_the_last_line_break_is_needed() -> None:
    assert look(sign(HELLO)[:-1]).wrong == {reasons.BLOCK_FORM.code}


def test_the_last_of_two_blocks_counts_and_covers_the_first() -> None:
    first = sign(HELLO)
    [payload] = FORMAT.digest(
        Artifact.from_bytes(first), [FORMAT.recipe(Artifact.from_bytes(first, "x.sh"), probing.DEFAULTS)]
    )
    content = Content("1.2.840.113549.1.7.1", "sha256", sha256(first).digest())
    both = first + raw_block(probing.envelope(content))
    answer = look(both)
    assert answer.intact
    assert reasons.BLOCK_EARLIER.code in answer.codes
    assert payload.length == len(HELLO)
    assert look(both.replace(b"set -eu", b"set -e ")).wrong == CHANGED


def test_a_block_within_a_here_document_vouches_for_nothing() -> None:
    inner = sign(HELLO)
    installer = b"#!/bin/sh\ncat >hello.sh <<'EOF'\n" + inner + b"EOF\nchmod +x hello.sh\n"
    assert reasons.BLOCK_TRAILING.code in look(installer).wrong
    with pytest.raises(RefusedError):
        sign(installer)


@pytest.mark.parametrize(
    "line",
    [
        "# -----begin chopmark signature-----",
        "# -----BEGIN CHOPMARK SIGNATURE----- ",
        "# ----BEGIN CHOPMARK SIGNATURE----",
        "#-----BEGIN CHOPMARK SIGNATURE-----",
        "# -----BEGIN CHOPM\u0410RK SIGNATURE-----",
        "# \u2014\u2014BEGIN CHOPMARK SIGNATURE\u2014\u2014",
        "# -----END CHOPMARK S1GNATURE-----",
    ],
)
def test_lines_that_look_like_markers(line: str) -> None:
    lookalike = f"{line}\n".encode()
    assert broken(HELLO + lookalike) == reasons.BLOCK_LOOKALIKE.code
    inside = sign(HELLO).replace(HELLO, HELLO + lookalike)
    assert reasons.BLOCK_LOOKALIKE.code in look(inside).wrong
    with pytest.raises(RefusedError):
        sign(HELLO + lookalike)


@pytest.mark.parametrize(
    ("name", "data"),
    [("x.js", sign(b"exit 0\n")), ("x.lua", sign(b"exit 0\n")), ("x.sh", sign(b"exit(0)\n", "x.js"))],
)
def test_a_block_that_is_no_comment_there(name: str, data: bytes) -> None:
    assert look(data, name).wrong == {reasons.BLOCK_COMMENT.code}


def test_a_comment_that_is_code_in_the_encoding_of_the_script(tmp_path: Path) -> None:
    """Certificates in a signature are not signed. In UTF-7, base64 text that somebody adds there can be code."""
    content = b"# -*- coding: utf-7 -*-\nprint(1)\n"
    code = base64.b64encode("\nprint(2)#".encode("utf-16-be")).rstrip(b"=")
    signature = comment_block.render(HASH, base64.b64decode(b"MII+" + code + b"="), "\n")
    (tmp_path / "x.py").write_bytes(content + signature.encode())
    done = subprocess.run([sys.executable, tmp_path / "x.py"], capture_output=True, timeout=PATIENCE, check=False)
    assert done.stdout == b"1\n2\n"

    with pytest.raises(RefusedError, match="utf-7"):
        sign(content, "x.py")
    envelope = probing.envelope(Content("1.2.840.113549.1.7.1", "sha256", sha256(content).digest()))
    assert look(content + raw_block(envelope), "x.py").wrong == {reasons.ENCODING.code}


def test_a_block_without_a_known_interpreter() -> None:
    assert look(sign(b"exit 0\n"), "x.unknown").wrong == {reasons.LANGUAGE_UNKNOWN.code}
    assert look(sign(b"#!/bin/sh\n").replace(b"/bin/sh", b"/my/own"), "x.sh").wrong == {
        reasons.LANGUAGE_UNKNOWN.code,
        *CHANGED,
    }


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (f"\n{HASH.begin_line}\n# AAAA\n", reasons.BLOCK_OPEN),
        (f"\n{HASH.end_line}\n", reasons.BLOCK_OPEN),
        (f"\n{HASH.begin_line}\n# AAAA\n{SLASHES.end_line}\n", reasons.BLOCK_OPEN),
        (f"\n{HASH.begin_line}\nrm -rf /\n{HASH.end_line}\n", reasons.BLOCK_BASE64),
        (f"\n{HASH.begin_line}\n# A\n{HASH.end_line}\n", reasons.BLOCK_BASE64),
    ],
)
def test_blocks_that_cannot_be_read(block: str, reason: core_reasons.Reason) -> None:
    assert broken(HELLO + block.encode()) == reason.code


def test_an_envelope_that_carries_its_content() -> None:
    content = Content("1.2.840.113549.1.7.1", "sha256", sha256(HELLO).digest(), HELLO)
    answer = look(HELLO + raw_block(probing.envelope(content)))
    assert answer.wrong == {reasons.BLOCK_FORM.code}
    artifact = Artifact.from_bytes(HELLO, "x.sh")
    with pytest.raises(RefusedError):
        FORMAT.embed(artifact, probing.envelope(content), probing.DEFAULTS)


def test_conversions_are_explained() -> None:
    crlf = sign(b"echo one\r\necho two\r\n")
    answer = look(crlf.replace(b"\r\n", b"\n"))
    assert answer.wrong == {*CHANGED, reasons.CHANGED_LINE_BREAKS.code}
    answer = look(sign(HELLO).replace(b"\n", b"\r\n"))
    assert answer.wrong == {*CHANGED, reasons.CHANGED_LINE_BREAKS.code}
    answer = look(b"\xef\xbb\xbf" + sign(b"print()\n", "x.py"), "x.py")
    assert answer.wrong == {*CHANGED, reasons.CHANGED_BOM.code}
    answer = look(HELLO + sign(HELLO)[len(HELLO) :].replace(b"\n", b"\r\n"))
    assert answer.wrong == {reasons.BLOCK_LINE_BREAKS.code}


def test_what_readers_do_not_see() -> None:
    answer = look(sign("# \u202e } \u2066\nx\u200b=1\n".encode(), "x.py"), "x.py")
    assert answer.intact
    assert {text_reasons.BIDI.code, text_reasons.INVISIBLE.code} <= answer.codes


def test_first_line_and_name_that_disagree() -> None:
    answer = look(sign(b"#!/bin/sh\nexit 0\n", "x.py"), "x.py")
    assert answer.intact
    assert answer.detail(reasons.INTERPRETER) == "Python by name, sh in the first line"


class _Large:
    size = limits.SCRIPT_MAX + 1

    def read(self, offset: int, length: int) -> bytes:
        raise AssertionError((offset, length))

    def changed(self) -> bool:
        return False


def test_what_is_too_large_is_not_read() -> None:
    with pytest.raises(UnreadableError):
        list(FORMAT.extract(Artifact("x.sh", _Large())))


# Anything at all


ask = partial(probing.ask, FORMAT)
names = st.sampled_from([sample.name for sample in SAMPLES] + ["x"])


@given(st.binary(max_size=200), names)
def test_any_bytes(data: bytes, name: str) -> None:
    ask(data, name)


@given(st.sampled_from(SAMPLES), st.data())
def test_signed_scripts_changed_at_random(sample: Path, data: st.DataObject) -> None:
    signed = sign(sample.read_bytes(), sample.name)
    ask(data.draw(probing.changed(signed, b"\r\n", b"\n", raw_block())), sample.name)


@given(st.lists(st.sampled_from(["<<EOF\n", "EOF\n", "$0", "cat ", "exec ", "'", '"', "\\\n", "((", "#", "__END__\n"])))
def test_scripts_made_of_traps(parts: list[str]) -> None:
    for name in ("x.sh", "x.pl", "x.rb", "x.php", "x.py", "x.js"):
        ask("".join(parts).encode(), name)
