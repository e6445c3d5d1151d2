"""The seals of a PowerShell file, and what becomes of it when it is signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import BrokenError, RefusedError
from chopmark.core.patch import Patch
from chopmark.core.reasons import CATALOG
from chopmark.core.seal import Claim, Payload, Range, Recipe, Seal
from chopmark.envelopes import authenticode
from chopmark.formats._text import comment_block, deception
from chopmark.formats._text.explanation import ExplainedEnvelope
from chopmark.formats._text.first_line import interpreter_of
from chopmark.formats.powershell import document, kinds, reasons, text
from chopmark.formats.powershell.explanation import Explanation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import SealOptions
    from chopmark.core.finding import Finding
    from chopmark.formats.powershell.document import Document

_SHORTEST = 4
"""Windows signs and verifies no shorter ones."""


def seals(artifact: Artifact) -> Iterator[Seal]:
    """Every signature in the block, the outermost first, each over the whole text."""
    found = document.read(artifact)
    if found.block is None:
        return
    readings = found.text.readings(found.end)
    about_text = [*_first_line(found), *deception.hidden(found.text.shown())]
    for envelope in authenticode.read(found.envelope):
        reading, about_reading = _reading(found, readings, envelope)
        recipe = Recipe(envelope.digest_algorithm, (Range(0, found.end),), reading)
        yield Seal(
            where=envelope.where,
            envelope=ExplainedEnvelope(envelope, envelope.digest, Explanation(found)),
            claims=(Claim("text", recipe, envelope.digest),),
            nested=envelope.depth,
            findings=(*found.placement, _handler(envelope), *about_reading, *about_text),
        )


def digest(artifact: Artifact, recipes: Sequence[Recipe]) -> list[Payload]:
    """The text in the reading that each recipe names, in UTF-16LE."""
    found = []
    for recipe in recipes:
        [covered] = recipe.ranges
        pieces = [covered] if isinstance(covered, bytes) else artifact.chunks(covered.offset, covered.length)
        value, length = text.digest(pieces, recipe.transform, recipe.algorithm)
        found.append(Payload(recipe, value, length))
    return found


def recipe(artifact: Artifact, options: SealOptions) -> Recipe:
    """What a new signature covers: the text up to the block there is, in the reading that Windows has of it.

    Raises RefusedError where that would not verify everywhere, unless `options.variant` names a reading.
    """
    found = replaceable(artifact)
    readings = found.text.readings(found.end)
    if found.end < _SHORTEST:
        raise RefusedError(f"{artifact.name}: Windows verifies no file of less than {_SHORTEST} bytes")
    if encoding := document.misleading_encoding(found.text, found.style):
        raise RefusedError(f"{artifact.name}: its encoding is {encoding}, in which comments need not be comments")
    chosen = options.variant.lower()
    if chosen and chosen not in readings:
        raise RefusedError(f"{artifact.name} cannot be read as {chosen} (but as {' or '.join(readings)})")
    if not chosen and found.text.unmarked(found.end):
        raise RefusedError(
            f"{artifact.name}: it has characters beyond ASCII and no byte order mark, so that its signature would hold "
            "on some systems only; save it as UTF-8 with a byte order mark"
        )
    return Recipe(options.digest_algorithm, (Range(0, found.end),), chosen or readings[0])


def embed(artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
    """The block goes behind the text, in its encoding, with CR LF as Windows' handler wants it.

    Raises RefusedError, and MalformedError when the envelope is no Authenticode signature.
    """
    found = replaceable(artifact)
    authenticode.read(envelope)
    if options.append and found.block is not None:
        envelope = authenticode.nest(found.envelope, envelope)
    block = comment_block.render(found.style, envelope, document.NEWLINE)
    return Patch((Range(0, found.end), block.encode(found.text.bom if found.text.wide else "ascii")))


def strip(artifact: Artifact) -> Patch:
    """The text alone."""
    return Patch((Range(0, replaceable(artifact).end),))


def replaceable(artifact: Artifact) -> Document:
    """The file, if its block (when it has one) can be replaced or taken out without losing or moving anything else.

    Raises RefusedError otherwise.
    """
    try:
        found = document.read(artifact)
        found.text.readings(found.end)
    except BrokenError as error:
        raise RefusedError(f"{artifact.name}: {error}") from None
    fixed = (reasons.BLOCK_SEVERAL.code, reasons.BLOCK_TRAILING.code, reasons.BLOCK_LOOKALIKE.code)
    for finding in found.placement:
        if finding.code in fixed:
            reason = CATALOG[finding.code].sentence
            raise RefusedError(f"{artifact.name}: {reason} [{finding.detail}] Look at it, and mend the file by hand")
    return found


def _reading(
    found: Document, readings: tuple[str, ...], envelope: authenticode.AuthenticodeEnvelope
) -> tuple[str, list[Finding]]:
    """Which reading a signature is over: Windows' own, unless only the other one fits."""
    if not found.text.unmarked(found.end):
        return readings[0], []
    content = found.text.raw[: found.end]
    for reading in readings:
        if text.digest((content,), reading, envelope.digest_algorithm)[0] != envelope.digest:
            continue
        if reading != readings[0] and not text.same_structure(content):
            return reading, [reasons.ENCODING_AMBIGUOUS.found()]
        return reading, [reasons.ENCODING_UNMARKED.found(f"signed as {reading}")]
    return readings[0], [reasons.ENCODING_UNMARKED.found(f"taken for {readings[0]}")]


def _handler(envelope: authenticode.AuthenticodeEnvelope) -> Finding:
    if envelope.data_type == authenticode.SPC_SIPINFO and envelope.sip == kinds.HANDLER:
        return reasons.HANDLER.found()
    return reasons.HANDLER_WRONG.found(envelope.sip or envelope.data_type)


def _first_line(found: Document) -> list[Finding]:
    interpreter = interpreter_of(found.text.raw[:256])
    if not interpreter or interpreter.startswith(kinds.INTERPRETERS):
        return []
    return [reasons.INTERPRETER.found(interpreter)]
