"""Making a backup while the authority goes on working.

Files are copied first, then the tables as they are at one moment, then the files that have come meanwhile: so each key
and certificate that the tables know is there, and no published list or checkpoint is newer than the tables.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from chopmark.authority.backup import tables
from chopmark.authority.backup.archive import FILES, SIGNATURE, TABLES, Writer, stays_inside
from chopmark.authority.ceremony import approval
from chopmark.authority.ocsp import delegates, store, table
from chopmark.authority.register import configuration, schema
from chopmark.core import clock, limits
from chopmark.core.errors import RefusedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.core.replacement import Replacement, unwritten

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.authority.ca import Authority
    from chopmark.core.contracts import Signer

_DATABASE_FILES = tuple(configuration.DATABASE + suffix for suffix in ("", "-wal", "-shm", "-journal"))
_TEMPORARY = ".chopmark"
_CACHES = tuple(
    os.path.join(delegates.FOLDER, name)
    for name in (table.FILE, *(store.FILE + suffix for suffix in ("", "-wal", "-shm", "-journal")))
)
"""OCSP answers signed ahead, which may be large: they are signed again."""
_LEFT_OUT = frozenset({*_DATABASE_FILES, *_CACHES})


class BackedUp(NamedTuple):
    """A backup: where, the digest of its manifest, of when, and how many certificates, files and log entries it has."""

    path: str
    sha256: str
    at: dt.datetime
    certificates: int
    files: int
    log_entries: int


def backup(
    authority: Authority, path: str, signer: Signer | None = None, certificates: tuple[bytes, ...] = ()
) -> BackedUp:
    """Write everything to a new file, which has its name when it is complete and on disk.

    With a `signer` the manifest is signed (CMS, detached). Raises UsageError when the file exists, RefusedError for
    what is in the folder and cannot be kept, WriteError.
    """
    path = os.path.abspath(path)
    if os.path.lexists(path):
        message = f"{path}: exists already; a backup does not replace another one"
        raise UsageError(message)
    folder = os.path.abspath(authority.folder)
    if os.path.commonpath((folder, path)) == folder:
        message = f"{path}: a backup does not belong into what it is a backup of"
        raise UsageError(message)
    try:
        with Replacement(path) as replacement:
            made = _write(authority, folder, replacement.descriptor, signer, certificates)
            replacement.commit(fresh=True)
    except FileExistsError:
        message = f"{path}: exists already; a backup does not replace another one"
        raise UsageError(message) from None
    except OSError as error:
        raise unwritten(path, error) from None
    return made._replace(path=path)


def _write(
    authority: Authority, folder: str, descriptor: int, signer: Signer | None, certificates: tuple[bytes, ...]
) -> BackedUp:
    with os.fdopen(os.dup(descriptor), "wb") as stream:
        writer = Writer(stream)
        copied: set[str] = set()
        _copy_files(writer, folder, copied)
        counts, facts = _copy_tables(authority, writer, folder)
        links = _copy_rest(writer, folder, copied)
        at = authority.clock()
        manifest = writer.finish({"at": clock.show(at), "files": len(copied), "links": links, **facts})
        if signer is not None:
            writer.plain(SIGNATURE, approval.approve(manifest, signer, certificates, at))
        writer.close()
        stream.flush()
    digest = hashlib.sha256(manifest).hexdigest()
    rows = {name: counts.get(name, 0) for name in (schema.certificates.name, schema.log_entries.name)}
    return BackedUp("", digest, at, rows[schema.certificates.name], len(copied), rows[schema.log_entries.name])


def _copy_files(writer: Writer, folder: str, known: set[str]) -> None:
    """Copy what is not known yet, and know it."""
    for name in _names(folder)[0]:
        if name in known:
            continue
        try:
            with open(os.path.join(folder, name), "rb", opener=_nofollow) as stream:
                facts = os.fstat(stream.fileno())
                writer.add(FILES + name, stream, facts.st_size, stat.S_IMODE(facts.st_mode))
        except FileNotFoundError:
            continue  # it was replaced or removed meanwhile, as tiles and lists are
        known.add(name)


def _copy_rest(writer: Writer, folder: str, known: set[str]) -> dict[str, str]:
    """Copy what has come meanwhile, until every link leads to something that was copied; the links."""
    for _ in range(_ATTEMPTS):
        # A publication that takes another one's place removes older ones: links are read before their files.
        links = _names(folder)[1]
        _copy_files(writer, folder, known)
        places = known | {os.path.dirname(name) for name in known} | set(links)
        if all(_leads(name, links) in places for name in links):
            return links
    message = f"{folder}: what is published there changes all the time; try again"
    raise RefusedError(message)


def _leads(name: str, links: dict[str, str]) -> str:
    """Where a link leads to, by its name in the folder; the links on the way are followed."""
    path = os.path.normpath(os.path.join(os.path.dirname(name), links[name]))
    parts = path.split("/")
    for length in range(1, len(parts)):
        if (inner := "/".join(parts[:length])) in links:
            return os.path.normpath(os.path.join(os.path.dirname(inner), links[inner], *parts[length:]))
    return path


_ATTEMPTS = 10


def _nofollow(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


def _names(folder: str) -> tuple[list[str], dict[str, str]]:
    """Every regular file and every link, by name in the folder. Raises RefusedError for what leads elsewhere."""
    found: list[str] = []
    links: dict[str, str] = {}
    for where, folders, files in os.walk(folder):
        for name in [*files, *folders]:
            path = os.path.join(where, name)
            inside = os.path.relpath(path, folder)
            mode = _mode(path)
            if mode is None or stat.S_ISDIR(mode) or inside in _LEFT_OUT or name.endswith(_TEMPORARY):
                continue
            if stat.S_ISREG(mode):
                found.append(inside)
            elif stat.S_ISLNK(mode) and stays_inside(inside, target := os.readlink(path)):
                links[inside] = target
            elif not stat.S_ISSOCK(mode):
                message = f"{path}: a link to elsewhere or a device, which a backup cannot keep"
                raise RefusedError(message)
        if len(found) + len(links) > limits.BACKUP_FILES_MAX:
            message = f"{folder}: more than {limits.BACKUP_FILES_MAX} files"
            raise RefusedError(message)
    return sorted(found), links


def _mode(path: str) -> int | None:
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return None


def _copy_tables(authority: Authority, writer: Writer, folder: str) -> tuple[dict[str, int], dict[str, object]]:
    """Every table as of one moment."""
    counts = {}
    with authority.reading() as connection:
        last = connection.scalar(select(func.max(schema.events.c.at)))
        revision = connection.scalar(select(schema.revision.c.version_num))
        for table in tables.all_tables():
            with tempfile.TemporaryFile(dir=os.path.dirname(folder)) as rows:
                counts[table.name] = tables.dump(connection, table, rows)
                size = rows.tell()
                rows.seek(0)
                writer.add(f"{TABLES}{table.name}.jsonl.gz", rows, size)
    facts: dict[str, object] = {
        "revision": revision,
        "rows": counts,
        "last_event": clock.show(last) if last else None,
        "authority": authority.issuers()[0].certificate.sha256,
    }
    return counts, facts
