"""Why a decision came out as it did, and what would have to change in the file, never in the policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.core.verdict import Status
from chopmark.policy.rules import ALLOW, Conditions, Rank

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from chopmark.policy.deciding import Decision
    from chopmark.policy.facts import FileFacts, Process
    from chopmark.policy.rules import Rule, SignerCondition

NEAR_MAX = 5
"""Rules that nearly allow a file which are told."""
_REMEDIES = {
    "timestamp": "a trusted time stamp on the signature (sign with --timestamp)",
    "max-age": "a signature with a time stamp of less than {age} ago",
    "revocation": "a signer whose revocation can be asked about (a CRL or OCSP answer at hand, and good)",
    "signers": "signatures of {signers} distinct signers",
    "log": "a proof that a trusted log has the signature (sign with --log, verify with --log-key)",
    "min-version": "version {version} or later",
    "no-rollback": "a version that is not older than {newest}",
}


class Near(NamedTuple):
    """A rule that would allow the file if it brought what is `missing`."""

    rule: Rule
    missing: tuple[str, ...]


class Explanation(NamedTuple):
    """A decision, what the file would have to bring for the rule that decided, and for others that nearly allow it."""

    decision: Decision
    missing: tuple[str, ...]
    near: tuple[Near, ...]


def explain(decision: Decision, rules: Iterable[Rule], kind: str, process: Process, at: dt.datetime) -> Explanation:
    """Look for what is missing."""
    file, rule = decision.file, decision.rule
    if decision.allowed:
        return Explanation(decision, (), ())
    missing = tuple(remedy(rule, name, file) for name, _ in decision.unmet) if rule is not None else ()
    if decision.unmet or file.blocked or not file.sha256 or (rule is not None and rule.action != ALLOW):
        return Explanation(decision, missing, ())
    found = [near for each in rules if (near := _near(each, file, kind, process, at)) is not None]
    found.sort(key=lambda near: (len(near.missing), -near.rule.rank, near.rule.number))
    return Explanation(decision, missing, tuple(found[:NEAR_MAX]))


def remedy(rule: Rule, name: str, file: FileFacts) -> str:
    """What a file must bring to meet a requirement."""
    wanted = rule.require
    age = f"{wanted.age.days} days" if wanted.age and wanted.age.days else f"{wanted.age}"
    return _REMEDIES[name].format(age=age, signers=wanted.signers, version=wanted.version, newest=file.newest)


def _near(rule: Rule, file: FileFacts, kind: str, process: Process, at: dt.datetime) -> Near | None:
    """Only rules of which the file's publisher can meet all that it does not."""
    if rule.action != ALLOW or not rule.active(at) or rule.users.match(process) is False:
        return None
    about = rule.conditions
    # What is left when nobody has to have signed it: digest, place, format, use. Whoever fails these is another file.
    other = Conditions(digests=about.digests, paths=about.paths, formats=about.formats, kinds=about.kinds)
    bare = rule._replace(conditions=other._replace(statuses=frozenset(Status)))
    placed = file._replace(writable=False) if rule.rank is not Rank.PATH else file
    if bare.match(placed, kind) is not True or rule.rank in (Rank.DIGEST, Rank.ANYTHING):
        return None
    release = file.release.product.casefold() if file.release else ""
    if about.products and release not in about.products:
        return None
    missing = [*_versions(rule, file)]
    if about.about_seals or about.products:
        if not (file.status is Status.TRUSTED and rule.signed_by(file)):
            missing.append(f"a good signature {_whom(about)}")
        elif not missing:
            missing += [remedy(rule, name, file) for name, _ in rule.unmet(file, at)]
    elif file.status not in (about.statuses or {Status.TRUSTED, Status.UNSIGNED}):
        missing.append("a signature that is good, or none")
    return Near(rule, tuple(missing)) if missing else None


def _versions(rule: Rule, file: FileFacts) -> Iterable[str]:
    about = rule.conditions
    if about.products and not rule.released(file):
        if about.versions:
            yield f"version {' or '.join(about.versions)}"
        if about.below:
            yield f"a version before {about.below}"


def _whom(about: Conditions) -> str:
    """By whom, as far as a rule says."""
    parts = [" or ".join(map(_signer, about.signers))] if about.signers else []
    if about.authorities:
        parts.append(f"below the CA {' or '.join(_short(each) for each in sorted(about.authorities))}")
    if about.stores:
        parts.append(f"trusted by the store {' or '.join(sorted(about.stores))}")
    found = ", ".join(f"by {part}" if number == 0 and about.signers else part for number, part in enumerate(parts))
    if about.catalogs:
        found += f"{', ' if found else ''}or an entry in a signed catalog ({', '.join(p.text for p in about.catalogs)})"
    return found or "that the policy's stores trust"


def _signer(condition: SignerCondition) -> str:
    parts = [f"the key {_short(each)}" for each in sorted(condition.keys)]
    parts += [f"the certificate {_short(each)}" for each in sorted(condition.certificates)]
    parts += sorted(condition.subjects)
    parts += [f"below the root {_short(each)}" for each in sorted(condition.roots)]
    for name, patterns in condition.claims:
        parts.append(f"{name} {' or '.join(each.text for each in patterns)}")
    return " ".join(parts)


def _short(digest: str) -> str:
    return f"sha256:{digest[:16]}..."
