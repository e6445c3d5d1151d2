"""The signatures in a PE image as seals, each with what it claims and what its place says about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.core.seal import Claim, Recipe, Seal
from chopmark.envelopes import authenticode
from chopmark.envelopes.authenticode.reasons import WRONG_SUBJECT
from chopmark.formats._appended import archive
from chopmark.formats.pe import image as images
from chopmark.formats.pe import layout, pages, reasons, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import Artifact
    from chopmark.core.finding import Finding
    from chopmark.formats.pe.image import Image

_EARLY_PESIGN = "1.3.6.1.4.1.311.2.1.21"
"""SPC_INDIVIDUAL_SP_KEY_PURPOSE, which does not belong there; Debian's fwupd carries it."""


def seals(artifact: Artifact) -> Iterator[Seal]:
    """Every signature: those side by side in the order of the file, each followed by those nested in it.

    Raises MalformedError where headers, table or an envelope cannot be read; of several envelopes, after the others.
    """
    image = images.read(artifact.view)
    if not image.signed:
        return
    entries, findings = table.read(artifact.view, image)
    findings += (*layout.check(image), *archive.findings(artifact.view, image.table.offset, image.size))
    broken = None
    for number, entry in enumerate(entries, 1):
        try:
            envelopes = authenticode.read(entry.envelope, number=number)
        except MalformedError as error:
            broken = broken or error
            continue
        for envelope in envelopes:
            placement = () if envelope.depth else (*findings, *entry.findings)
            yield _seal(image, envelope, placement)
    if broken is not None:
        raise broken


def _seal(image: Image, envelope: authenticode.AuthenticodeEnvelope, placement: tuple[Finding, ...]) -> Seal:
    findings = [*placement, *_subject(image, envelope.data_type)]
    claims = [Claim("image", Recipe(envelope.digest_algorithm, image.covered()), envelope.digest)]
    if envelope.page_hashes is not None:
        algorithm, claimed = envelope.page_hashes
        if reason := pages.impossible(image, algorithm):
            findings.append(reasons.PAGE_HASHES_IMPOSSIBLE.found(reason))
        else:
            claims.append(Claim("page hashes", Recipe(algorithm, image.covered(), pages.TRANSFORM), claimed))
    purpose = "secure-boot" if image.efi else "code-signing"
    return Seal(envelope.where, envelope, tuple(claims), envelope.depth, purpose, tuple(findings))


def _subject(image: Image, data_type: str) -> list[Finding]:
    """Whether the signature says that it is over a PE image."""
    if data_type == authenticode.SPC_PE_IMAGE_DATA:
        return []
    if image.efi and data_type == _EARLY_PESIGN:
        return [reasons.SUBJECT_UNUSUAL.found(data_type)]
    return [WRONG_SUBJECT.found(data_type)]
