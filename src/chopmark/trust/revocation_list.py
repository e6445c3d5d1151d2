"""Certificate revocation lists (RFC 5280 clauses 5 and 6.3), read without decoding what is not asked for."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from chopmark.core import clock, digest, limits
from chopmark.core.errors import MalformedError
from chopmark.envelopes import algorithms, der, x509

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

UNSPECIFIED, KEY_COMPROMISE, CA_COMPROMISE, AFFILIATION_CHANGED, SUPERSEDED, CESSATION_OF_OPERATION = range(6)
CERTIFICATE_HOLD, REMOVE_FROM_CRL, PRIVILEGE_WITHDRAWN, AA_COMPROMISE = 6, 8, 9, 10
REASON_NAMES = {
    UNSPECIFIED: "unspecified",
    KEY_COMPROMISE: "key compromise",
    CA_COMPROMISE: "CA compromise",
    AFFILIATION_CHANGED: "affiliation changed",
    SUPERSEDED: "superseded",
    CESSATION_OF_OPERATION: "cessation of operation",
    CERTIFICATE_HOLD: "certificate hold",
    REMOVE_FROM_CRL: "remove from CRL",
    PRIVILEGE_WITHDRAWN: "privilege withdrawn",
    AA_COMPROMISE: "AA compromise",
}

ALL_REASONS = frozenset(range(1, 9))
"""Every bit of ReasonFlags (clause 4.2.1.13) but the first, which is not used."""

FRESHEST_CRL = "2.5.29.46"
_LIST_EXTENSIONS = frozenset(
    {x509.AUTHORITY_KEY_ID, x509.CRL_NUMBER, x509.ISSUING_DISTRIBUTION_POINT, x509.DELTA_CRL_INDICATOR}
)
_ENTRY_EXTENSIONS = frozenset({x509.CRL_REASON, x509.INVALIDITY_DATE})
_CRITICAL = b"\x01\x01\xff\x04"
"""TRUE, and the OCTET STRING that follows it in a critical extension."""


_LONG = 0x80
"""From here on, the octet after the tag says how long the length is, not how long the value."""


class UnusableError(MalformedError):
    """The list is sound but says nothing about this certificate: another scope, or one that chopmark does not read."""


class Entry(NamedTuple):
    """One revoked certificate: when, why (a number of RFC 5280 clause 5.3.1), and since when its key is doubtful."""

    revoked: dt.datetime
    reason: int = UNSPECIFIED
    invalid_since: dt.datetime | None = None

    @property
    def effective(self) -> dt.datetime:
        """From when on signatures do not count: the earlier of both dates."""
        return min(self.revoked, self.invalid_since) if self.invalid_since else self.revoked


class Scope(NamedTuple):
    """An issuing distribution point (RFC 5280 clause 5.2.5).

    `point` is its name as the field stands in DER, `reasons` are bits of ReasonFlags; None without.
    """

    point: der.Node | None
    users_only: bool
    authorities_only: bool
    attributes_only: bool
    reasons: frozenset[int] | None
    indirect: bool


class Crl:
    """One list. Its frame is read at once, entries when a serial number is looked up; the signature when asked."""

    def __init__(self, raw: bytes) -> None:
        """Read a DER CRL. Raises MalformedError."""
        if len(raw) > limits.CRL_MAX:
            raise der.DerError(f"a CRL of {len(raw)} bytes; {limits.CRL_MAX} are the limit")
        outer = der.parse(raw).fields()
        self._tbs = outer.take(der.SEQUENCE)
        self._algorithm = outer.take(der.SEQUENCE).raw
        self._signature = outer.take().bit_string()
        outer.done()
        self.raw = raw
        fields = self._tbs.fields()
        version = fields.optional(der.INTEGER)
        if version is not None and version.integer() != 1:
            raise der.DerError("a CRL of an unknown version")
        if fields.take(der.SEQUENCE).raw != self._algorithm:
            raise der.DerError("the signature algorithm inside the CRL differs from the one outside")
        self.issuer = fields.take(der.SEQUENCE).raw
        self.issuer_key = x509.name_key(self.issuer)
        self.this_update = fields.take().time()
        following = fields.optional(der.UTC_TIME, der.GENERALIZED_TIME)
        self.next_update = following.time() if following else None
        self._entries = fields.optional(der.SEQUENCE)
        block = fields.optional(der.context(0))
        fields.done()
        self.extensions = x509.extensions(block.only_child()) if block else {}
        self._verified: dict[bytes, str] = {}

    @cached_property
    def scope(self) -> Scope | None:
        """Which certificates it is about, if it says so. Raises DerError."""
        extension = self.extensions.get(x509.ISSUING_DISTRIBUTION_POINT)
        if extension is None:
            return None
        fields = der.parse(extension.value).fields()
        point = fields.optional(der.context(0))
        flags = [fields.optional(der.context(number, constructed=False)) for number in (1, 2, 3, 4, 5)]
        fields.done()
        if point is None and flags == [None] * len(flags):
            raise der.DerError("an issuing distribution point that says nothing")  # clause 5.2.5 forbids it
        users, authorities, some, indirect, attributes = flags
        reasons = der.parse(some.retagged(der.BIT_STRING)).bits() if some is not None else None
        return Scope(point, _flag(users), _flag(authorities), _flag(attributes), reasons, _flag(indirect))

    @property
    def is_delta(self) -> bool:
        """Whether it only says what changed since another list."""
        return x509.DELTA_CRL_INDICATOR in self.extensions

    @cached_property
    def number(self) -> int | None:
        """Its number, if it has one. Raises DerError."""
        return self._integer(x509.CRL_NUMBER)

    @cached_property
    def base_number(self) -> int | None:
        """For a delta the number of the oldest list that it can be added to. Raises DerError."""
        return self._integer(x509.DELTA_CRL_INDICATOR)

    def _integer(self, oid: str) -> int | None:
        extension = self.extensions.get(oid)
        return der.parse(extension.value).expect(der.INTEGER).integer() if extension else None

    @property
    def partition(self) -> bytes:
        """What tells it from the other lists of its issuer, in DER."""
        extension = self.extensions.get(x509.ISSUING_DISTRIBUTION_POINT)
        return extension.value if extension else b""

    @property
    def file_name(self) -> str:
        """A file name that follows from the issuer and the scope, so that a newer list replaces the older one."""
        extension = self.extensions.get(x509.ISSUING_DISTRIBUTION_POINT)
        identity = self.issuer + (extension.value if extension else b"")
        return hashlib.sha256(identity).hexdigest()[:32] + ".crl"

    def check_signature(self, issuer: x509.Certificate) -> None:
        """Check that `issuer` signed it and may do so (clause 6.3.3 (f) and (g)). Raises MalformedError."""
        problem = self._verified.get(issuer.raw)
        if problem is None:
            problem = self._problem(issuer)
            self._verified[issuer.raw] = problem
        if problem:
            raise UnusableError(problem)

    def _problem(self, issuer: x509.Certificate) -> str:
        usage = issuer.key_usage
        if usage is not None and x509.CRL_SIGN not in usage:
            return "its issuer may not sign CRLs (key usage)"
        algorithm = algorithms.signature_algorithm(der.parse(self._algorithm))
        name = algorithm.digest
        if name is not None:
            strength = digest.ALGORITHMS[name].strength
            late = self.this_update >= limits.SHA1_SUNSET
            if strength is digest.Strength.BROKEN or (strength is digest.Strength.DATED and late):
                return f"it is signed over {name}"
        try:
            algorithms.verify(issuer.spki, algorithm, self._signature, self._tbs.raw)
        except MalformedError as error:
            return f"its signature: {error}"
        return ""

    def coverage(self, certificate: x509.Certificate) -> frozenset[int]:
        """For which reasons it would name this certificate (clause 6.3.3 (b) and (d)).

        Raises UnusableError when it is not about the certificate or says what is not evaluated; DerError.
        """
        unknown = [oid for oid, each in self.extensions.items() if each.critical and oid not in _LIST_EXTENSIONS]
        if unknown:
            raise UnusableError(f"it has a critical extension that is not evaluated ({unknown[0]})")
        scope = self.scope
        if scope is None:
            if self.issuer_key != x509.name_key(certificate.issuer):
                raise UnusableError("it is another issuer's, and not an indirect CRL")
            return ALL_REASONS
        from chopmark.trust import crl_scope  # most lists are about everything

        return crl_scope.coverage(self, scope, certificate)

    def missing(self, certificate: x509.Certificate, at: dt.datetime) -> str:
        """Why its silence about a certificate does not count at that time; empty when it does."""
        if self.next_update is None:
            return "the CRL does not say how long it holds"
        if self.next_update < at:
            return f"the CRL ended {clock.show(self.next_update)}"
        if self.this_update - at > limits.CLOCK_SKEW:
            return f"the CRL is from {clock.show(self.this_update)}, later than the time asked about"
        if self.this_update - certificate.not_after > limits.CRL_RETENTION:
            return "the certificate expired so long ago that the CRL need not name it any more"
        return ""

    def find(self, certificate: x509.Certificate) -> Entry | None:
        """The entry that revokes a certificate, the earliest if there are several; None when it is not named.

        Raises MalformedError when an entry has a critical extension that is not evaluated: the list must not be used
        then, whomever that entry is about (clause 5.3).
        """
        if self._entries is None:
            return None
        if self._trouble:
            raise UnusableError(self._trouble)
        if self.scope is not None and self.scope.indirect:
            from chopmark.trust import crl_scope

            nodes = crl_scope.entries_of(self._entries, self.issuer_key, certificate)
        else:
            nodes = self._named(certificate.serial_octets)
        found = [_entry(node, delta=self.is_delta) for node in nodes]
        return min(found, key=lambda entry: entry.effective) if found else None

    @cached_property
    def _trouble(self) -> str:
        """Why the list must not be used because of one of its entries; empty when it may."""
        node = self._entries
        if node is None or node.buffer.find(_CRITICAL, node.body, node.end) < 0:
            return ""
        try:
            indirect = self.scope is not None and self.scope.indirect
            known = _ENTRY_EXTENSIONS | {x509.CERTIFICATE_ISSUER} if indirect else _ENTRY_EXTENSIONS
            for each in node.each():
                if each.buffer.find(_CRITICAL, each.body, each.end) >= 0:
                    _, extensions = entry_fields(each)
                    for oid, extension in extensions.items():
                        if extension.critical and oid not in known:
                            return f"an entry has a critical extension that is not evaluated ({oid})"
        except der.DerError as error:
            return str(error)
        return ""

    def _named(self, serial: bytes) -> Iterator[der.Node]:
        """The entries with this serial number.

        The bytes of the number are searched for first. Where they are found, the entries are walked from the first one
        on, so that bytes in the middle of something else are not taken for an entry. A number with its highest bit
        set is also found under the other sign, and one with needless zeros without them: some authorities write it
        both ways.
        """
        node = self._entries
        if node is None:
            return
        magnitude = serial.lstrip(b"\0") or b"\0"
        for octets in {serial, magnitude, b"\0" + magnitude}:
            yield from _starting_with(node, der.encode(der.INTEGER, octets))


def _starting_with(block: der.Node, octets: bytes) -> Iterator[der.Node]:
    """The elements of a list whose value begins with these bytes."""
    buffer, end, start = block.buffer, block.end, block.body
    wanted = buffer.find(octets, start, end)
    while wanted >= 0 and start < end:
        # Only headers are looked at, and by hand: there may be a million of them.
        length = buffer[start + 1] if start + 1 < end else _LONG
        if length < _LONG:
            body, following = start + 2, start + 2 + length
        else:
            node = der.Node(buffer, start, end)
            body, following = node.body, node.end
        if following > end:
            raise der.DerError("an entry that is cut off")
        if following > wanted:
            if body == wanted:
                yield der.Node(buffer, start, end)
            wanted = buffer.find(octets, following, end)
        start = following


def _flag(node: der.Node | None) -> bool:
    """An implicitly tagged BOOLEAN DEFAULT FALSE."""
    return node is not None and node.value != b"\x00"


def entry_fields(node: der.Node) -> tuple[dt.datetime, dict[str, x509.Extension]]:
    """When an entry's certificate was revoked, and the extensions of the entry. Raises DerError."""
    fields = node.fields()
    fields.take(der.INTEGER)
    revoked = fields.take().time()
    block = fields.optional(der.SEQUENCE)
    fields.done()
    return revoked, x509.extensions(block) if block else {}


def _entry(node: der.Node, *, delta: bool) -> Entry:
    revoked, extensions = entry_fields(node)
    reason = UNSPECIFIED
    invalid_since = None
    if extension := extensions.get(x509.CRL_REASON):
        reason = der.parse(extension.value).expect(der.ENUMERATED).integer()
        if reason == REMOVE_FROM_CRL and not delta:
            raise UnusableError("an entry that only a delta CRL can have")
    if extension := extensions.get(x509.INVALIDITY_DATE):
        invalid_since = der.parse(extension.value).expect(der.GENERALIZED_TIME).time()
    return Entry(revoked, reason, invalid_since)
