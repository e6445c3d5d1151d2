"""The event loop: one thread that serves all connections of a process and waits for none of them."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.server.connection import Answered, Connection
from chopmark.server.message import date
from chopmark.server.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.server.message import Reply, Routes
    from chopmark.server.parsing import Head

_TURN = 0.1
"""Seconds between two looks at the deadlines, at most."""
_ACCEPT_MAX = 64
"""Connections taken at once, at most, before those that are there have their turn."""
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Observer(Protocol):
    """Who is told what happens; neither may wait."""

    def request(self, peer: str, head: Head, route: str, reply: Reply, seconds: float) -> None:
        """A request was answered, so many seconds after it had come; called in the loop's thread."""

    def error(self, text: str) -> None:
        """Something went wrong here; called in any thread."""


class Door(NamedTuple):
    """A listening socket, and what is served to those who come in there."""

    listener: socket.socket
    routes: Routes


class Loop:
    """Serves HTTP on listening sockets until `stop` has been called and what was under way is answered.

    Several loops, also of several processes, may share a socket. `turn` is called about ten times a second.
    """

    def __init__(self, doors: Sequence[Door], observer: Observer, turn: Callable[[Loop], None] | None = None) -> None:
        self.observer = observer
        self.draining = False
        self.now = time.monotonic()
        self._epoll = select.epoll()
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.pool: Pool[Answered] = Pool(self.wake)
        self._turn = turn
        self._doors = {door.listener.fileno(): door for door in doors}
        self._connections: dict[int, Connection] = {}
        self._soon: list[Connection] = []
        self._prefaces: dict[int, bytes] = {}
        self._dated = 0
        self._looked = 0.0
        self._paused = 0.0
        self._stop: tuple[float, float] | None = None
        self._deadline = 0.0
        self._grace = 0.0
        self._epoll.register(self._wakeup, select.EPOLLIN)
        for number, door in self._doors.items():
            door.listener.settimeout(0)
            if door.listener.family != socket.AF_UNIX:
                # Answers leave at once, whole; nothing is gained by waiting for more. Connections inherit this.
                door.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._epoll.register(number, select.EPOLLIN | select.EPOLLEXCLUSIVE)

    @property
    def open(self) -> int:
        """Connections at this moment."""
        return len(self._connections)

    def wake(self) -> None:
        """Have the loop look around; from any thread, and from signal handlers."""
        with contextlib.suppress(OSError):
            os.eventfd_write(self._wakeup, 1)

    def stop(self, seconds: float = limits.SERVER_STOP_SECONDS, grace: float = limits.SERVER_GRACE_SECONDS) -> None:
        """Take no more connections, answer what is under way within `seconds`, then end; from any thread.

        A connection without a request may live for `grace` seconds more: what is on its way is answered.
        """
        self._stop = (seconds, grace)
        self.wake()

    def run(self) -> None:
        """Serve."""
        try:
            while not self._ended():
                self._round()
        finally:
            for connection in list(self._connections.values()):
                connection.close()
            self.pool.close()
            self._epoll.close()
            os.close(self._wakeup)

    def _round(self) -> None:
        events = self._epoll.poll(0 if self._soon else _TURN, 256)
        self.now = now = time.monotonic()
        again, self._soon = self._soon, []
        connections, doors = self._connections, self._doors
        knocked: list[Door] = []
        for number, happened in events:
            connection = connections.get(number)
            if connection is not None:
                connection.event(happened)
            elif number in doors:
                knocked.append(doors[number])
            elif number == self._wakeup:
                self._woken()
        # After those that are there: a request that has come already is no reason to be closed for somebody else. Not
        # more than there is to do otherwise: with little to do the next process takes the next connection, and whoever
        # asks for one when there is none is told so at a price.
        for door in knocked:
            if not self.draining:
                self._accept(door, min(len(events), _ACCEPT_MAX))
        while done := self.pool.take():
            done.connection.answered(done)
        for connection in again:
            connection.again()
        if now - self._looked >= _TURN:
            self._look(now)

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wakeup)
        if self._stop is not None and not self.draining:
            self._drain(*self._stop)

    def _look(self, now: float) -> None:
        self._looked = now
        for connection in [one for one in self._connections.values() if one.deadline < now]:
            connection.overdue()
        if self._paused and now > self._paused:
            self._paused = 0.0
            for number in self._doors:
                self._epoll.register(number, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        if self._turn:
            self._turn(self)

    # Connections

    def _accept(self, door: Door, most: int) -> None:
        for _ in range(most):
            try:
                connected, address = door.listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._pause(error)
                    return
                continue  # it went before it was taken
            self._take(connected, address, door.routes)

    def _take(self, connected: socket.socket, address: object, routes: Routes) -> None:
        if len(self._connections) >= limits.SERVER_CONNECTIONS_MAX and not self._make_room():
            with contextlib.suppress(OSError):
                connected.send(_FULL, socket.MSG_DONTWAIT)
            connected.close()
            return
        peer = address[0] if isinstance(address, tuple) else "-"
        connection = Connection(self, connected, peer, routes)
        self._connections[connection.fileno] = connection
        connection.read()  # what it asks is mostly there already

    def _make_room(self) -> bool:
        """Let the connection go that has had nothing to say for longest."""
        idle = [one for one in self._connections.values() if one.idle]
        if not idle:
            return False
        min(idle, key=lambda one: one.deadline).close()
        return True

    def _pause(self, error: OSError) -> None:
        """No descriptors are left: take nobody in for a second, instead of being told so again and again."""
        if not self._paused:
            self._paused = self.now + 1
            self.observer.error(f"no connection can be taken: {os.strerror(error.errno or 0)}")
            for number in self._doors:
                self._epoll.unregister(number)

    def watch(self, connection: Connection, interest: int, *, known: bool) -> None:
        """Be told when something happens to a connection."""
        if known:
            self._epoll.modify(connection.fileno, interest)
        else:
            self._epoll.register(connection.fileno, interest)

    def rest(self, connection: Connection) -> None:
        """A connection has been answered and may ask again."""
        wait = self._grace if self.draining else limits.SERVER_IDLE_SECONDS
        connection.deadline = self.now + wait

    def soon(self, connection: Connection) -> None:
        """Come back to a connection after the others had their turn."""
        self._soon.append(connection)

    def forget(self, connection: Connection) -> None:
        """A connection is being closed; with its descriptor it leaves epoll."""
        self._connections.pop(connection.fileno, None)

    def preface(self, status: int) -> bytes:
        """The status line and the fields that are the same for all within a second."""
        second = int(time.time())
        if second != self._dated:
            self._dated = second
            self._prefaces.clear()
        line = self._prefaces.get(status)
        if line is None:
            phrase = HTTPStatus(status).phrase
            line = f"HTTP/1.1 {status} {phrase}\r\nServer: chopmark\r\nDate: {date(second)}\r\n".encode()
            self._prefaces[status] = line
        return line

    # The end

    def _drain(self, seconds: float, grace: float) -> None:
        for door in self._doors.values():
            self._accept(door, _ACCEPT_MAX)  # whoever stands at the door comes in
            if not self._paused:
                self._epoll.unregister(door.listener)
            door.listener.close()
        self._doors = {}
        self._paused = 0.0
        self.draining = True
        self._deadline = self.now + seconds
        self._grace = grace
        for connection in self._connections.values():
            if connection.idle:
                connection.deadline = min(connection.deadline, self.now + grace)

    def _ended(self) -> bool:
        return self.draining and (not self._connections or self.now > self._deadline)
