"""What is in the register, as values: CAs, certificates with their status, revocations, lists, events."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlalchemy import and_, select

from chopmark.authority.crl import encoding, placing
from chopmark.authority.register.schema import certificates, issuers
from chopmark.core.errors import UsageError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    import datetime as dt

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.engine import Row

    from chopmark.authority.issuing.certificates import Place
    from chopmark.envelopes import x509

STATUSES = ("valid", "expired", "future", "revoked", "suspended", "unfinished")
"""What a certificate can be. Unfinished: the number was reserved, the certificate never left the authority."""

AUTHORITY_PROFILE = "authority"
"""The profile of CA certificates in the register."""

RETENTION_MONTHS = 120
"""How long after its expiry a certificate stays on the CRL (CSBR 7.2)."""


class Issuer(NamedTuple):
    """A CA of this authority: its name in the register, its role, its certificate, where its key is.

    New certificates are spread over `shards` lists (0: one list), and name a delta list when there are `deltas`.
    """

    id: int
    name: str
    role: str
    certificate: x509.Certificate
    key: str
    place: Place
    retired: dt.datetime | None = None
    shards: int = 0
    deltas: bool = False

    def shard(self, serial: int) -> int:
        """The list that a new certificate belongs to: one of `shards`, 0 when there are none."""
        return serial % self.shards + 1 if self.shards else 0

    def place_of(self, serial: int) -> Place:
        """What a new certificate says about where its list, its delta list and its issuer's certificate are."""
        shard = self.shard(serial)
        whole = self.place.crl_url
        delta = placing.url(whole, shard, delta=True) if self.deltas else ""
        return replace(self.place, crl_url=placing.url(whole, shard), delta_url=delta)


@dataclass(frozen=True, slots=True)
class Record:
    """A certificate in the register; times in UTC, `certificate` is DER, None while unfinished."""

    id: int
    issuer: str
    serial: str
    profile: str
    subject: str
    key_sha256: str
    not_before: dt.datetime
    not_after: dt.datetime
    issued: dt.datetime | None
    certificate: bytes | None = field(repr=False)
    revoked: dt.datetime | None
    recorded: dt.datetime | None
    reason: int | None
    invalidity: dt.datetime | None
    predecessor: int | None = None

    def status(self, now: dt.datetime) -> str:
        """One of STATUSES."""
        if self.certificate is None:
            return "unfinished"
        if self.revoked is not None:
            return "suspended" if self.reason == encoding.HOLD else "revoked"
        if now > self.not_after:
            return "expired"
        return "future" if now < self.not_before else "valid"


class PublishedCrl(NamedTuple):
    """A publication: its number, until when its lists hold, entries and SHA-256 of the list about all certificates.

    `base` is the number of the complete lists when only deltas were published, else None; `shards` how many further
    lists there are; `delta_next_update` until when its deltas hold, None without.
    """

    number: int
    this_update: dt.datetime
    next_update: dt.datetime
    entries: int
    sha256: str
    base: int | None = None
    shards: int = 0
    delta_next_update: dt.datetime | None = None


class Event(NamedTuple):
    """Something that was done."""

    at: dt.datetime
    action: str
    serial: str
    detail: str


class Revocation(NamedTuple):
    """What a revocation says: the date that the CRL gives, the reason's number, and the invalidity date if any."""

    revoked: dt.datetime
    reason: int
    invalidity: dt.datetime | None = None


def serial_text(serial: int) -> str:
    """A serial number as the register has it: hexadecimal, whole octets."""
    digits = f"{serial:x}"
    return "0" * (len(digits) % 2) + digits


def records() -> Select[tuple[object, ...]]:
    """Every certificate with the name of its CA, as `record_of` wants a row."""
    return select(certificates, issuers.c.name.label("issuer_name")).join(issuers)


def record_of(row: Row[tuple[object, ...]]) -> Record:
    """A certificate from its row."""
    return Record(
        id=row.id,
        issuer=row.issuer_name,
        serial=row.serial,
        profile=row.profile,
        subject=row.subject,
        key_sha256=row.key_sha256,
        not_before=row.not_before,
        not_after=row.not_after,
        issued=row.issued,
        certificate=row.certificate,
        revoked=row.revoked,
        recorded=row.recorded,
        reason=row.reason,
        invalidity=row.invalidity,
        predecessor=row.predecessor,
    )


def status_clause(status: str, now: dt.datetime) -> ColumnElement[bool]:
    """What certificates of one of STATUSES have in common. Raises UsageError."""
    columns = certificates.c
    finished, unrevoked = columns.certificate.is_not(None), columns.revoked.is_(None)
    clauses = {
        "unfinished": columns.certificate.is_(None),
        "suspended": columns.reason == encoding.HOLD,
        "revoked": and_(columns.revoked.is_not(None), columns.reason != encoding.HOLD),
        "expired": and_(finished, unrevoked, columns.not_after < now),
        "future": and_(finished, unrevoked, columns.not_before > now),
        "valid": and_(finished, unrevoked, columns.not_after >= now, columns.not_before <= now),
    }
    if status not in clauses:
        message = f"unknown status {status!r}: one of {', '.join(STATUSES)}"
        raise UsageError(message)
    return clauses[status]
