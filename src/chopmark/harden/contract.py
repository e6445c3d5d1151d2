"""What an enforcer is: what of a policy it can express, and the files that say it in its own language.

A module of this package, or an entry point in the group `chopmark.harden`, exports `BACKEND`. An `Enforcer` only says
what it can do; an `Exporter` writes files as well. What is written never allows what the policy denies: a rule that
cannot be said exactly is said more narrowly, or left out where that allows less, or the export is refused.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from chopmark.core.counting import counted
from chopmark.core.errors import RefusedError
from chopmark.core.finding import Outcome
from chopmark.core.named import NamedTuple
from chopmark.harden import reasons
from chopmark.policy.deciding import Mode
from chopmark.policy.facts import KINDS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from chopmark.core.finding import Finding
    from chopmark.engine.policing.loading import Policy
    from chopmark.harden.material import Material
    from chopmark.policy.rules import Rule


class Degree(StrEnum):
    """How well something of a policy can be said, by what comes of it: EXACT the same, NARROWER allows less.

    WIDER would allow more, so that it is not said; NOT is what the language has no words for.
    """

    EXACT = "exact"
    NARROWER = "narrower"
    WIDER = "wider"
    NOT = "not at all"

    @property
    def usable(self) -> bool:
        """Whether saying it never allows more."""
        return self in (Degree.EXACT, Degree.NARROWER)


class Capability(NamedTuple):
    """How well a condition can be said in rules that allow, and in rules that deny, and why not better."""

    allow: Degree
    deny: Degree
    sentence: str


CONDITIONS: dict[str, str] = {
    "digest": "the content, by SHA-256",
    "product": "what a file says that it is",
    "version": "one of some versions of it",
    "below": "versions before one",
    "signer.key": "the signer's key",
    "signer.certificate": "the signer's certificate",
    "signer.root": "the root above the signer",
    "signer.eku": "what the certificate is for",
    "signer.subject": "the signer's name",
    "signer.oidc": "an identity",
    "ca": "a CA above the signer",
    "store": "the trust store that vouches",
    "catalog": "a signed list of files",
    "path": "where it lies",
    "format": "the file format",
    "status": "the verdict on its signatures",
    **{f"use.{kind}": f"used as {kind}" for kind in KINDS},
    "user": "who uses it",
    "program": "the program that asks",
    "parent": "the program that started that one",
    "require.timestamp": "a trusted time stamp",
    "require.max-age": "signed not too long ago",
    "require.signers": "several distinct signers",
    "require.revocation": "known not to be revoked",
    "require.log": "in a transparency log",
    "require.min-version": "a version or a later one",
    "require.no-rollback": "no older than was seen",
    "expires": "rules that end",
}
"""Everything that a rule may be about or demand, as capabilities call it."""

TRAITS: dict[str, str] = {
    "precedence": "the most particular rule binds",
    "validity": "certificates expire",
    "revocation": "certificates are revoked",
    "blocklist": "what is never trusted",
    "mode.audit": "tell, let through",
    "mode.learning": "deny what is denied, tell the rest",
    "policy.signed": "the policy is signed",
    "policy.rollback": "no older policy",
}
"""What else a policy, and trust in signers, come to."""


@runtime_checkable
class Enforcer(Protocol):
    """Something that keeps code from running: `name` for commands, `title` for people."""

    name: str
    title: str

    def capabilities(self) -> Mapping[str, Capability]:
        """For every name of CONDITIONS and TRAITS; for traits both degrees are the same."""


class File(NamedTuple):
    """A file of an export: its path below the folder, and what is in it."""

    path: str
    data: bytes
    executable: bool = False


class Signing(Protocol):
    """Signs what a target takes only signed."""

    def __call__(self, body: bytes) -> bytes:
        """DER of a SignedData with the body inside."""


class Request(NamedTuple):
    """What is to be exported, and from what.

    `uses` are the kinds of use that the export is about (names of policy.facts.KINDS; none: all that the target
    governs). `left_out` are rules, by place or name, that somebody accepts as not exported. `until` is when the export
    will have been made anew. `options` are those of Exporter.options. `signing` signs what has to be signed.
    """

    policy: Policy
    material: Material
    at: dt.datetime
    uses: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()
    until: dt.datetime | None = None
    options: Mapping[str, str] = {}
    signing: Signing | None = None

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of all files of the policy."""
        return self.policy.rules


class Export(NamedTuple):
    """Files in the target's language, and a finding for each rule and for whatever else differs."""

    files: tuple[File, ...]
    findings: tuple[Finding, ...]


@runtime_checkable
class Exporter(Enforcer, Protocol):
    """An enforcer to which policies are exported.

    `options` are what can be asked for besides, with what each means; `governs` the kinds of use that it decides about.
    """

    options: Mapping[str, str]
    governs: frozenset[str]

    def export(self, request: Request) -> Export:
        """The policy in its language. Raises WiderError, RefusedError, UsageError."""


class WiderError(RefusedError):
    """An export would allow what the policy denies; `findings` has all that was found out."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        against = [each for each in findings if each.outcome is Outcome.NO]
        rules = sum(each.code != reasons.EMPTY.code for each in against)
        why = [f"{counted(rules, 'rule')} of the policy cannot be said without allowing more"] if rules else []
        why += ["nothing is left of what it allows"] if rules < len(against) else []
        super().__init__(f"nothing is written: {', and '.join(why)}")
        self.findings = tuple(findings)


def scope(request: Request, target: Exporter) -> list[Finding]:
    """What the export is not about, and the mode where the policy is not enforced."""
    governed = request.uses & target.governs if request.uses else target.governs
    outside = ", ".join(kind for kind in KINDS if kind not in governed)
    found = [reasons.UNGOVERNED.found(outside, subject="uses")] if outside else []
    mode = request.policy.main.mode
    if mode is not Mode.ENFORCE:
        how = target.capabilities()[f"mode.{mode}"].sentence
        found.append(reasons.MODE.found(how, subject=f"mode {mode}"))
    return found


def everywhere(**capabilities: Capability) -> dict[str, Capability]:
    """A whole table: names with `_` for `.` and `-`, and `rest` for all others."""
    rest = capabilities.pop("rest")
    keys = {name.replace(".", "_").replace("-", "_"): name for name in (*CONDITIONS, *TRAITS)}
    table = dict.fromkeys(keys.values(), rest)
    return table | {keys[name]: capability for name, capability in capabilities.items()}


def exact(sentence: str = "") -> Capability:
    """Said as it is, in either kind of rule."""
    return Capability(Degree.EXACT, Degree.EXACT, sentence)


def unable(sentence: str) -> Capability:
    """Not said at all."""
    return Capability(Degree.NOT, Degree.NOT, sentence)


def partly(allow: Degree, deny: Degree, sentence: str) -> Capability:
    """Said in one way where it allows, in another where it denies."""
    return Capability(allow, deny, sentence)
