"""Seals: a signature as it was found, and what it claims to cover."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.finding import Finding
    from chopmark.core.proof import Proof


class Range(NamedTuple):
    """`length` bytes of the artifact from `offset` on."""

    offset: int
    length: int


DATA = "1.2.840.113549.1.7.1"
"""id-data (RFC 5652 clause 4): the type of content that is signed as it is."""
CONTENT = "content"
"""Recipe.transform where the bytes themselves are signed and not their digest: the payload's value is all of them."""


class Recipe(NamedTuple):
    """How to compute what a signature covers: a digest over ranges of the artifact and literal bytes, in order.

    `algorithm` is a name of core.digest; `transform` names what a format does to the bytes before hashing them (empty:
    nothing, the ranges are hashed as they are; CONTENT: they are not hashed at all), and is otherwise understood by
    that format alone.
    """

    algorithm: str
    ranges: tuple[Range | bytes, ...]
    transform: str = ""


class Payload(NamedTuple):
    """What a recipe came to: the value, usually a digest, and how many bytes went into it."""

    recipe: Recipe
    value: bytes
    length: int


class Claim(NamedTuple):
    """A statement of a seal about the artifact: this recipe gives this value.

    `expected` is None where the envelope binds the payload itself, in its own check.
    """

    what: str
    recipe: Recipe
    expected: bytes | None


class Envelope(Protocol):
    """One signature as wrapped: parsed, not verified."""

    @property
    def scheme(self) -> str:
        """What kind it is: "authenticode", "cms", ..."""

    @property
    def raw(self) -> bytes:
        """The bytes as found."""

    def check(self, payloads: Sequence[Payload]) -> Proof:
        """Verify structure, digests and the signature; `payloads` are those of the seal's claims, in order."""


class Seal(NamedTuple):
    """One signature as found. Nothing in it is verified yet.

    `where` tells a person which one it is ("signature 1", "nested signature 1.2"); `nested` is the depth (0:
    outermost); `purpose` is what the signer's certificate must be for; `findings` are the format's own strict checks on
    how this signature is placed.
    """

    where: str
    envelope: Envelope
    claims: tuple[Claim, ...]
    nested: int = 0
    purpose: str = "code-signing"
    findings: tuple[Finding, ...] = ()
