"""Digesting an image, and whatever else signing needs to know of its bytes, in one pass over the file."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from chopmark.core.digest import hash_ranges
from chopmark.core.errors import RefusedError
from chopmark.core.seal import Payload, Recipe
from chopmark.formats.pe import image as images
from chopmark.formats.pe import pages, table
from chopmark.formats.pe.checksum import WordSum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.digest import Tap


class Gathered:
    """What a pass over a file that is to be signed came to, so that no second pass is needed.

    `page_hashes` says whether they are wanted. `word_sum` is what the signed bytes add to CheckSum; `digests` are image
    hashes and `tables` page hashes, by algorithm; `body` is what an envelope was asked for that says all this.
    """

    __slots__ = ("__weakref__", "body", "digests", "page_hashes", "tables", "word_sum")

    def __init__(self, *, page_hashes: bool) -> None:
        self.page_hashes = page_hashes
        self.word_sum = 0
        self.body: bytes | None = None
        self.digests: dict[str, bytes] = {}
        self.tables: dict[str, bytes] = {}


_TO_BE_SIGNED: WeakKeyDictionary[Artifact, Gathered] = WeakKeyDictionary()
"""Open artifacts for which a new signature was asked for. Only a cache: what is not in it is computed again."""


def recipe(artifact: Artifact, algorithm: str, *, page_hashes: bool) -> Recipe:
    """What a new signature covers: the image hash, with the zeros that will stand before the certificate table.

    Raises RefusedError where page hashes are asked for and impossible, MalformedError.
    """
    image = images.read(artifact.view)
    if page_hashes and (reason := pages.impossible(image)):
        raise RefusedError(f"page hashes are not possible here: {reason}")
    _TO_BE_SIGNED[artifact] = Gathered(page_hashes=page_hashes)
    fill = table.padding(image.end)
    return Recipe(algorithm, (*image.covered(), fill) if fill else image.covered())


def digest(artifact: Artifact, recipes: Sequence[Recipe]) -> list[Payload]:
    """Compute image hashes and tables of page hashes. Raises MalformedError where the headers do not allow it."""
    plain = [recipe for recipe in recipes if not recipe.transform]
    gathered = _TO_BE_SIGNED.get(artifact)
    if gathered is not None and all(recipe.algorithm in gathered.digests for recipe in plain):
        gathered = None  # it is known already, now somebody checks
    if gathered is None and len(plain) == len(recipes):
        return hash_ranges(artifact.view, recipes)
    image = images.read(artifact.view)
    wanted = {recipe.algorithm for recipe in recipes if recipe.transform}
    if gathered is not None and gathered.page_hashes:
        wanted.add(pages.ALGORITHM)
    # All recipes of one image have the same ranges, so the file goes by once, and what goes by is the same for all.
    leading = plain or [Recipe(pages.ALGORITHM, image.covered())]
    same = [recipe for recipe in leading if recipe.ranges == leading[0].ranges]
    collectors = {algorithm: pages.Pages(artifact.view, image, algorithm) for algorithm in wanted}
    taps: list[Tap] = [collector.feed for collector in collectors.values()]
    word_sum = WordSum()
    if gathered is not None:
        taps.append(word_sum.feed)
    payloads = hash_ranges(artifact.view, same, taps)
    payloads += hash_ranges(artifact.view, [recipe for recipe in plain if recipe not in same])
    tables = {algorithm: collector.table() for algorithm, collector in collectors.items()}
    if gathered is not None:
        gathered.word_sum = word_sum.value
        gathered.digests |= {payload.recipe.algorithm: payload.value for payload in payloads}
        gathered.tables |= tables
    values = {payload.recipe: payload for payload in payloads}
    return [
        Payload(recipe, tables[recipe.algorithm], image.end) if recipe.transform else values[recipe]
        for recipe in recipes
    ]


def gathered(artifact: Artifact, algorithm: str, *, page_hashes: bool) -> Gathered:
    """What is known of an artifact that is to be signed, read now if it was not yet. Raises MalformedError."""
    known = _TO_BE_SIGNED.get(artifact)
    if known is None or algorithm not in known.digests or (page_hashes and not known.tables):
        digest(artifact, [recipe(artifact, algorithm, page_hashes=page_hashes)])
        known = _TO_BE_SIGNED[artifact]
    return known


def known(artifact: Artifact) -> Gathered | None:
    """What signing has found out about an artifact so far."""
    return _TO_BE_SIGNED.get(artifact)
