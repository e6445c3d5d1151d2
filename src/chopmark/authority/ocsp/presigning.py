"""Signing OCSP answers ahead: all that are due at first, then where something was done, and all again in an hour."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from chopmark.authority.ocsp import single
from chopmark.authority.ocsp.ahead import serial_octets
from chopmark.authority.ocsp.store import Kept, state_text
from chopmark.core.named import NamedTuple
from chopmark.envelopes import ocsp
from chopmark.envelopes.ocsp import certid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.authority.ca import Authority
    from chopmark.authority.ocsp.ahead import Ahead
    from chopmark.authority.ocsp.delegates import Delegate, Delegates
    from chopmark.authority.ocsp.store import AnswerStore
    from chopmark.authority.register.records import Issuer
    from chopmark.authority.register.status import State, Statuses

_ALL_AGAIN = dt.timedelta(hours=1)
_AHEAD = 3600
"""Seconds: an answer that would be due so soon after a run of `presign` is signed in this one."""


class Presigned(NamedTuple):
    """What a run of `presign` came to: answers signed, and those that were young enough."""

    signed: int
    kept: int


class _Run(NamedTuple):
    """The last run of `presign`: what it knew of the register, when all has to be looked at again, and what came of it.

    `event` is the last event that it knew, `total` how many answers there were then.
    """

    event: int
    again: dt.datetime
    total: int


class Presigner:
    """Signs ahead for all CAs of an authority that have a delegated responder; used by one thread."""

    def __init__(
        self,
        authority: Authority,
        delegates: Delegates,
        statuses: Statuses,
        store: AnswerStore,
        table: Ahead,
        validity: dt.timedelta,
    ) -> None:
        """`validity` is how long answers count."""
        self._authority = authority
        self._delegates = delegates
        self._statuses = statuses
        self._store = store
        self._table = table
        self._validity = validity
        self._run: _Run | None = None
        self._soonest = dt.datetime.max.replace(tzinfo=dt.UTC)

    def run(self, count: int = 1000) -> Presigned:
        """Sign answers ahead about all certificates that have not expired, `count` at a time in memory.

        Those that count for more than half of their time, and still say what is so, stay. Who calls it again and again
        has all of them looked at once in an hour, and otherwise those with which something was done. Raises
        ChopmarkError.
        """
        now = self._authority.clock().replace(microsecond=0)
        event, _ = self._statuses.mark()
        touched = self._touched(now)
        if touched is None:
            self._soonest = now + _ALL_AGAIN
            found = self._presign_all(count)
            self._store.forget(int(now.timestamp()))
        else:
            found = self._presign_some(touched, now)
        self._run = _Run(event, self._soonest, sum(found))
        if found.signed or touched is None:
            self._table.renew(self._authority, self._store, self._delegates)
        return found

    def _touched(self, now: dt.datetime) -> frozenset[tuple[int, str]] | None:
        """With which certificates something was done since the last run; None when all have to be looked at."""
        if self._run is None or now >= self._run.again:
            return None
        touched = self._statuses.since(self._run.event).touched
        if touched is None or touched & {(each.issuer, each.serial) for each in self._delegates.all()}:
            return None
        return touched

    def _presign_all(self, count: int) -> Presigned:
        signed = kept = 0
        issuers = {issuer.id: issuer for issuer in self._authority.issuers()}
        # In the order in which the store has them: otherwise each answer would have a page of the file written anew.
        for page in self._statuses.pages(self._authority.clock, count):
            now = self._authority.clock().replace(microsecond=0)
            for number in {each[0] for each in page}:
                states = [(serial, state) for owner, serial, state in page if owner == number]
                due = self._presigned(issuers[number], states, now)
                if due is not None:
                    signed += due
                    kept += len(states) - due
        return Presigned(signed, kept)

    def _presign_some(self, touched: frozenset[tuple[int, str]], now: dt.datetime) -> Presigned:
        issuers = {issuer.id: issuer for issuer in self._authority.issuers()}
        signed = replaced = 0
        for number in {each[0] for each in touched} & issuers.keys():
            serials = [serial for owner, serial in touched if owner == number]
            states = self._statuses.look_up(number, serials)
            living = [(serial, state) for serial, state in states.items() if state.not_after >= now]
            replaced += len(self._store.known(number, [serial for serial, _ in living]))
            signed += self._presigned(issuers[number], living, now) or 0
        return Presigned(signed, (self._run.total if self._run else 0) - min(signed, replaced))

    def _presigned(self, issuer: Issuer, states: Sequence[tuple[str, State]], now: dt.datetime) -> int | None:
        """Sign the answers that are due; how many, None for a CA for which nobody answers."""
        delegate = self._delegates.current(issuer, now)
        if delegate is None:
            return None
        due = self._due(issuer, states, now)
        self._store.put(issuer.id, [self._ahead(issuer, delegate, *each, now) for each in due])
        if due:
            until = min(now + self._validity, delegate.certificate.not_after)
            self._soonest = min(self._soonest, now + (until - now) / 2 - dt.timedelta(seconds=_AHEAD))
        return len(due)

    def _due(self, issuer: Issuer, states: Sequence[tuple[str, State]], now: dt.datetime) -> list[tuple[str, State]]:
        """Those without an answer that says what is so, by a responder who is still there, and is not due soon."""
        known = self._store.known(issuer.id, [serial for serial, _ in states])
        soon = int(now.timestamp()) + _AHEAD
        able = {each.serial for each in self._delegates.all() if each.issuer == issuer.id}
        found = []
        for serial, state in states:
            text, by, this_update, next_update = known.get(serial, ("", "", 0, 0))
            half = (this_update + next_update) // 2
            if soon < half and by in able and text == state_text(state):
                self._soonest = min(self._soonest, dt.datetime.fromtimestamp(half - _AHEAD, dt.UTC))
            else:
                found.append((serial, state))
        return found

    def _ahead(self, issuer: Issuer, delegate: Delegate, serial: str, state: State, now: dt.datetime) -> Kept:
        certificate = issuer.certificate
        hashes = certid.issuer_hashes(certificate.subject, certificate.spki, certid.DIGESTS[0])
        cert_id = ocsp.CertId(certid.DIGESTS[0], *hashes, serial_octets(serial))
        next_update = min(now + self._validity, delegate.certificate.not_after)
        data, signature = delegate.sign([single.encoded(cert_id.encoded(), state, issuer, now, next_update)], now)
        times = int(now.timestamp()), int(next_update.timestamp())
        return Kept(serial, state_text(state), delegate.serial, *times, data, signature)
