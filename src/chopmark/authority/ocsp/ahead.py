"""The table of answers signed ahead: readers know what was done since, and who signs writes it when that pays."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from typing import TYPE_CHECKING

from chopmark.authority.ocsp import table
from chopmark.authority.ocsp.delegates import FOLDER
from chopmark.authority.ocsp.framing import Frame
from chopmark.authority.ocsp.store import AnswerStore, state_text
from chopmark.authority.register.records import serial_text
from chopmark.core import limits
from chopmark.core.errors import ChopmarkError
from chopmark.envelopes import der
from chopmark.envelopes.ocsp import certid

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping

    from chopmark.authority.ca import Authority
    from chopmark.authority.ocsp.delegates import Delegate, Delegates
    from chopmark.authority.register.records import Issuer
    from chopmark.authority.register.status import Changes, State, Statuses

_PAGE = 1000
_WORTH = 100
"""A table is written anew when one in so many answers was signed since."""


class Ahead:
    """The table that is there now, and with which certificates something was done since it was written.

    Several threads may use it at once. Whoever calls `find` has had `changed` called with all that was done so far.
    """

    def __init__(self, folder: str, statuses: Statuses) -> None:
        """`folder` is the authority's."""
        self._path = os.path.join(os.path.abspath(folder), FOLDER, table.FILE)
        self._statuses = statuses
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._again = 0.0
        self._now: tuple[table.Table, frozenset[tuple[int, str]]] | None = None

    def find(self, request: bytes, now: int) -> table.Entry | None:
        """The answer to a question that is still what the register says, and is not due to be replaced (Unix time)."""
        if time.monotonic() > self._again:
            self._look()
        held = self._now
        if held is None:
            return None
        opened, touched = held
        entry = opened.find(request)
        if entry is None or not entry.this_update <= now < (entry.this_update + entry.next_update) // 2:
            return None
        if touched and not touched.isdisjoint({(entry.issuer, serial_of(entry)), (entry.issuer, entry.delegate)}):
            return None
        return entry

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._now = None

    def changed(self, changes: Changes) -> None:
        """Take note of what was done."""
        with self._lock:
            if self._now is not None:
                opened, touched = self._now
                self._now = _within(opened, touched, changes)
                if self._now is None:
                    self._seen = None  # it may still be of use to who asks what was done since

    def _look(self) -> None:
        """Open the table that is there, if it is another one."""
        found = table.identity(self._path)
        with self._lock:
            self._again = time.monotonic() + limits.OCSP_RECHECK_SECONDS
            if found == self._seen:
                return
            self._seen = found
            self._now = None
            if found is None:
                return
            try:
                opened = table.Table(self._path)
                self._now = self._current(opened)
            except (OSError, ValueError):
                return  # it is only a cache
            except ChopmarkError:
                self._seen = None  # the register may answer in a moment

    def _current(self, opened: table.Table) -> tuple[table.Table, frozenset[tuple[int, str]]] | None:
        """With what was done since it was written; None if it is about a register with another past."""
        event, mark, *_ = opened.facts
        if self._statuses.mark(event) != (event, mark):
            return None
        return _within(opened, frozenset(), self._statuses.since(event))

    def renew(self, authority: Authority, store: AnswerStore, delegates: Delegates) -> None:
        """Write the table anew from what is in store, if that is worth it. Raises ChopmarkError."""
        if not os.path.isdir(os.path.dirname(self._path)):
            return  # there was never a responder
        self._look()
        if self._now is not None:
            opened, touched = self._now
            few = len(touched) <= limits.OCSP_CHANGES_MAX // 2
            if few and store.newer(opened.facts.made) <= len(opened) // _WORTH:
                return
        tabulate(authority, self._statuses, store, delegates)
        self._again = 0.0


def _within(
    opened: table.Table, touched: frozenset[tuple[int, str]], changes: Changes
) -> tuple[table.Table, frozenset[tuple[int, str]]] | None:
    if changes.touched is None or len(touched) + len(changes.touched) > limits.OCSP_CHANGES_MAX:
        return None
    return opened, touched | changes.touched


def serial_of(entry: table.Entry) -> str:
    """As the register has it."""
    return serial_text(int.from_bytes(entry.serial, "big"))


def tabulate(authority: Authority, statuses: Statuses, store: AnswerStore, delegates: Delegates) -> int:
    """Write the table from what is in store; how many answers are in it. Raises ChopmarkError."""
    now = authority.clock().replace(microsecond=0)
    event, mark = statuses.mark()  # before anything is looked up: what is done meanwhile counts as done later
    issuers = {issuer.id: issuer for issuer in authority.issuers()}
    able = {number: _able(issuer, statuses, delegates, now) for number, issuer in issuers.items()}
    hashes = {
        table.hashes_of(
            *certid.issuer_hashes(each.certificate.subject, each.certificate.spki, certid.DIGESTS[0])
        ): number
        for number, each in issuers.items()
        if able[number]
    }
    facts = table.Facts(event, mark, int(now.timestamp()), hashes)
    path = os.path.join(os.path.abspath(authority.folder), FOLDER, table.FILE)
    return table.write(path, _entries(statuses, store, able, now), facts)


class _Able:
    """A responder whose answers count."""

    def __init__(self, delegate: Delegate) -> None:
        self._delegate = delegate
        self._frames: dict[tuple[int, int], Frame] = {}

    def digest(self, data: bytes, signature: bytes) -> bytes:
        """That of the whole response."""
        sizes = len(data), len(signature)
        frame = self._frames.get(sizes)
        if frame is None:
            frame = self._frames[sizes] = Frame.around(self._delegate, data, signature)
        return hashlib.sha256(frame.whole(data, signature)).digest()


def _able(issuer: Issuer, statuses: Statuses, delegates: Delegates, now: dt.datetime) -> dict[str, _Able]:
    """The responders of a CA whose answers count, by their serial numbers."""
    delegates.current(issuer, now)
    known = {each.serial: each for each in delegates.all() if each.issuer == issuer.id}
    states = statuses.look_up(issuer.id, list(known))
    return {serial: _Able(known[serial]) for serial, state in states.items() if state.revoked is None}


def _entries(
    statuses: Statuses, store: AnswerStore, able: Mapping[int, Mapping[str, _Able]], now: dt.datetime
) -> Iterator[table.Entry]:
    for page in statuses.pages(lambda: now, _PAGE):
        for number in {each[0] for each in page} & able.keys():
            states = {serial: state for owner, serial, state in page if owner == number}
            yield from _fresh(number, states, store, able[number])


def _fresh(
    issuer: int, states: Mapping[str, State], store: AnswerStore, able: Mapping[str, _Able]
) -> Iterator[table.Entry]:
    """The answers in store that say what the register says."""
    for kept in store.several(issuer, list(states)):
        state = states[kept.serial]
        if kept.state == state_text(state) and kept.delegate in able:
            kind = "good" if state.revoked is None else "revoked"
            times = kept.this_update, kept.next_update
            serial = serial_octets(kept.serial)
            digest = able[kept.delegate].digest(kept.data, kept.signature)
            yield table.Entry(issuer, serial, kept.delegate, kind, *times, digest, kept.data, kept.signature)


def serial_octets(serial: str) -> bytes:
    """The octets of the INTEGER that a certificate has for a serial number of the register."""
    return der.parse(der.integer(int(serial, 16))).value
