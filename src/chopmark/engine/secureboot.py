"""Images as firmware and shim see them: where the PE format, its signatures and the databases of a machine meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import Artifact
from chopmark.core.digest import hash_ranges
from chopmark.core.errors import MalformedError, UsageError
from chopmark.envelopes import authenticode
from chopmark.envelopes.efi import lists
from chopmark.formats.pe import firmware as digesting
from chopmark.formats.pe import image as images
from chopmark.formats.pe import sections
from chopmark.trust.secureboot import firmware, sbat, shim
from chopmark.trust.secureboot.image import Image, Signature

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from chopmark.core.finding import Finding
    from chopmark.trust.secureboot.state import Databases, Entries

_ALGORITHMS = ("sha1", "sha256", "sha384", "sha512")
"""The digests of images that signatures and databases can have."""


def digests(artifact: Artifact, algorithms: Sequence[str]) -> dict[str, bytes]:
    """What firmware digests an image to. Raises MalformedError for what is no image for firmware."""
    payloads = hash_ranges(artifact.view, digesting.recipes(artifact.view, algorithms))
    return {payload.recipe.algorithm: payload.value for payload in payloads}


def started_by_firmware(artifact: Artifact, known: Databases, at: dt.datetime) -> list[Finding]:
    """Whether firmware starts an image; shim is held against SBAT as well, because it does that itself.

    Raises UnreadableError.
    """
    image = read(artifact, known)
    findings = firmware.judge(image, known, at)
    if image.is_shim and not image.broken:
        findings += shim.generations(image, known)
    return findings


def started_by_shim(artifact: Artifact, known: Databases, at: dt.datetime) -> list[Finding]:
    """Whether shim starts an image. Raises UnreadableError."""
    return shim.judge(read(artifact, known), known, at)


def read(artifact: Artifact, known: Databases) -> Image:
    """What there is to know of an image; what breaks it is in the answer. Raises UnreadableError.

    It is digested as its signatures and the databases need it, and no more.
    """
    signatures: list[Signature] = []
    try:
        view = artifact.view
        image = images.read(view)
        entries, unread = digesting.entries(view)
        for number, entry in enumerate(entries, 1):
            try:
                signatures.append(_signature(entry, number))
            except MalformedError as error:
                unread.append(f"signature {number}: {error}")
        return Image(
            digests(artifact, _needed(signatures, known)),
            tuple(signatures),
            tuple(unread),
            sbat=tuple(
                sections.content(view, each, limits.SBAT_MAX) for each in sections.find(view, image, sections.SBAT)
            ),
            is_shim=next(sections.find(view, image, sections.VENDOR), None) is not None,
            is_kernel=sections.is_kernel(view),
        )
    except MalformedError as error:
        return Image({}, broken=str(error))


def _needed(signatures: Sequence[Signature], known: Databases) -> list[str]:
    """The digests that some signature claims, or some database names images by."""
    databases = (known.db, known.dbx, known.mok, known.mokx, known.vendor, known.vendorx)
    named = {each.kind.digest for entries in databases for each in entries if not each.kind.revokes_tbs}
    wanted = named.union(each.algorithm for each in signatures)
    return [each for each in _ALGORITHMS if each in wanted] or ["sha256"]


def _signature(envelope: bytes, number: int) -> Signature:
    """The outermost one; firmware does not know nested signatures."""
    outer = authenticode.read(envelope, number=number)[0]
    content = outer.signed.content
    if content is None:
        raise MalformedError("there is no content")
    return Signature(outer.where, outer.digest_algorithm, outer.digest, content, outer.signed)


def with_shim(known: Databases, path: str) -> Databases:
    """The databases together with what a shim carries. Raises UsageError for a file that is none, UnreadableError."""
    with Artifact.open(path) as artifact:
        try:
            carried = sections.carried(artifact.view)
            if carried is None:
                raise UsageError(f"{path}: this is no shim: it carries no certificates (.vendor_cert)")
            level = _newest(known.level, carried.level)
            allowed, forbidden = _entries(carried.allowed), _entries(carried.forbidden)
        except MalformedError as error:
            raise UsageError(f"{path}: {error}") from None
    return known._replace(vendor=allowed, vendorx=forbidden, level=level)


def _entries(data: bytes) -> Entries:
    """A certificate, or lists."""
    return (lists.certificate_entry(data),) if data.startswith(b"\x30") else tuple(lists.read(data))


def _newest(known: bytes | None, carried: bytes) -> bytes | None:
    """The later one of two levels: shim sets its own where it is newer than what is set."""
    if known is None or not carried:
        return known if known is not None else carried or None
    return max((known, carried), key=lambda each: sbat.level(each).date)
