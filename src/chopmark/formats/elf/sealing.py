"""The seals of an ELF file, and how they are put there and taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.contracts import Content
from chopmark.core.errors import BrokenError, MalformedError, RefusedError
from chopmark.core.patch import Patch
from chopmark.core.seal import DATA, Claim, Range, Recipe, Seal
from chopmark.envelopes import cms
from chopmark.formats._appended import archive, trailer
from chopmark.formats._elf import header
from chopmark.formats._text.detached_signer import DetachedSigner
from chopmark.formats.elf import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import Artifact, View
    from chopmark.core.finding import Finding
    from chopmark.core.seal import Payload

_TRAILER = trailer.Trailer(reasons.TRAILER_WRONG, reasons.TRAILING, reasons.TWICE)


def seals(artifact: Artifact) -> Iterator[Seal]:
    """Every signer of the appended signature, if there is one."""
    view = artifact.view
    start = _TRAILER.below(view, view.size)
    if start is None:
        return
    signed = cms.read(trailer.envelope(view, start, view.size))
    if not signed.signers:
        raise BrokenError(reasons.TRAILER_WRONG, "nobody signed it")
    findings = (*_placed(view, start), *_contained(signed), *archive.findings(view, start, view.size))
    for number, signer in enumerate(signed.signers, 1):
        envelope = DetachedSigner(signed, signer)
        yield Seal(
            "appended signature" if len(signed.signers) == 1 else f"appended signature, signer {number}",
            envelope,
            (Claim("program", Recipe(envelope.digest_algorithm, (Range(0, start),)), envelope.expected),),
            findings=findings,
        )


def recipe(artifact: Artifact, algorithm: str) -> Recipe:
    """What a new signature would cover. Raises RefusedError for what is no sound ELF file, MalformedError."""
    end = _TRAILER.bare(artifact.view)
    if problem := _problem(artifact.view, end):
        message = f"{artifact.name}: no ELF program or library ({problem}); --format detached signs any file"
        raise RefusedError(message)
    return Recipe(algorithm, (Range(0, end),))


def content(payload: Payload) -> Content:
    """Detached data."""
    return Content(DATA, payload.recipe.algorithm, payload.value)


def embed(artifact: Artifact, envelope: bytes, *, append: bool) -> Patch:
    """The file with a signature, or with one signer more in it. Raises RefusedError, MalformedError."""
    view = artifact.view
    end = _TRAILER.bare(view)
    try:
        signed = cms.read(envelope)
    except MalformedError as error:
        raise RefusedError(f"no signature: {error}") from None
    if signed.content_type != DATA:
        raise RefusedError(f"a signature over {signed.content_type} is none over a program")
    start = _TRAILER.below(view, view.size)
    if append and start is not None:
        if start != end:
            raise BrokenError(reasons.TWICE)
        from chopmark.envelopes.cms import merging

        envelope = merging.merge(trailer.envelope(view, start, view.size), envelope)
    return Patch((Range(0, end), trailer.appended(envelope)))


def strip(artifact: Artifact) -> Patch:
    """The file without any signature."""
    return Patch((Range(0, _TRAILER.bare(artifact.view)),))


def _placed(view: View, start: int) -> Iterator[Finding]:
    """How the signature stands behind the program, and whether that is one."""
    try:
        another = _TRAILER.below(view, start) is not None
    except BrokenError:
        another = True
    yield reasons.TWICE.found() if another else reasons.TRAILER.found()
    problem = _problem(view, start)
    yield reasons.PROGRAM_WRONG.found(problem) if problem else reasons.PROGRAM.found()


def _contained(signed: cms.SignedData) -> Iterator[Finding]:
    """What a signature over a file beside it has no reason to carry."""
    if signed.content_type != DATA or signed.content_raw is not None:
        yield reasons.CONTENT.found(signed.content_type)


def _problem(view: View, size: int) -> str:
    """Why the first `size` bytes are no program or library, or one that reaches into what is behind them."""
    try:
        elf = header.read(view, size)
    except MalformedError as error:
        return str(error)
    if elf.kind not in (header.EXECUTABLE, header.SHARED):
        return f"an ELF file of type {elf.kind}"
    return "" if elf.is_loaded else "nothing in it is loaded"
