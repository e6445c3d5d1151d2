"""The seals of a file that is signed for IMA, and where they are put."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core import reasons as common
from chopmark.core.artifact import ATTRIBUTE, UnreadableError
from chopmark.core.contracts import Content
from chopmark.core.digest import hash_ranges, of
from chopmark.core.errors import MalformedError, RefusedError, UsageError
from chopmark.core.patch import Patch
from chopmark.core.seal import Claim, Payload, Range, Recipe, Seal
from chopmark.envelopes import ima
from chopmark.envelopes.ima import reasons
from chopmark.formats._verity import fsverity
from chopmark.formats.ima import confusable, metadata

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import SealOptions
    from chopmark.core.finding import Finding

XATTR, BESIDE, METADATA = metadata.IMA, ".sig", ATTRIBUTE + "security.evm"
_MARKS = {XATTR: (ima.FILE, ima.VERITY), BESIDE: (ima.FILE, ima.VERITY), METADATA: (ima.EVM,)}
_VERITY = "verity"
_VARIANTS = {
    "": (XATTR, ima.FILE),
    "file": (BESIDE, ima.FILE),
    "verity": (XATTR, ima.VERITY),
    "evm": (METADATA, ima.EVM),
}
_PURPOSE = "module-signing"
"""The kernel asks for no extended key usage, as with its modules (ADR 0101)."""


def seals(artifact: Artifact) -> Iterator[Seal]:
    """Every signature there is."""
    for place, data in _signatures(artifact):
        if place == METADATA:
            yield metadata.seal(artifact, data, _where(place), _PURPOSE)
            continue
        envelope = ima.envelope_in(data)
        if envelope.header.kind == ima.VERITY:
            claim = Claim("file by its fs-verity digest", _verity_recipe(artifact, envelope.digest_algorithm), None)
            findings: tuple[Finding, ...] = ()
        else:
            claim = Claim("file", _whole(artifact, envelope.digest_algorithm), None)
            other = confusable.kind(artifact.view)
            findings = (reasons.CONFUSABLE.found(other),) if other else ()
        yield Seal(_where(place), envelope, (claim,), purpose=_PURPOSE, findings=findings)


def recipe(artifact: Artifact, options: SealOptions) -> Recipe:
    """What a new signature would cover. Raises UsageError, RefusedError."""
    _, kind = _variant(options)
    if kind == ima.EVM:
        return metadata.recipe(artifact, options.digest_algorithm)
    if kind == ima.VERITY:
        if options.digest_algorithm not in fsverity.ALGORITHMS:
            message = f"fs-verity uses {' or '.join(fsverity.ALGORITHMS)}, not {options.digest_algorithm}"
            raise RefusedError(message)
        return _verity_recipe(artifact, options.digest_algorithm)
    if other := confusable.kind(artifact.view):
        message = (
            f"{artifact.name}: it is {other}, over which another kind of signature would be: use the variant verity"
        )
        raise RefusedError(message)
    return _whole(artifact, options.digest_algorithm)


def digest(artifact: Artifact, recipes: Sequence[Recipe]) -> list[Payload]:
    """What recipes come to."""
    plain = [each for each in recipes if not each.transform]
    found = dict(zip(plain, hash_ranges(artifact.view, plain), strict=True))
    for each, message in _file_ids(artifact, [each for each in recipes if each.transform]).items():
        found[each] = Payload(each, of(message, each.algorithm), artifact.view.size)
    return [found[each] for each in recipes]


def content(artifact: Artifact, payload: Payload, options: SealOptions) -> Content:
    """What the key signs. Raises UnreadableError when it is too large for that."""
    _, kind = _variant(options)
    if payload.recipe.transform:
        message = _file_ids(artifact, [payload.recipe])[payload.recipe]
    elif kind == ima.EVM:
        message = b"".join(each for each in payload.recipe.ranges if isinstance(each, bytes))
    elif payload.length > limits.CONTENT_SIGNED_MAX:
        raise UnreadableError(artifact.name, common.INPUT_TOO_LARGE, f"{payload.length} bytes")
    else:
        message = artifact.view.read(0, payload.length)
    return Content(ima.CONTENT[kind], payload.recipe.algorithm, payload.value, message=message)


def embed(artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
    """Put it in its place. Raises RefusedError where there is one already and this is to be a second."""
    place, kind = _variant(options)
    if options.append and (present := [each for each, _ in _signatures(artifact) if each == place]):
        message = f"{artifact.name}: there is a signature already in {_where(present[0])}, and it holds only one"
        raise RefusedError(message)
    try:
        header = ima.envelope_in(envelope).header
    except MalformedError as error:
        raise RefusedError(f"no signature for IMA: {error}") from None
    if place == XATTR and artifact.companion(METADATA) is not None:
        message = f"{artifact.name}: security.evm is over security.ima: strip --format ima takes both away"
        raise RefusedError(message)
    if header.kind != kind:
        raise RefusedError(f"a signature of another kind ({ima.CONTENT[header.kind]})")
    return Patch((envelope,), place)


def strips(artifact: Artifact) -> list[Patch]:
    """Without any signature; what is no signature stays where it is."""
    places = [place for place, _ in _signatures(artifact)]
    return [Patch(None, place) for place in places] or [Patch(None, XATTR)]


def _signatures(artifact: Artifact) -> Iterator[tuple[str, bytes]]:
    for place, kinds in _MARKS.items():
        data = artifact.companion(place)
        if data is not None and data[:1] in map(bytes, ([kind] for kind in kinds)):
            yield place, data


def _variant(options: SealOptions) -> tuple[str, int]:
    try:
        return _VARIANTS[options.variant.lower()]
    except KeyError:
        known = ", ".join(name for name in _VARIANTS if name)
        message = f"a signature for IMA has the variants {known}, not {options.variant}"
        raise UsageError(message) from None


def _where(place: str) -> str:
    name = place.removeprefix(ATTRIBUTE)
    return f"extended attribute {name}" if name != place else f"signature in *{place}"


def _whole(artifact: Artifact, algorithm: str) -> Recipe:
    return Recipe(algorithm, (Range(0, artifact.view.size),))


def _verity_recipe(artifact: Artifact, algorithm: str) -> Recipe:
    return _whole(artifact, algorithm)._replace(transform=_VERITY)


def _file_ids(artifact: Artifact, recipes: Sequence[Recipe]) -> dict[Recipe, bytes]:
    """Of each the struct ima_file_id (Linux, security/integrity/integrity.h): kind, digest algorithm, digest."""
    wanted = dict.fromkeys(recipes)
    if not wanted:
        return {}
    if unknown := [each.algorithm for each in wanted if each.algorithm not in fsverity.ALGORITHMS]:
        raise MalformedError(f"an fs-verity digest by {unknown[0]}, which does not exist")
    digests = fsverity.digests(artifact.view, [fsverity.Parameters(each.algorithm) for each in wanted])
    return {
        each: bytes([ima.VERITY, ima.NUMBERS[each.algorithm]]) + value
        for each, value in zip(wanted, digests, strict=True)
    }
