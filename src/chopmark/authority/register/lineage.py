"""The register's part about CAs themselves: new ones, retired ones, and who else certifies them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select, update

from chopmark.authority.log.journal import record
from chopmark.authority.register.records import Issuer, serial_text
from chopmark.authority.register.schema import certificates, crosses, issuers
from chopmark.core.errors import RefusedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import x509

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.authority.register.database import Database


class Cross(NamedTuple):
    """A certificate for the key of one of our CAs (`issuer` is its number) from another one, and its file's name."""

    issuer: int
    name: str
    certificate: x509.Certificate


class Lineage:
    """Reads and writes who is whose CA; each method is one transaction. Raises DatabaseError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def enter(self, member: Issuer, row: int | None, now: dt.datetime, action: str) -> Issuer:
        """Enter a new CA; `row` is where its certificate's number was reserved, None for a root. With its number."""
        certificate = member.certificate
        with self._database.writing() as connection:
            if row is not None:
                connection.execute(
                    update(certificates).where(certificates.c.id == row).values(certificate=certificate.raw, issued=now)
                )
            result = connection.execute(
                insert(issuers).values(
                    name=member.name,
                    role=member.role,
                    certificate=certificate.raw,
                    key=member.key,
                    crl_url=member.place.crl_url,
                    certificate_url=member.place.certificate_url,
                    crl_number=0,
                    created=now,
                )
            )
            number = int(result.inserted_primary_key[0]) if result.inserted_primary_key else 0
            serial = serial_text(certificate.serial)
            record(connection, now, action, number, serial, member.name, certificate_sha256=certificate.sha256)
        return member._replace(id=number)

    def retire(self, issuer: Issuer, now: dt.datetime) -> None:
        """End issuing. Raises RefusedError when it had ended before."""
        with self._database.writing() as connection:
            change = update(issuers).where(issuers.c.id == issuer.id, issuers.c.retired.is_(None)).values(retired=now)
            if connection.execute(change).rowcount != 1:
                message = f"the CA {issuer.name} is retired already"
                raise RefusedError(message)
            record(connection, now, "retire", issuer.id, serial_text(issuer.certificate.serial), issuer.name)

    def ends(self, issuer: Issuer) -> dt.datetime | None:
        """When the last certificate of a CA ends; None when it has issued none."""
        query = select(func.max(certificates.c.not_after)).where(
            certificates.c.issuer == issuer.id, certificates.c.certificate.is_not(None)
        )
        with self._database.reading() as connection:
            found: dt.datetime | None = connection.scalar(query)
        return found

    def crossed(self, cross: Cross, by: str, now: dt.datetime) -> None:
        """Enter a certificate for one of our CAs. Raises RefusedError when its name is taken."""
        with self._database.writing() as connection:
            if connection.scalar(select(func.count()).where(crosses.c.name == cross.name)):
                message = f"there is a certificate {cross.name} already"
                raise RefusedError(message)
            connection.execute(
                insert(crosses).values(
                    issuer=cross.issuer, name=cross.name, certificate=cross.certificate.raw, created=now
                )
            )
            serial, sha256 = serial_text(cross.certificate.serial), cross.certificate.sha256
            record(connection, now, "cross", cross.issuer, serial, f"by {by}", certificate_sha256=sha256)

    def crosses(self) -> list[Cross]:
        """Every certificate of that kind, oldest first."""
        query = select(crosses.c.issuer, crosses.c.name, crosses.c.certificate).order_by(crosses.c.id)
        with self._database.reading() as connection:
            return [Cross(row.issuer, row.name, x509.certificate(row.certificate)) for row in connection.execute(query)]
