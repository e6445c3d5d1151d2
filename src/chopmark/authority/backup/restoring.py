"""Making an authority of a backup: everything is verified first, nothing is overwritten, no number is used twice."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from typing import TYPE_CHECKING

from sqlalchemy import text, update

from chopmark.authority import appearing
from chopmark.authority.backup import tables
from chopmark.authority.backup.archive import FILES, TABLES, Reader, stays_inside
from chopmark.authority.backup.continuing import settle
from chopmark.authority.ceremony import approval
from chopmark.authority.log.journal import record
from chopmark.authority.register import configuration, migrations, schema, upgrading
from chopmark.authority.register.configuration import Configuration
from chopmark.authority.register.database import Database, DatabaseError
from chopmark.core import clock as clocks
from chopmark.core import limits, patch
from chopmark.core.errors import MalformedError, RefusedError, UsageError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator

    from sqlalchemy.engine import Connection

    from chopmark.authority.backup.continuing import Later
    from chopmark.envelopes import x509


class Restored(NamedTuple):
    """What was made: where, of which backup, when its last event was, how many certificates and log entries it has.

    `log_ended` is the name of the log if it ended with this.
    """

    folder: str
    sha256: str
    made: str
    last_event: str
    certificates: int
    log_entries: int
    log_ended: str


def restore(
    path: str,
    folder: str,
    *,
    later: Later,
    database: str | None = None,
    sha256: str = "",
    signer: x509.Certificate | None = None,
    clock: Callable[[], dt.datetime] = clocks.now,
) -> Restored:
    """Make the authority of a backup in a new folder; it appears whole or not at all.

    `later` is what is known of the log since. `database` is the URL of an empty database for the register, "" for a
    file in the folder, None for whatever it was.
    `sha256` is the digest of the manifest that the backup must have, `signer` whose signature it must carry. CRL
    numbers go on far ahead: lists published since the backup stay older than the next ones. Raises UsageError,
    RefusedError, MalformedError, WriteError, DatabaseError.
    """
    folder = appearing.new(folder, "a backup is restored to a new folder")
    with contextlib.closing(Reader(path)) as archive:
        _believe(archive, path, sha256, signer)
        with appearing.prepared(folder) as temporary:
            _files(archive, temporary)
            place = configuration.Configuration.read(temporary) if database is None else Configuration(database)
            if database is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(temporary, configuration.FILE))
                place.write(temporary)
            with _register(archive, place.place(temporary), clock().replace(microsecond=0)) as register:
                _consistent(register, temporary)
                rows = archive.manifest.get("rows", {})
                entries = int(rows.get(schema.log_entries.name, 0))
                ended = settle(later, temporary, register, entries)
                register.close()
                appearing.appear(temporary, folder)
        facts = archive.manifest
        return Restored(
            folder,
            hashlib.sha256(archive.manifest_raw).hexdigest(),
            str(facts.get("at")),
            str(facts.get("last_event")),
            int(rows.get(schema.certificates.name, 0)),
            entries,
            ended,
        )


def _believe(archive: Reader, path: str, sha256: str, signer: x509.Certificate | None) -> None:
    found = hashlib.sha256(archive.manifest_raw).hexdigest()
    if sha256 and sha256.lower() != found:
        message = f"{path}: another backup than the one meant (its manifest is {found})"
        raise RefusedError(message)
    if signer is None:
        return
    if archive.signature is None:
        message = f"{path}: the backup is not signed"
        raise RefusedError(message)
    try:
        approval.check(archive.manifest_raw, archive.signature, {"signer": signer})
    except RefusedError as error:
        message = f"{path}: the backup is not signed by {signer.subject_text}: {error}"
        raise RefusedError(message) from None


@contextlib.contextmanager
def _register(archive: Reader, place: str, now: dt.datetime) -> Iterator[Database]:
    """The register, made of the backup; a database on a server is left empty again when nothing comes of it.

    Only what was made here is taken away: a database that was not empty has been refused before.
    """
    database = Database(place)
    try:
        _rows(archive, database, now)
        try:
            yield database
        except BaseException:
            if not database.path:
                with contextlib.suppress(DatabaseError):
                    database.drop()
            raise
    finally:
        database.close()


def _files(archive: Reader, folder: str) -> None:
    written = []
    for name, member in archive.named(FILES):
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with archive.open(member.name) as source, open(path, "xb", opener=_private) as target:
            shutil.copyfileobj(source, target, limits.READ_CHUNK)
            os.fchmod(target.fileno(), member.mode)
        written.append(path)
    links = archive.manifest.get("links", {})
    if not isinstance(links, dict) or not all(isinstance(each, str) for each in links.values()):
        message = "not a sound backup: its links cannot be read"
        raise MalformedError(message)
    for name, target in links.items():
        if not stays_inside(name, target):
            message = f"not a sound backup: a link that leads elsewhere: {name[:100]!r}"
            raise MalformedError(message)
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        os.symlink(target, os.path.join(folder, name))
    for private in ("keys", "ocsp"):
        path = os.path.join(folder, private)
        if os.path.isdir(path):
            os.chmod(path, 0o700)
    patch.settle(written)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_CLOEXEC, 0o600)


def _rows(archive: Reader, register: Database, now: dt.datetime) -> None:
    """The tables at the revision that they were at, then brought up to date."""
    revision = str(archive.manifest.get("revision"))
    if revision not in migrations.revisions():
        message = f"made by a later chopmark (its schema is {revision[:32]!r}), which alone can restore it"
        raise RefusedError(message)
    held = {name.removesuffix(".jsonl.gz"): member for name, member in archive.named(TABLES)}
    with register.writing(references_checked=False) as connection:
        if tables.existing(connection):
            message = f"{register.place}: this database is not empty; a backup is restored to one of its own"
            raise UsageError(message)
        upgrading.migrate(connection, revision)
        wanted = tables.existing(connection) - {schema.revision.name}
        if wanted != set(held):
            missing = ", ".join(sorted(wanted ^ set(held)))
            message = f"not a sound backup: other tables than revision {revision} has ({missing})"
            raise MalformedError(message)
        order = [table.name for table in tables.all_tables()]
        for name in sorted(held, key=lambda each: order.index(each) if each in order else len(order)):
            with archive.open(held[name].name) as stream:
                count = tables.load(connection, stream)
            if count != archive.manifest.get("rows", {}).get(name):
                message = f"not a sound backup: {count} rows in {name}"
                raise MalformedError(message)
        upgrading.migrate(connection)
        _jump(connection)
        made = str(archive.manifest.get("at"))
        sha256 = hashlib.sha256(archive.manifest_raw).hexdigest()
        record(connection, now, "restore", detail=f"backup of {made}", manifest_sha256=sha256)


def _jump(connection: Connection) -> None:
    """CRL numbers go on where no list published since the backup can have been."""
    numbers = schema.issuers.c.crl_number
    connection.execute(update(schema.issuers).values(crl_number=numbers + limits.CRL_NUMBERS_SKIPPED))


def _consistent(register: Database, folder: str) -> None:
    """References hold, and the keys that the register names are there. Raises RefusedError."""
    from chopmark.authority.ca import FOLDER_KEY, KEYS
    from chopmark.authority.register.register import Register

    with register.reading() as connection:
        if register.path and connection.execute(text("PRAGMA foreign_key_check")).first():
            message = "not a sound backup: a reference between its tables leads nowhere"
            raise RefusedError(message)
    for issuer in Register(register).issuers():
        if issuer.key.startswith(FOLDER_KEY):
            path = os.path.join(folder, KEYS, issuer.key.removeprefix(FOLDER_KEY))
            if not os.path.isfile(path):
                message = f"not a sound backup: the key of the CA {issuer.name} is missing"
                raise RefusedError(message)
