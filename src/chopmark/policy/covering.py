"""Whether one rule is about everything that another is about. Where that cannot be told, the answer is no."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import versions
from chopmark.core.errors import MalformedError
from chopmark.core.verdict import Status
from chopmark.policy.rules import ALLOW, NO_REQUIREMENTS, Rank

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.policy.glob import Pattern
    from chopmark.policy.rules import Conditions, Requirements, Rule, SignerCondition


def covers(one: Rule, other: Rule) -> bool:
    """Whether `one` is about every file, use and process that `other` is about, and for as long."""
    if not _users(one, other):
        return False
    mine, theirs = one.conditions, other.conditions
    sets = (
        (mine.digests, theirs.digests),
        (mine.products, theirs.products),
        (mine.authorities, theirs.authorities),
        (mine.stores, theirs.stores),
        (mine.formats, theirs.formats),
        (mine.kinds, theirs.kinds),
    )
    return (
        all(not held or (bool(held_too) and held_too <= held) for held, held_too in sets)
        and _patterns(mine.catalogs, theirs.catalogs)
        and _patterns(mine.paths, theirs.paths)
        and _signers(mine.signers, theirs.signers)
        and _releases(mine, theirs)
        and _statuses(one) >= _statuses(other)
        and (one.action != ALLOW or one.rank is not Rank.PATH or other.rank is Rank.PATH)
        and (one.expires is None or (other.expires is not None and other.expires <= one.expires))
    )


def lenient(one: Requirements, other: Requirements) -> bool:
    """Whether whoever meets the requirements of `other` meets those of `one`, asked of the same signatures."""
    if one == NO_REQUIREMENTS:
        return True
    return (
        one.timestamp <= other.timestamp
        and one.log <= other.log
        and one.signers <= other.signers
        and (one.age is None or (other.age is not None and other.age <= one.age))
        and (not one.version or one.version == other.version or surely_before(one.version, other.version))
        and one.no_rollback <= other.no_rollback
        and one.revocation <= other.revocation
    )


def surely_before(one: str, other: str) -> bool:
    """Whether a version comes before another in every numbering that both belong to, and there is one."""
    found = []
    for scheme in versions.SCHEMES:
        try:
            found.append(versions.compare(scheme, one, other) < 0)
        except MalformedError:
            continue
    return bool(found) and all(found)


def _patterns(mine: tuple[Pattern, ...], theirs: tuple[Pattern, ...]) -> bool:
    return not mine or (bool(theirs) and all(any(_wider(one, other) for one in mine) for other in theirs))


def _wider(one: Pattern, other: Pattern) -> bool:
    if one == other or (other.exact and one.matches(other.text)):
        return True
    return one.text == f"{one.literal}**" and other.literal.startswith(one.literal)


def _signers(mine: tuple[SignerCondition, ...], theirs: tuple[SignerCondition, ...]) -> bool:
    return not mine or (bool(theirs) and all(any(_signer(one, other) for one in mine) for other in theirs))


def _signer(one: SignerCondition, other: SignerCondition) -> bool:
    sets = (
        (one.keys, other.keys),
        (one.certificates, other.certificates),
        (one.roots, other.roots),
        (one.subjects, other.subjects),
    )
    claims = dict(other.claims)
    return (
        all(not held or (bool(held_too) and held_too <= held) for held, held_too in sets)
        and set(one.purposes) <= set(other.purposes)
        and all(_patterns(patterns, claims.get(name, ())) for name, patterns in one.claims)
    )


def _releases(mine: Conditions, theirs: Conditions) -> bool:
    if mine.versions and not (theirs.versions and set(theirs.versions) <= set(mine.versions)):
        return False
    if not mine.below or mine.below == theirs.below:
        return True
    if theirs.below:
        return surely_before(theirs.below, mine.below)
    return bool(theirs.versions) and all(surely_before(each, mine.below) for each in theirs.versions)


def _statuses(rule: Rule) -> frozenset[Status]:
    """The verdicts that a rule is about."""
    about = rule.conditions
    if about.statuses:
        return about.statuses
    if rule.action != ALLOW:
        return frozenset(Status)
    if about.about_seals or (about.products and not about.digests):
        return frozenset({Status.TRUSTED})
    return frozenset(Status) if about.digests else frozenset({Status.TRUSTED, Status.UNSIGNED})


def _users(one: Rule, other: Rule) -> bool:
    mine, theirs = one.users, other.users
    if mine.names or mine.uids:
        named: Iterable[object] = (*theirs.names, *theirs.uids)
        if not named or not (theirs.names <= mine.names and theirs.uids <= mine.uids):
            return False
    return _patterns(mine.programs, theirs.programs) and _patterns(mine.parents, theirs.parents)
