"""Signed PE files with a few of their fields changed: what is accepted here has the same digest for signify."""

from __future__ import annotations

import hashlib
import io
import random
import warnings
from pathlib import Path

import pytest

from chopmark.core.artifact import Artifact
from chopmark.core.errors import ChopmarkError
from chopmark.formats.pe import FORMAT
from tests.fuzz import fields
from tests.fuzz.repairs import pe
from tests.support import probing

pytestmark = pytest.mark.interop

VECTORS = Path(__file__).parent.parent / "vectors/pe"
MUTATOR = fields.Mutator(pe.fields, pe.VALUES)


def ours(data: bytes) -> bytes | None:
    """What the signature would have to be over; None for what is refused."""
    artifact = Artifact.from_bytes(data, "x.exe")
    try:
        seals = list(FORMAT.extract(artifact))
        if not seals or any(each.outcome in ("no", "unknown") for seal in seals for each in seal.findings):
            return None
        [payload] = FORMAT.digest(artifact, [claim.recipe for claim in seals[0].claims][:1])
    except ChopmarkError:
        return None
    assert payload.recipe.algorithm == "sha256"
    return payload.value


def theirs(data: bytes) -> bytes:
    authenticode = pytest.importorskip(
        "signify.authenticode", reason="signify wants a version of OpenSSL that it knows"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        printer = authenticode.AuthenticodeFile.from_stream(io.BytesIO(data)).get_fingerprinter()
        printer.add_signed_pe_hashers(hashlib.sha256)
        found: bytes = printer.hashes()["authentihash"]["sha256"]
    return found


def test_what_is_hashed_does_not_depend_on_who_reads_the_headers() -> None:
    chance = random.Random(1)  # noqa: S311 - what is drawn is no secret
    seeds = []
    for path in sorted(VECTORS.glob("sample-*")):
        artifact = Artifact.from_bytes(path.read_bytes(), path.name)
        seeds.append(probing.signed(FORMAT, artifact).render(artifact))
    accepted = 0
    for _ in range(3000):
        data = MUTATOR.by_fields(chance.choice(seeds), chance)
        digest = ours(data)
        if digest is not None:
            assert theirs(data) == digest, data.hex()
            accepted += 1
    assert accepted > 500
