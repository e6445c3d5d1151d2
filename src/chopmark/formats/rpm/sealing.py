"""The seals of a package, and how one is put there and all are taken out."""

from __future__ import annotations

import binascii
from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING

from chopmark.core.artifact import FileView, pieces
from chopmark.core.digest import STRONG, content_of, fresh, hash_ranges
from chopmark.core.errors import MalformedError, RefusedError, UsageError
from chopmark.core.patch import Patch
from chopmark.core.seal import CONTENT, Claim, Payload, Range, Recipe, Seal
from chopmark.envelopes import openpgp
from chopmark.envelopes.openpgp import armor, mathematics
from chopmark.formats.rpm import claims, files, header, package, reasons, signatures, tags
from chopmark.formats.rpm.header import Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.artifact import Artifact, View
    from chopmark.core.contracts import SealOptions
    from chopmark.core.finding import Finding
    from chopmark.formats.rpm.package import Package

VARIANT_WHOLE = "v3"
"""As rpmsign's --rpmv3: over header and payload, for packages whose header has no digest of the payload."""
_RSA = (mathematics.RSA, mathematics.RSA_SIGN)
_ABOUT_FILES = frozenset((tags.FILE_SIGNATURES, tags.VERITY_SIGNATURES))
_ROOM = (tags.RESERVED, tags.RESERVED_SPACE)


def seals(artifact: Artifact) -> list[Seal]:
    """Every signature; with each, all that is to be compared. Raises BrokenError."""
    found = package.read(artifact.view)
    covered = claims.of_payload(artifact.view, found)
    compared = (*covered, *claims.beside(found, md5=not covered))
    head, payload = found.parts
    placed = tuple(_placed(found))
    over_header = signatures.found(found.signatures, signatures.HEADER)
    over_both = signatures.found(found.signatures, signatures.BOTH)
    strong = any(each.digest_algorithm in STRONG for _, each in over_both)
    about_payload = _about_payload(covered=bool(covered), elsewhere=strong)
    made = []
    for where, each in over_header:
        signature = each.signature
        recipe = Recipe(signature.digest_algorithm, signature.around(head))
        made.append(Seal(where, each, (Claim("header", recipe, None), *compared), findings=(*placed, about_payload)))
    for where, each in over_both:
        signature = each.signature
        recipe = Recipe(signature.digest_algorithm, signature.around(head, payload))
        made.append(Seal(where, each, (Claim("package", recipe, None), *compared), findings=placed))
    return made


def _about_payload(*, covered: bool, elsewhere: bool) -> Finding:
    if covered:
        return reasons.PAYLOAD.found()
    return reasons.PAYLOAD_ELSEWHERE.found() if elsewhere else reasons.PAYLOAD_UNCOVERED.found()


def _placed(found: Package) -> list[Finding]:
    said = [package.size_finding(found) or reasons.LAYOUT.found()]
    if (name := package.lead_finding(found)) is not None:
        said.append(name)
    algorithm = files.algorithm(found.header)
    if algorithm not in STRONG and tags.FILE_DIGESTS in found.header.entries:
        said.append(reasons.WEAK_FILES.found(algorithm))
    if not _ABOUT_FILES.isdisjoint(found.signatures.entries):
        said.append(reasons.FILE_SIGNATURES.found())
    return said


def recipe(artifact: Artifact, options: SealOptions) -> Recipe:
    """What a new signature covers.

    Raises RefusedError, also where a signature over the header would leave the payload open, or the package is not what
    its digests say; UsageError for a variant that there is not.
    """
    found = _sound(artifact)
    covered = _covered(artifact, found)
    if _whole(options, found):
        return Recipe(options.digest_algorithm, found.parts, CONTENT)
    if not covered:
        message = f"{artifact.name}: the header has no strong digest of the payload: build it anew, or --variant v3"
        raise RefusedError(message)
    return Recipe(options.digest_algorithm, found.parts[:1], CONTENT)


def _covered(artifact: Artifact, found: Package) -> list[Claim]:
    """The digests of the payload, after everything that would be compared was."""
    try:
        covered = claims.of_payload(artifact.view, found)
        compared = [*covered, *claims.beside(found)]
    except MalformedError as error:
        raise RefusedError(f"{artifact.name}: {error}") from None
    for claim, payload in zip(compared, digest(artifact, [claim.recipe for claim in compared]), strict=True):
        if claim.expected != payload.value:
            message = f"{artifact.name}: damaged: the {claim.what} does not have the {claim.recipe.algorithm} it should"
            raise RefusedError(message)
    return covered


def digest(artifact: Artifact, recipes: Sequence[Recipe]) -> list[Payload]:
    """Digests in one pass over the file; content in memory. Raises UnreadableError."""
    view = artifact.view
    plain = [each for each in recipes if not each.transform]
    if len(plain) != len(recipes):
        hashed = iter(digest(artifact, plain))
        return [content_of(artifact, each) if each.transform else next(hashed) for each in recipes]
    small = isinstance(view, FileView) and view.whole() is not None
    return hash_ranges(view, recipes) if small else _hashed(view, recipes)


def _hashed(view: View, recipes: Sequence[Recipe]) -> list[Payload]:
    """What recipes come to whose ranges overlap, each byte of the file read once."""
    edges = sorted({edge for each in recipes for part in each.ranges if isinstance(part, Range)
                    for edge in (part.offset, part.offset + part.length)})  # fmt: skip
    if edges and not 0 <= edges[0] <= edges[-1] <= view.size:
        raise MalformedError(f"ranges up to byte {edges[-1]} of {view.size}")
    running = [_Running(each, edges) for each in recipes]
    for start, end in pairwise(edges):
        mine = [each for each in running if each.comes_to(start)]
        for piece in pieces(view, start, end) if mine else ():
            for each in mine:
                each.feed(piece)
    return [each.done() for each in running]


class _Running:
    """A digest under way: its ranges are cut where those of any other begin or end."""

    def __init__(self, recipe: Recipe, edges: Sequence[int]) -> None:
        self._recipe = recipe
        self._hasher = fresh(recipe.algorithm)
        self._length = 0
        self._parts: deque[int | bytes] = deque()
        for part in recipe.ranges:
            if isinstance(part, Range):
                self._parts += [edge for edge in edges if part.offset <= edge < part.offset + part.length]
            else:
                self._parts.append(part)

    def comes_to(self, start: int) -> bool:
        """Whether the piece of the file that begins there is next."""
        while self._parts:
            following = self._parts[0]
            if not isinstance(following, bytes):
                break
            self.feed(following)
            self._parts.popleft()
        if self._parts and self._parts[0] == start:
            self._parts.popleft()
            return True
        return False

    def feed(self, piece: bytes | memoryview) -> None:
        self._hasher.update(piece)
        self._length += len(piece)

    def done(self) -> Payload:
        """The digest. Raises MalformedError where its ranges do not follow each other in the file."""
        self.comes_to(-1)
        if self._parts:
            raise MalformedError("ranges that do not follow each other")
        return Payload(self._recipe, self._hasher.digest(), self._length)


def embed(artifact: Artifact, made: bytes, options: SealOptions) -> Patch:
    """The signature in the signature header, in place of all there were.

    Packages of version 6 can have several (`append`). Raises RefusedError.
    """
    found = _sound(artifact)
    signature = openpgp.envelope_in(made).signature
    raw = armor.unwrap(made, armor.SIGNATURE)[0]
    kept = [each for each in header.values(found.signatures) if each.tag not in signatures.EVERY]
    signed = len(kept) != len(found.signatures.entries)
    if found.version == package.V6:
        texts = found.signatures.strings(tags.OPENPGP) if options.append else []
        texts.append(binascii.b2a_base64(raw, newline=False))
        return _patch(found, [*kept, Value(tags.OPENPGP, tags.STRINGS, len(texts), b"\0".join(texts) + b"\0")])
    if options.append and signed:
        message = f"{artifact.name}: it is signed already, and a package of version 4 has room for one signature"
        raise RefusedError(message)
    for_rsa, for_others = (tags.PGP, tags.GPG) if _whole(options, found) else (tags.RSA, tags.DSA)
    tag = for_rsa if signature.algorithm in _RSA else for_others
    return _patch(found, [*kept, Value(tag, tags.BINARY, len(raw), raw)])


def strip(artifact: Artifact) -> Patch:
    """Without any signature. Raises RefusedError for what is no package."""
    found = _sound(artifact)
    kept = [each for each in header.values(found.signatures) if each.tag not in signatures.EVERY]
    if len(kept) == len(found.signatures.entries):
        return Patch((Range(0, artifact.view.size),))
    return _patch(found, kept)


def _patch(found: Package, those: list[Value]) -> Patch:
    """The package with another signature header, of the same size where the reserved room allows that."""
    made = header.written(tags.SIGNATURES, those)
    before = found.end - package.LEAD
    for number, each in enumerate(those):
        left = each.amount + before - len(made)
        if each.tag in _ROOM and left > 0:
            those[number] = each._replace(amount=left, octets=bytes(left))
            made = header.written(tags.SIGNATURES, those)
    made += bytes(-(package.LEAD + len(made)) % 8)
    return Patch((Range(0, package.LEAD), made, Range(found.start, found.size - found.start)))


def _whole(options: SealOptions, found: Package) -> bool:
    """Whether the payload is to be signed itself."""
    if options.variant not in ("", VARIANT_WHOLE):
        message = f"a package is signed over its header, or with --variant {VARIANT_WHOLE} over its payload too"
        raise UsageError(message)
    if options.variant and found.version == package.V6:
        raise UsageError("a package of version 6 is signed over its header, which has the digests of the payload")
    return bool(options.variant)


def _sound(artifact: Artifact) -> Package:
    try:
        return package.read(artifact.view)
    except MalformedError as error:
        raise RefusedError(f"{artifact.name}: {error}") from None
