"""Looking certificates up: by what they say, by status and dates, page by page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, func, select

from chopmark.authority.register.records import record_of, records, status_clause
from chopmark.authority.register.schema import certificates, issuers
from chopmark.core import limits
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    import datetime as dt

    from sqlalchemy import ColumnElement, Select

    from chopmark.authority.register.database import Database
    from chopmark.authority.register.records import Record

_PREFIX = re.compile(r"[0-9a-f]{1,40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; everything that is given has to fit.

    `subject` is a part of the name, in any case; `serial` how the number begins; `key_sha256` the digest of the key
    (SubjectPublicKeyInfo); `ends` and `issued` are periods, from and to, either of them open. A page has `limit`
    certificates behind the one with the register's number `after`, oldest first.
    """

    subject: str = ""
    serial: str = ""
    key_sha256: str = ""
    profile: str = ""
    status: str = ""
    issuer: str = ""
    ends: tuple[dt.datetime | None, dt.datetime | None] = (None, None)
    issued: tuple[dt.datetime | None, dt.datetime | None] = (None, None)
    after: int = 0
    limit: int = limits.SEARCH_PAGE_MAX


class Finder:
    """Reads the register; each method is one transaction. Raises DatabaseError, UsageError for what cannot be meant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def search(self, query: Query, now: dt.datetime) -> list[Record]:
        """A page of what fits."""
        if not 0 < query.limit <= limits.SEARCH_PAGE_MAX:
            message = f"a page has 1 to {limits.SEARCH_PAGE_MAX} certificates, not {query.limit}"
            raise UsageError(message)
        # The rows are large: what they are chosen by is looked up in indexes first.
        chosen = self._chosen(query, now).order_by(_number(query)).limit(query.limit)
        with self._database.reading() as connection:
            numbers = list(connection.scalars(chosen))
            found: list[Record] = []
            for start in range(0, len(numbers), _AT_ONCE):
                some = records().where(certificates.c.id.in_(numbers[start : start + _AT_ONCE]))
                found += [record_of(row) for row in connection.execute(some.order_by(certificates.c.id))]
        return found

    def count(self, query: Query, now: dt.datetime) -> int:
        """How many fit, on all pages behind `after`."""
        with self._database.reading() as connection:
            return int(connection.scalar(select(func.count()).select_from(self._chosen(query, now).subquery())) or 0)

    def ending(self, since: dt.datetime, until: dt.datetime) -> list[Record]:
        """Valid certificates that end in a period and that no other one renews, soonest first."""
        columns = certificates.c
        next_one = certificates.alias()
        renewed = select(next_one.c.id).where(
            next_one.c.predecessor == columns.id, next_one.c.certificate.is_not(None), next_one.c.revoked.is_(None)
        )
        wanted = (
            records()
            .where(
                columns.not_after.between(since, until),
                columns.certificate.is_not(None),
                columns.revoked.is_(None),
                ~renewed.exists(),
            )
            .order_by(columns.not_after, columns.id)
            .limit(limits.SEARCH_PAGE_MAX)
        )
        with self._database.reading() as connection:
            return [record_of(row) for row in connection.execute(wanted)]

    def successor(self, record: Record) -> Record | None:
        """The newest certificate that renews this one."""
        wanted = (
            records()
            .where(certificates.c.predecessor == record.id, certificates.c.certificate.is_not(None))
            .order_by(certificates.c.id.desc())
            .limit(1)
        )
        with self._database.reading() as connection:
            row = connection.execute(wanted).one_or_none()
        return record_of(row) if row else None

    def by_id(self, number: int) -> Record:
        """The certificate with this number in the register."""
        with self._database.reading() as connection:
            return record_of(connection.execute(records().where(certificates.c.id == number)).one())

    def _chosen(self, query: Query, now: dt.datetime) -> Select[tuple[int]]:
        return select(certificates.c.id).where(and_(*_clauses(query, now)))


_AT_ONCE = 500
"""Rows asked for by number in one statement."""


def _number(query: Query) -> ColumnElement[int]:
    """The register's number of a row, to be ordered by.

    Few rows fit a serial number, a key or a part of a name: they are found first and sorted then, which SQLite does
    only where the number is hidden in an expression; it would go through all rows in their order otherwise.
    """
    selective = query.serial or query.key_sha256 or query.subject
    return certificates.c.id + 0 if selective else certificates.c.id


def _clauses(query: Query, now: dt.datetime) -> list[ColumnElement[bool]]:
    columns = certificates.c
    clauses: list[ColumnElement[bool]] = [_number(query) > query.after]
    if query.status:
        clauses.append(status_clause(query.status, now))
    if query.profile:
        clauses.append(columns.profile == query.profile)
    if query.issuer:
        clauses.append(columns.issuer.in_(select(issuers.c.id).where(issuers.c.name == query.issuer)))
    if query.subject:
        # By itself this is answered from the index of names alone, which is a tenth of the table.
        named = certificates.alias()
        part = named.c.subject.icontains(query.subject, autoescape=True)
        clauses.append(columns.id.in_(select(named.c.id).where(part)))
    if query.serial:
        prefix = re.sub(r"[\s:]", "", query.serial).lower().removeprefix("0x")
        if not _PREFIX.fullmatch(prefix):
            message = f"not the beginning of a serial number: {query.serial!r}"
            raise UsageError(message)
        # As a range, which an index answers whatever the database's idea of text is. No digit is above f.
        clauses += [columns.serial >= prefix, columns.serial < prefix + "g"]
    if query.key_sha256:
        digest = query.key_sha256.replace(":", "").lower()
        if not _DIGEST.fullmatch(digest):
            message = f"not the SHA-256 of a key: {query.key_sha256!r} (64 hexadecimal digits)"
            raise UsageError(message)
        clauses.append(columns.key_sha256 == digest)
    for column, (since, until) in ((columns.not_after, query.ends), (columns.issued, query.issued)):
        clauses += [column >= since] if since else []
        clauses += [column <= until] if until else []
    return clauses
