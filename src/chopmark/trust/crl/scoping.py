"""What a revocation list is about when it says so (RFC 5280 clause 6.3.3): points, reasons, other issuers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.envelopes import der, x509
from chopmark.trust.crl import lookup, revocation_list
from chopmark.trust.crl.entry import ALL_REASONS, UnusableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chopmark.trust.crl.revocation_list import Crl, Scope

_DIRECTORY = der.context(4)
_WITH_KIND = 3
"""The version of certificates that say whether they are an authority's; no others are meant (clause 5.2.5)."""
_FULL, _RELATIVE = der.context(0), der.context(1)


class Point(NamedTuple):
    """A distribution point of a certificate: names to compare by, bits of reasons, and who issues the list.

    `issuers` are names (x509.name_key); none when the certificate's own issuer does.
    """

    names: frozenset[object]
    reasons: frozenset[int]
    issuers: tuple[object, ...]


def coverage(crl: Crl, scope: Scope, certificate: x509.Certificate) -> frozenset[int]:
    """For which reasons a list with this scope would name a certificate. Raises UnusableError for none; DerError."""
    if scope.attributes_only:
        raise UnusableError("it is about attribute certificates")
    constraints = certificate.basic_constraints
    authority = constraints is not None and constraints.ca
    if scope.users_only and (authority or certificate.version < _WITH_KIND):
        raise UnusableError("it is about end entities alone")
    if scope.authorities_only and not authority:
        raise UnusableError("it is about authorities alone")
    names = _names(scope.point, crl.issuer) if scope.point is not None else None
    own = certificate.issuer_key
    # Clause 6.3.3, its last paragraph: a list of the issuer that no point leads to is about all reasons.
    default = Point(frozenset({own}), ALL_REASONS, ())
    covered: frozenset[int] = frozenset()
    for point in (*points(certificate), default):
        named = crl.issuer_key in point.issuers and scope.indirect if point.issuers else crl.issuer_key == own
        if named and (names is None or not names.isdisjoint(point.names)):
            covered |= point.reasons
    if scope.reasons is not None:
        covered &= scope.reasons
    if not covered:
        raise UnusableError("it is about another distribution point")
    return covered


def points(certificate: x509.Certificate) -> Iterator[Point]:
    """The distribution points of a certificate (clause 4.2.1.13). Raises DerError."""
    extension = certificate.extensions.get(x509.CRL_DISTRIBUTION_POINTS)
    for node in der.parse(extension.value).expect(der.SEQUENCE).children() if extension else ():
        fields = node.fields()
        name = fields.optional(der.context(0))
        reasons = fields.optional(der.context(1, constructed=False))
        issuer = fields.optional(der.context(2))
        fields.done()
        directories = _directories(issuer.children()) if issuer is not None else []
        if issuer is not None and not directories:
            continue  # nobody's list can match
        bits = der.parse(reasons.retagged(der.BIT_STRING)).bits() if reasons is not None else None
        issuers = tuple(x509.name_key(each) for each in directories)
        if name is not None:
            names = _names(name, directories[0] if directories else certificate.issuer)
        else:
            names = frozenset(issuers)
        covered = ALL_REASONS if bits is None else bits & ALL_REASONS
        yield Point(names, covered, issuers)


def other_issuers(certificate: x509.Certificate) -> list[object]:
    """By whom lists about a certificate may be issued but its own issuer, as x509.name_key. Raises DerError."""
    return [issuer for point in points(certificate) for issuer in point.issuers]


def entries_of(
    entries: der.Node, index: lookup.Index, issuer: object, certificate: x509.Certificate
) -> Iterator[der.Node]:
    """The entries about a certificate in an indirect list; each issuer stands until the next (clause 5.3.3)."""
    wanted = certificate.issuer_key
    number = lookup.magnitude(certificate.serial_octets)
    for offset in index.offsets(certificate.serial_octets):
        entry = lookup.entry_at(entries, offset)
        if lookup.magnitude(lookup.serial_of(entry)) != number:
            continue
        mark = index.mark(offset)
        named = issuer if mark is None else _issuer_at(entries, mark)
        if named == wanted:
            yield entry


def _issuer_at(entries: der.Node, offset: int) -> object:
    """The issuer that an entry names, as x509.name_key. Raises DerError."""
    _, extensions = revocation_list.entry_fields(lookup.entry_at(entries, offset))
    return lookup.issuer_named(extensions[x509.CERTIFICATE_ISSUER])


def _names(point: der.Node, issuer: bytes) -> frozenset[object]:
    """What a DistributionPointName is compared by; a relative one is below the issuer of the list."""
    name = point.only_child()
    if name.tag == _FULL:
        return frozenset(
            x509.name_key(node.only_child().raw) if node.tag == _DIRECTORY else node.raw for node in name.children()
        )
    if name.tag == _RELATIVE:
        whole = der.sequence(der.parse(issuer).value, name.retagged(der.SET))
        return frozenset({x509.name_key(whole)})
    raise der.DerError("a distribution point with a name of an unknown kind")


def _directories(names: Iterable[der.Node]) -> list[bytes]:
    return [node.only_child().raw for node in names if node.tag == _DIRECTORY]
