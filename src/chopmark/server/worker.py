"""A process that answers: it opens what it serves, takes connections from the shared sockets, and counts."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from typing import TYPE_CHECKING

from chopmark.core import clock, limits
from chopmark.core.named import NamedTuple
from chopmark.server.access import AccessLog, line_maker
from chopmark.server.children import LEAVE
from chopmark.server.loop import Door, Loop

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from chopmark.server.board import Board, Row
    from chopmark.server.children import Report
    from chopmark.server.message import Reply, Routes
    from chopmark.server.parsing import Head


class Site(NamedTuple):
    """What is served: to everybody, and to those who look after the server."""

    public: Routes
    admin: Routes


class Access(NamedTuple):
    """Where the access log goes (a path, `-` for standard output, empty for none), and its format."""

    path: str = ""
    format: str = "common"


class Blueprint(NamedTuple):
    """How to serve: addresses as (host, port), number of processes, log, and what happens in the processes.

    `open` makes the site in each worker; `keep` does background work in a process of its own until it is signalled,
    or orphaned.
    """

    listen: tuple[tuple[str, int], ...]
    admin: tuple[str, int] | None
    workers: int
    open: Callable[[Board], Site]
    keep: Callable[[Board, Report], None] | None = None
    access: Access = Access()


def say(text: str) -> None:
    """A line about the server itself, on standard error."""
    shown = "".join(character if character.isprintable() else "?" for character in text[:1000])
    print(f"{clock.show(clock.now())} {shown}", file=sys.stderr, flush=True)  # noqa: T201 - the log of a service


class Counting:
    """The observer of a worker: counts each request, and writes it into the log."""

    def __init__(self, row: Row, access: Access) -> None:
        self._row = row
        self._line = line_maker(access.format)
        self._log = AccessLog(access.path) if access.path else None
        self._errors = 0

    def request(self, peer: str, head: Head, route: str, reply: Reply, seconds: float) -> None:
        """A request was answered."""
        self._row.request(route, reply.status, seconds, 0 if head.method == "HEAD" else reply.size)
        if reply.tally is not None:
            self._row.tally(reply.tally)
        if self._log is not None and not self._log.put(self._line(peer, head, route, reply, seconds)):
            self._row.add("lines_dropped")

    def error(self, text: str) -> None:
        """Something went wrong here."""
        self._errors += 1
        say(text)

    def turn(self, loop: Loop) -> None:
        """Show a sign of life."""
        self._row.put("beat", time.monotonic())
        self._row.put("connections", loop.open)
        self._row.put("waiting", loop.pool.under_way)
        errors, self._errors = self._errors, 0
        self._row.add("errors", errors)

    def close(self) -> None:
        """Nothing is counted any more."""
        self._row.put("connections", 0)
        self._row.put("waiting", 0)
        if self._log is not None:
            self._log.close()


def _need_descriptors(count: int) -> None:
    """Have so many files and connections allowed, as far as that is ours to say; what goes beyond waits at the door."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def work(
    blueprint: Blueprint, doors: Sequence[tuple[socket.socket, bool]], board: Board, row: int, report: Report
) -> None:
    """Be a worker. `doors` are listening sockets, and whether they are for those who look after the server."""
    _need_descriptors(limits.SERVER_CONNECTIONS_MAX * 2)
    site = blueprint.open(board)
    counting = Counting(board.row(row), blueprint.access)
    opened = [Door(listener, site.admin if admin else site.public) for listener, admin in doors]

    def turn(loop: Loop) -> None:
        counting.turn(loop)
        if report.orphaned and not loop.draining:
            loop.stop()

    loop = Loop(opened, counting, turn)
    signal.signal(signal.SIGTERM, lambda *_: loop.stop())
    signal.signal(LEAVE, lambda *_: loop.stop(limits.SERVER_LEAVE_SECONDS, limits.SERVER_IDLE_SECONDS))
    board.row(row).put("pid", os.getpid())
    counting.turn(loop)
    report.ready()
    try:
        loop.run()
    finally:
        counting.close()
