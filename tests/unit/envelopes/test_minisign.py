"""Signatures of minisign and signify, to the byte: what is read, what is refused, what is written."""

from __future__ import annotations

import base64
import datetime as dt
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import digest, limits
from chopmark.core.contracts import Content, SealOptions
from chopmark.core.errors import BrokenError, MalformedError, RefusedError, UsageError
from chopmark.core.seal import Payload, Recipe
from chopmark.envelopes import minisign
from chopmark.envelopes.minisign import making
from chopmark.trust.stores import keyring, store
from tests.support import bare_keys, pki

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNER = bare_keys.signer("minisign")
RING = store.load([bare_keys.public("minisign")]).keyring
BODY = b"All that glisters is not gold.\n"
HASHED = digest.of(BODY, "blake2b")
NOON = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
MADE = making.seal(Content("minisign", "blake2b", HASHED), SIGNER, NOON, SealOptions(description="file:gold"))
MADE_CODES = {"minisign.signature", "minisign.comment"}
PURE = making.seal(Content("signify", "sha512", BODY), SIGNER, NOON, SealOptions())


def codes(data: bytes, value: bytes = HASHED, ring: keyring.Keyring = RING) -> set[str]:
    proof = minisign.envelope_in(data).check_with([Payload(Recipe("blake2b", ()), value, len(BODY))], ring)
    return {finding.code for finding in proof.findings}


def test_what_was_signed_is_read() -> None:
    assert codes(MADE) == {"minisign.signature", "minisign.comment"}
    envelope = minisign.envelope_in(MADE)
    assert dict(envelope.facts)["comment"] == "timestamp:1782907200\tfile:gold"
    assert envelope.check([]).claimed_time == NOON
    assert (envelope.scheme, envelope.digest_algorithm) == ("minisign", "blake2b")


def test_signify_signs_the_file_itself() -> None:
    assert codes(PURE, BODY) == {"minisign.signature"}
    assert codes(PURE, HASHED) == {"minisign.signature_wrong"}
    assert minisign.envelope_in(PURE).scheme == "signify"


def test_a_signature_over_a_digest_is_none_over_the_file_that_holds_it() -> None:
    """Nothing signs which of the two kinds it is: minisign and signify take the digest itself for the signed file."""
    head, body, rest = MADE.split(b"\n", 2)
    turned = base64.b64encode(b"Ed" + base64.b64decode(body)[2:])
    assert codes(b"\n".join([head, turned, rest]), HASHED) == MADE_CODES | {"minisign.digest_like"}
    assert codes(head + b"\n" + turned + b"\n", HASHED) == {"minisign.signature", "minisign.digest_like"}


def test_what_may_be_a_digest_is_not_signed_as_it_is() -> None:
    with pytest.raises(RefusedError):
        making.seal(Content("signify", "sha512", HASHED), SIGNER, NOON, SealOptions())
    text = HASHED[:32].hex().encode()
    made = making.seal(Content("signify", "sha512", text), SIGNER, NOON, SealOptions())
    assert codes(made, text) == {"minisign.signature"}


def test_the_comment_is_held_by_its_own_signature_alone() -> None:
    assert codes(MADE.replace(b"file:gold", b"file:lead")) == {"minisign.signature", "minisign.comment_wrong"}


def test_an_unknown_key_decides_nothing() -> None:
    assert codes(MADE, ring=keyring.Keyring()) == {"key.unknown"}


def test_every_key_of_that_number_is_tried() -> None:
    [known] = RING.every()
    twin = known._replace(key=known.key._replace(raw=pki.world("ed25519").signer.public_key))
    assert codes(MADE, ring=keyring.Keyring([twin, known])) == {"minisign.signature", "minisign.comment"}
    assert codes(MADE, ring=keyring.Keyring([twin])) == {"minisign.signature_wrong"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda data: data[:0], "minisign.form"),
        (lambda data: data[:-1], "minisign.form"),
        (lambda data: data + b"\n", "minisign.form"),
        (lambda data: data + b"more\n", "minisign.form"),
        (lambda data: data.replace(b"\n", b"\r\n"), "minisign.form"),
        (lambda data: data.replace(b"untrusted", b"Untrusted"), "minisign.form"),
        (lambda data: data.replace(b"signature from", b"signature\x1b[31mfrom"), "minisign.form"),
        (lambda data: data.replace(b"file:", b"file\x00"), "minisign.form"),
        (lambda data: data.replace(b"RUQ", b"QUQ"), "minisign.algorithm"),
        (lambda data: b"\n".join(data.split(b"\n")[:2]) + b"\n", "minisign.form"),
        (lambda data: data.replace(b"==", b"=="[:1]), "minisign.form"),
        (lambda data: b"untrusted comment: " + b"x" * limits.MINISIGN_MAX + data, "minisign.form"),
    ],
)
def test_what_neither_would_write_is_refused(change: Callable[[bytes], bytes], code: str) -> None:
    with pytest.raises(BrokenError) as caught:
        minisign.envelope_in(change(MADE))
    assert caught.value.reason.code == code


def test_another_key_number_is_nobodys() -> None:
    assert codes(MADE.replace(b"RUQ", b"RUR")) == {"key.unknown"}


def test_base64_has_one_form() -> None:
    head, body, rest = MADE.split(b"\n", 2)
    loose = bytearray(body)
    loose[-2:-1] = bytes([loose[-2] + 1])  # unused bits that are not zero
    with pytest.raises(BrokenError):
        minisign.envelope_in(b"\n".join([head, bytes(loose), rest]))


@given(st.binary(max_size=400))
def test_anything_is_a_signature_or_refused(data: bytes) -> None:
    for whole in (data, b"untrusted comment: " + data, MADE[: len(data)] + data):
        try:
            codes(whole)
            minisign.public_keys(whole)
        except MalformedError:
            pass


@given(st.binary(min_size=74, max_size=74), st.text(max_size=40).filter(str.isprintable))
def test_what_is_read_is_what_stands_there(body: bytes, comment: str) -> None:
    raw = b"untrusted comment: " + comment.encode() + b"\n" + base64.b64encode(b"Ed" + body[2:]) + b"\n"
    signature = minisign.read(raw)
    assert (signature.untrusted, signature.number, signature.signature) == (comment, body[2:10], body[10:])


def test_other_keys_and_comments_of_two_lines_are_refused() -> None:
    content = Content("minisign", "blake2b", HASHED)
    with pytest.raises(RefusedError):
        making.seal(content, pki.world().signer, NOON, SealOptions())
    for text in ("two\nlines", "x" * 2000, "\x1b[31m"):
        with pytest.raises(UsageError):
            making.seal(content, SIGNER, NOON, SealOptions(description=text))


def test_a_key_without_a_number_gets_one_that_stays() -> None:
    signer = pki.world("ed25519").signer
    public = making.public_key(signer)
    assert public == making.public_key(signer)
    made = making.seal(Content("minisign", "blake2b", HASHED), signer, NOON, SealOptions())
    known = keyring.load("a.pub", public, "a", None)
    assert known
    assert codes(made, ring=keyring.Keyring(known)) == {"minisign.signature", "minisign.comment"}
