"""What is to be said about a policy by itself: rules that no file fits, that change nothing, contradict, are wide."""

from __future__ import annotations

import datetime as dt
from types import MappingProxyType
from typing import TYPE_CHECKING

from chopmark.core import clock, discovery, limits
from chopmark.core.errors import UnavailableError, UsageError
from chopmark.core.verdict import Status
from chopmark.policy import reasons
from chopmark.policy.covering import covers, lenient, surely_before
from chopmark.policy.index import Index
from chopmark.policy.rules import ALLOW, DENY, NO_USERS, Rank
from chopmark.trust.stores import microsoft, store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from chopmark.core.finding import Finding
    from chopmark.core.reasons import Reason
    from chopmark.policy.glob import Pattern
    from chopmark.policy.language import PolicyFile
    from chopmark.policy.rules import Rule

SOON = dt.timedelta(days=30)
_NONE: Mapping[str, str] = MappingProxyType({})
_PUBLIC = frozenset({microsoft.NAME, store.SYSTEM})
"""Stores that vouch for everybody who buys a certificate."""
_OPEN = ("/tmp/", "/var/tmp/", "/dev/shm/", "/home/", "/run/user/", "/media/", "/mnt/")  # noqa: S108 - to be warned of
_FEW = 3
"""Characters of a path: what lies below "/" or "/a" is more than anybody has looked at."""


def check(
    rules: Sequence[Rule],
    at: dt.datetime,
    stores: Sequence[str] = (),
    revocation: str = "",
    missing: Mapping[str, str] = _NONE,
) -> list[Finding]:
    """All findings, in the order of the rules; `stores` and `revocation` are what the policy says of verifying.

    A finding's subject is the place of its rule. `missing` are the names of stores that this host does not have, with
    why.
    """
    asked = frozenset(name.removesuffix("?") for name in stores)
    found = [finding for rule in rules for finding in _alone(rule, at, asked, revocation)]
    found += [
        _said(reasons.STORE_MISSING, rule, missing[name])
        for rule in rules
        for name in sorted(rule.conditions.stores & missing.keys())
    ]
    found += _together([rule for rule in rules if rule.active(at)])
    lines = {str(rule.place): rule.number for rule in rules}
    found.sort(key=lambda finding: lines[finding.subject])
    return found or [reasons.SOUND.found(f"{len(rules)} rules")]


def check_stores(policy: PolicyFile, missing: Mapping[str, str]) -> list[Finding]:
    """What is said about the stores that a policy verifies with; `missing` as for `check`."""
    gone = [missing[name] for name in policy.stores if name in missing]
    return [reasons.STORE_MISSING.found(why, subject=str(policy.stores_at)) for why in gone]


def absent(stores: Iterable[str]) -> dict[str, str]:
    """Which of these stores this host does not have, or cannot use, and why; one with a "?" may be missing."""
    found = {}
    for name in sorted(stores):
        try:
            if not name.endswith("?"):
                store.load([name])
        except (UsageError, UnavailableError) as error:
            found[name] = str(error)
    return found


def _said(reason: Reason, rule: Rule, detail: str = "") -> Finding:
    return reason.found(detail, subject=str(rule.place))


def _alone(rule: Rule, at: dt.datetime, stores: frozenset[str], revocation: str) -> Iterator[Finding]:
    if rule.expires is not None:
        if not rule.active(at):
            yield _said(reasons.EXPIRED, rule, clock.show(rule.expires))
        elif rule.expires - at < SOON:
            yield _said(reasons.EXPIRING, rule, clock.show(rule.expires))
    if not (rule.owner and rule.comment):
        yield _said(reasons.UNOWNED, rule)
    # Anybody can make such another one where it is signed with ECDSA (docs/adr/0269).
    if rule.action == DENY and any(signer.certificates for signer in rule.conditions.signers):
        yield _said(reasons.EVADABLE, rule)
    for why in _unreachable(rule, stores, revocation):
        yield _said(reasons.UNREACHABLE, rule, why)
    named = rule.conditions.stores
    if stores and named - stores and named & stores:  # none of them is in it: unreachable
        yield _said(reasons.STORE_UNASKED, rule, ", ".join(sorted(named - stores)))
    for why in _wide(rule, stores):
        yield _said(reasons.WIDE, rule, why)


def _unreachable(rule: Rule, stores: frozenset[str], revocation: str) -> Iterator[str]:
    about, wanted = rule.conditions, rule.require
    unknown = about.formats - discovery.exported("chopmark.formats", "FORMAT").keys()
    if about.formats and unknown == about.formats:
        yield f"there is no format {', '.join(sorted(unknown))}"
    if about.stores and stores and about.stores.isdisjoint(stores):
        yield f"the policy verifies with {', '.join(sorted(stores))}, not with {', '.join(sorted(about.stores))}"
    if wanted.revocation and revocation == "off":
        yield "the policy does not ask about revocation, and the rule requires that"
    if wanted.version and about.below and _not_before(about.below, wanted.version):
        yield f"it is about versions before {about.below}, and requires {wanted.version}"
    if wanted.version and about.versions and all(surely_before(each, wanted.version) for each in about.versions):
        yield f"its versions are before {wanted.version}, which it requires"
    if about.below and about.versions and all(_not_before(about.below, each) for each in about.versions):
        yield f"none of its versions is before {about.below}"
    if wanted.signers > 1 and about.signers and all(each.keys for each in about.signers):
        keys = frozenset[str]().union(*(each.keys for each in about.signers))
        if len(keys) < wanted.signers:
            yield f"it requires {wanted.signers} signers and names {len(keys)}"


def _not_before(bound: str, version: str) -> bool:
    """Whether a version surely is not before a bound."""
    return bound == version or surely_before(bound, version)


def _wide(rule: Rule, stores: frozenset[str]) -> Iterator[str]:
    if rule.action != ALLOW:
        return
    about = rule.conditions
    if rule.rank is Rank.ANYTHING:
        yield "it names no digest, product, signer or path" + ("" if rule.users == NO_USERS else ", only who uses it")
    if rule.rank is Rank.PATH:
        yield from filter(None, map(_wide_path, about.paths))
    if rule.rank <= Rank.PATH and about.statuses & {Status.REJECTED, Status.UNDECIDED}:
        yield "files that are known to be bad, or that nobody could judge, are allowed for where they lie"
    public = (about.stores or stores) & _PUBLIC
    named = about.signers or about.authorities or about.catalogs or (about.products and about.digests)
    if public and not named and rule.rank in (Rank.CA, Rank.PRODUCT):
        yield f"the store {', '.join(sorted(public))} vouches for everybody who buys a certificate"
    for signer in about.signers:
        rest = [patterns for name, patterns in signer.claims if name != "issuer"]
        if rest and all(any(not each.literal for each in patterns) for patterns in rest):
            yield "an identity of anybody whom the issuer knows"


def _wide_path(pattern: Pattern) -> str:
    """Why a pattern is wide; empty when it is not."""
    if not pattern.exact and len(pattern.literal) < _FEW:
        return f"{pattern.text} is nearly everything"
    below = [
        each
        for each in _OPEN
        if pattern.literal.startswith(each) or (not pattern.exact and each.startswith(pattern.literal))
    ]
    return f"{pattern.text}: users may write below {below[0]}" if below else ""


def _together(rules: Sequence[Rule]) -> Iterator[Finding]:
    index = Index(rules)
    left = limits.POLICY_COMPARISONS_MAX
    for rule in rules:
        others = [each for each in index.alike(rule) if each.number != rule.number]
        left -= len(others)
        if left < 0:
            yield _said(reasons.UNCOMPARED, rule)
            return
        against = next((each for each in others if _denied_by(rule, each)), None)
        if against is not None:
            same = covers(rule, against._replace(action=ALLOW))
            yield _said(reasons.CONTRADICTORY if same else reasons.SHADOWED, rule, f"{against.shown} denies it")
            continue
        by = next((each for each in others if each.action == rule.action and _makes_needless(each, rule)), None)
        if by is not None:
            yield _said(reasons.SHADOWED, rule, f"by {by.shown}")


def _denied_by(rule: Rule, other: Rule) -> bool:
    return rule.action == ALLOW and other.action == DENY and covers(other, rule)


def _makes_needless(one: Rule, other: Rule) -> bool:
    """Whether nothing would be decided otherwise without the other."""
    if not covers(one, other):
        return False
    if covers(other, one) and one.require == other.require and one.number > other.number:
        return False  # of two that are the same, the first one stays
    if one.action == DENY:
        return True
    # A less particular one is no replacement: rules between the two could bind to more.
    return one.rank == other.rank and lenient(one.require, other.require)
