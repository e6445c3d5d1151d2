"""Any file, signed with OpenPGP beside it (FILE.asc, .sig, .gpg). See docs/reference/formats/openpgp.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.formats._beside.signed_beside import SignedBeside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Format, SealOptions
    from chopmark.core.seal import Payload, Recipe, Seal

_TEXT = "text"


class OpenPgpFormat(SignedBeside):
    """One companion of several suffixes; ".asc" is the one that is written."""

    companions = (".asc", ".sig", ".gpg")

    def owns(self, companion: bytes) -> bool:
        """Armour of a signature, or a packet of one; keys and texts have the same suffixes."""
        return companion.startswith((b"-----BEGIN PGP SIGNATURE-----", b"\x88", b"\x89", b"\x8a", b"\xc2"))

    def extract(self, artifact: Artifact) -> Iterator[Seal]:
        """Every signature in every companion. Raises MalformedError when that has something else."""
        from chopmark.core.seal import Claim, Range, Recipe, Seal
        from chopmark.envelopes import openpgp

        for suffix in self.companions:
            data = artifact.companion(suffix)
            if data is None or not (suffix == self.companion or self.owns(data)):
                continue
            for number, envelope in enumerate(openpgp.envelopes_in(data), 1):
                signature = envelope.signature
                ranges = (signature.salt, Range(0, artifact.view.size), signature.trailer)
                transform = _TEXT if envelope.over_text else ""
                recipe = Recipe(envelope.digest_algorithm, ranges, transform)
                yield Seal(f"signature {number} in *{suffix}", envelope, (Claim("file", recipe, None),))

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """The whole file, which must fit into memory to be signed."""
        return self._recipe(artifact, options.digest_algorithm, whole=True)

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """Digests in one pass; of texts, and what is to be signed, in memory. Raises UnreadableError."""
        texts = [recipe for recipe in recipes if recipe.transform == _TEXT]
        others = iter(super().digest(artifact, [recipe for recipe in recipes if recipe.transform != _TEXT]))
        return [self._text(artifact, recipe) if recipe in texts else next(others) for recipe in recipes]

    def _text(self, artifact: Artifact, recipe: Recipe) -> Payload:
        from chopmark.core.digest import content_of, of
        from chopmark.core.seal import Payload
        from chopmark.envelopes.openpgp import text

        whole = content_of(artifact, recipe)
        salt, _, trailer = recipe.ranges
        covered = b"".join(each for each in (salt, text.canonical(whole.value), trailer) if isinstance(each, bytes))
        return Payload(recipe, of(covered, recipe.algorithm), whole.length)


FORMAT: Format = OpenPgpFormat("openpgp", "file signed with OpenPGP", ".asc", "openpgp")
