"""Keys and signatures that hold and say whatever: what is trusted here is good for GnuPG."""

from __future__ import annotations

import random
import subprocess
from typing import TYPE_CHECKING

import pytest

from chopmark.core import clock
from chopmark.core.artifact import Artifact
from chopmark.core.errors import ChopmarkError
from chopmark.core.verdict import Status
from chopmark.engine import check
from chopmark.envelopes.openpgp import armor, signatures
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.fuzz.repairs import openpgp as made

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.interop

DOCUMENT = b"content\n"


def statements(chance: random.Random, usual: bytes) -> bytes:
    """What is usual, with a few things before and behind, or none of it."""
    found = [usual] if chance.random() < 0.95 else []
    for _ in range(chance.choice((0, 0, 1, 1, 2))):
        kind, bodies = chance.choice(made.KINDS)
        one = made.subpacket(kind, chance.choice(bodies), critical=chance.random() < 0.3)
        found.insert(chance.randrange(len(found) + 1), one)
    return b"".join(found)


def cases(seed: int, count: int) -> list[tuple[bytes, bytes]]:
    """Rings, and signatures beside."""
    chance = random.Random(seed)  # noqa: S311 - what is drawn is no secret
    found = []
    for _ in range(count):
        usual = made.Said()
        changed = {name: statements(chance, getattr(usual, name)) for name in chance.sample(made.Said._fields, 2)}
        said = usual._replace(**changed)
        kind = chance.choice((signatures.BINARY,) * 9 + (signatures.TEXT, 0x02, 0x10, 0x40, 0x50))
        found.append((made.ring(said), made.signed(DOCUMENT, said, by_subkey=chance.random() < 0.6, kind=kind)))
    return found


def ours(folder: Path, ring: bytes, signature: bytes) -> Status:
    path = folder / "ring.pgp"
    path.write_bytes(armor.wrap(ring, armor.PUBLIC_KEY))
    try:
        known = store.load([str(path)])
    except ChopmarkError:
        return Status.REJECTED
    context = contexts.Context(known, clock.now(), contexts.OFF, origins.CrlSource(cache=str(folder)))
    artifact = Artifact.from_bytes(DOCUMENT, "document", {".sig": signature})
    return check.check(artifact, context, "openpgp").status


TIMID = (b"unknown critical bit", b"too short")
"""What makes GnuPG refuse more: statements that nobody signed, or that it does not know and RFC 9580 has."""


def theirs(folder: Path, ring: bytes, signature: bytes, document: bytes = DOCUMENT) -> str:
    """What gpgv says of a document with this signature."""
    for name, data in (("ring.gpg", ring), ("document.sig", signature), ("document", document)):
        (folder / name).write_bytes(data)
    command = (
        "gpgv",
        "--homedir",
        folder,
        "--status-fd",
        "1",
        "--keyring",
        folder / "ring.gpg",
        folder / "document.sig",
    )
    done = subprocess.run((*command, folder / "document"), capture_output=True, check=False)
    said = [
        line.split()[1] for line in done.stdout.decode("utf-8", "replace").splitlines() if line.startswith("[GNUPG:]")
    ]
    if any(each in done.stderr for each in TIMID):
        return "timid"
    return "GOODSIG" if done.returncode == 0 and "GOODSIG" in said else " ".join(said) or "nothing"


def test_what_is_trusted_is_good_for_gnupg(tmp_path: Path) -> None:
    trusted = 0
    for ring, signature in cases(1, 300):
        if ours(tmp_path, ring, signature) is Status.TRUSTED:
            assert theirs(tmp_path, ring, signature) in ("GOODSIG", "timid"), (ring.hex(), signature.hex())
            trusted += 1
    assert trusted > 60
