"""Signed notes and their keys (C2SP signed-note, tlog-cosignature)."""

from __future__ import annotations

import base64
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import MalformedError, RefusedError
from chopmark.envelopes import note, signatures
from chopmark.envelopes.note import Note, VerifierKey
from chopmark.keys import generate
from chopmark.keys.software import SoftwareSigner

VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SIGNED = (
    b"This is an example message.\n\n\xe2\x80\x94 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7"
    b"Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
"""The example of the specification, clause "Example"."""
LINE = "\u2014 a.example AAAAAAAAAAA="
LETTERS = st.characters(codec="utf-8", min_codepoint=0x20)
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


def signer() -> SoftwareSigner:
    return SoftwareSigner(generate.new("ed25519"))


def test_the_example_of_the_specification() -> None:
    key = VerifierKey.parse(VKEY)
    assert str(key) == VKEY
    read = Note.parse(SIGNED)
    assert read.encode() == SIGNED
    assert [verified.key for verified in read.verify([key])] == [key]


def test_a_changed_text_or_signature_spoils_the_whole_note() -> None:
    key = VerifierKey.parse(VKEY)
    for old, new in ((b"example message", b"exemplary message"), (b"Uw2QOkn8", b"Uw2QOkn9")):
        with pytest.raises(signatures.BadSignatureError):
            Note.parse(SIGNED.replace(old, new)).verify([key])


def test_a_signature_that_does_not_hold_spoils_one_that_does() -> None:
    """If a signature from a known key fails to verify, the whole note is rejected."""
    own = signer()
    key = VerifierKey.of("example.com/log", own.public_key)
    good = note.sign("text\n", key, own)
    bad = good._replace(value=bytes(64))
    for both in ((good, bad), (bad, good)):
        with pytest.raises(signatures.BadSignatureError):
            Note("text\n", both).verify([key])


def test_others_are_ignored_even_with_the_same_name_or_id() -> None:
    own, other = signer(), signer()
    key = VerifierKey.of("example.com/log", own.public_key)
    same_name = note.sign("text\n", VerifierKey.of("example.com/log", other.public_key), other)
    same_id = note.Signature("example.com/other", key.key_id, bytes(64))
    good = note.sign("text\n", key, own)
    assert len(Note("text\n", (same_name, same_id, good)).verify([key])) == 1
    assert Note("text\n", (same_name, same_id)).verify([key]) == []


def test_a_cosignature_says_when() -> None:
    own = signer()
    key = VerifierKey.of("witness.example", own.public_key, note.COSIGNATURE)
    made = note.sign("example.com/log\n0\n", key, own, NOW)
    assert Note("example.com/log\n0\n", (made,)).verify([key])[0].at == NOW
    later = made._replace(value=(int(NOW.timestamp()) + 1).to_bytes(8, "big") + made.value[8:])
    with pytest.raises(signatures.BadSignatureError):
        Note("example.com/log\n0\n", (later,)).verify([key])


@pytest.mark.parametrize("value", [b"", bytes(71), bytes(73), b"\xff" * 72, (2**63 - 1).to_bytes(8, "big") + bytes(64)])
def test_a_cosignature_that_is_none(value: bytes) -> None:
    key = VerifierKey.of("witness.example", signer().public_key, note.COSIGNATURE)
    with pytest.raises(MalformedError):
        key.check(note.Signature(key.name, key.key_id, value), "text\n")


def test_a_log_key_and_a_witness_key_are_different_keys() -> None:
    own = signer()
    log = VerifierKey.of("example.com", own.public_key)
    witness = VerifierKey.of("example.com", own.public_key, note.COSIGNATURE)
    assert log.key_id != witness.key_id
    assert Note("text\n", (note.sign("text\n", log, own),)).verify([witness]) == []


def test_only_the_key_itself_signs() -> None:
    key = VerifierKey.of("example.com/log", signer().public_key)
    with pytest.raises(RefusedError):
        note.sign("text\n", key, signer())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"text\n",
        b"text\n\n",
        b"text\n\nnot a signature\n",
        f"text\n{LINE}\n".encode(),
        f"text\n\n{LINE}".encode(),
        f"text\n\n{LINE} \n".encode(),
        f"text\n\n{LINE}\n\n".encode(),
        f"text\n\n{LINE}\n\n{LINE}\nmore\n".encode(),
        f"te\x00xt\n\n{LINE}\n".encode(),
        f"te\txt\n\n{LINE}\n".encode(),
        f"text\r\n\n{LINE}\n".encode(),
        b"te\xffxt\n\n" + f"{LINE}\n".encode(),
        "text\n\n\u2014 a b.example AAAAAAAAAAA=\n".encode(),
        "text\n\n\u2014 a+b.example AAAAAAAAAAA=\n".encode(),
        "text\n\n\u2014 a\u00a0b AAAAAAAAAAA=\n".encode(),
        "text\n\n\u2014  AAAAAAAAAAA=\n".encode(),
        b"text\n\n- a.example AAAAAAAAAAA=\n",
        "text\n\n\u2014 a.example AAAA\n".encode(),
        "text\n\n\u2014 a.example AAAAAAAAAAB=\n".encode(),
        "text\n\n\u2014 a.example AAAAAAA-AAA=\n".encode(),
        f"text\n\n{LINE}\n".encode() * (limits.NOTE_SIGNATURES_MAX + 1),
        b"x" * limits.NOTE_MAX + f"\n\n{LINE}\n".encode(),
    ],
)
def test_what_is_no_note(raw: bytes) -> None:
    if raw.count(b"\n\n") > limits.NOTE_SIGNATURES_MAX:
        raw = f"text\n\n{f'{LINE}{chr(10)}' * (limits.NOTE_SIGNATURES_MAX + 1)}".encode()
    with pytest.raises(MalformedError):
        Note.parse(raw)


def test_sixteen_signatures_of_the_largest_kind_are_read() -> None:
    """Verifiers must accept at least that many; post-quantum ones have nearly 5 kB."""
    line = f"\u2014 a.example {base64.b64encode(bytes(4900)).decode()}\n"
    assert len(Note.parse(f"text\n\n{line * 16}".encode()).signatures) == 16


def test_a_text_may_have_empty_lines() -> None:
    assert Note.parse(f"one\n\ntwo\n\n{LINE}\n".encode()).text == "one\n\ntwo\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U0=",
        "example.com/foo+530d903a+",
        "example.com/foo+530d903a+!",
    ],
)
def test_what_is_no_verifier_key(text: str) -> None:
    with pytest.raises(MalformedError):
        VerifierKey.parse(text)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_note_or_malformed(raw: bytes) -> None:
    try:
        read = Note.parse(raw)
    except MalformedError:
        return
    assert read.encode() == raw


@given(
    st.text(LETTERS, min_size=1).filter(lambda text: "+" not in text),
    st.text(LETTERS),
)
def test_what_is_signed_is_read_back(name: str, text: str) -> None:
    own = signer()
    if not note.valid_name(name):
        with pytest.raises(RefusedError):
            VerifierKey.of(name, own.public_key)
        return
    key = VerifierKey.of(name, own.public_key)
    made = Note(f"{text}\n", (note.sign(f"{text}\n", key, own),))
    assert Note.parse(made.encode()) == made
    assert VerifierKey.parse(str(key)) == key
    assert made.verify([key])
