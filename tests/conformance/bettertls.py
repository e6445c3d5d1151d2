"""BetterTLS's cases against the path engine, made anew: path building and name constraints.

The table of cases is that of Netflix's generator (github.com/Netflix/bettertls, Apache-2.0), written in Python because
CI has no Go: the same graphs and the same combinations, in the same order and with the same expectations. Keys are
shared among the cases, and certificates that would be alike are made once.

A case is also wrong when its expectation is a soft one ("clients are inconsistent here"): strictness is the point.
The host's name is looked for in the alternative names only; that a common name could name a host is over.
"""

from __future__ import annotations

import datetime as dt
import itertools
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from chopmark.core.finding import Outcome
from chopmark.envelopes import der, x509
from chopmark.trust import context
from chopmark.trust.belief import Carried, believe
from chopmark.trust.crl.origins import CrlSource
from chopmark.trust.moment import Moment
from chopmark.trust.stores import store
from tests.conformance import suite
from tests.conformance.limbo import PURPOSES, Peer
from tests.support import pki
from tests.unit.trust.material import Cert, Extension, ca_extensions, make, pem, purposes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = pki.NOW
YEAR = dt.timedelta(days=366)
DAY = dt.timedelta(days=1)
SERVER = PURPOSES["SERVER"]
_SIGNS_CERTIFICATES = ca_extensions(usage=b"\x02\x04")
_LEAF_USAGE = Extension(x509.KEY_USAGE, der.encode(der.BIT_STRING, b"\x07\x80"), critical=True)
_NO_CA = Extension(x509.BASIC_CONSTRAINTS, der.sequence(), critical=True)


class Settled(NamedTuple):
    """A case of either half: what is presented, for which host, under which trust, and whether that is good."""

    name: str
    accept: bool
    host: Peer
    certificates: Callable[[], tuple[Cert, list[Cert], Cert]]
    """The leaf, the others that are presented, and the anchor."""


def _name(common: str, serial: str = "") -> bytes:
    """A name as the generator writes it; the serial number keeps names of different keys apart."""
    pairs = [("2.5.4.10", "bettertls.com"), ("2.5.4.3", common), ("2.5.4.5", serial)]
    return der.sequence(
        *(der.encode(der.SET, der.sequence(der.oid(oid), der.utf8(text))) for oid, text in pairs if text)
    )


# Path building: https://github.com/Netflix/bettertls, test-suites/pathbuilding

Edge = tuple[str, str]
REASONS = ("expired", "name constraints", "bad EKU", "missing basic constraints", "not a CA", "deprecated crypto")


def _both(one: str, other: str) -> list[Edge]:
    return [(one, other), (other, one)]


LINEAR = [("ICA", "EE"), ("Trust Anchor", "ICA")]
TWO_ROOTS = [("ICA", "EE"), ("Root1", "ICA"), ("Root2", "ICA")]
FIGURE_SEVEN = [
    *(("B", "EE"), ("C", "B"), ("A", "B"), ("C", "A"), ("A", "C")),
    *(("Trust Anchor", "C"), ("Trust Anchor", "A")),
]
"""RFC 4158 clause 2.3."""
BRIDGE = [
    *(("F", "H"), *_both("F", "G"), *_both("H", "I"), ("G", "I"), ("TA W", "F"), ("TA W", "G")),
    *(("J", "K"), ("N", "EE"), ("L", "N"), ("L", "M"), ("TA X", "J"), ("TA X", "L")),
    *(("B", "E"), ("B", "D"), ("A", "B"), ("C", "B"), *_both("A", "C"), ("TA Y", "A"), ("TA Y", "C")),
    *(("R", "S"), ("O", "R"), ("O", "Q"), ("P", "S"), ("TA Z", "O"), ("TA Z", "P")),
    *(edge for ta in ("TA W", "TA X", "TA Y", "TA Z") for edge in _both(ta, "Bridge CA")),
]
"""RFC 4158 clause 2.4."""


class Building(NamedTuple):
    """Who issues to whom, whom to trust, whose certificate is judged, and which certificates are bad, and how."""

    graph: list[Edge]
    source: str
    target: str
    bad: tuple[Edge, ...] = ()
    reason: str = ""

    @property
    def reachable(self) -> bool:
        """Whether good certificates lead from the source to the target."""
        seen, ahead = set(), [self.source]
        while ahead:
            here = ahead.pop()
            seen.add(here)
            ahead += [
                to for start, to in self.graph if start == here and (start, to) not in self.bad and to not in seen
            ]
        return self.target in seen

    def certificates(self) -> tuple[Cert, list[Cert], Cert]:
        """The target's certificate, all others of the graph, and the source's own, which is trusted."""
        made = [(edge, self._certificate(edge)) for edge in self.graph]
        leaves = [each for edge, each in made if edge[1] == self.target]
        others = [each for edge, each in made if edge[1] != self.target]
        return leaves[0], [*leaves[1:], *others], _root(self.source)

    def _certificate(self, edge: Edge) -> Cert:
        issuer, subject = edge
        leaf = subject == self.target
        alternative = Extension(x509.SUBJECT_ALT_NAME, der.sequence(der.implicit(2, b"localhost")))
        extensions = [_LEAF_USAGE, _NO_CA, purposes(SERVER), alternative] if leaf else list(_SIGNS_CERTIFICATES)
        until, digest = NOW + YEAR, "sha256"
        reason = self.reason if edge in self.bad else ""
        if reason == "expired":
            until = NOW - dt.timedelta(hours=1)
        elif reason == "name constraints":
            tree = der.sequence(der.implicit(2, b"bad.example.com"))
            extensions.append(Extension(x509.NAME_CONSTRAINTS, der.sequence(der.explicit(0, tree)), critical=True))
        elif reason == "bad EKU":
            extensions.append(purposes("1.3.6.1.5.5.7.3.4"))
        elif reason == "missing basic constraints":
            extensions = [each for each in extensions if each.oid != x509.BASIC_CONSTRAINTS]
        elif reason == "not a CA":
            extensions = [_NO_CA, *(each for each in extensions if each.oid != x509.BASIC_CONSTRAINTS)]
        elif reason == "deprecated crypto":
            digest = "sha1"
        return make(
            _name(subject),
            _key(subject),
            _root(issuer),
            extensions=extensions,
            since=NOW - DAY,
            until=until,
            digest=digest,
        )


def _key(label: str) -> pki.Key:
    return pki.key("p256", f"bettertls {label}")


@cache
def _root(label: str) -> Cert:
    """An authority's certificate issued to itself."""
    return make(_name(label), _key(label), extensions=_SIGNS_CERTIFICATES, since=NOW - DAY, until=NOW + YEAR)


def _buildings() -> Iterator[Building]:
    """In the generator's order: a check of everything, features, and the explicit cases with every reason."""
    yield Building(LINEAR, "Trust Anchor", "EE")
    yield Building(TWO_ROOTS, "Root1", "EE")
    yield Building(TWO_ROOTS, "Root2", "EE")
    broken: tuple[Edge, ...] = (("Trust Anchor", "ICA"),)
    yield from (Building(LINEAR, "Trust Anchor", "EE", broken, reason) for reason in REASONS)
    first, second = ("Root1", "ICA"), ("Root2", "ICA")
    explicit = [
        Building(LINEAR, "Trust Anchor", "EE"),
        Building(LINEAR, "Trust Anchor", "EE", broken),
        Building(LINEAR, "ICA", "EE", broken),
        *(Building(TWO_ROOTS, root, "EE") for root in ("Root1", "Root2")),
        Building(TWO_ROOTS, "Root1", "EE", (second,)),
        Building(TWO_ROOTS, "Root2", "EE", (first,)),
        Building(TWO_ROOTS, "Root1", "EE", (first,)),
        Building(TWO_ROOTS, "Root2", "EE", (second,)),
        Building(FIGURE_SEVEN, "Trust Anchor", "EE"),
        Building(FIGURE_SEVEN, "Trust Anchor", "EE", (("Trust Anchor", "C"), ("A", "B"))),
        Building(FIGURE_SEVEN, "Trust Anchor", "EE", (("Trust Anchor", "A"), ("C", "B"))),
        Building(BRIDGE, "TA Z", "D"),
        Building(BRIDGE, "TA Z", "EE"),
        Building(BRIDGE, "TA Z", "EE", (("TA X", "Bridge CA"),)),
        Building(BRIDGE, "TA Z", "EE", (("Bridge CA", "TA X"),)),
        Building(BRIDGE, "TA Z", "EE", (("TA Z", "Bridge CA"),)),
    ]
    for each in explicit:
        yield from (each._replace(reason=reason) for reason in (REASONS if each.bad else ("",)))


# Name constraints: test-suites/nameconstraints

HOST, OTHER_HOST = b"test.localhost", b"bad.example.com"
ADDRESS, OTHER_ADDRESS = b"\x7f\x00\x00\x01", b"\x01\x01\x01\x01"
NONE, VALID, INVALID = range(3)
_TREES = ((b"localhost", b"example.com"), (b"localhost", OTHER_HOST))
"""What is permitted and what is excluded, each for the valid and the invalid host."""
_NETWORKS = (b"\x7f\x00\x00\x00\xff\xff\xff\x00", b"\x01\x01\x01\x00\xff\xff\xff\x00")
_NAMES_TAGS = range(16)


class Constrained(NamedTuple):
    """One combination; each but the first two and the last is one of NONE, VALID, INVALID."""

    by_address: bool = False
    common_is_address: bool = False
    common: int = NONE
    host: int = NONE
    address: int = NONE
    permitted_host: int = NONE
    permitted_address: int = NONE
    excluded_host: int = NONE
    excluded_address: int = NONE
    extra: tuple[int, bytes] | None = None

    @property
    def accept(self) -> bool:
        """Whether the name that is asked for is there, and no alternative name breaks a constraint."""
        if (self.address if self.by_address else self.host) != VALID:
            return False
        hosts = _violated(self.host, self.permitted_host, self.excluded_host)
        return not (hosts or _violated(self.address, self.permitted_address, self.excluded_address))

    def certificates(self) -> tuple[Cert, list[Cert], Cert]:
        """The leaf, two authorities above it, and the anchor."""
        issuing = _issuing(self.permitted_host, self.permitted_address, self.excluded_host, self.excluded_address)
        return (
            _host(self, issuing),
            [issuing, _local_root(), _root("bettertls_trust_root")],
            _root("bettertls_trust_root"),
        )


def _violated(name: int, permitted: int, excluded: int) -> bool:
    return name != NONE and (permitted not in (NONE, name) or excluded == name)


@cache
def _local_root() -> Cert:
    above = _root("bettertls_trust_root")
    name = _name("local_root")
    return make(name, _key("local_root"), above, extensions=_SIGNS_CERTIFICATES, since=NOW - DAY, until=NOW + YEAR)


@cache
def _issuing(permitted_host: int, permitted_address: int, excluded_host: int, excluded_address: int) -> Cert:
    trees: list[list[bytes]] = [[], []]
    for side, host, address in ((0, permitted_host, permitted_address), (1, excluded_host, excluded_address)):
        if host:
            trees[side].append(der.sequence(der.implicit(2, _TREES[side][host - 1])))
        if address:
            trees[side].append(der.sequence(der.implicit(7, _NETWORKS[address - 1])))
    blocks = b"".join(der.explicit(side, *bases) for side, bases in enumerate(trees) if bases)
    constraints = [Extension(x509.NAME_CONSTRAINTS, der.sequence(blocks), critical=True)] if blocks else []
    return make(
        _name("local_ica"),
        _key("local_ica"),
        _local_root(),
        extensions=[*_SIGNS_CERTIFICATES, *constraints],
        since=NOW - DAY,
        until=NOW + YEAR,
    )


def _host(case: Constrained, issuer: Cert) -> Cert:
    hosts, addresses = (b"", HOST, OTHER_HOST), (b"", ADDRESS, OTHER_ADDRESS)
    shown = ("", "127.0.0.1", "1.1.1.1") if case.common_is_address else tuple(host.decode() for host in hosts)
    found = [(2, hosts[case.host])] if case.host else []
    found += [(7, addresses[case.address])] if case.address else []
    found += [case.extra] if case.extra else []
    names = [der.encode(0x80 | tag, value) for tag, value in found]
    alternative = [Extension(x509.SUBJECT_ALT_NAME, der.sequence(*names))] if names else []
    return make(
        _name(shown[case.common], "leaf"),
        _key("leaf"),
        issuer,
        extensions=[_LEAF_USAGE, purposes(SERVER), _NO_CA, *alternative],
        since=NOW - DAY,
        until=NOW + YEAR,
    )


def _constrained() -> Iterator[Constrained]:
    """In the generator's order: features, every combination, and names hidden under other tags or behind others."""
    yield Constrained(common=VALID, host=VALID)
    yield Constrained(common=VALID, host=VALID, permitted_host=VALID)
    yield from (Constrained(host=value) for value in (VALID, INVALID))
    yield from (Constrained(by_address=True, common_is_address=True, address=value) for value in (VALID, INVALID))
    yield Constrained(host=INVALID, excluded_host=VALID, extra=(6, b"http://foo.bar, DNS:" + HOST))
    values = (NONE, VALID, INVALID)
    for by_address, common_is_address in itertools.product((False, True), repeat=2):
        for combination in itertools.product(values, repeat=7):
            yield Constrained(by_address, common_is_address, *combination)  # type: ignore[arg-type] # seven numbers
    schemes = (b"", b"http://", b"https://", b"spiffe://", b"unspec://")
    for tag in _NAMES_TAGS:
        for scheme in schemes:
            yield from _hidden(tag, scheme + HOST)
        for value in (ADDRESS, b"127.0.0.1"):
            refused = Constrained(by_address=True, address=INVALID, extra=(tag, value))
            yield refused._replace(permitted_address=INVALID)
            yield refused._replace(excluded_address=VALID)
    for separator, prefix, leading in itertools.product(
        (b", ", b",", b";", b":"), (b"", b"DNS:"), (OTHER_HOST, b"http://" + OTHER_HOST)
    ):
        for tag in _NAMES_TAGS:
            yield from _hidden(tag, leading + separator + prefix + HOST)


def _hidden(tag: int, value: bytes) -> Iterator[Constrained]:
    refused = Constrained(host=INVALID, extra=(tag, value))
    yield refused._replace(permitted_host=INVALID)
    yield refused._replace(excluded_host=VALID)


# Judging


def settled() -> Iterator[Settled]:
    """Every case of both halves, named like the generator's."""
    for number, case in enumerate(_constrained()):
        host = Peer("IP", "127.0.0.1") if case.by_address else Peer("DNS", HOST.decode())
        yield Settled(f"nameconstraints {number}", case.accept, host, case.certificates)
    for number, building in enumerate(_buildings()):
        name = f"pathbuilding {number}"
        yield Settled(name, building.reachable, Peer("DNS", "localhost"), building.certificates)


class _Judge:
    """One store for each anchor."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._contexts: dict[bytes, context.Context] = {}

    def judge(self, case: Settled) -> tuple[bool, str]:
        """Whether a case is accepted, and what speaks against it."""
        leaf, others, anchor = case.certificates()
        carried = Carried(tuple(each.raw for each in others), ())
        belief = believe(leaf.view, carried, SERVER, Moment(NOW), self._context(anchor.raw))
        against = [each.code for each in belief.findings if each.outcome in (Outcome.NO, Outcome.UNKNOWN)]
        if not against and not case.host.named_by(leaf.view):
            against = ["another host"]
        return not against, ", ".join(against)

    def _context(self, anchor: bytes) -> context.Context:
        if anchor not in self._contexts:
            path = self._folder / f"{len(self._contexts)}.pem"
            path.write_bytes(pem(anchor))
            lists = CrlSource(cache=str(self._folder))
            self._contexts[anchor] = context.Context(store.load([str(path)]), NOW, context.OFF, lists)
        return self._contexts[anchor]


def run() -> bool:
    """All cases; whether every verdict is right."""
    with tempfile.TemporaryDirectory() as folder:
        judge = _Judge(Path(folder)).judge
        found = (suite.Case(each.name, each.accept, partial(judge, each)) for each in settled())
        return suite.run("BetterTLS", found, {})
