"""An authority as a site: what a worker opens, and what it serves from there."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from chopmark import keys
from chopmark.authority.ca import Authority
from chopmark.authority.issuing import profiles
from chopmark.authority.ocsp.responder import Responder
from chopmark.authority.register import configuration
from chopmark.authority.register.database import DatabaseError
from chopmark.authority.tsa import time_sources, timekeeping, tsa
from chopmark.core import limits
from chopmark.core.errors import ChopmarkError
from chopmark.server import admin, routes
from chopmark.server.message import Route
from chopmark.server.worker import Site, say

if TYPE_CHECKING:
    from chopmark.authority.tsa.time_sources import TimeSource
    from chopmark.server.board import Board
    from chopmark.server.message import Handler, Request


@dataclass(frozen=True, slots=True)
class Served:
    """Which authority is served: its folder, and the passphrases of its keys.

    `policies`, `time_source`, `is_ordered` and `legacy` are about its time stamps (`tsa.Terms`); with `presign` OCSP
    answers about all certificates are signed ahead.
    """

    folder: str
    passphrase: keys.Passphrase = keys.nothing
    tsa_passphrase: keys.Passphrase = keys.nothing
    ocsp_passphrase: keys.Passphrase = keys.nothing
    policies: tuple[str, ...] = (profiles.POLICY_TIME_STAMPING,)
    time_source: str = ""
    is_ordered: bool = False
    legacy: bool = False
    presign: bool = False

    def stamps(self) -> bool:
        """Whether it has a time-stamp authority."""
        return os.path.isfile(os.path.join(self.folder, tsa.FILE))

    def clock(self) -> TimeSource:
        """Who measures the clock. Raises UsageError."""
        return time_sources.named(self.time_source) if self.time_source else time_sources.usual()

    def terms(self) -> tsa.Terms:
        """How it stamps; for one process. A clock that cannot be measured now is measured when somebody asks."""
        order = timekeeping.Sequence(os.path.join(self.folder, tsa.SEQUENCE_FILE)) if self.is_ordered else None
        return tsa.Terms(self.policies, timekeeping.Timekeeper(self.clock()), order)


class LateResponder:
    """The responder of an authority, opened when it is first needed, and again and again until the register answers."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._lock = threading.Lock()
        self._responder: Responder | None = None
        self._again = 0.0
        self._told = ""

    def __call__(self) -> Responder | None:
        """The responder; None while there is none."""
        if self._responder is not None or time.monotonic() < self._again:
            return self._responder
        with self._lock:
            self._open()
        return self._responder

    def _open(self) -> None:
        if self._responder is not None or time.monotonic() < self._again:  # somebody else was first
            return
        try:
            authority = Authority.open(self._served.folder, self._served.passphrase)
            self._responder = Responder(authority, self._served.ocsp_passphrase)
        except ChopmarkError as error:
            self._again = time.monotonic() + limits.OCSP_PAUSE_SECONDS
            if str(error) != self._told:
                self._told = str(error)
                say(f"no OCSP answers for now: {error}")


def opened(served: Served, board: Board) -> Site:
    """Open what is served. Raises UsageError when there is no authority, and what its time-stamp key raises.

    A register that cannot be reached is no reason not to start: lists are files, and answers come when it is back.
    """
    found = configuration.require(served.folder)
    public: dict[str, Handler] = {**routes.published(served.folder), **routes.log(served.folder)}
    if served.stamps():
        authority = tsa.Rolling(served.folder, served.tsa_passphrase, served.terms())
        public |= routes.time_stamps(authority)
        if served.legacy:
            public |= routes.countersignatures(authority)
    responder = LateResponder(served)
    responder()
    public |= routes.Ocsp(responder, is_near=not found.database).routes()
    base = _base(served)
    if base:
        public |= {f"{base}{path}": _below(base, handler) for path, handler in public.items()}
    return Site(public, admin.routes(board))


def _below(base: str, handler: Handler) -> Route:
    """The same at the path that certificates say; a proxy may take the base away or not."""
    route = handler if isinstance(handler, Route) else Route(handler)
    at_once = route.at_once

    def shortened(request: Request) -> Request:
        return request._replace(path=request.path[len(base) :])

    return Route(
        lambda request: route.handle(shortened(request)),
        None if at_once is None else lambda request: at_once(shortened(request)),
        route.name,
        route.body_max,
    )


def _base(served: Served) -> str:
    """The path of the authority's address, below which certificates say that everything is; empty at the top."""
    try:
        with Authority.open(served.folder) as authority:
            return urlsplit(authority.register.setting("url")).path.rstrip("/")
    except DatabaseError:
        return ""
