"""The parent of a server's processes: starts, watches, replaces and ends them; takes new settings over on SIGHUP.

It answers nothing itself. The listening sockets are its own and outlive every worker, so that no connection is lost
with one: after a reload the new generation takes what waits in them, while the old one finishes what it has begun.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import ChopmarkError
from chopmark.net import notify
from chopmark.server import children
from chopmark.server.board import Board
from chopmark.server.http import ServerError, listen, url_of
from chopmark.server.worker import Blueprint, say, work

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.server.children import Child, Report

_TURN = 0.25
_YOUNG_SECONDS = 10
"""A process that ends within this time after its start is not replaced at once."""
ADMIN = "admin"
"""The name of a handed-over socket that is not for the public (systemd's FileDescriptorName=)."""


class Generation:
    """The processes that serve one reading of the settings."""

    def __init__(self, number: int, blueprint: Blueprint, doors: list[tuple[socket.socket, bool]]) -> None:
        self.number = number
        self.blueprint = blueprint
        self.doors = doors
        self.children: dict[int, Child] = {}
        self.due: list[tuple[float, children.Kind]] = []
        """When processes that ended are replaced."""

    @property
    def workers(self) -> list[Child]:
        """Its workers that are alive."""
        return [child for child in self.children.values() if child.kind == "worker"]


class Supervisor:
    """Serves until it is told to stop. `read` reads the settings, at the start and for each reload."""

    def __init__(self, read: Callable[[], Blueprint], board: Board | None = None) -> None:
        self._read = read
        self.board = board or Board(limits.SERVER_WORKERS_MAX * (limits.SERVER_GENERATIONS_MAX + 3))
        self._sockets: dict[tuple[str, int, bool], socket.socket] = {}
        self._handed = notify.handed_over()
        self._selector = selectors.DefaultSelector()
        self._current: Generation | None = None
        self._coming: Generation | None = None
        self._leaving: list[Generation] = []
        self._count = 0
        self._stop_at = 0.0
        self._failure = ""
        self._heard_at = 0.0
        self._reload_wanted = False

    def run(self, started: Callable[[list[str], str], None]) -> None:
        """Serve. `started` is told where, and where the administration is, once everything is ready.

        Raises UsageError and ServerError when it cannot start.
        """
        mine, theirs = socket.socketpair()
        for end in (mine, theirs):
            end.settimeout(0)
        before = {number: signal.signal(number, lambda *_: None) for number in children.HANDLED}
        wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        self._selector.register(mine, selectors.EVENT_READ)
        try:
            self._begin()
            told = False
            while not self._ended():
                self._round(mine)
                if self._current is not None and not told:
                    told = True
                    started(*self._places())
        finally:
            self._kill_all()
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            for end in (mine, theirs, *self._sockets.values(), *(handed for _, handed in self._handed)):
                end.close()
        if self._failure:
            raise ServerError(self._failure)

    def _round(self, mine: socket.socket) -> None:
        for key, _ in self._selector.select(_TURN):
            if key.fileobj is mine:
                for number in _signals(mine):
                    self._signalled(number)
            else:
                generation, child = key.data
                self._reported(generation, child)
        self._reap()
        self._look(time.monotonic())

    def _signalled(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._reload_wanted = True
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._stop()

    # Generations

    def _begin(self) -> None:
        """Read the settings and start a generation. Raises ChopmarkError when that cannot be."""
        blueprint = self._read()
        doors = self._doors(blueprint)
        self._count += 1
        self._coming = generation = Generation(self._count, blueprint, doors)
        for _ in range(blueprint.workers):
            self._start(generation, "worker")

    def _reload(self) -> None:
        """Start a generation with new settings, once the one before has started and there are not too many."""
        if self._coming is not None:
            return
        if len(self._leaving) >= limits.SERVER_GENERATIONS_MAX:
            for child in self._leaving[0].children.values():
                child.leave(signal.SIGTERM, limits.SERVER_STOP_SECONDS)
            return
        self._reload_wanted = False
        notify.reloading()
        try:
            self._begin()
        except ChopmarkError as error:
            say(f"not reloaded, everything goes on as before: {error}")
            self._told_ready()

    def _promote(self, generation: Generation) -> None:
        """A new generation is ready: it is the one that counts from now on."""
        old, self._current, self._coming = self._current, generation, None
        if generation.blueprint.keep is not None:
            self._start(generation, "keeper")
        if old is not None:
            self._leaving.append(old)
            for child in list(old.children.values()):
                keeps = child.kind == "keeper"
                child.leave(
                    signal.SIGTERM if keeps else children.LEAVE,
                    limits.SERVER_STOP_SECONDS if keeps else limits.SERVER_LEAVE_SECONDS,
                )
            say(f"reloaded: generation {generation.number}, {len(generation.workers)} processes")
        self._close_all_but(generation.doors)
        self._told_ready()

    def _give_up(self, generation: Generation) -> None:
        """A new generation cannot start: end it, and close what was opened for it alone."""
        self._coming = None
        for child in generation.children.values():
            child.leave(signal.SIGKILL, 0)
        self._leaving.append(generation)
        self._close_all_but(self._current.doors if self._current else [])

    def _doors(self, blueprint: Blueprint) -> list[tuple[socket.socket, bool]]:
        """The sockets that settings ask for: those that were handed over, else those that listen already, else new."""
        if self._handed:
            return [(listener, name == ADMIN) for name, listener in self._handed]
        wanted = [(*address, False) for address in dict.fromkeys(blueprint.listen)]
        wanted += [(*blueprint.admin, True)] if blueprint.admin else []
        opened: list[tuple[socket.socket, bool]] = []
        try:
            for host, port, admin in wanted:
                if (host, port, admin) not in self._sockets:
                    self._sockets[host, port, admin] = listen(host, port)
                opened.append((self._sockets[host, port, admin], admin))
        except ChopmarkError:
            self._close_all_but(self._current.doors if self._current else [])
            raise
        return opened

    def _close_all_but(self, doors: list[tuple[socket.socket, bool]]) -> None:
        """Close the sockets that nobody needs any more."""
        wanted = {listener.fileno() for listener, _ in doors}
        for address in [address for address, one in self._sockets.items() if one.fileno() not in wanted]:
            self._sockets.pop(address).close()

    def _places(self) -> tuple[list[str], str]:
        doors = self._current.doors if self._current else []
        return (
            [url_of(listener) for listener, admin in doors if not admin],
            next((url_of(listener) for listener, admin in doors if admin), ""),
        )

    def _told_ready(self) -> None:
        if self._current is not None:
            notify.ready(f"{len(self._current.workers)} processes answer, generation {self._current.number}")

    # Processes

    def _start(self, generation: Generation, kind: children.Kind) -> None:
        blueprint = generation.blueprint
        row = self._free_row() if kind == "worker" else -1
        keep = {listener.fileno() for listener, _ in generation.doors} if kind == "worker" else set()
        sockets = [*self._sockets.values(), *(handed for _, handed in self._handed)]
        unwanted = [one.fileno() for one in sockets if one.fileno() not in keep]

        def task(report: Report) -> None:
            if kind == "worker":
                work(blueprint, generation.doors, self.board, row, report)
            elif blueprint.keep is not None:
                report.ready()
                blueprint.keep(self.board, report)

        child = children.fork(kind, row, task, unwanted)
        generation.children[child.pid] = child
        self._selector.register(child.report, selectors.EVENT_READ, (generation, child))

    def _free_row(self) -> int:
        used = {child.row for generation in self._generations() for child in generation.children.values()}
        return next(number for number in range(len(self.board)) if number not in used)

    def _generations(self) -> list[Generation]:
        return [one for one in (self._current, self._coming, *self._leaving) if one is not None]

    def _reported(self, generation: Generation, child: Child) -> None:
        self._selector.unregister(child.report)
        why = child.heard()
        if child.state == "leaving":
            return
        if not why:
            child.state = "ready"
            if generation is self._coming and all(one.state == "ready" for one in generation.children.values()):
                self._promote(generation)
        else:
            self._failed(generation, child, why)

    def _failed(self, generation: Generation, child: Child, why: str) -> None:
        """A process could not start."""
        if generation is self._coming:
            self._give_up(generation)
            if self._current is None:
                self._failure = why
            else:
                say(f"not reloaded, everything goes on as before: {why}")
                self._told_ready()
        else:
            say(f"a {child.kind} cannot start: {why}")

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for generation in self._generations():
                child = generation.children.pop(pid, None)
                if child is not None:
                    self._ended_child(generation, child, status)

    def _ended_child(self, generation: Generation, child: Child, status: int) -> None:
        if child.report >= 0:
            self._selector.unregister(child.report)
            why = child.heard()
            if child.state != "leaving":
                self._failed(generation, child, why)
        if child.kind == "worker":
            row = self.board.row(child.row)
            row.put("connections", 0)
            row.put("waiting", 0)
        if child.state == "leaving" or generation is not self._current or self._stop_at:
            return
        now = time.monotonic()
        young = now - child.started < _YOUNG_SECONDS
        generation.due.append((now + (limits.SERVER_RESTART_SECONDS if young else 0), child.kind))
        say(f"a {child.kind} ended ({_how(status)}) and is replaced")

    def _look(self, now: float) -> None:
        """What has to be done from time to time."""
        for generation in self._generations():
            for child in list(generation.children.values()):
                if self._overdue(generation, child, now):
                    child.send(signal.SIGKILL)
        self._leaving = [one for one in self._leaving if one.children]
        current = self._current
        if current is None or self._stop_at:
            return
        if self._reload_wanted:
            self._reload()
        for entry in [entry for entry in current.due if entry[0] <= now]:
            current.due.remove(entry)
            self._start(current, entry[1])
        watchdog = notify.watchdog_seconds()
        if watchdog and now - self._heard_at >= watchdog / 2 and any(one.state == "ready" for one in current.workers):
            self._heard_at = now
            notify.notify("WATCHDOG=1")

    def _overdue(self, generation: Generation, child: Child, now: float) -> bool:
        if child.state == "leaving":
            return now > child.deadline
        if child.state == "starting":
            return now > child.started + limits.SERVER_START_SECONDS
        if child.kind == "worker" and now - self.board.row(child.row).get("beat") > limits.SERVER_HUNG_SECONDS:
            say(f"worker {child.pid} of generation {generation.number} shows no sign of life and is killed")
            return True
        return False

    # The end

    def _stop(self) -> None:
        if self._stop_at:  # told twice: at once
            self._stop_at = time.monotonic()
            return
        notify.stopping()
        self._stop_at = time.monotonic() + limits.SERVER_STOP_SECONDS + 2
        for generation in self._generations():
            for child in generation.children.values():
                child.leave(signal.SIGTERM, limits.SERVER_STOP_SECONDS + 1)
        # The workers take who stands at the door, and close it; nobody is let in after them to wait for nothing.
        self._close_all_but([])

    def _ended(self) -> bool:
        if self._failure:
            return True
        if not self._stop_at:
            return False
        return time.monotonic() > self._stop_at or not any(one.children for one in self._generations())

    def _kill_all(self) -> None:
        for generation in self._generations():
            for child in generation.children.values():
                child.send(signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child.pid, 0)
                child.forget_report()


def _signals(mine: socket.socket) -> bytes:
    try:
        return mine.recv(4096)
    except BlockingIOError:
        return b""


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"status {code}" if code >= 0 else signal.Signals(-code).name
