"""Objects of git that carry signatures: commits, tags, push certificates. See docs/reference/formats/git.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Content, Format, SealOptions
    from chopmark.core.patch import Patch
    from chopmark.core.seal import Payload, Recipe, Seal


class GitFormat:
    """The bytes of one object, as `git cat-file TYPE ID` prints them. The other modules are loaded when needed."""

    name = "git"
    title = "commit, tag or push certificate of git"
    suffixes: tuple[str, ...] = ()
    envelope = "gitsig"
    options: tuple[str, ...] = ()
    certified = False
    begins = (b"tree ", b"object ", b"certificate version 0.1\npusher ")

    def detect(self, head: bytes, name: str) -> int:  # noqa: ARG002 - the contract
        """By the first headers."""
        if not head.startswith(self.begins):
            return 0
        from chopmark.formats.git import parsing  # hardly any file gets here

        names = [line.partition(b" ")[0] for line in head.split(b"\n\n", 1)[0].split(b"\n")]
        wanted = {parsing.COMMIT: b"author", parsing.TAG: b"type", parsing.PUSH: b"pusher"}
        return 8 if wanted.get(parsing.kind_of(head)) in names else 0

    def extract(self, artifact: Artifact) -> Iterator[Seal]:
        """Its signature, and those of the tags that a commit merged. Raises BrokenError."""
        from chopmark.formats.git import sealing

        yield from sealing.seals(artifact)

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """All but the signature."""
        from chopmark.formats.git import sealing

        return sealing.recipe(artifact, options.digest_algorithm)

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """The bytes as they are."""
        from chopmark.core.digest import hash_ranges

        return hash_ranges(artifact.view, recipes)

    def content(self, artifact: Artifact, payload: Payload, options: SealOptions) -> Content:  # noqa: ARG002 - the contract
        """What is signed: all but the signature."""
        from chopmark.formats.git import sealing

        return sealing.content(artifact, payload)

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """The object with a signature; its id is another then. Raises RefusedError to append."""
        from chopmark.formats.git import sealing

        return sealing.embed(artifact, envelope, append=options.append)

    def strip(self, artifact: Artifact) -> Patch:
        """The object as it was signed."""
        from chopmark.formats.git import sealing

        return sealing.strip(artifact)


FORMAT: Format = GitFormat()
