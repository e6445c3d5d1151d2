"""Signing and checking PE images in memory, for the tests of this folder."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from chopmark.core import digest as digests
from chopmark.core.artifact import Artifact
from chopmark.core.contracts import SealOptions
from chopmark.core.errors import MalformedError
from chopmark.core.seal import Recipe
from chopmark.envelopes import cms, timestamp
from chopmark.formats.pe import FORMAT, image
from tests.support import pki, probing

if TYPE_CHECKING:
    from chopmark.core.contracts import Content
    from chopmark.formats.pe.image import Image

PLAIN = SealOptions()
APPEND = SealOptions(append=True)
PAGES = SealOptions(page_hashes=True)


def artifact(data: bytes) -> Artifact:
    return Artifact.from_bytes(data, "program.exe")


def headers(data: bytes) -> Image:
    return image.read(artifact(data).view)


def content(data: bytes, options: SealOptions = PLAIN) -> Content:
    """What is to be signed for these bytes."""
    here = artifact(data)
    [payload] = FORMAT.digest(here, [FORMAT.recipe(here, options)])
    return FORMAT.content(here, payload, options)


def envelope(data: bytes, options: SealOptions = PLAIN, *, stamped: bool = False) -> bytes:
    """A signature for these bytes, not yet put into them."""
    made = probing.envelope(content(data, options))
    return with_stamp(made) if stamped else made


def with_stamp(made: bytes) -> bytes:
    """A signature with a time stamp on it."""
    value = cms.read(made).signers[0].signature
    tsa = pki.world().tsa
    info = timestamp.TstInfo("1.2.3.4", "sha256", digests.of(value, "sha256"), 7, pki.NOW)
    token = timestamp.make_token(info, tsa, tsa.certificates)
    return cms.add_unsigned(made, timestamp.MICROSOFT_ATTRIBUTE, token)


def embedded(data: bytes, made: bytes, options: SealOptions = PLAIN) -> bytes:
    here = artifact(data)
    return FORMAT.embed(here, made, options).render(here)


def signed(data: bytes, options: SealOptions = PLAIN, *, stamped: bool = False) -> bytes:
    """The bytes with a signature in them."""
    return embedded(data, envelope(data, options, stamped=stamped), options)


def stripped(data: bytes) -> bytes:
    here = artifact(data)
    return FORMAT.strip(here).render(here)


def with_table(data: bytes, table: bytes, behind: bytes = b"", *, size: int | None = None) -> bytes:
    """Signed bytes with another certificate table, whose size in data directory 4 may be a lie."""
    head = headers(data)
    assert head.directory is not None
    directory = struct.pack("<II", head.end, len(table) if size is None else size)
    return data[: head.directory] + directory + data[head.directory + 8 : head.end] + table + behind


def table_of(data: bytes) -> bytes:
    head = headers(data)
    return data[head.table.offset : head.table.offset + head.table.length]


def against(data: bytes) -> set[str]:
    """The codes of all that speaks against a file; "malformed" where it cannot be read; empty if it is sound."""
    here = artifact(data)
    found = set()
    seals = []
    try:
        for seal in FORMAT.extract(here):
            seals.append(seal)  # noqa: PERF402 - what came before the break still counts
    except MalformedError as error:
        reason = getattr(error, "reason", None)
        found.add(reason.code if reason else "malformed")
    for seal in seals:
        recipes = [claim.recipe for claim in seal.claims]
        for claim, payload in zip(seal.claims, FORMAT.digest(here, recipes), strict=True):
            if payload.value != claim.expected:
                found.add(f"mismatch: {claim.what}")
        proof = seal.envelope.check([])
        found |= {each.code for each in (*seal.findings, *proof.findings) if each.outcome in ("no", "unknown")}
    return found


def codes(data: bytes) -> set[str]:
    """The codes of every finding about the place of signatures."""
    return {finding.code for seal in FORMAT.extract(artifact(data)) for finding in seal.findings}


def recipe_of(data: bytes, algorithm: str) -> Recipe:
    """What a signature of this algorithm covers, whatever else is wrong with the file."""
    return Recipe(algorithm, headers(data).covered())
