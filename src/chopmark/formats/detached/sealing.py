"""The seals beside a file, and what is written there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.contracts import Content
from chopmark.core.errors import BrokenError, MalformedError, RefusedError, UsageError
from chopmark.core.patch import Patch
from chopmark.core.seal import DATA, Claim, Range, Recipe, Seal
from chopmark.envelopes import cms
from chopmark.formats._text.detached_signer import DetachedSigner
from chopmark.formats._text.explanation import ExplainedEnvelope
from chopmark.formats.detached import companion, reasons
from chopmark.formats.detached.explanation import Explanation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import SealOptions
    from chopmark.core.finding import Finding
    from chopmark.core.seal import Payload

_LABELS = {"": "", "der": "", "pem": companion.PEM_LABEL}


def seals(artifact: Artifact) -> Iterator[Seal]:
    """Every signer of the companion, each over the whole file."""
    beside = artifact.companion(companion.SUFFIX)
    if beside is None:
        return
    try:
        signed = cms.read(companion.read(beside).cms, allow_ber=True)
    except BrokenError:
        raise
    except MalformedError as error:
        raise MalformedError(f"the signature in *{companion.SUFFIX}: {error}") from None
    if not signed.signers:
        raise BrokenError(reasons.NOBODY)
    whole = (Range(0, artifact.view.size),)
    for number, signer in enumerate(signed.signers, 1):
        envelope = DetachedSigner(signed, signer)
        yield Seal(
            where="detached signature" if len(signed.signers) == 1 else f"detached signature, signer {number}",
            envelope=ExplainedEnvelope(envelope, envelope.expected, Explanation(artifact)),
            claims=(Claim("file", Recipe(envelope.digest_algorithm, whole), envelope.expected),),
            findings=tuple(_content_findings(signed)),
        )


def content(payload: Payload, options: SealOptions) -> Content:
    """Detached data. Raises UsageError for a variant that there is not, before anything is signed."""
    _label(options)
    return Content(DATA, payload.recipe.algorithm, payload.value)


def embed(artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
    """The companion is written; with `options.append` the signers that it has stay, and so does PEM."""
    signed = cms.read(envelope, allow_ber=True)
    if signed.content_type != DATA:
        raise RefusedError(f"a signature over {signed.content_type} is none over a file")
    label = _label(options)
    beside = artifact.companion(companion.SUFFIX)
    if options.append and beside is not None:
        from chopmark.envelopes.cms import merging

        try:
            existing = companion.read(beside)
        except MalformedError as error:
            raise RefusedError(f"{artifact.name}{companion.SUFFIX}: {error}") from None
        envelope = merging.merge(existing.cms, envelope)
        label = label or existing.label
    return Patch((companion.write(envelope, label),), companion.SUFFIX)


def strip() -> Patch:
    """No companion."""
    return Patch(None, companion.SUFFIX)


def _label(options: SealOptions) -> str:
    """What the companion's PEM says it is; empty for DER. Raises UsageError for a variant that there is not."""
    if options.variant.lower() not in _LABELS:
        raise UsageError(f"a detached signature is der or pem, not {options.variant}")
    return _LABELS[options.variant.lower()]


def _content_findings(signed: cms.SignedData) -> Iterator[Finding]:
    if signed.content_type != DATA:
        yield reasons.CONTENT_TYPE.found(signed.content_type)
    if signed.content_raw is not None:
        yield reasons.CONTENT_ALONG.found(f"{len(signed.content or b'')} bytes")
