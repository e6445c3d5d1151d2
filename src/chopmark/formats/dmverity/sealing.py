"""The seal of a root hash."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core.contracts import Content
from chopmark.core.errors import RefusedError
from chopmark.core.seal import DATA, Claim, Payload, Range, Recipe, Seal
from chopmark.envelopes import module
from chopmark.formats._verity import companion
from chopmark.formats.dmverity import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import SealOptions
    from chopmark.core.patch import Patch

SUFFIX = ".p7s"
_DIGITS = re.compile(rb"[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128}")
_LONGEST = 128
_PURPOSE = "module-signing"
"""The kernel asks for no extended key usage, as with its modules (ADR 0101)."""


def root_hash(artifact: Artifact) -> str:
    """The digits; empty when the file is anything else than 64, 96 or 128 of them, lower case, with nothing behind."""
    data = artifact.view.read(0, _LONGEST + 1)
    return data.decode("ascii") if _DIGITS.fullmatch(data) else ""


def seals(artifact: Artifact) -> Iterator[Seal]:
    """The signature in the companion."""
    data = artifact.companion(SUFFIX)
    if data is None:
        return
    envelope = module.envelope_in(data)
    form = reasons.ROOT_HASH if root_hash(artifact) else reasons.ROOT_HASH_WRONG
    yield Seal(
        f"signature in *{SUFFIX}",
        envelope,
        (Claim("root hash", _whole(artifact, envelope.digest_algorithm), None),),
        purpose=_PURPOSE,
        findings=(form.found(),),
    )


def recipe(artifact: Artifact, options: SealOptions) -> Recipe:
    """What a new signature would cover."""
    if not root_hash(artifact):
        message = (
            f"{artifact.name}: a root hash is 64, 96 or 128 hexadecimal digits in lower case, no line break behind "
            "(printf %s HASH > FILE)"
        )
        raise RefusedError(message)
    return _whole(artifact, options.digest_algorithm)


def content(artifact: Artifact, payload: Payload) -> Content:
    """The digits, which are what the kernel holds the signature against."""
    message = artifact.view.read(0, payload.length)
    return Content(DATA, payload.recipe.algorithm, payload.value, message=message)


def embed(artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
    """Write the companion. Raises RefusedError where there is one and this is to be a second, or it is none."""
    return companion.embed(artifact, envelope, SUFFIX, "a root hash", append=options.append)


def _whole(artifact: Artifact, algorithm: str) -> Recipe:
    return Recipe(algorithm, (Range(0, artifact.view.size),))
