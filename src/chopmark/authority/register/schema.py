"""The tables of an authority, in one place; what keeps them, SQLite or another database, does not matter here."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect


class Moment(TypeDecorator[dt.datetime]):
    """A time in UTC, aware in Python; SQLite keeps it without its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """From Python; a time without zone is a programming error."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = "a time without a zone"
            raise ValueError(message)
        value = value.astimezone(dt.UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002
        """To Python."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

revision = Table(
    "alembic_version",
    metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Which revision the schema is at, as Alembic keeps it; see authority.migrations."""

settings = Table(
    "settings", metadata, Column("name", String(64), primary_key=True), Column("value", Text, nullable=False)
)
"""Facts about the authority itself: its name, its address."""

issuers = Table(
    "issuers",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),  # also the name of its key, CRL and certificate files
    Column("role", String(32), nullable=False),  # of authority.profiles.AUTHORITIES
    Column("certificate", LargeBinary, nullable=False),
    Column("key", Text, nullable=False),  # a key URI, or folder:NAME for a file in the authority's own folder
    Column("crl_url", Text, nullable=False),
    Column("certificate_url", Text, nullable=False),
    Column("crl_number", Integer, nullable=False, default=0),  # the last one reserved, published or not
    Column("created", Moment, nullable=False),
    Column("retired", Moment),  # issues nothing since then; its CRLs go on
    # Over how many lists new certificates are spread (0: one list), and whether they say where the delta list is.
    Column("shards", Integer, nullable=False, default=0, server_default="0"),
    Column("deltas", Boolean, nullable=False, default=False, server_default=false()),
)
"""The CAs of this authority: one for each key. A CA whose key is rolled over is a new one, with a new name."""

certificates = Table(
    "certificates",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("issuer", ForeignKey(issuers.c.id), nullable=False),
    Column("serial", String(40), nullable=False),  # hexadecimal, lower case, whole octets
    Column("profile", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("key_sha256", String(64), nullable=False),
    Column("not_before", Moment, nullable=False),
    Column("not_after", Moment, nullable=False),
    Column("reserved", Moment, nullable=False),
    # Both NULL until the certificate exists; a row that stays so is a serial number that was never used.
    Column("certificate", LargeBinary),
    Column("issued", Moment),
    # All NULL unless it is revoked. `revoked` is the date that the CRL gives, `recorded` when it was entered here.
    Column("revoked", Moment),
    Column("recorded", Moment),
    Column("reason", Integer),
    Column("invalidity", Moment),
    Column("predecessor", ForeignKey("certificates.id")),  # the one that it renews
    # The list that it belongs to, 0 for the one about all; and the CRL number that its status last changed after.
    Column("shard", Integer, nullable=False, default=0, server_default="0"),
    Column("changed", Integer),
    UniqueConstraint("issuer", "serial"),
    Index(None, "key_sha256"),
    Index(None, "not_after"),
    Index(None, "serial"),
    Index(None, "predecessor"),
    Index(None, "subject"),
)
"""Every serial number ever reserved, and what became of it."""

# All that a CRL says, so that a million entries are read without their certificates; and what a delta says.
_REVOKED, _CHANGED = text("revoked IS NOT NULL"), text("changed IS NOT NULL")
_PARTIAL = (
    Index(
        "ix_certificates_revoked",
        *(
            certificates.c[each]
            for each in ("issuer", "shard", "revoked", "serial", "reason", "invalidity", "not_after")
        ),
        sqlite_where=_REVOKED,
    ),
    Index("ix_certificates_changed", certificates.c.issuer, certificates.c.changed, sqlite_where=_CHANGED),
)


def for_postgresql() -> None:
    """Have the partial indexes be partial in PostgreSQL too.

    Not in their definition: naming a dialect there loads it, a tenth of the time in which a command starts.
    """
    for index in _PARTIAL:
        index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]


crls = Table(
    "crls",
    metadata,
    Column("issuer", ForeignKey(issuers.c.id), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("this_update", Moment, nullable=False),
    Column("next_update", Moment, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    # For a publication of deltas alone the number of the complete lists they are added to, else NULL; how many shards
    # there were; until when its deltas hold, NULL without. Entries and SHA-256 are those of the list about all.
    Column("base", Integer),
    Column("shards", Integer, nullable=False, default=0, server_default="0"),
    Column("delta_next_update", Moment),
)
"""Every CRL that was published; the lists themselves are files."""

crosses = Table(
    "crosses",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("issuer", ForeignKey(issuers.c.id), nullable=False),  # the CA whose key is certified
    Column("name", String(130), nullable=False, unique=True),  # of the file under which it is published
    Column("certificate", LargeBinary, nullable=False),
    Column("created", Moment, nullable=False),
)
"""Certificates for the keys of this authority's CAs from others than the CA above: of ours, or of somebody else."""

approvers = Table(
    "approvers",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("certificate", LargeBinary, nullable=False),
    Column("added", Moment, nullable=False),
)
"""Who may approve a ceremony, each by a certificate whose key is what counts."""

ceremonies = Table(
    "ceremonies",
    metadata,
    Column("plan_sha256", String(64), primary_key=True),
    Column("begun", Moment, nullable=False),
    Column("transcript_sha256", String(64)),  # NULL until it has ended
)
"""Every ceremony that was begun: a plan is carried out once."""

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("action", String(32), nullable=False),
    Column("issuer", ForeignKey(issuers.c.id)),
    Column("serial", String(40)),
    Column("detail", Text, nullable=False, default=""),
    Index(None, "serial"),
)
"""What was done, in order; never changed."""

log_entries = Table(
    "log_entries",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 0 on, without a gap
    Column("event", ForeignKey(events.c.id), nullable=False, unique=True),
    Column("entry", LargeBinary, nullable=False),
)
"""What the transparency log says of each event; never changed."""

log_checkpoints = Table(
    "log_checkpoints",
    metadata,
    Column("size", Integer, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", LargeBinary, nullable=False),
    Column("at", Moment, nullable=False),
)
"""Every checkpoint that the log signed: there is one for each size, so that it can never say two things."""
