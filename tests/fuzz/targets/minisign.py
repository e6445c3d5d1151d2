"""Signature and key files of minisign and signify."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.core.seal import Payload, Recipe
from chopmark.envelopes import minisign
from chopmark.trust.stores import store
from tests.fuzz.formats import VECTORS

if TYPE_CHECKING:
    from collections.abc import Iterable

RING = store.load([str(VECTORS / "minisign" / "signer.pub")]).keyring
PAYLOAD = Payload(Recipe("blake2b", ()), b"content", 7)


def seeds() -> Iterable[bytes]:
    """Keys, and signatures of both kinds."""
    yield (VECTORS / "minisign" / "signer.pub").read_bytes()
    yield b"untrusted comment: x\n" + b"RUQ" + b"A" * 97 + b"\ntrusted comment: y\n" + b"A" * 86 + b"==\n"
    yield b"untrusted comment: x\n" + b"RWQ" + b"A" * 97 + b"\n"


def run(data: bytes) -> None:
    """Read it as either; what can be read can be checked."""
    with suppress(MalformedError):
        minisign.public_keys(data)
    with suppress(MalformedError):
        minisign.envelope_in(data).check_with([PAYLOAD], RING)
