"""Which signers a kernel may believe that knows no more than a ring of keys.

Such a kernel asks whether somebody whose certificate it was given signed a file; which rule allows whom is decided
here, when the ring is filled. A signer is in it for a kind of use only if no rule could keep a file of theirs from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.counting import counted
from chopmark.core.named import NamedTuple
from chopmark.core.verdict import Status
from chopmark.envelopes import public_keys
from chopmark.harden import reasons
from chopmark.harden.conditions import allows, apart, concerns_kind, demanding, lasting, named, used
from chopmark.harden.contract import Degree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from chopmark.core.finding import Finding
    from chopmark.core.reasons import Reason
    from chopmark.harden.contract import Capability, Request
    from chopmark.harden.material import Identity
    from chopmark.policy.rules import Rule

_FILES = frozenset({"digest", "product", "version", "below", "path", "format", "catalog"})
"""Conditions on files: whoever is in a ring signs any file."""
_KINDS = ("rsa", "ec")
"""Keys that kernels verify signatures with."""

Allowed = dict[str, dict["Identity", list["Rule"]]]


class Ring(NamedTuple):
    """Who is believed for each kind of use, and what became of each rule."""

    signers: dict[str, frozenset[Identity]]
    findings: tuple[Finding, ...]

    def common(self, kinds: Iterable[str]) -> frozenset[Identity]:
        """Who is believed for all of them."""
        held = [self.signers[kind] for kind in kinds]
        return frozenset.intersection(*held) if held else frozenset()


def sift(request: Request, table: Mapping[str, Capability], kinds: Sequence[str]) -> Ring:
    """Decide about every signer at hand, for each of some kinds of use."""
    sifting = _Sifting(request, table, kinds)
    for rule in request.rules:
        sifting.allow(rule)
    for rule in request.rules:
        sifting.restrict(rule)
    signers = {kind: frozenset(sifting.whole(kind)) for kind in kinds}
    return Ring(signers, tuple(sifting.said[rule.number] for rule in request.rules))


def usable(identity: Identity) -> bool:
    """Whether it is believed, and a kernel can verify what it signed."""
    return identity.believed and public_keys.kind(identity.certificate.spki) in _KINDS


class _Sifting:
    """Rules one after the other; `said` has what became of each."""

    def __init__(self, request: Request, table: Mapping[str, Capability], kinds: Sequence[str]) -> None:
        self._request = request
        self._table = table
        self._kinds = kinds
        self._known = request.material.identities
        self._identities = [each for each in self._known if usable(each)]
        self.allowed: Allowed = {kind: {} for kind in kinds}
        self.said: dict[int, Finding] = {}

    def _tell(self, rule: Rule, reason: Reason, detail: str = "") -> None:
        text = f"{rule.label}: {detail}" if rule.label and detail else rule.label or detail
        self.said[rule.number] = reason.found(text, subject=str(rule.place))

    def _passed_over(self, rule: Rule) -> bool:
        """Whether a rule does not count: it has expired, was left out, or is about other uses."""
        if not rule.active(self._request.at):
            self._tell(rule, reasons.EXPIRED)
        elif named(rule, self._request.left_out):
            self._tell(rule, reasons.LEFT_OUT)
        elif not any(concerns_kind(rule, kind) for kind in self._kinds):
            self._tell(rule, reasons.IDLE, "it is about other uses")
        else:
            return False
        return True

    def allow(self, rule: Rule) -> None:
        """Enter whom a rule allows."""
        if not allows(rule) or self._passed_over(rule):
            return
        lacking = _cannot(rule, self._table, self._request)
        if lacking:
            self._tell(rule, reasons.DROPPED, "; ".join(lacking))
            return
        found = [each for each in self._identities if rule.concerns(each.seal)]
        if rule.conditions.statuses and Status.TRUSTED not in rule.conditions.statuses:
            found = []
        if not found:
            self._tell(rule, reasons.DROPPED, "no certificate at hand (--signer F) is of a signer that it is about")
            return
        for kind in self._kinds:
            if concerns_kind(rule, kind):
                for identity in found:
                    self.allowed[kind].setdefault(identity, []).append(rule)
        self._tell(rule, reasons.NARROWED, f"{counted(len(found), 'signer')} at hand")

    def restrict(self, rule: Rule) -> None:
        """Take out whose files a rule denies, or binds to what cannot be asked about."""
        if allows(rule):
            if not demanding(rule) or self.said[rule.number].code != reasons.DROPPED.code:
                return
        elif self._passed_over(rule):
            return
        hit = [
            (kind, identity)
            for kind in self._kinds
            for identity in self.allowed[kind]
            if self._hits(rule, kind, identity)
        ]
        about = rule.conditions
        if not hit:
            if not allows(rule):
                self._tell(rule, reasons.IDLE)
        elif not about.about_seals or about.catalogs:
            self._tell(rule, reasons.WIDER, "it is not about signers alone")
        else:
            for kind, identity in hit:
                self._take_out(kind, identity.seal.key)
            only = not allows(rule) and all(self._table[name].deny is Degree.EXACT for name in used(rule))
            out = ", ".join(sorted({identity.seal.subject for _, identity in hit}))
            self._tell(rule, reasons.EXACT if only else reasons.NARROWED, f"nothing by {out} is allowed")

    def _concerns(self, rule: Rule, identity: Identity) -> bool:
        """Whether it is about a signer, by any certificate at hand of the same key."""
        return any(rule.concerns(each.seal) for each in self._known if each.seal.key == identity.seal.key)

    def whole(self, kind: str) -> Iterator[Identity]:
        """Those whose key may sign by every certificate at hand: a signature only says the key."""
        held = self.allowed[kind]
        for identity in held:
            if all(each in held for each in self._identities if each.seal.key == identity.seal.key):
                yield identity

    def _take_out(self, kind: str, key: str) -> None:
        """A key is one signer, whatever certificates it has."""
        held = self.allowed[kind]
        self.allowed[kind] = {each: rules for each, rules in held.items() if each.seal.key != key}

    def _hits(self, rule: Rule, kind: str, identity: Identity) -> bool:
        """Whether a file by a signer could be allowed here that the policy does not allow because of the rule."""
        about = rule.conditions
        if not concerns_kind(rule, kind):
            return False
        if about.about_seals and not about.catalogs and not self._concerns(rule, identity):
            return False
        return any(
            not apart(rule, by) and (not allows(rule) or by.rank < rule.rank) for by in self.allowed[kind][identity]
        )


def _cannot(rule: Rule, table: Mapping[str, Capability], request: Request) -> list[str]:
    """Why a rule that allows cannot be said: what it is about, and what the target has instead."""
    names = set(used(rule))
    if request.policy.main.revocation == "require" and rule.conditions.about_seals:
        names.add("require.revocation")
    if lasting(rule, request):
        names.discard("expires")
    return [
        f"{name}: {table[name].sentence}" for name in sorted(names) if name in _FILES or not table[name].allow.usable
    ]
