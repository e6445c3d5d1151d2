"""Signatures of OpenPGP's, texts signed in the open, and rings of keys."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.core.seal import Payload, Recipe
from chopmark.envelopes import openpgp
from chopmark.envelopes.openpgp import armor, packets, text
from tests.fuzz.formats import VECTORS
from tests.fuzz.repairs import openpgp as made

if TYPE_CHECKING:
    from collections.abc import Iterable


def seeds() -> Iterable[bytes]:
    """A ring, plain and armoured, a text, and the beginning of a signature."""
    armoured = (VECTORS / "openpgp" / "signer.asc").read_bytes()
    yield armoured
    yield armor.unwrap(armoured, armor.PUBLIC_KEY)[0]
    yield text.framed(b"one\n- two\n", "sha512", text.NO_SIGNATURE)
    yield b"".join(bytes([len(each)]) + each for each in made.Said())
    yield bytes([len(made.created(5) * 2)]) + made.created(5) * 2
    yield packets.write(packets.SIGNATURE, b"\4\0\26\12\0\6\5\2\x6a\0\0\0\0\0\0\0" + bytes(70))


def run(data: bytes) -> None:
    """Read it as each of them."""
    for read in (openpgp.public_keys, openpgp.envelopes_in, text.clear):
        with suppress(MalformedError):
            read(data)
    _hold(data)
    for tag in (packets.SIGNATURE, packets.PUBLIC_KEY):
        with suppress(MalformedError):
            (openpgp.envelopes_in if tag == packets.SIGNATURE else openpgp.public_keys)(packets.write(tag, data))


def _hold(data: bytes) -> None:
    """Signatures that hold and say these bytes: of a key about its name and subkey, and over a document."""
    pieces = []
    for usual in made.Said():
        length = data[0] if data else 0
        pieces.append(data[1 : 1 + length] if length else usual)
        data = data[1 + length :]
    said = made.Said(*pieces)
    with suppress(MalformedError):
        for key in openpgp.public_keys(made.ring(said)) or ():
            assert key.name.isprintable()
    with suppress(MalformedError):
        [envelope] = openpgp.envelopes_in(made.signed(b"content", said, by_subkey=True))
        proof = envelope.check([Payload(Recipe("sha512", ()), bytes(64), 7)])
        assert not proof.intact
