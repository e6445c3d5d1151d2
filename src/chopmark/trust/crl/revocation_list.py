"""Certificate revocation lists (RFC 5280 clauses 5 and 6.3), read without decoding what is not asked for."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

from chopmark.core import clock, digest, limits
from chopmark.core.artifact import read_small
from chopmark.core.errors import InputError, MalformedError
from chopmark.core.lazy import lazy
from chopmark.core.named import NamedTuple
from chopmark.envelopes import algorithms, der, signatures, x509
from chopmark.trust.crl import frame, lookup
from chopmark.trust.crl.entry import ALL_REASONS, REMOVE_FROM_CRL, UNSPECIFIED, Entry, UnusableError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from chopmark.trust.crl.stored import Indexes, Kept

_LIST_EXTENSIONS = frozenset(
    {x509.AUTHORITY_KEY_ID, x509.CRL_NUMBER, x509.ISSUING_DISTRIBUTION_POINT, x509.DELTA_CRL_INDICATOR}
)


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
    """One list. Its frame is read at once, entries when a serial number is looked up; the signature when asked.

    `raw` is its DER; of a list that is `kept` with its index on disk only what is needed is read (see `stored`).
    """

    def __init__(self, raw: bytes, *, kept: Kept | None = None, indexes: Indexes | None = None) -> None:
        """Read a DER CRL; its index goes to `indexes` if it is large. Raises MalformedError."""
        if len(raw) > limits.CRL_MAX:
            raise der.DerError(f"a CRL of {len(raw)} bytes; {limits.CRL_MAX} are the limit")
        found = (frame.usual(raw) if kept is None else None) or frame.read(raw)
        self.raw = raw
        self._frame = found
        self._algorithm = raw[found.end : found.behind]
        if raw[found.inside : found.inner] != self._algorithm:
            raise der.DerError("the signature algorithm inside the CRL differs from the one outside")
        self.issuer = raw[found.inner : found.named]
        self.issuer_key = x509.name_key(self.issuer)
        self.this_update, self.next_update = found.this_update, found.next_update
        self.extensions = x509.extensions_at(raw, found.block, found.last)
        self._verified: dict[bytes, str] = {}
        self._kept = kept
        self._indexes = indexes
        self._signed_by: bytes | None = None
        self._signer: x509.Certificate | None = None

    @lazy
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

    @lazy
    def number(self) -> int | None:
        """Its number, if it has one. Raises DerError."""
        return self._integer(x509.CRL_NUMBER)

    @lazy
    def base_number(self) -> int | None:
        """For a delta the number of the oldest list that it can be added to. Raises DerError."""
        return self._integer(x509.DELTA_CRL_INDICATOR)

    def _integer(self, oid: str) -> int | None:
        extension = self.extensions.get(oid)
        return der.parse(extension.value).expect(der.INTEGER).integer() if extension else None

    @property
    def size(self) -> int:
        """Bytes of it that are in memory."""
        return 0 if self._kept is not None else len(self.raw)

    @property
    def partition(self) -> bytes:
        """What tells it from the other lists of its issuer, in DER."""
        extension = self.extensions.get(x509.ISSUING_DISTRIBUTION_POINT)
        return extension.value if extension else b""

    @property
    def file_name(self) -> str:
        """A file name that follows from issuer, scope and kind, so that a newer list replaces an older one alone."""
        identity = self.issuer + self.partition + (b"delta" if self.is_delta else b"")
        return hashlib.sha256(identity).hexdigest()[:32] + ".crl"

    def check_signature(self, issuer: x509.Certificate) -> None:
        """Check that `issuer` signed it and may do so (clause 6.3.3 (f) and (g)). Raises MalformedError."""
        problem = self._verified.get(issuer.raw)
        if problem is None:
            problem = self._problem(issuer)
            self._verified[issuer.raw] = problem
        if problem:
            raise UnusableError(problem)
        self._signer = issuer

    def _problem(self, issuer: x509.Certificate) -> str:
        usage = issuer.key_usage
        if usage is not None and x509.CRL_SIGN not in usage:
            return "its issuer may not sign CRLs (key usage)"
        algorithm = algorithms.read_signature_algorithm(self._algorithm)
        name = algorithm.digest
        if name is not None:
            strength = digest.ALGORITHMS[name].strength
            late = self.this_update >= limits.SHA1_SUNSET
            if strength is digest.Strength.BROKEN or (strength is digest.Strength.DATED and late):
                return f"it is signed over {name}"
        if self._kept is not None and self._kept.signed_by == _identity(issuer):
            return ""
        try:
            signatures.verify(issuer.spki, algorithm, self.raw[self._frame.bits :], self._to_be_signed())
        except MalformedError as error:
            return f"its signature: {error}"
        if self._indexes is not None:
            self._signed_by = _identity(issuer)
        return ""

    def _to_be_signed(self) -> bytes | memoryview:
        """What the signature is over, not copied if it lies in memory."""
        whole = self.raw if self._kept is None else self.raw[:]
        return memoryview(whole)[self._frame.tbs : self._frame.end]

    def coverage(self, certificate: x509.Certificate) -> frozenset[int]:
        """For which reasons it would name this certificate (clause 6.3.3 (b) and (d)).

        Raises UnusableError when it is not about the certificate or says what is not evaluated; DerError.
        """
        for oid, each in self.extensions.items():
            if each.critical and oid not in _LIST_EXTENSIONS:
                raise UnusableError(f"it has a critical extension that is not evaluated ({oid})")
        scope = self.scope
        if scope is None:
            if self.issuer_key != certificate.issuer_key:
                raise UnusableError("it is another issuer's, and not an indirect CRL")
            return ALL_REASONS
        from chopmark.trust.crl import scoping  # most lists are about everything

        return scoping.coverage(self, scope, certificate)

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
        number = self.extensions.get(x509.CRL_NUMBER)
        if number is not None and number.critical:  # clause 5.2.3; whom it names is revoked all the same
            return "the CRL marks its number critical, as no authority may"
        return ""

    def find(self, certificate: x509.Certificate) -> Entry | None:
        """The entry that revokes a certificate, the earliest if there are several; None when it is not named.

        Raises MalformedError when an entry is not what it should be, or has a critical extension that is not evaluated:
        the list must not be used then, whomever that entry is about (clause 5.3).
        """
        if self._frame.entries is None:
            return None
        try:
            return self._found(certificate, self._frame.entries)
        except lookup.TamperedError:
            return self._anew.find(certificate)

    @cached_property
    def _anew(self) -> Crl:
        """The same list, read and checked without its index, which does not hold. Raises MalformedError."""
        if self._kept is None or self._signer is None:
            raise UnusableError("its index does not hold")
        try:
            again = Crl(read_small(self._kept.path, limits.CRL_MAX), indexes=self._indexes)
        except InputError as error:
            raise UnusableError(str(error)) from None
        if (again.issuer, again.this_update, again.extensions) != (self.issuer, self.this_update, self.extensions):
            raise UnusableError("it became another list while it was being used")
        again.check_signature(self._signer)
        return again

    def _found(self, certificate: x509.Certificate, entries: der.Node) -> Entry | None:
        index = self._index
        if index.trouble:
            raise UnusableError(index.trouble)
        if self.scope is not None and self.scope.indirect:
            from chopmark.trust.crl import scoping

            nodes = scoping.entries_of(entries, index, self.issuer_key, certificate)
        else:
            nodes = self._named(entries, index, certificate.serial_octets)
        found = [_entry(node, delta=self.is_delta) for node in nodes]
        return min(found, key=lambda entry: entry.effective) if found else None

    @cached_property
    def _index(self) -> lookup.Index:
        """Where its entries are. It is kept only for a list whose signature was checked: nobody else's is worth it."""
        if self._kept is not None:
            return self._kept.entries
        if self._frame.entries is None:
            return lookup.Index(())
        indirect = self.scope is not None and self.scope.indirect
        made = lookup.index(self._frame.entries, indirect=indirect, extensible=self._frame.extensible)
        if self._indexes is not None and self._signed_by is not None:
            self._indexes.keep(self.raw, made, self._signed_by)
        return made

    @staticmethod
    def _named(block: der.Node, index: lookup.Index, serial: bytes) -> Iterator[der.Node]:
        """The entries with this serial number, also when somebody wrote it with the other sign."""
        wanted = lookup.magnitude(serial)
        for offset in index.offsets(serial):
            entry = lookup.entry_at(block, offset)
            if lookup.magnitude(lookup.serial_of(entry)) == wanted:
                yield entry


def _identity(issuer: x509.Certificate) -> bytes:
    """By which key an index on disk says that a list was signed."""
    return hashlib.sha256(issuer.spki).digest()


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
