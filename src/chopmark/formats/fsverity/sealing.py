"""The seals of a file that is signed for fs-verity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import digest as digests
from chopmark.core import limits
from chopmark.core.artifact import FileView
from chopmark.core.contracts import Content
from chopmark.core.errors import RefusedError, UsageError
from chopmark.core.seal import DATA, Claim, Payload, Range, Recipe, Seal
from chopmark.envelopes import module
from chopmark.formats._verity import companion, fsverity, kernel
from chopmark.formats.fsverity import reasons
from chopmark.formats.fsverity.candidates import Candidates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import SealOptions
    from chopmark.core.finding import Finding
    from chopmark.core.patch import Patch

SUFFIX = ".fsv_sig"
USUAL = fsverity.Parameters()
_OTHERS = tuple(
    fsverity.Parameters(algorithm, block)
    for block in (4096, 1024, 65536)
    for algorithm in fsverity.ALGORITHMS
    if (algorithm, block) != USUAL[:2]
)
"""What is tried where the usual parameters do not fit: a signature does not say which were used."""
_PURPOSE = "module-signing"
"""The kernel asks for no extended key usage, as with its modules (ADR 0101)."""


def seals(artifact: Artifact) -> Iterator[Seal]:
    """The signature beside the file, and the kernel's own where that is another."""
    beside = artifact.companion(SUFFIX, limits.FS_VERITY_SIGNATURE_MAX)
    descriptor = artifact.view.descriptor if isinstance(artifact.view, FileView) else None
    known = kernel.parameters(descriptor) if descriptor is not None else None
    kept = kernel.signature(descriptor) if descriptor is not None and known else None
    findings = tuple(_measured(artifact, descriptor, known)) if descriptor is not None and known else ()
    if beside is not None:
        yield _seal(artifact, f"signature in *{SUFFIX}", beside, known, findings)
    if kept is not None and kept != beside:
        yield _seal(artifact, "signature in the file's fs-verity metadata", kept, known, findings)


def recipe(artifact: Artifact, options: SealOptions) -> Recipe:
    """What a new signature would cover. Raises UsageError."""
    return _recipe(artifact, options.digest_algorithm, _variant(options))


def digest(artifact: Artifact, recipes: Sequence[Recipe]) -> list[Payload]:
    """What recipes come to: digests of what the built-in signature is over."""
    messages = _messages(artifact, recipes)
    return [
        Payload(each, digests.of(message, each.algorithm), artifact.view.size)
        for each, message in zip(recipes, messages, strict=True)
    ]


def content(artifact: Artifact, payload: Payload) -> Content:
    """The struct that names the digest of the file."""
    [message] = _messages(artifact, [payload.recipe])
    return Content(DATA, payload.recipe.algorithm, payload.value, message=message)


def embed(artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
    """Write the companion. Raises RefusedError where there is one and this is to be a second, or it is none."""
    if len(envelope) > limits.FS_VERITY_SIGNATURE_MAX:
        raise RefusedError(f"a signature of {len(envelope)} bytes, more than the kernel takes")
    return companion.embed(artifact, envelope, SUFFIX, "fs-verity", append=options.append)


def _seal(
    artifact: Artifact, where: str, data: bytes, known: fsverity.Parameters | None, findings: tuple[Finding, ...]
) -> Seal:
    envelope = module.envelope_in(data)
    first = _recipe(artifact, envelope.digest_algorithm, known or USUAL)
    others = [] if known else [_recipe(artifact, envelope.digest_algorithm, each) for each in _OTHERS]

    def payloads() -> list[Payload]:
        return digest(artifact, others)

    return Seal(
        where,
        Candidates(envelope, payloads),
        (Claim("file by its fs-verity digest", first, None),),
        purpose=_PURPOSE,
        findings=findings,
    )


def _measured(artifact: Artifact, descriptor: int, known: fsverity.Parameters) -> Iterator[Finding]:
    """Whether the kernel's own digest is that of the content as it is read."""
    measured = kernel.measure(descriptor)
    if measured is None:
        return
    [computed] = fsverity.digests(artifact.view, [known])
    detail = f"{measured.algorithm}:{measured.digest.hex()}"
    fits = (measured.algorithm, measured.digest) == (known.algorithm, computed)
    yield (reasons.MEASURED if fits else reasons.MEASURED_OTHERWISE).found(detail)


def _recipe(artifact: Artifact, algorithm: str, parameters: fsverity.Parameters) -> Recipe:
    transform = f"{parameters.algorithm}:{parameters.block_size}:{parameters.salt.hex()}"
    return Recipe(algorithm, (Range(0, artifact.view.size),), transform)


def _messages(artifact: Artifact, recipes: Sequence[Recipe]) -> list[bytes]:
    wanted = {each: _parameters(each.transform) for each in recipes}
    distinct = list(dict.fromkeys(wanted.values()))
    if not distinct:
        return []
    found = dict(zip(distinct, fsverity.digests(artifact.view, distinct), strict=True))
    return [fsverity.formatted(found[wanted[each]], wanted[each].algorithm) for each in recipes]


def _parameters(transform: str) -> fsverity.Parameters:
    algorithm, block, salt = transform.split(":")
    return fsverity.Parameters(algorithm, int(block), bytes.fromhex(salt))


def _variant(options: SealOptions) -> fsverity.Parameters:
    """`sha512`, `1024`, or both as `sha512-1024`. Raises UsageError for what a verifier would not find."""
    algorithm, block = USUAL.algorithm, USUAL.block_size
    for word in filter(None, options.variant.lower().split("-")):
        if word in fsverity.ALGORITHMS:
            algorithm = word
        elif word.isdecimal() and len(word) <= 6:
            block = int(word)
        else:
            message = f"fs-verity has the variants sha256, sha512 and a block size, as in sha512-1024; not {word}"
            raise UsageError(message)
    wanted = fsverity.Parameters(algorithm, block).checked()
    if wanted not in (USUAL, *_OTHERS):
        sizes = ", ".join(map(str, sorted({each.block_size for each in _OTHERS})))
        message = f"blocks of {block} bytes are not tried by who verifies; {sizes} are"
        raise UsageError(message)
    return wanted
