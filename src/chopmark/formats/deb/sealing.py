"""The seals of a package, and how one is put there and all are taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.digest import content_of, hash_ranges
from chopmark.core.errors import BrokenError, MalformedError, RefusedError, UsageError
from chopmark.core.patch import Patch
from chopmark.core.seal import CONTENT, Claim, Payload, Range, Recipe, Seal
from chopmark.envelopes import openpgp
from chopmark.envelopes.openpgp import armor, envelope, signatures, text
from chopmark.formats.deb import ar, contents, package, reasons, sums

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import SealOptions
    from chopmark.formats.deb.ar import Member
    from chopmark.formats.deb.package import Package

ROLES = ("origin", "maint", "archive")
"""Who signs (debsigs(1)): the organisation, a maintainer, the archive."""
_PREFIX = "_gpg"


def seals(artifact: Artifact) -> Iterator[Seal]:
    """Every signature of every member that holds some. Raises BrokenError."""
    found = package.read(artifact.view)
    for member in found.signatures:
        if member.size > limits.OPENPGP_SIGNATURES_SIZE_MAX:
            raise BrokenError(reasons.MEMBER, f"{member.name} has {member.size} bytes")
        data = artifact.view.read(member.offset, member.size)
        if data.startswith(text.BEGIN):
            yield from _over_sums(found, member, data)
        else:
            contents.check_boundary(artifact.view, found)
            yield from _over_parts(found, member, data)


def _over_parts(found: Package, member: Member, data: bytes) -> Iterator[Seal]:
    """As debsigs does: one signature over the three members. No other name has a meaning."""
    if member.name.removeprefix(_PREFIX) not in ROLES:
        raise BrokenError(reasons.MEMBER, member.name)
    for number, each in enumerate(openpgp.envelopes_in(data, (signatures.BINARY,)), 1):
        recipe = Recipe(each.digest_algorithm, each.signature.around(*_ranges(found)))
        claim = Claim("package", recipe, None)
        yield Seal(_where(member, number), each, (claim,), findings=(reasons.LAYOUT.found(),))


def _over_sums(found: Package, member: Member, data: bytes) -> Iterator[Seal]:
    """As dpkg-sig does: a text with MD5 and SHA-1 of each member, signed in the open."""
    taken = text.clear(data)
    claims = sums.claims(taken.signed, found)
    for number, each in enumerate(envelope.envelopes_in(taken.signature, envelope.CLEAR), 1):
        claim = Claim("list of members", Recipe(each.digest_algorithm, each.signature.around(taken.signed)), None)
        yield Seal(_where(member, number), sums.WeakEnvelope(each), (claim, *claims),
                   findings=(reasons.LAYOUT.found(),))  # fmt: skip


def _where(member: Member, number: int) -> str:
    return member.name if number == 1 else f"{member.name}, signature {number}"


def _ranges(found: Package) -> tuple[Range, ...]:
    return tuple(Range(part.offset, part.size) for part in found.parts)


def recipe(artifact: Artifact, options: SealOptions) -> Recipe:
    """What a new signature covers.

    Raises RefusedError, also where it would not say where a member ends; UsageError for a variant that there is not.
    """
    _role(options)
    found = _sound(artifact)
    try:
        contents.check_boundary(artifact.view, found)
    except MalformedError as error:
        raise RefusedError(f"{artifact.name}: {error}") from None
    return Recipe(options.digest_algorithm, _ranges(found), CONTENT)


def digest(artifact: Artifact, recipes: Sequence[Recipe]) -> list[Payload]:
    """Digests in one pass over the file; content in memory. Raises UnreadableError."""
    hashed = iter(hash_ranges(artifact.view, [each for each in recipes if not each.transform]))
    return [content_of(artifact, each) if each.transform else next(hashed) for each in recipes]


def embed(artifact: Artifact, made: bytes, options: SealOptions) -> Patch:
    """The signature as a member at the end. Raises RefusedError where there is one of this role to append to."""
    found, name = _sound(artifact), _PREFIX + _role(options)
    openpgp.envelope_in(made)
    kept = found.signatures if options.append else ()
    if any(member.name == name for member in kept):
        message = f"{artifact.name}: {name} is there already, and a role signs once"
        raise RefusedError(message)
    end = kept[-1].end if kept else found.data.end
    return Patch((Range(0, end), ar.written(name, armor.unwrap(made, armor.SIGNATURE)[0])))


def strip(artifact: Artifact) -> Patch:
    """Without any signature. Raises RefusedError for what is no package."""
    return Patch((Range(0, _sound(artifact).data.end),))


def _sound(artifact: Artifact) -> Package:
    try:
        return package.read(artifact.view)
    except MalformedError as error:
        raise RefusedError(f"{artifact.name}: {error}") from None


def _role(options: SealOptions) -> str:
    role = options.variant.lower() or ROLES[0]
    if role not in ROLES:
        message = f"a package is signed as {', '.join(ROLES)}, not {options.variant} (dpkg-sig's rests on SHA-1)"
        raise UsageError(message)
    return role
