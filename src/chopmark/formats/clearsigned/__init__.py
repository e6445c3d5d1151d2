"""A text with OpenPGP signatures behind it, readable as it is. See docs/reference/formats/clearsigned.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Content, Format, SealOptions
    from chopmark.core.patch import Patch
    from chopmark.core.seal import Payload, Recipe, Seal

_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNED, _TO_SIGN = "clear", "clear-unsigned"


class ClearsignedFormat:
    """Text, signed in the open (RFC 9580 clause 7)."""

    name = "clearsigned"
    title = "text signed in the open with OpenPGP"
    suffixes: tuple[str, ...] = ()
    envelope = "openpgp"
    options: tuple[str, ...] = ()
    certified = False
    begins = (_BEGIN,)
    otherwise = 4

    def detect(self, head: bytes, name: str) -> int:  # noqa: ARG002 - the contract
        """By the first line; one further down may be a trick, and makes it likely."""
        if head.startswith(_BEGIN):
            return 9
        return 4 if b"\0" not in head and b"\n" + _BEGIN in head else 0

    def extract(self, artifact: Artifact) -> Iterator[Seal]:
        """Every signature behind the text. Raises BrokenError for what stands outside of it."""
        from chopmark.core.seal import Claim, Range, Recipe, Seal
        from chopmark.envelopes.openpgp import envelope, reasons, text

        data = _whole(artifact)
        if _BEGIN not in data:
            return
        taken = text.clear(data)
        for number, each in enumerate(envelope.envelopes_in(taken.signature, envelope.CLEAR), 1):
            signature = each.signature
            ranges = (signature.salt, Range(0, len(data)), signature.trailer)
            findings = []
            if taken.loose:
                findings.append(reasons.LOOSE.found())
            if taken.hashes and each.digest_algorithm not in taken.hashes:
                findings.append(reasons.HASH.found(f"{', '.join(sorted(taken.hashes))}, not {each.digest_algorithm}"))
            claim = Claim("text", Recipe(each.digest_algorithm, ranges, _SIGNED), None)
            yield Seal(f"signature {number}", each, (claim,), findings=tuple(findings))

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """The text, without a signature that it may have."""
        from chopmark.core.seal import Range, Recipe

        return Recipe(options.digest_algorithm, (Range(0, artifact.view.size),), _TO_SIGN)

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """The text as signatures cover it, and its digest with what each adds."""
        from chopmark.core.digest import of
        from chopmark.core.seal import Payload
        from chopmark.envelopes.openpgp import text

        original = _original(artifact)
        signed = text.clear(text.framed(original, "sha512", text.NO_SIGNATURE)).signed
        found = []
        for recipe in recipes:
            value = signed
            if recipe.transform == _SIGNED:
                salt, _, trailer = recipe.ranges
                covered = b"".join(each for each in (salt, signed, trailer) if isinstance(each, bytes))
                value = of(covered, recipe.algorithm)
            found.append(Payload(recipe, value, len(original)))
        return found

    def content(self, artifact: Artifact, payload: Payload, options: SealOptions) -> Content:  # noqa: ARG002 - the contract
        """What is signed: the text itself."""
        from chopmark.core.contracts import Content

        return Content(self.name, payload.recipe.algorithm, payload.value)

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """The text in its frame. Raises RefusedError for what is no text, and to append."""
        from chopmark.core.errors import RefusedError
        from chopmark.core.patch import Patch
        from chopmark.envelopes import openpgp
        from chopmark.envelopes.openpgp import text

        if options.append and _BEGIN in _whole(artifact):
            message = f"{artifact.name}: it is signed already, and signatures are not added to a text"
            raise RefusedError(message)
        [made] = openpgp.envelopes_in(envelope)
        original = _original(artifact)
        if b"\0" in original:
            message = f"{artifact.name}: this is not a text"
            raise RefusedError(message)
        return Patch((text.framed(original, made.digest_algorithm, envelope),))

    def strip(self, artifact: Artifact) -> Patch:
        """The text alone. A line end at its end is there, whether or not it was before."""
        from chopmark.core.patch import Patch

        return Patch((_original(artifact),))


def _whole(artifact: Artifact) -> bytes:
    from chopmark.core import limits, reasons
    from chopmark.core.artifact import UnreadableError

    size = artifact.view.size
    if size > limits.CONTENT_SIGNED_MAX:
        raise UnreadableError(artifact.name, reasons.INPUT_TOO_LARGE, f"{size} bytes")
    return artifact.view.read(0, size)


def _original(artifact: Artifact) -> bytes:
    from chopmark.envelopes.openpgp import text

    data = _whole(artifact)
    return text.clear(data).original if data.startswith(_BEGIN) else data


FORMAT: Format = ClearsignedFormat()
