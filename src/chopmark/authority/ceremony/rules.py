"""Who may approve, how many it takes, and whether it takes them at all: kept in the register."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from chopmark.authority.log.journal import record
from chopmark.authority.register.schema import approvers as approvers_table
from chopmark.authority.register.schema import ceremonies, settings
from chopmark.core import limits
from chopmark.core.errors import MalformedError, RefusedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import pem, x509

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from sqlalchemy.engine import Connection

    from chopmark.authority.ceremony.approval import Approval
    from chopmark.authority.register.database import Database

THRESHOLD = "ceremony_threshold"
REQUIRED = "ceremony_required"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62})")


class Rules(NamedTuple):
    """How many of whom have to approve a ceremony; `required` refuses the same without one."""

    threshold: int
    approvers: Mapping[str, x509.Certificate]
    required: bool = False


class Begun(NamedTuple):
    """A ceremony that was begun, and the digest of its transcript when it has ended."""

    at: dt.datetime
    transcript_sha256: str | None


def from_values(threshold: int, certificates: Mapping[str, object], *, required: bool) -> Rules:
    """Rules from words: approvers by name, each with a certificate in PEM. Raises UsageError."""
    if len(certificates) > limits.APPROVERS_MAX:
        message = f"{len(certificates)} approvers, at most {limits.APPROVERS_MAX}"
        raise UsageError(message)
    approvers: dict[str, x509.Certificate] = {}
    for name, text in certificates.items():
        if not _NAME.fullmatch(name) or not isinstance(text, str):
            message = f"not an approver: {name!r} (a name of letters, digits, dots and hyphens, and a certificate)"
            raise UsageError(message)
        try:
            approvers[name] = x509.certificate(pem.single(text.encode(), "CERTIFICATE"))
        except MalformedError as error:
            message = f"the approver {name}: not a certificate ({error})"
            raise UsageError(message) from None
    if len({each.key_sha256 for each in approvers.values()}) != len(approvers):
        message = "two approvers have the same key, which would be one approver with two votes"
        raise UsageError(message)
    if not 0 < threshold <= len(approvers):
        message = f"{threshold} of {len(approvers)} approvers: nothing could be approved, or everything is"
        raise UsageError(message)
    return Rules(threshold, approvers, required)


class Ceremonies:
    """Reads and writes the register's part about ceremonies. Raises DatabaseError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rules(self) -> Rules:
        """The rules as they are; nobody approves anything before there are some."""
        with self._database.reading() as connection:
            facts = dict(
                connection.execute(
                    select(settings.c.name, settings.c.value).where(settings.c.name.in_((THRESHOLD, REQUIRED)))
                ).all()
            )
            rows = connection.execute(select(approvers_table).order_by(approvers_table.c.name)).all()
        approvers = {row.name: x509.certificate(row.certificate) for row in rows}
        return Rules(int(facts.get(THRESHOLD, "0")), approvers, facts.get(REQUIRED) == "yes")

    def set_rules(self, rules: Rules, now: dt.datetime) -> None:
        """Replace the rules."""
        facts = {THRESHOLD: str(rules.threshold), REQUIRED: "yes" if rules.required else "no"}
        with self._database.writing() as connection:
            for name, value in facts.items():
                _set(connection, name, value)
            connection.execute(delete(approvers_table))
            for name, certificate in rules.approvers.items():
                connection.execute(insert(approvers_table).values(name=name, certificate=certificate.raw, added=now))
            names = ", ".join(rules.approvers)
            detail = f"{rules.threshold} of {len(rules.approvers)}: {names}"
            record(connection, now, "rules", detail=detail, required=facts[REQUIRED])

    def begin(self, plan_sha256: str, approvals: list[Approval], now: dt.datetime) -> None:
        """Enter a ceremony with its approvals. Raises RefusedError when it was begun before."""
        with self._database.writing() as connection:
            try:
                connection.execute(insert(ceremonies).values(plan_sha256=plan_sha256, begun=now))
            except IntegrityError:
                message = "this plan was begun before, and a plan is carried out once: see `chopmark ca ceremony show`"
                raise RefusedError(message) from None
            for approval in approvals:
                record(
                    connection,
                    now,
                    "approve",
                    detail=approval.name,
                    plan_sha256=plan_sha256,
                    key_sha256=approval.certificate.key_sha256,
                )

    def end(self, plan_sha256: str, transcript_sha256: str, outcome: str, now: dt.datetime) -> None:
        """Enter that a ceremony has ended, and the digest of what it came to."""
        change = update(ceremonies).where(ceremonies.c.plan_sha256 == plan_sha256)
        with self._database.writing() as connection:
            connection.execute(change.values(transcript_sha256=transcript_sha256))
            record(
                connection,
                now,
                "ceremony",
                detail=outcome,
                plan_sha256=plan_sha256,
                transcript_sha256=transcript_sha256,
            )

    def begun(self, plan_sha256: str) -> Begun | None:
        """A ceremony by the digest of its plan."""
        query = select(ceremonies.c.begun, ceremonies.c.transcript_sha256)
        with self._database.reading() as connection:
            row = connection.execute(query.where(ceremonies.c.plan_sha256 == plan_sha256)).one_or_none()
        return Begun(*row) if row else None


def _set(connection: Connection, name: str, value: str) -> None:
    row = settings.c.name == name
    if connection.execute(update(settings).where(row).values(value=value)).rowcount == 0:
        connection.execute(insert(settings).values(name=name, value=value))
