"""Putting signatures into a PE image and taking them out: data directory 4, CheckSum, the certificate table."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

from chopmark.core import limits
from chopmark.core.errors import RefusedError
from chopmark.core.finding import Outcome
from chopmark.core.patch import Patch
from chopmark.core.seal import Range
from chopmark.envelopes import authenticode
from chopmark.formats.pe import checksum, digesting, layout, reasons, table
from chopmark.formats.pe import image as images

if TYPE_CHECKING:
    from chopmark.core.artifact import Artifact, View
    from chopmark.core.contracts import Content, SealOptions
    from chopmark.core.seal import Payload, Recipe
    from chopmark.formats.pe.image import Image

_SIZE_MAX = 0xFFFFFFFF
_SIGNABLE: WeakSet[View] = WeakSet()
"""Open files that can be signed. Only a cache: what is not in it is looked at again."""


def recipe(artifact: Artifact, options: SealOptions) -> Recipe:
    """What a new signature would cover. Raises RefusedError where none can be made, MalformedError."""
    _refuse_unsignable(artifact)
    return digesting.recipe(artifact, options.digest_algorithm, page_hashes=options.page_hashes)


def content(artifact: Artifact, payload: Payload, options: SealOptions) -> Content:
    """What the envelope signs. Raises MalformedError where page hashes are asked for and impossible."""
    algorithm = payload.recipe.algorithm
    gathered = digesting.gathered(artifact, algorithm, page_hashes=options.page_hashes)
    hashes = None
    if options.page_hashes:
        [hashes] = gathered.tables.items()
    made = authenticode.pe_content(algorithm, payload.value, page_hashes=hashes, options=options)
    if payload.value == gathered.digests[algorithm]:
        gathered.body = made.body
    return made


def embed(artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
    """The image with this signature instead of those there are, or with `options.append` beside or around it.

    Appending puts another entry beside the first one in an image for firmware, and nests in all others. Raises
    RefusedError when the envelope was made for another file or the result would not verify, MalformedError.
    """
    image = _refuse_unsignable(artifact)
    body = authenticode.enclosed(envelope)
    gathered = digesting.known(artifact)
    if gathered is None or body != gathered.body:
        gathered = _gathered_for(artifact, authenticode.read_indirect(body))
    certificates = _table(artifact, image, envelope, append=options.append)
    return _patched(artifact, image, gathered.word_sum, certificates)


def _gathered_for(artifact: Artifact, made: authenticode.IndirectData) -> digesting.Gathered:
    """What is known of the file, if that is what a signature from elsewhere says of it. Raises RefusedError."""
    gathered = digesting.gathered(artifact, made.digest_algorithm, page_hashes=made.page_hashes is not None)
    if made.data_type != authenticode.SPC_PE_IMAGE_DATA or made.digest != gathered.digests[made.digest_algorithm]:
        raise RefusedError("this signature was made for another file")
    if made.page_hashes and made.page_hashes.table != gathered.tables.get(made.page_hashes.algorithm):
        raise RefusedError("the page hashes in this signature are not those of this file")
    return gathered


def strip(artifact: Artifact) -> Patch:
    """The image without its certificate table.

    Zeros that were put before the table to align it stay, and CheckSum becomes what it should be (if it was in use):
    what they were before cannot be known. Raises RefusedError for data behind the table, MalformedError.
    """
    image = images.read(artifact.view)
    if not image.signed:
        return Patch((Range(0, image.size),))
    table.check_place(image)
    _refuse_trailing(image)
    word_sum = checksum.WordSum()
    for part in image.covered():
        position = part.offset
        for piece in artifact.chunks(part.offset, part.length):
            word_sum.feed(position, piece)
            position += len(piece)
    return _patched(artifact, image, word_sum.value, b"")


def _refuse_unsignable(artifact: Artifact) -> Image:
    """The image, if a signature in it would verify; looked at once for each open file."""
    image = images.read(artifact.view)
    if artifact.view not in _SIGNABLE:
        _refuse_unfit(image)
        _SIGNABLE.add(artifact.view)
    return image


def _refuse_unfit(image: Image) -> None:
    if image.directory is None:
        raise RefusedError("the headers have no room for a signature (data directory 4)")
    if image.signed:
        table.check_place(image)
        _refuse_trailing(image)
    for finding in layout.check(image):
        if finding.outcome is Outcome.NO:
            raise RefusedError(f"a signature would not hold here: {finding.detail}")


def _refuse_trailing(image: Image) -> None:
    trailing = image.size - image.table.offset - image.table.length
    if trailing:
        raise RefusedError(f"{trailing} bytes stand behind the certificate table; who put them there?")


def _table(artifact: Artifact, image: Image, envelope: bytes, *, append: bool) -> bytes:
    """The new certificate table."""
    old = b""
    if append and image.signed:
        entries, _ = table.read(artifact.view, image)
        if image.efi:
            old = artifact.view.read(*image.table)
            old += table.padding(len(old))
        elif len(entries) == 1:
            envelope = authenticode.nest(entries[0].envelope, envelope)
        else:
            raise RefusedError(reasons.TABLE_SEVERAL.sentence)
    made = old + table.entry(envelope)
    if len(made) > limits.ENVELOPE_MAX:
        raise RefusedError(f"{len(made)} bytes of signatures; {limits.ENVELOPE_MAX} are the limit")
    return made


def _patched(artifact: Artifact, image: Image, word_sum: int, certificates: bytes) -> Patch:
    """The covered ranges as they are; CheckSum, data directory 4 and the table made to fit."""
    first, second, rest = image.covered()
    fill = table.padding(image.end) if certificates else b""
    offset = image.end + len(fill)
    size = offset + len(certificates)
    if size > _SIZE_MAX:
        raise RefusedError(reasons.TOO_LARGE.sentence)
    directory = images.DIRECTORY.pack(offset, len(certificates)) if certificates else bytes(images.DIRECTORY.size)
    total = checksum.WordSum(word_sum)
    total.feed(second.offset + second.length, directory)
    total.feed(offset, certificates)
    field = artifact.view.read(image.checksum, 4)
    if certificates or any(field):
        field = checksum.finished(total.value, size).to_bytes(4, "little")
    return Patch((first, field, second, directory, rest, *(part for part in (fill, certificates) if part)))
