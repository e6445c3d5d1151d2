"""Signatures of OpenPGP's, texts signed in the open, and rings of keys."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.envelopes import openpgp
from chopmark.envelopes.openpgp import armor, packets, text
from tests.fuzz.formats import VECTORS

if TYPE_CHECKING:
    from collections.abc import Iterable


def seeds() -> Iterable[bytes]:
    """A ring, plain and armoured, a text, and the beginning of a signature."""
    armoured = (VECTORS / "openpgp" / "signer.asc").read_bytes()
    yield armoured
    yield armor.unwrap(armoured, armor.PUBLIC_KEY)[0]
    yield text.framed(b"one\n- two\n", "sha512", text.NO_SIGNATURE)
    yield packets.write(packets.SIGNATURE, b"\4\0\26\12\0\6\5\2\x6a\0\0\0\0\0\0\0" + bytes(70))


def run(data: bytes) -> None:
    """Read it as each of them."""
    for read in (openpgp.public_keys, openpgp.envelopes_in, text.clear):
        with suppress(MalformedError):
            read(data)
    for tag in (packets.SIGNATURE, packets.PUBLIC_KEY):
        with suppress(MalformedError):
            (openpgp.envelopes_in if tag == packets.SIGNATURE else openpgp.public_keys)(packets.write(tag, data))
