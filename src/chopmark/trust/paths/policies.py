"""Certificate policies along a path (RFC 5280 clause 6.1, with the graph of RFC 9618 in place of a tree).

Of the graph only the lowest level is kept: every policy that is valid there, what it may be called below, and whether
it goes back to a policy that the relying party accepts. That answers every question of clause 6.1.5, and neither time
nor memory grow faster than the certificates do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.envelopes import der, x509

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ANY_POLICY = "2.5.29.32.0"
_NEVER = 1 << 30
"""More certificates than any path has."""


class Demands(NamedTuple):
    """What the relying party wants (clause 6.1.1 (c), (e), (f), (g)); as it stands, any policy or none.

    `accepted` are dotted policies (None: any); only `explicit`, here or in a certificate, demands that the path is
    valid under one of them.
    """

    accepted: frozenset[str] | None = None
    explicit: bool = False
    inhibit_mapping: bool = False
    inhibit_any: bool = False

    def accepts(self, policy: str) -> bool:
        """Whether the relying party accepts a policy of an authority."""
        return self.accepted is None or policy in self.accepted


NO_DEMANDS = Demands()


class _Node(NamedTuple):
    """A policy of the lowest level: what it is called below, and whether it goes back to one that is accepted."""

    expected: frozenset[str]
    accepted: bool


class _Constraints(NamedTuple):
    """Policy constraints (clause 4.2.1.11): after how many certificates each begins."""

    explicit: int
    inhibit_mapping: int


def problem(path: Sequence[x509.Certificate], demands: Demands = NO_DEMANDS) -> str:
    """Why no policy that is demanded holds for a path (the signer's certificate first, the anchor's last); else empty.

    What an anchor's certificate says about policies limits the path as well; one that says nothing stands for all.
    Raises DerError for extensions that cannot be read, and for mappings from or to any policy (clause 6.1.4 (a)).
    """
    state = _State(len(path), demands)
    for position, certificate in reversed(list(enumerate(path))):
        is_anchor = position == len(path) - 1
        if not (is_anchor and x509.CERTIFICATE_POLICIES not in certificate.extensions):
            state.enter(certificate, last=position == 0)
        if not state.holds:
            return f"no policy is left at {certificate.subject_text}"
        if position:
            state.pass_down(certificate, counts=not is_anchor and not certificate.self_issued)
    state.conclude(path[0])
    return "" if state.holds else "no policy that is demanded is valid for the whole path"


class _State:
    """The variables of clause 6.1.2 that are about policies."""

    def __init__(self, length: int, demands: Demands) -> None:
        self._demands = demands
        self._nodes: dict[str, _Node] | None = {ANY_POLICY: _Node(frozenset({ANY_POLICY}), accepted=True)}
        self._explicit = 0 if demands.explicit else length
        self._mapping = 0 if demands.inhibit_mapping else length
        self._any = 0 if demands.inhibit_any else length

    @property
    def holds(self) -> bool:
        """Clause 6.1.3 (f): a policy is left, or none is needed."""
        return self._explicit > 0 or bool(self._nodes)

    def enter(self, certificate: x509.Certificate, *, last: bool) -> None:
        """The level of a certificate (clause 6.1.3 (d) and (e))."""
        policies = named(certificate)
        if policies is None or not self._nodes:
            self._nodes = None
            return
        above = self._nodes
        expecting: dict[str, bool] = {}
        for node in above.values():
            for name in node.expected:
                expecting[name] = expecting.get(name, False) or node.accepted
        level: dict[str, _Node] = {}
        for policy in policies - {ANY_POLICY}:
            if policy in expecting:
                level[policy] = _Node(frozenset({policy}), expecting[policy])
            elif ANY_POLICY in above:
                level[policy] = _Node(frozenset({policy}), self._demands.accepts(policy))
        if ANY_POLICY in policies and (self._any > 0 or (not last and certificate.self_issued)):
            for name, accepted in expecting.items():
                level.setdefault(name, _Node(frozenset({name}), accepted))
        self._nodes = level

    def pass_down(self, certificate: x509.Certificate, *, counts: bool) -> None:
        """What an authority says for those below it (clause 6.1.4 (a), (b), (h), (i), (j))."""
        self._map(_mappings(certificate))
        if counts:
            self._explicit = max(self._explicit - 1, 0)
            self._mapping = max(self._mapping - 1, 0)
            self._any = max(self._any - 1, 0)
        constraints = _constraints(certificate)
        self._explicit = min(self._explicit, constraints.explicit)
        self._mapping = min(self._mapping, constraints.inhibit_mapping)
        self._any = min(self._any, _inhibit_any(certificate))

    def _map(self, mappings: dict[str, set[str]]) -> None:
        if self._nodes is None:
            return
        for policy, equivalents in mappings.items():
            if self._mapping == 0:
                self._nodes.pop(policy, None)
            elif policy in self._nodes:
                self._nodes[policy] = self._nodes[policy]._replace(expected=frozenset(equivalents))
            elif ANY_POLICY in self._nodes:
                self._nodes[policy] = _Node(frozenset(equivalents), self._demands.accepts(policy))

    def conclude(self, signer: x509.Certificate) -> None:
        """Clause 6.1.5 (a), (b) and (g)."""
        self._explicit = max(self._explicit - 1, 0)
        if _constraints(signer).explicit == 0:
            self._explicit = 0
        if self._nodes is not None:
            self._nodes = {policy: node for policy, node in self._nodes.items() if node.accepted}


def named(certificate: x509.Certificate) -> frozenset[str] | None:
    """The policies of a certificate, or None without the extension; qualifiers say nothing to a program."""
    extension = certificate.extensions.get(x509.CERTIFICATE_POLICIES)
    if extension is None:
        return None
    found = [_policy(each.fields()) for each in _sequence(extension)]
    if len(set(found)) != len(found):
        raise der.DerError("a certificate policy stands twice")
    return frozenset(found)


def _policy(fields: der.Fields) -> str:
    """One PolicyInformation (clause 4.2.1.4)."""
    policy = fields.take().oid()
    if qualifiers := fields.optional(der.SEQUENCE):
        for qualifier in qualifiers.children():
            inside = qualifier.fields()
            inside.take().oid()
            inside.take()
            inside.done()
    fields.done()
    return policy


def readable(certificate: x509.Certificate) -> None:
    """What a certificate says about policies, whether or not it counts for a path. Raises DerError."""
    named(certificate)
    _mappings(certificate)
    _constraints(certificate)
    _inhibit_any(certificate)


def _mappings(certificate: x509.Certificate) -> dict[str, set[str]]:
    """What the subject calls each policy of the issuer (clause 4.2.1.5)."""
    found: dict[str, set[str]] = {}
    extension = certificate.extensions.get(x509.POLICY_MAPPINGS)
    for pair in _sequence(extension) if extension else ():
        fields = pair.fields()
        issuers, subjects = fields.take().oid(), fields.take().oid()
        fields.done()
        if ANY_POLICY in (issuers, subjects):
            raise der.DerError("a policy mapping from or to any policy")
        found.setdefault(issuers, set()).add(subjects)
    return found


def _constraints(certificate: x509.Certificate) -> _Constraints:
    extension = certificate.extensions.get(x509.POLICY_CONSTRAINTS)
    if extension is None:
        return _Constraints(_NEVER, _NEVER)
    fields = der.parse(extension.value).fields()
    explicit = fields.optional(der.context(0, constructed=False))
    mapping = fields.optional(der.context(1, constructed=False))
    fields.done()
    if explicit is None and mapping is None:
        raise der.DerError("policy constraints that constrain nothing")
    return _Constraints(_skip(explicit), _skip(mapping))


def _skip(node: der.Node | None) -> int:
    return _NEVER if node is None else _count(der.parse(node.retagged(der.INTEGER)).integer())


def _inhibit_any(certificate: x509.Certificate) -> int:
    extension = certificate.extensions.get(x509.INHIBIT_ANY_POLICY)
    return _NEVER if extension is None else _count(der.parse(extension.value).expect(der.INTEGER).integer())


def _count(number: int) -> int:
    if number < 0:
        raise der.DerError("a negative number of certificates")
    return number


def _sequence(extension: x509.Extension) -> Iterable[der.Node]:
    children = der.parse(extension.value).expect(der.SEQUENCE).children()
    if not children:
        raise der.DerError("an extension about policies that is empty")
    return children
