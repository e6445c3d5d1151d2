"""The seals of a script, and what becomes of it when it is signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.contracts import Content
from chopmark.core.errors import BrokenError, RefusedError
from chopmark.core.patch import Patch
from chopmark.core.reasons import CATALOG
from chopmark.core.seal import DATA, Claim, Range, Recipe, Seal
from chopmark.envelopes import cms
from chopmark.formats._text import comment_block, deception
from chopmark.formats._text.detached_signer import DetachedSigner
from chopmark.formats._text.explanation import ExplainedEnvelope
from chopmark.formats.script import document, hazards, languages, reasons
from chopmark.formats.script.explanation import Explanation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import SealOptions
    from chopmark.core.finding import Finding
    from chopmark.core.seal import Payload
    from chopmark.formats.script.document import Document


def seals(artifact: Artifact) -> Iterator[Seal]:
    """Every signer of the block, each over all bytes before it."""
    found = document.read(artifact)
    if found.block is None:
        return
    signed = cms.read(found.envelope)
    if not signed.signers:
        raise BrokenError(reasons.BLOCK_FORM, "nobody signed it")
    about_text = [*_interpreter(found), *deception.hidden(found.shown())]
    for number, signer in enumerate(signed.signers, 1):
        envelope = DetachedSigner(signed, signer)
        recipe = Recipe(envelope.digest_algorithm, (Range(0, found.end),))
        yield Seal(
            where="signature block" if len(signed.signers) == 1 else f"signature block, signer {number}",
            envelope=ExplainedEnvelope(envelope, envelope.expected, Explanation(found)),
            claims=(Claim("script", recipe, envelope.expected),),
            findings=(*found.placement, *_detached(signed), *about_text),
        )


def recipe(artifact: Artifact, options: SealOptions) -> Recipe:
    """All bytes up to the block there is. Raises RefusedError where a block would change what the script does."""
    return Recipe(options.digest_algorithm, (Range(0, _signable(artifact).end),))


def content(payload: Payload) -> Content:
    """Detached data."""
    return Content(DATA, payload.recipe.algorithm, payload.value)


def embed(artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
    """The block goes behind the content; with `options.append` the signers that there are stay in it.

    Raises RefusedError, and MalformedError when the envelope is no signature in DER.
    """
    found = _signable(artifact)
    if _detached(cms.read(envelope)):
        raise RefusedError(f"{artifact.name}: this is no signature over detached data")
    if options.append and found.block is not None:
        from chopmark.envelopes.cms import merging

        envelope = merging.merge(found.envelope, envelope)
    language = found.identity.language or languages.SHELL
    newline = document.newline_of(found.raw[: found.end])
    block = comment_block.render(document.STYLES[language.comment], envelope, newline)
    return Patch((Range(0, found.end), block.encode("ascii")))


def strip(artifact: Artifact) -> Patch:
    """The content alone."""
    return Patch((Range(0, replaceable(artifact).end),))


def replaceable(artifact: Artifact) -> Document:
    """The file, if its block (when it has one) can be replaced or taken out without losing or moving anything else.

    Raises RefusedError otherwise.
    """
    try:
        found = document.read(artifact)
    except BrokenError as error:
        raise RefusedError(f"{artifact.name}: {error}") from None
    for finding in found.placement:
        if finding.code in (reasons.BLOCK_TRAILING.code, reasons.BLOCK_LOOKALIKE.code):
            reason = CATALOG[finding.code].sentence
            raise RefusedError(f"{artifact.name}: {reason} [{finding.detail}] Look at it, and mend the file by hand")
    return found


def _signable(artifact: Artifact) -> Document:
    found = replaceable(artifact)
    if problem := hazards.objection(found.raw[: found.end], found.identity):
        raise RefusedError(f"{artifact.name}: {problem}; sign it detached (--format detached)")
    return found


def _detached(signed: cms.SignedData) -> list[Finding]:
    """What is wrong with an envelope that is not over detached data."""
    if signed.content_type != DATA or signed.content_raw is not None:
        return [reasons.BLOCK_FORM.found("its content is not detached data")]
    return []


def _interpreter(found: Document) -> list[Finding]:
    identity = found.identity
    if not identity.disagree or identity.by_name is None:
        return []
    return [reasons.INTERPRETER.found(f"{identity.by_name.name} by name, {identity.interpreter} in the first line")]
