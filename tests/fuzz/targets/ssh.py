"""Signatures made with SSH keys, and files of keys."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.core.seal import Payload, Recipe
from chopmark.envelopes import ssh
from chopmark.envelopes.ssh import keys, sshsig
from tests.fuzz.formats import VECTORS

if TYPE_CHECKING:
    from collections.abc import Iterable

PAYLOAD = Payload(Recipe("sha512", ()), bytes(64), 7)


def seeds() -> Iterable[bytes]:
    """A key, a list of signers, and the beginning of a signature."""
    public = (VECTORS / "ssh" / "signer.pub").read_bytes()
    yield public
    yield b'a@b namespaces="file",valid-after="20260101Z" ' + public
    yield b"SSHSIG\0\0\0\1\0\0\0\x33\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32) + b"\0\0\0\4file\0\0\0\0\0\0\0\6sha512"


def run(data: bytes) -> None:
    """Read it as a list, as a key, as a signature, and as what is inside one."""
    for read in (ssh.public_keys, keys.read):
        with suppress(MalformedError):
            read(data)
    for whole in (data, sshsig.armoured(data)):
        with suppress(MalformedError):
            ssh.envelope_in(whole).check([PAYLOAD])
