"""The register: which serial numbers exist, what became of them, what was done. All SQL of the authority is here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from chopmark.authority.crl import encoding
from chopmark.authority.issuing.certificates import Place
from chopmark.authority.log import journal
from chopmark.authority.register.records import Event, Issuer, PublishedCrl, Record, record_of, records, serial_text
from chopmark.authority.register.schema import certificates, crls, events, issuers, settings
from chopmark.authority.register.search import Finder, Query
from chopmark.core import clock
from chopmark.core.errors import RefusedError, UsageError
from chopmark.envelopes import x509

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Connection, CursorResult

    from chopmark.authority.register.database import Database
    from chopmark.authority.register.records import Revocation

OCSP_URL = "ocsp_url"
"""The fact that says where OCSP is answered; certificates name it from then on."""
_OCSP_URL = select(settings.c.value).where(settings.c.name == OCSP_URL)

_PREFIX_MIN = 6
_COMPROMISED = (encoding.REASONS["keyCompromise"], encoding.REASONS["cACompromise"])


class Register:
    """Reads and writes the tables; each method is one transaction. Raises DatabaseError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def setting(self, name: str) -> str:
        """A fact about the authority; empty when it has none of that name."""
        with self._database.reading() as connection:
            return connection.scalar(select(settings.c.value).where(settings.c.name == name)) or ""

    def set_ocsp_url(self, url: str, now: dt.datetime) -> None:
        """From now on certificates say that OCSP is answered there; empty: they say nothing."""
        with self._database.writing() as connection:
            connection.execute(delete(settings).where(settings.c.name == OCSP_URL))
            if url:
                connection.execute(insert(settings).values(name=OCSP_URL, value=url))
            journal.record(connection, now, "ocsp", None, "", url)

    def found(
        self, facts: dict[str, str], members: list[Issuer], below: list[Record], now: dt.datetime
    ) -> list[Issuer]:
        """Enter a new authority: its facts, its CAs, and the certificates of those below the root.

        Returns the CAs with the numbers that they have from now on.
        """
        entered = []
        with self._database.writing() as connection:
            for name, value in facts.items():
                connection.execute(insert(settings).values(name=name, value=value))
            for member in members:
                result = connection.execute(
                    insert(issuers).values(
                        name=member.name,
                        role=member.role,
                        certificate=member.certificate.raw,
                        key=member.key,
                        crl_url=member.place.crl_url,
                        certificate_url=member.place.certificate_url,
                        shards=member.shards,
                        deltas=member.deltas,
                        created=now,
                    )
                )
                entered.append(member._replace(id=_number(result)))
                serial = serial_text(member.certificate.serial)
                journal.record(
                    connection,
                    now,
                    "found",
                    entered[-1].id,
                    serial,
                    member.name,
                    certificate_sha256=member.certificate.sha256,
                )
            by_name = {member.name: member.id for member in entered}
            for record in below:
                values = {
                    "issuer": by_name[record.issuer],
                    "serial": record.serial,
                    "profile": record.profile,
                    "subject": record.subject,
                    "key_sha256": record.key_sha256,
                    "not_before": record.not_before,
                    "not_after": record.not_after,
                    "reserved": now,
                    "issued": now,
                    "certificate": record.certificate,
                }
                connection.execute(insert(certificates).values(values))
        return entered

    def issuers(self) -> list[Issuer]:
        """Every CA, the root first."""
        with self._database.reading() as connection:
            rows = connection.execute(select(issuers).order_by(issuers.c.id)).all()
            responder = connection.scalar(_OCSP_URL) or ""
        return [
            Issuer(
                row.id,
                row.name,
                row.role,
                x509.certificate(row.certificate),
                row.key,
                Place(row.crl_url, row.certificate_url, responder),
                row.retired,
                row.shards,
                row.deltas,
            )
            for row in rows
        ]

    def reserve(
        self,
        issuer: Issuer,
        certificate: x509.Certificate,
        profile: str,
        now: dt.datetime,
        predecessor: int | None = None,
    ) -> int:
        """Enter a certificate that is about to be signed, so that its number is taken; the row's number.

        `predecessor` is the row of the certificate that it renews. Raises RefusedError when the serial number exists
        already.
        """
        values = {
            "issuer": issuer.id,
            "serial": serial_text(certificate.serial),
            "profile": profile,
            "subject": certificate.subject_text,
            "key_sha256": certificate.key_sha256,
            "not_before": certificate.not_before,
            "not_after": certificate.not_after,
            "shard": issuer.shard(certificate.serial),
            "reserved": now,
            "predecessor": predecessor,
        }
        with self._database.writing() as connection:
            try:
                result = connection.execute(insert(certificates).values(values))
            except IntegrityError:
                message = f"the serial number {values['serial']} exists already: the source of random numbers is broken"
                raise RefusedError(message) from None
            return _number(result)

    def complete(self, row: int, issuer: Issuer, certificate: x509.Certificate, now: dt.datetime) -> None:
        """Enter the certificate itself; when this returns, it may be handed out."""
        serial = serial_text(certificate.serial)
        with self._database.writing() as connection:
            connection.execute(
                update(certificates)
                .where(certificates.c.id == row, certificates.c.certificate.is_(None))
                .values(certificate=certificate.raw, issued=now)
            )
            journal.record(
                connection,
                now,
                "issue",
                issuer.id,
                serial,
                certificate.subject_text,
                certificate_sha256=certificate.sha256,
            )

    def compromised(self, key_sha256: str) -> bool:
        """Whether a certificate for this key was revoked because the key was compromised."""
        query = select(func.count()).where(
            certificates.c.key_sha256 == key_sha256, certificates.c.reason.in_(_COMPROMISED)
        )
        with self._database.reading() as connection:
            return bool(connection.scalar(query))

    def find(self, text: str) -> Record:
        """The certificate with this serial number, or the only one whose number begins so.

        Raises UsageError when there is none, or more than one.
        """
        wanted = re.sub(r"[\s:]", "", text).lower().removeprefix("0x")
        if not re.fullmatch(r"[0-9a-f]{1,40}", wanted):
            message = f"not a serial number: {text!r} (hexadecimal, as `chopmark ca list` shows it)"
            raise UsageError(message)
        whole = wanted.zfill(len(wanted) + len(wanted) % 2)
        match: ColumnElement[bool] = certificates.c.serial == whole
        if len(wanted) >= _PREFIX_MIN:
            match = or_(match, certificates.c.serial.startswith(wanted))
        with self._database.reading() as connection:
            rows = connection.execute(records().where(match).limit(3)).all()
        found = [row for row in rows if row.serial == whole] or list(rows)
        if len(found) == 1:
            return record_of(found[0])
        what = "no certificate has" if not found else "more than one certificate has a number that begins with"
        message = f"{what} {'the serial number ' if not found else ''}{wanted}"
        raise UsageError(message)

    def search(self, now: dt.datetime, **wanted: str) -> list[Record]:
        """The first certificates that fit (search.Query has the fields), oldest first."""
        return Finder(self._database).search(Query(**wanted), now)  # type: ignore[arg-type]

    def revoke(self, record: Record, change: Revocation, now: dt.datetime) -> None:
        """Enter a revocation. Raises RefusedError when the record changed since it was read."""
        detail = f"{encoding.REASON_NAMES[change.reason]}, since {change.revoked:%Y-%m-%dT%H:%M:%SZ}"
        values = {
            "revoked": change.revoked,
            "recorded": now,
            "reason": change.reason,
            "invalidity": change.invalidity,
        }
        self._change(record, values, "revoke", detail, now)

    def release(self, record: Record, now: dt.datetime) -> None:
        """End a suspension. Raises RefusedError when the record changed since it was read."""
        values = {"revoked": None, "recorded": None, "reason": None, "invalidity": None}
        self._change(record, values, "release", "", now)

    def _change(self, record: Record, values: Mapping[str, object], action: str, detail: str, now: dt.datetime) -> None:
        columns = certificates.c
        as_read = and_(
            columns.id == record.id,
            columns.revoked.is_(None) if record.revoked is None else columns.revoked == record.revoked,
            columns.reason.is_(None) if record.reason is None else columns.reason == record.reason,
        )
        with self._database.writing() as connection:
            issuer = connection.scalar(select(columns.issuer).where(columns.id == record.id))
            # A list with a higher number than this is the first that can show the change.
            number = connection.scalar(select(issuers.c.crl_number).where(issuers.c.id == issuer))
            change = update(certificates).where(as_read).values({**values, "changed": number})
            if connection.execute(change).rowcount != 1:
                message = f"{record.serial}: somebody else changed its status just now; look again"
                raise RefusedError(message)
            journal.record(connection, now, action, issuer, record.serial, detail)

    def reserve_crl_number(self, issuer: Issuer, *, above: int = 0) -> int:
        """The next CRL number, which nobody gets again, published or not; higher than `above` in any case."""
        row = issuers.c.id == issuer.id
        with self._database.writing() as connection:
            last = int(connection.execute(select(issuers.c.crl_number).where(row)).scalar_one())
            number = max(last, above) + 1
            connection.execute(update(issuers).where(row).values(crl_number=number))
        return number

    def latest_crl(self, issuer: Issuer, *, deltas: bool = False) -> PublishedCrl | None:
        """The complete lists published last, or with `deltas` whatever was; None before the first."""
        columns = crls.c
        query = select(*(columns[name] for name in PublishedCrl._fields)).where(columns.issuer == issuer.id)
        if not deltas:
            query = query.where(columns.base.is_(None))
        with self._database.reading() as connection:
            row = connection.execute(query.order_by(columns.number.desc()).limit(1)).one_or_none()
        return PublishedCrl(*row) if row else None

    def enter_crl(self, connection: Connection, issuer: Issuer, published: PublishedCrl) -> bool:
        """Enter lists that are put in place in the same transaction, and how the CA goes on.

        False, and nothing is changed, when a number was reserved after theirs: what that one says may be newer.
        """
        row = issuers.c.id == issuer.id
        if connection.scalar(select(issuers.c.crl_number).where(row)) != published.number:
            return False
        connection.execute(update(issuers).where(row).values(shards=issuer.shards, deltas=issuer.deltas))
        connection.execute(insert(crls).values(issuer=issuer.id, **published._asdict()))
        facts: dict[str, str | int] = {"entries": published.entries, "crl_sha256": published.sha256}
        if published.base is not None:
            facts["base"] = published.base
        until = clock.show(published.next_update)
        facts |= {"number": published.number, "next_update": until}
        journal.record(connection, published.this_update, "crl", issuer.id, "", "", **facts)
        return True

    def history(self, serial: str) -> list[Event]:
        """What was done with a certificate."""
        query = select(events).where(events.c.serial == serial).order_by(events.c.id)
        with self._database.reading() as connection:
            return [Event(row.at, row.action, row.serial or "", row.detail) for row in connection.execute(query)]


def _number(inserted: CursorResult[Any]) -> int:
    """The number that the database gave a new row."""
    return int(inserted.inserted_primary_key[0]) if inserted.inserted_primary_key else 0
