"""Signatures of IMA and EVM, in the attribute and in the file beside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.artifact import Artifact
from chopmark.engine import identify
from chopmark.envelopes import ima
from tests.support import pki, probing

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = identify.formats()["ima"]


def seeds() -> Iterable[bytes]:
    """A signature of each kind."""
    entity = pki.world("p256").signer
    for kind in (ima.FILE, ima.VERITY, ima.EVM):
        yield bytes([kind, ima.VERSIONS[kind], 4]) + bytes(4) + b"\0\x46" + entity.sign(b"", "sha256")[:70].ljust(70)


def run(data: bytes) -> None:
    """Every place it can stand in."""
    for place in ("xattr:security.ima", "xattr:security.evm", ".sig"):
        probing.interrogate(FORMAT, Artifact.from_bytes(b"content", "file", {place: data}))
