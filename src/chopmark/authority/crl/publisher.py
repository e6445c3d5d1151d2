"""Publishing revocation lists: when one is due, and all lists of a CA made from one view of the register.

A publication reserves a number, reads the register in one transaction, signs, and is put in place only if no number was
reserved since. So whatever was read later has a higher number, and an older list never follows a newer one; reading and
signing a million entries keeps nobody from issuing meanwhile.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.authority.crl import contents, encoding, placing
from chopmark.authority.crl.placing import Publication
from chopmark.authority.issuing import profiles
from chopmark.authority.register.records import PublishedCrl
from chopmark.core import clock as clocks
from chopmark.core import limits
from chopmark.core.artifact import read_small
from chopmark.core.errors import RefusedError, UsageError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy.engine import Connection

    from chopmark.authority.crl.contents import Part
    from chopmark.authority.crl.placing import Draft
    from chopmark.authority.register.database import Database
    from chopmark.authority.register.records import Issuer
    from chopmark.authority.register.register import Register
    from chopmark.core.contracts import Signer
    from chopmark.core.finding import Finding

DELTA_DAYS = 1
"""How long deltas hold unless somebody says otherwise."""
COMPLETE, DELTA = "complete", "delta"


@dataclass(frozen=True, slots=True)
class ListFile:
    """A list of a publication: which certificates it is about (0: all, else a shard), its file, its address."""

    shard: int
    delta: bool
    path: str
    url: str


@dataclass(frozen=True, slots=True)
class Published:
    """What was published: the list about all certificates by its path, number, times and entries, and all lists.

    `base` is None for complete lists; else only deltas were published, which are added to the lists with that number.
    `logged` tells whether the log has it.
    """

    path: str
    number: int
    this_update: dt.datetime
    next_update: dt.datetime
    entries: int
    base: int | None
    lists: tuple[ListFile, ...]
    logged: Finding | None = None

    @property
    def raw(self) -> bytes:
        """The list about all certificates in DER (the delta, if only deltas were published)."""
        wanted = next(each for each in self.lists if not each.shard and each.delta is (self.base is not None))
        return read_small(wanted.path, limits.CRL_MAX)


class Due(NamedTuple):
    """What has to be published: whose lists, all of them (COMPLETE) or DELTA, since when, and why."""

    issuer: str
    kind: str
    since: dt.datetime
    why: str


class Wanted(NamedTuple):
    """What is to be published: only deltas or everything, for how many days (None: as usual).

    `shards` and `deltas` change the CA from now on: over how many lists new certificates are spread, and that they name
    a delta list.
    """

    delta: bool = False
    days: int | None = None
    shards: int | None = None
    deltas: bool = False


class Publisher:
    """Publishes the lists of an authority into a folder (`public/crl`)."""

    def __init__(
        self, folder: str, database: Database, register: Register, clock: Callable[[], dt.datetime] = clocks.now
    ) -> None:
        self._folder = folder
        self._database = database
        self._register = register
        self._clock = clock

    def publish(self, issuer: Issuer, signer: Signer, wanted: Wanted) -> Published:
        """Sign the lists of a CA as of now and put them in their places, all in one step.

        What is asked as a delta is published whole when there is no complete list that it could be added to. Raises
        UsageError for what is not allowed, RefusedError when the clock went back, WriteError, UnavailableError, and
        what the key raises.
        """
        days = _days(issuer, wanted)
        issuer = _changed(issuer, wanted)
        shelf = placing.Shelf(self._folder, issuer.name)
        with shelf.turn():
            while True:
                out = shelf.current()
                base = self._register.latest_crl(issuer)
                number = self._register.reserve_crl_number(issuer, above=out.number if out else 0)
                is_delta = wanted.delta and base is not None and out is not None and out.complete >= base.number
                edition = _Edition(issuer, number, base, self._now(issuer), days, is_delta=is_delta)
                with shelf.new() as draft:
                    if is_delta and out:
                        draft.keep(out, [file for file in shelf.files(out) if not _is_delta(issuer, file)])
                    with self._database.reading() as connection:
                        edition.read(connection)
                    digest = edition.write(signer, draft)
                    publication = Publication(number, out.complete if is_delta and out else number)
                    with self._database.writing() as connection:
                        if not self._register.enter_crl(connection, issuer, edition.row(digest)):
                            continue  # another machine took a number since
                        draft.put_in_place(publication)
                files = [(file, shelf.path(publication, file)) for file in shelf.files(publication)]
                return edition.published(os.path.join(self._folder, placing.file_name(issuer.name)), files)

    def current(self, issuer: Issuer) -> tuple[ListFile, ...]:
        """The lists that are published now, by their lasting paths."""
        shelf = placing.Shelf(self._folder, issuer.name)
        publication = shelf.current()
        files = shelf.files(publication) if publication else []
        return _lists(issuer, [(file, os.path.join(self._folder, file)) for file in files])

    def due(self, issuer: Issuer, now: dt.datetime) -> Due | None:
        """What of a CA has to be published at this time: well before the lists end, and soon after a revocation."""
        complete = self._register.latest_crl(issuer)
        latest = self._register.latest_crl(issuer, deltas=True)
        if complete is None or latest is None:
            return Due(issuer.name, COMPLETE, now, "nothing was published yet")
        candidates = [(_renewal(complete.this_update, complete.next_update), COMPLETE, "the list ends")]
        if issuer.deltas:
            ends = latest.delta_next_update or latest.this_update
            candidates.append((_renewal(latest.this_update, ends), DELTA, "the delta list ends"))
        found = [Due(issuer.name, kind, since, why) for since, kind, why in candidates if since <= now]
        since = latest.this_update + limits.CRL_PAUSE
        if not found and since <= now and self._is_pending(issuer, latest.number):
            kind = DELTA if issuer.deltas else COMPLETE
            return Due(issuer.name, kind, since, "a certificate was revoked or released")
        return found[0] if found else None

    def _is_pending(self, issuer: Issuer, number: int) -> bool:
        with self._database.reading() as connection:
            return contents.pending(connection, issuer, number)

    def _now(self, issuer: Issuer) -> dt.datetime:
        """The time of a new list, which is never before that of an older one."""
        now = self._clock().replace(microsecond=0)
        latest = self._register.latest_crl(issuer, deltas=True)
        if latest is not None and now < latest.this_update:
            message = f"the clock went back: the last list of the {issuer.name} CA is from "
            raise RefusedError(f"{message}{clocks.show(latest.this_update)}, and it is {clocks.show(now)} now")
        return now


class _Edition:
    """All lists of one publication: what they say, and how they are written."""

    def __init__(
        self,
        issuer: Issuer,
        number: int,
        base: PublishedCrl | None,
        this_update: dt.datetime,
        days: int,
        *,
        is_delta: bool,
    ) -> None:
        self._issuer = issuer
        self._number = number
        self._base = base
        self._is_delta = is_delta
        self._this_update = this_update
        self._next_update = this_update + dt.timedelta(days=days)
        self._delta_next_update = min(
            self._next_update, this_update + dt.timedelta(days=days if is_delta else DELTA_DAYS)
        )
        # A delta is added to a complete list, so that there are only those which have one.
        self._shards = base.shards if is_delta and base else issuer.shards
        self._parts: dict[int, Part] = {}
        self._changes: dict[int, Part] = {}
        self._entries = 0

    def read(self, connection: Connection) -> None:
        """Take everything from one view of the register."""
        if not self._is_delta:
            self._parts = contents.revoked(connection, self._issuer, self._this_update)
        if self._issuer.deltas and self._base:
            self._changes = contents.changes(connection, self._issuer, self._base.number, self._this_update)
        self._entries = sum(part.count for part in (self._changes if self._is_delta else self._parts).values())

    def write(self, signer: Signer, draft: Draft) -> str:
        """Write every list; the SHA-256 of the one about all certificates."""
        digests: dict[bool, str] = {}
        for delta in (False, True):
            if (delta and not self._issuer.deltas) or (not delta and self._is_delta):
                continue
            parts = self._changes if delta else self._parts
            for shard in range(self._shards, -1, -1):  # the one about all comes last, so that memory is freed before
                mine = parts.get(shard)
                entries = [part.encoded for part in parts.values()] if not shard else [mine.encoded] if mine else []
                pieces = encoding.write(self._issuer.certificate, signer, entries, self._frame(shard, delta=delta))
                draft.write(placing.file_name(self._issuer.name, shard, delta=delta), pieces)
                digests[delta] = _sha256(pieces)
            parts.clear()
        return digests[self._is_delta]

    def _frame(self, shard: int, *, delta: bool) -> encoding.Frame:
        whole = self._issuer.place.crl_url
        base = None
        if delta:
            known = self._base is not None and shard <= self._base.shards
            base = self._base.number if self._base is not None and known else self._number
        return encoding.Frame(
            self._number,
            self._this_update,
            self._delta_next_update if delta else self._next_update,
            base,
            placing.url(whole, shard) if shard else "",
            placing.url(whole, shard, delta=True) if self._issuer.deltas and not delta else "",
        )

    def row(self, digest: str) -> PublishedCrl:
        """For the register."""
        return PublishedCrl(
            number=self._number,
            this_update=self._this_update,
            next_update=self._next_update,
            entries=self._entries,
            sha256=digest,
            base=self._base.number if self._is_delta and self._base else None,
            shards=self._shards,
            delta_next_update=self._delta_next_update if self._issuer.deltas else None,
        )

    def published(self, path: str, files: Sequence[tuple[str, str]]) -> Published:
        """For whoever asked for it."""
        row = self.row("")
        return Published(
            path, row.number, row.this_update, row.next_update, row.entries, row.base, _lists(self._issuer, files)
        )


def _lists(issuer: Issuer, files: Iterable[tuple[str, str]]) -> tuple[ListFile, ...]:
    """The lists among files (name and path), the one about all first."""
    found = []
    for file, path in files:
        known = placing.list_of(issuer.name, file)
        if known:
            shard, delta = known
            found.append(ListFile(shard, delta, path, placing.url(issuer.place.crl_url, shard, delta=delta)))
    return tuple(sorted(found, key=lambda each: (each.shard, each.delta)))


def _is_delta(issuer: Issuer, file: str) -> bool:
    known = placing.list_of(issuer.name, file)
    return known is None or known[1]


def _days(issuer: Issuer, wanted: Wanted) -> int:
    kind = profiles.AUTHORITIES[issuer.role]
    days = wanted.days if wanted.days is not None else DELTA_DAYS if wanted.delta else kind.crl_days
    if not 0 < days <= kind.crl_days_max:
        message = f"a CRL of the {issuer.name} CA is good for 1 to {kind.crl_days_max} days (CSBR 4.9.7), not {days}"
        raise UsageError(message)
    return days


def _changed(issuer: Issuer, wanted: Wanted) -> Issuer:
    """The CA as it will be."""
    shards = issuer.shards if wanted.shards is None else wanted.shards
    deltas = issuer.deltas or wanted.deltas
    if not issuer.shards <= shards <= limits.CRL_SHARDS_MAX:
        message = f"the {issuer.name} CA has {issuer.shards} lists beside that about all: "
        raise UsageError(f"{message}there can be more, at most {limits.CRL_SHARDS_MAX}, but not {shards}")
    if issuer.role == profiles.ROOT and (shards or deltas):
        message = "the root CA has one list: it names the CAs below it, and is signed where its key is"
        raise UsageError(message)
    if wanted.delta and not deltas:
        message = f"no certificate of the {issuer.name} CA says where its delta list is: begin with --with-deltas"
        raise UsageError(message)
    return issuer._replace(shards=shards, deltas=deltas)


def _renewal(this_update: dt.datetime, next_update: dt.datetime) -> dt.datetime:
    """When the next list is due: after two thirds of the time, which is within seven days of ten (CSBR 4.9.7)."""
    return this_update + (next_update - this_update) * 2 / 3


def _sha256(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
