"""What a rule is about, by the names under which capabilities are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.verdict import Status
from chopmark.policy.rules import ALLOW, DENY

if TYPE_CHECKING:
    from chopmark.harden.contract import Request
    from chopmark.policy.rules import Rule


def used(rule: Rule) -> frozenset[str]:
    """The names of contract.CONDITIONS that a rule uses; `use.KIND` for the kinds that it names."""
    about, users, wanted = rule.conditions, rule.users, rule.require
    found = {
        "digest": about.digests,
        "product": about.products,
        "version": about.versions,
        "below": about.below,
        "ca": about.authorities,
        "store": about.stores,
        "catalog": about.catalogs,
        "path": about.paths,
        "format": about.formats,
        "status": about.statuses,
        "signer.key": any(each.keys for each in about.signers),
        "signer.certificate": any(each.certificates for each in about.signers),
        "signer.root": any(each.roots for each in about.signers),
        "signer.eku": any(each.purposes for each in about.signers),
        "signer.subject": any(each.subjects for each in about.signers),
        "signer.oidc": any(each.claims for each in about.signers),
        "user": users.names or users.uids,
        "program": users.programs,
        "parent": users.parents,
        "require.timestamp": wanted.timestamp,
        "require.max-age": wanted.age,
        "require.signers": wanted.signers > int(about.about_seals),  # one there is where somebody must have signed
        "require.revocation": wanted.revocation,
        "require.log": wanted.log,
        "require.min-version": wanted.version,
        "require.no-rollback": wanted.no_rollback,
        "expires": rule.expires,
    }
    return frozenset([name for name, given in found.items() if given] + [f"use.{kind}" for kind in about.kinds])


def demanding(rule: Rule) -> bool:
    """Whether a rule that allows binds files to more than what it is about."""
    return any(name.startswith("require.") for name in used(rule))


def lasting(rule: Rule, request: Request) -> bool:
    """Whether a rule does not end before the export will have been made anew."""
    return rule.expires is None or (request.until is not None and request.until <= rule.expires)


def concerns_kind(rule: Rule, kind: str) -> bool:
    """Whether a rule is about a kind of use."""
    return not rule.conditions.kinds or kind in rule.conditions.kinds


def apart(one: Rule, other: Rule) -> bool:
    """Whether surely no use of any file fits both rules. Where that cannot be told, the answer is no."""
    mine, theirs = one.conditions, other.conditions
    for held, held_too in (
        (mine.digests, theirs.digests),
        (mine.products, theirs.products),
        (mine.formats, theirs.formats),
        (mine.kinds, theirs.kinds),
        (_statuses(one), _statuses(other)),
    ):
        if held and held_too and held.isdisjoint(held_too):
            return True
    if mine.paths and theirs.paths and all(each.exact for each in (*mine.paths, *theirs.paths)):
        return not {each.text for each in mine.paths} & {each.text for each in theirs.paths}
    return False


def _statuses(rule: Rule) -> frozenset[Status]:
    """The verdicts with which a rule can decide; empty for all."""
    about = rule.conditions
    if rule.action == DENY or about.statuses:
        return about.statuses
    if about.about_seals or (about.products and not about.digests):
        return frozenset({Status.TRUSTED})
    return frozenset() if about.digests else frozenset({Status.TRUSTED, Status.UNSIGNED})


def named(rule: Rule, names: frozenset[str]) -> bool:
    """Whether a rule is one of those that somebody named, by its place or by its label."""
    return str(rule.place) in names or (bool(rule.label) and rule.label in names)


def allows(rule: Rule) -> bool:
    """Whether it allows."""
    return rule.action == ALLOW
