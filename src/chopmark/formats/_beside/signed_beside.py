"""Any file, signed as a whole by a file beside it. The envelope says whether its digest is signed, or all of it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chopmark.core.seal import CONTENT, Claim, Payload, Range, Recipe, Seal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Content, SealOptions
    from chopmark.core.patch import Patch


class SignedBeside:
    """A Format whose signatures are in `companion` (a suffix). Nobody is detected as one: it is asked for by name.

    `digest_algorithm` is what new signatures are over; empty: over the content itself. `mark` is how a companion begins
    where others use the same suffix.
    """

    suffixes: tuple[str, ...] = ()
    certified = False
    begins: tuple[bytes, ...] = ()

    def __init__(
        self,
        name: str,
        title: str,
        companion: str,
        envelope: str,
        *,
        digest_algorithm: str = "",
        options: tuple[str, ...] = (),
        mark: bytes = b"",
    ) -> None:
        self.name, self.title, self.companion, self.envelope = name, title, companion, envelope
        self.options = options
        self._digest_algorithm = digest_algorithm
        self._mark = mark

    def detect(self, head: bytes, name: str) -> int:  # noqa: ARG002 - the contract
        """Never: the file itself shows nothing."""
        return 0

    def owns(self, companion: bytes) -> bool:
        """Whether a file with that suffix is for this format."""
        return companion.startswith(self._mark)

    def extract(self, artifact: Artifact) -> Iterator[Seal]:
        """The signature in the companion. Raises MalformedError when that is none."""
        data = artifact.companion(self.companion)
        if data is None:
            return
        envelope = self._envelopes.envelope_in(data)
        recipe = self._recipe(artifact, envelope.digest_algorithm, whole=not envelope.over_digest)
        yield Seal(f"signature in *{self.companion}", envelope, (Claim("file", recipe, None),))

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:  # noqa: ARG002 - the contract
        """The whole file."""
        return self._recipe(artifact, self._digest_algorithm or "sha512", whole=not self._digest_algorithm)

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """Digests in one pass; or the content, which must fit into memory then. Raises UnreadableError."""
        from chopmark.core.digest import content_of, hash_ranges

        hashed = iter(hash_ranges(artifact.view, [recipe for recipe in recipes if not recipe.transform]))
        return [content_of(artifact, recipe) if recipe.transform else next(hashed) for recipe in recipes]

    def content(self, artifact: Artifact, payload: Payload, options: SealOptions) -> Content:  # noqa: ARG002 - the contract
        """What is signed: the value of the payload."""
        from chopmark.core.contracts import Content

        return Content(self.name, payload.recipe.algorithm, payload.value)

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """The companion is written. Raises RefusedError where there is one of another kind, or to append."""
        from chopmark.core.errors import RefusedError
        from chopmark.core.patch import Patch

        existing = artifact.companion(self.companion)
        if existing is not None and not self.owns(existing):
            message = f"{artifact.name}{self.companion}: a signature of another kind; remove it yourself"
            raise RefusedError(message)
        if options.append and existing is not None:
            message = f"{artifact.name}{self.companion}: there is a signature already, and it holds only one"
            raise RefusedError(message)
        self._envelopes.envelope_in(envelope)
        return Patch((envelope,), self.companion)

    def strip(self, artifact: Artifact) -> Patch:  # noqa: ARG002 - the contract
        """No companion."""
        from chopmark.core.patch import Patch

        return Patch(None, self.companion)

    @property
    def _envelopes(self) -> Any:  # noqa: ANN401 - a module, by name, so that it is loaded when it is needed
        return import_module(f"chopmark.envelopes.{self.envelope}")

    def _recipe(self, artifact: Artifact, algorithm: str, *, whole: bool) -> Recipe:
        return Recipe(algorithm, (Range(0, artifact.view.size),), CONTENT if whole else "")
