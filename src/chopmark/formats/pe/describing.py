"""What lists of files say of a PE image: image hashes, the hash of its first page, names and version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.contracts import Description
from chopmark.core.errors import MalformedError
from chopmark.core.seal import Recipe
from chopmark.formats.pe import image as images
from chopmark.formats.pe import pages, table, version

if TYPE_CHECKING:
    from chopmark.core.artifact import Artifact
    from chopmark.core.seal import Range
    from chopmark.formats.pe.image import Image

_ALGORITHMS = ("sha1", "sha256", "sha384", "sha512")
"""Those of Microsoft's lists, and of dbx."""


def describe(artifact: Artifact) -> Description:
    """Read the headers and the version resource. Raises MalformedError when the headers break the rules."""
    image = images.read(artifact.view)
    recipes = tuple(Recipe(name, ranges) for name in _ALGORITHMS for ranges in _ranges(image))
    try:
        strings, number = version.read(artifact.view)
    except MalformedError:
        return Description(recipes, (), None, image.kernel, readable=False)
    return Description(recipes, tuple(strings.items()), number, image.kernel)


def _ranges(image: Image) -> list[tuple[Range | bytes, ...]]:
    """What is digested: the image as it is and as signing fills it up, and its first page."""
    found: list[tuple[Range | bytes, ...]] = [image.covered()]
    if fill := table.padding(image.end):
        found.append((*image.covered(), fill))
    page = pages.page_size(image)
    if not pages.impossible(image):
        found.append((*image.covered(image.headers_size), bytes(page - image.headers_size)))
    return found
