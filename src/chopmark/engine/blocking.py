"""Blocklists on one artifact: its digests, its names and version, and the signers of its seals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.contracts import Describes, Description
from chopmark.core.digest import hash_ranges
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.core.seal import Range, Recipe
from chopmark.envelopes import x509
from chopmark.trust.blocklists import app_control, blocklist, reasons

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Format
    from chopmark.core.finding import Finding
    from chopmark.core.seal import Seal
    from chopmark.trust.blocklists.blocklist import Blocklist, Named


class Blocking(NamedTuple):
    """What lists say of an artifact as a file, and what is needed to ask them about its signers."""

    findings: tuple[Finding, ...]
    lists: tuple[Blocklist, ...]
    digests: tuple[Named, ...]
    facts: app_control.Facts

    def signers(self, seal: Seal, path: Sequence[x509.Certificate]) -> list[Finding]:
        """What rules by signer say of a seal; the path begins with the signer's own certificate."""
        policies = [each for each in self.lists if each.policy is not None and each.policy.signers]
        if not policies or not path:
            return []
        digests = [(each.algorithm, each.value) for each in self.digests]
        signature = _signature(seal, path)
        return [
            _finding(each, match)
            for each in policies
            if each.policy is not None
            for match in app_control.signers_of(each.policy, self.facts, signature, digests)
        ]


def examine(artifact: Artifact, format_: Format, lists: tuple[Blocklist, ...], at: dt.datetime) -> Blocking:
    """Ask lists about a file. Raises UnreadableError."""
    description = _described(artifact, format_)
    digests = tuple(_digests(artifact, description, lists))
    _, strings, version, kernel, readable = description
    facts = app_control.Facts(dict(strings), version, kernel, readable)
    findings = blocklist.file_findings(lists, digests)
    for each in lists:
        if each.policy is not None:
            findings += [_finding(each, match) for match in app_control.names_of(each.policy, facts)]
    findings += [stale for each in lists if (stale := each.stale(at)) is not None]
    return Blocking(tuple(findings), lists, digests, facts)


def clear(blocking: Blocking) -> Finding:
    """The finding that lists were asked and named nothing."""
    return reasons.BLOCKLIST_CLEAR.found("; ".join(each.shown for each in blocking.lists))


def named(findings: Iterable[Finding]) -> bool:
    """Whether a blocklist has something against it."""
    codes = {
        reasons.BLOCKED_CERTIFICATE.code,
        reasons.BLOCKED_KEY.code,
        reasons.BLOCKED_FILE.code,
        reasons.BLOCKED_RULE.code,
        reasons.BLOCKLIST_UNDECIDED.code,
    }
    return any(finding.code in codes for finding in findings)


def file_digests(artifact: Artifact, format_: Format, algorithms: Sequence[str]) -> list[Named]:
    """The digests that a list can name a file by: flat, and those of its format. Raises UnreadableError."""
    description = _described(artifact, format_)
    flat = [(blocklist.FILE, Recipe(name, (Range(0, artifact.view.size),))) for name in algorithms]
    own = [(blocklist.IMAGE, recipe) for recipe in description.recipes if recipe.algorithm in algorithms]
    return _computed(artifact, [*flat, *own])


def _described(artifact: Artifact, format_: Format) -> Description:
    if not isinstance(format_, Describes):
        return Description()
    try:
        return format_.describe(artifact)
    except MalformedError:  # the format's own findings say so
        return Description(readable=False)


def _digests(artifact: Artifact, description: Description, lists: Sequence[Blocklist]) -> list[Named]:
    """Only digests that a list has some of; each is one pass over the file at most."""
    wanted = {kind: {name for each in lists for name in each.algorithms(kind)} for kind in blocklist.KINDS}
    flat = sorted(wanted[blocklist.FILE])
    recipes = [(blocklist.FILE, Recipe(name, (Range(0, artifact.view.size),))) for name in flat]
    own = wanted[blocklist.IMAGE]
    recipes += [(blocklist.IMAGE, recipe) for recipe in description.recipes if recipe.algorithm in own]
    return _computed(artifact, recipes)


def _computed(artifact: Artifact, recipes: Sequence[tuple[str, Recipe]]) -> list[Named]:
    try:
        payloads = hash_ranges(artifact.view, [recipe for _, recipe in recipes])
    except MalformedError:  # ranges that lie outside: headers lie, and the flat digests are still those of the file
        recipes = [pair for pair in recipes if pair[0] == blocklist.FILE]
        payloads = hash_ranges(artifact.view, [recipe for _, recipe in recipes])
    return [
        blocklist.Named(kind, recipe.algorithm, payload.value)
        for (kind, recipe), payload in zip(recipes, payloads, strict=True)
    ]


def _signature(seal: Seal, path: Sequence[x509.Certificate]) -> app_control.Signature:
    leaf = path[0]
    digests = {
        algorithm: frozenset(blocklist.tbs_digest(each, algorithm) for each in path)
        for algorithm in app_control.TBS_ALGORITHMS
    }
    try:
        purposes = frozenset(map(app_control.purpose, leaf.extended_key_usage or ()))
        publisher, issuer = _common_name(leaf.subject), _common_name(leaf.issuer)
    except MalformedError:  # the path says so
        purposes, publisher, issuer = frozenset(), "", ""
    facts = getattr(seal.envelope, "facts", None)
    program = dict(facts).get("description", "") if facts is not None else None
    return app_control.Signature(digests, publisher, issuer, purposes, program)


def _common_name(name: bytes) -> str:
    return dict(x509.name_parts(name)).get("CN", "")


def _finding(each: Blocklist, match: app_control.Match) -> Finding:
    reason = reasons.BLOCKED_RULE if match.certain else reasons.BLOCKLIST_UNDECIDED
    return reason.found(f"{each.shown}: {match.text}")
