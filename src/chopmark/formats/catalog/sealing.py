"""The seals of a catalog, and what becomes of it when it is signed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chopmark.core import limits
from chopmark.core.contracts import Content
from chopmark.core.errors import BrokenError, MalformedError, RefusedError
from chopmark.core.patch import Patch
from chopmark.core.seal import Claim, Range, Recipe, Seal
from chopmark.envelopes import cms, pem
from chopmark.formats._text.detached_signer import DetachedSigner
from chopmark.formats.catalog import listing, reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import SealOptions
    from chopmark.core.seal import Payload

_DATA = "1.2.840.113549.1.7.1"
"""id-data (RFC 5652 clause 4)."""
_LABEL = "CMS"
_BEGIN = b"\n-----BEGIN CMS-----\n"
_END = b"-----END CMS-----\n"
_BLOCK_MAX = limits.ENVELOPE_MAX * 3 // 2


class Document(NamedTuple):
    """Where the list ends and the signature, if there is one, begins; `envelope` is DER."""

    end: int
    envelope: bytes = b""


def read(artifact: Artifact) -> Document:
    """Find the block at the end; the list is not looked at. Raises BrokenError for a block that is none."""
    size = artifact.view.size
    if artifact.view.read(max(0, size - len(_END)), len(_END)) != _END:
        return Document(size)
    length, place, block = min(64 * limits.KIB, size), -1, b""
    while place < 0:
        window = artifact.view.read(size - length, length)
        place = window.rfind(_BEGIN)
        if place < 0 and length >= min(size, _BLOCK_MAX):
            raise BrokenError(reasons.BLOCK, "it has no beginning")
        block = window[place + 1 :]
        length = min(length * 4, size, _BLOCK_MAX)
    found = [each.der for each in pem.blocks(block) if each.der]
    if len(found) != 1 or pem.encode(_LABEL, found[0]) != block:
        raise BrokenError(reasons.BLOCK)
    return Document(size - len(block), found[0])


def seals(artifact: Artifact) -> Iterator[Seal]:
    """Every signer of the block, each over the whole list, which is read to its end first."""
    found = read(artifact)
    check_list(artifact, found.end)
    if not found.envelope:
        return
    signed = cms.read(found.envelope)
    if not signed.signers:
        raise BrokenError(reasons.BLOCK, "nobody signed it")
    if signed.content_type != _DATA or signed.content_raw is not None:
        raise BrokenError(reasons.BLOCK, "its content is not detached data")
    whole = (Range(0, found.end),)
    for number, signer in enumerate(signed.signers, 1):
        envelope = DetachedSigner(signed, signer)
        yield Seal(
            where="signature block" if len(signed.signers) == 1 else f"signature block, signer {number}",
            envelope=envelope,
            claims=(Claim("list of files", Recipe(envelope.digest_algorithm, whole), envelope.expected),),
            findings=(reasons.SOUND.found(),),
        )


def check_list(artifact: Artifact, end: int) -> None:
    """Read the list to its end. Raises BrokenError where it breaks the rules."""
    for _ in listing.Listing(artifact.chunks(0, end)).rows():
        pass


def recipe(artifact: Artifact, options: SealOptions) -> Recipe:
    """The list, if every line of it is in order. Raises RefusedError."""
    end = _list_end(artifact)
    try:
        check_list(artifact, end)
    except BrokenError as error:
        raise RefusedError(f"{artifact.name}: {error}") from None
    return Recipe(options.digest_algorithm, (Range(0, end),))


def content(payload: Payload) -> Content:
    """Detached data."""
    return Content(_DATA, payload.recipe.algorithm, payload.value)


def embed(artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
    """The block goes behind the list; with `options.append` the signers that there are stay in it.

    Raises RefusedError, and MalformedError when the envelope is no signature in DER.
    """
    found = _found(artifact)
    signed = cms.read(envelope)
    if signed.content_type != _DATA or signed.content_raw is not None:
        raise RefusedError(f"{artifact.name}: this is no signature over detached data")
    if options.append and found.envelope:
        from chopmark.envelopes.cms import merging

        envelope = merging.merge(found.envelope, envelope)
    return Patch((Range(0, found.end), pem.encode(_LABEL, envelope)))


def strip(artifact: Artifact) -> Patch:
    """The list alone."""
    return Patch((Range(0, _list_end(artifact)),))


def _list_end(artifact: Artifact) -> int:
    return _found(artifact).end


def _found(artifact: Artifact) -> Document:
    try:
        return read(artifact)
    except MalformedError as error:
        raise RefusedError(f"{artifact.name}: {error}") from None
