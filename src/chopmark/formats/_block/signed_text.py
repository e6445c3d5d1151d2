"""A text and the block of PEM that ends the file: found, sealed, put there and taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.contracts import Content
from chopmark.core.errors import BrokenError, MalformedError, RefusedError
from chopmark.core.named import NamedTuple
from chopmark.core.patch import Patch
from chopmark.core.seal import DATA, Claim, Range, Recipe, Seal
from chopmark.envelopes import cms, pem
from chopmark.formats._text.detached_signer import DetachedSigner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import SealOptions
    from chopmark.core.reasons import Reason
    from chopmark.core.seal import Payload

_LABEL = "CMS"
_BEGIN = b"\n-----BEGIN CMS-----\n"
_END = b"-----END CMS-----\n"
_BLOCK_MAX = limits.ENVELOPE_MAX * 3 // 2


class Document(NamedTuple):
    """Where the text ends and the signature, if there is one, begins; `envelope` is DER."""

    end: int
    envelope: bytes = b""


class SignedText:
    """One kind of text: `what` it is for people, how it is read (`check` raises BrokenError), and its reasons."""

    def __init__(self, what: str, check: Callable[[Artifact, int], None], broken: Reason, sound: Reason) -> None:
        self._what, self._check, self._broken, self._sound = what, check, broken, sound

    def read(self, artifact: Artifact) -> Document:
        """Find the block at the end; the text is not looked at. Raises BrokenError for a block that is none."""
        size = artifact.view.size
        if artifact.view.read(max(0, size - len(_END)), len(_END)) != _END:
            return Document(size)
        length, place, block = min(64 * limits.KIB, size), -1, b""
        while place < 0:
            window = artifact.view.read(size - length, length)
            place = window.rfind(_BEGIN)
            if place < 0 and length >= min(size, _BLOCK_MAX):
                raise BrokenError(self._broken, "it has no beginning")
            block = window[place + 1 :]
            length = min(length * 4, size, _BLOCK_MAX)
        found = [each.der for each in pem.blocks(block) if each.der]
        if len(found) != 1 or pem.encode(_LABEL, found[0]) != block:
            raise BrokenError(self._broken)
        return Document(size - len(block), found[0])

    def seals(self, artifact: Artifact) -> Iterator[Seal]:
        """Every signer of the block, each over the whole text, which is read to its end first."""
        found = self.read(artifact)
        self._check(artifact, found.end)
        if not found.envelope:
            return
        signed = cms.read(found.envelope)
        if not signed.signers:
            raise BrokenError(self._broken, "nobody signed it")
        if signed.content_type != DATA or signed.content_raw is not None:
            raise BrokenError(self._broken, "its content is not detached data")
        whole = (Range(0, found.end),)
        for number, signer in enumerate(signed.signers, 1):
            envelope = DetachedSigner(signed, signer)
            yield Seal(
                where="signature block" if len(signed.signers) == 1 else f"signature block, signer {number}",
                envelope=envelope,
                claims=(Claim(self._what, Recipe(envelope.digest_algorithm, whole), envelope.expected),),
                findings=(self._sound.found(),),
            )

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """The text, if every line of it is in order. Raises RefusedError."""
        end = self._found(artifact).end
        try:
            self._check(artifact, end)
        except BrokenError as error:
            raise RefusedError(f"{artifact.name}: {error}") from None
        return Recipe(options.digest_algorithm, (Range(0, end),))

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """The block goes behind the text; with `options.append` the signers that there are stay in it.

        Raises RefusedError, and MalformedError when the envelope is no signature in DER.
        """
        found = self._found(artifact)
        signed = cms.read(envelope)
        if signed.content_type != DATA or signed.content_raw is not None:
            raise RefusedError(f"{artifact.name}: this is no signature over detached data")
        if options.append and found.envelope:
            from chopmark.envelopes.cms import merging

            envelope = merging.merge(found.envelope, envelope)
        return Patch((Range(0, found.end), pem.encode(_LABEL, envelope)))

    def strip(self, artifact: Artifact) -> Patch:
        """The text alone."""
        return Patch((Range(0, self._found(artifact).end),))

    def _found(self, artifact: Artifact) -> Document:
        try:
            return self.read(artifact)
        except MalformedError as error:
            raise RefusedError(f"{artifact.name}: {error}") from None


def content(payload: Payload) -> Content:
    """Detached data."""
    return Content(DATA, payload.recipe.algorithm, payload.value)
