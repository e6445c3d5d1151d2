"""What is due in a served authority: lists to publish, keys to replace, answers to sign ahead, entries to log.

Each piece of work yields a line for each thing that it did, and raises a ChopmarkError when it cannot.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from chopmark.authority.ca import Authority
from chopmark.authority.crl.publisher import DELTA, Wanted
from chopmark.authority.ocsp.responder import Responder
from chopmark.authority.register.records import serial_text
from chopmark.authority.tsa import tsa
from chopmark.core import limits
from chopmark.core.artifact import read_small
from chopmark.core.errors import ChopmarkError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import pem, public_keys, x509
from chopmark.keys import generate

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator

    from chopmark.server.site import Served

    Work = Callable[["Open", dt.datetime], Iterator[str]]


class OverdueError(ChopmarkError):
    """Something is due and cannot be done."""


class Open(NamedTuple):
    """An authority with its responder."""

    served: Served
    authority: Authority
    responder: Responder


class Opener:
    """Opens an authority when it is first needed. Several threads may use it at once."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._lock = threading.Lock()
        self._open: Open | None = None

    def __call__(self) -> Open:
        """The authority. Raises ChopmarkError while it cannot be opened."""
        with self._lock:
            if self._open is None:
                authority = Authority.open(self._served.folder, self._served.passphrase)
                responder = Responder(authority, self._served.ocsp_passphrase)
                self._open = Open(self._served, authority, responder)
            return self._open


def publish(opened: Open, now: dt.datetime) -> Iterator[str]:
    """Publish lists: well before they end, and soon after a revocation. One CA does not wait for another's key."""
    failed = []
    for due in opened.authority.due(now):
        try:
            published = opened.authority.publish(due.issuer, Wanted(delta=due.kind == DELTA))
            yield f"published list {published.number} of the {due.issuer} CA, {published.entries} entries: {due.why}"
        except ChopmarkError as error:
            failed.append(f"no new list of the {due.issuer} CA, though {due.why}: {error}")
    if failed:
        raise OverdueError("; ".join(failed))


def replace_responders(opened: Open, now: dt.datetime) -> Iterator[str]:
    """Replace OCSP responders that are near their end."""
    delegates = opened.responder.delegates
    before = {delegate.serial for delegate in delegates.all()}
    for issuer in opened.authority.issuers():
        delegates.current(issuer, now)
    if delegates.problem:
        raise OverdueError(delegates.problem)
    for delegate in delegates.all():
        if before and delegate.serial not in before:
            yield f"made the OCSP responder {delegate.certificate.subject_text}"


def sign_ahead(opened: Open, now: dt.datetime) -> Iterator[str]:
    """Sign OCSP answers ahead, where that is wanted."""
    del now
    if opened.served.presign and (signed := opened.responder.presign().signed):
        yield f"signed {signed} OCSP answers ahead"


def integrate(opened: Open, now: dt.datetime) -> Iterator[str]:
    """Take entries into the log, if the authority has one."""
    del now
    try:
        log = opened.authority.log.log()
    except UsageError:
        return
    if log.waiting():
        yield f"brought {opened.authority.log.integrate().checkpoint.size} entries under a checkpoint of the log"


def renew_stamps(opened: Open, now: dt.datetime) -> Iterator[str]:
    """Give the time-stamp authority its next key, long before the one that it has must not stamp any more."""
    if not opened.served.stamps() or not tsa.is_due(opened.authority, now):
        return
    path = os.path.join(opened.served.folder, tsa.FILE)
    held = read_small(path, limits.KEY_FILE_MAX)
    old = x509.certificate(pem.certificates(held)[0])
    secret = opened.served.tsa_passphrase(path) if b"ENCRYPTED PRIVATE KEY" in held else None
    key = generate.new(_kind(old.spki))
    profile = opened.authority.register.find(serial_text(old.serial)).profile
    issued = tsa.create(opened.authority, tsa.usual_order(opened.authority, key, profile), key, secret, replace=True)
    yield f"made a new time-stamp key, serial {issued.serial}; tokens by the former one stay good"


def _kind(spki: bytes) -> str:
    size = public_keys.size(spki)
    return f"rsa-{size}" if public_keys.kind(spki) == "rsa" else f"p{size}"


WORK: dict[str, Work] = {
    "publish": publish,
    "responders": replace_responders,
    "ahead": sign_ahead,
    "stamps": renew_stamps,
    "log": integrate,
}
