"""A server in processes of its own, for tests: `python serving.py SETTINGS`, a JSON file that is read at each reload.

It says in one line of JSON where it listens, and serves /pid, /keeper (its process), /word (from the settings), /later,
/slow (until there is a file `free` beside the settings), /hang (the process does nothing any more) and /big.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from chopmark.core import limits
from chopmark.core.errors import ChopmarkError, UsageError
from chopmark.server import admin as administration
from chopmark.server.http import Handler, Reply, Request, Route
from chopmark.server.supervisor import Supervisor
from chopmark.server.worker import Access, Blueprint, Site
from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    from types import TracebackType

    from chopmark.server.board import Board
    from chopmark.server.children import Report


def blueprint(path: str) -> Blueprint:
    settings: dict[str, Any] = json.loads(Path(path).read_text())
    free = Path(path).with_name("free")
    if "refuse" in settings:
        raise UsageError(settings["refuse"])

    def slow(request: Request) -> Reply:
        until = time.monotonic() + PATIENCE
        while not free.exists() and time.monotonic() < until:
            time.sleep(0.02)
        return Reply(b"slow " + request.body)

    def hang(request: Request) -> Reply:
        del request
        parent = os.getppid()
        while os.getppid() == parent:  # tests kill the parent, and nothing may stay behind
            time.sleep(0.1)
        os._exit(1)

    def opened(board: Board) -> Site:
        if "fail" in settings:
            raise UsageError(settings["fail"])
        word, pid, big = Reply(settings["word"].encode()), Reply(str(os.getpid()).encode()), Reply(bytes(1 << 20))
        public: dict[str, Handler] = {
            "/pid": Route(lambda _: pid, lambda _: pid),
            "/word": Route(lambda _: word, lambda _: word, "crl"),
            "/later": Route(lambda _: word),
            "/keeper": lambda _: Reply(str(board.read().get("pid", 0)).encode()),
            "/slow": slow,
            "/hang": Route(hang, hang),
            "/big": Route(lambda _: big, lambda _: big),
        }
        return Site(public, administration.routes(board))

    def keep(board: Board, report: Report) -> None:
        while not report.orphaned:
            board.write({"at": time.time(), "word": settings["word"], "pid": os.getpid(), "problems": []})
            time.sleep(0.05)

    return Blueprint(
        tuple(("127.0.0.1", port) for port in settings.get("ports", [0])),
        ("127.0.0.1", 0) if settings.get("admin") else None,
        settings.get("workers", 2),
        opened,
        keep,
        Access(settings.get("log", ""), settings.get("format", "common")),
    )


def started(places: list[str], admin: str) -> None:
    sys.stdout.write(json.dumps([places, admin]) + "\n")
    sys.stdout.flush()


def main() -> int:
    for name, value in json.loads(os.environ.get("LIMITS", "{}")).items():
        setattr(limits, name, value)
    supervisor = Supervisor(lambda: blueprint(sys.argv[1]))
    try:
        supervisor.run(started)
    except ChopmarkError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    return 0


_PATIENT = {"SERVER_IDLE_SECONDS": PATIENCE, "SERVER_REQUEST_SECONDS": PATIENCE, "SERVER_STOP_SECONDS": PATIENCE}
"""What it takes more calmly: that its clients pause, or it does."""


class Running:
    """Such a server; its settings can be changed."""

    def __init__(self, folder: Path, settings: dict[str, Any] | None = None, **bounds: float) -> None:
        self.settings = {"word": "one", "admin": True, **(settings or {})}
        self._path = folder / "settings.json"
        self._write()
        environment = {
            **os.environ,
            "LIMITS": json.dumps(_PATIENT | bounds),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        self.errors = folder / "stderr"
        with self.errors.open("wb") as errors:
            command = [sys.executable, __file__, str(self._path)]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        places: list[str]
        self.admin: str
        places, self.admin = json.loads(line) if line else ([""], "")
        self.address = places[0].removeprefix("http://").rstrip("/")

    def _write(self) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self.settings))
        fresh.replace(self._path)

    def reload(self, **changes: object) -> None:
        self.settings.update(changes)
        self._write()
        self.process.send_signal(signal.SIGHUP)

    def get(self, path: str, address: str = "") -> bytes:
        connection = http.client.HTTPConnection(address or self.address, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            assert reply.status == 200, reply.status
            return reply.read()
        finally:
            connection.close()

    def get_admin(self, path: str) -> bytes:
        return self.get(path, self.admin.removeprefix("http://").rstrip("/"))

    def workers(self) -> set[int]:
        """The processes that answer."""
        keeper = int(self.get("/keeper"))
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:  # noqa: PTH123 - not a file
            return {int(word) for word in file.read().split()} - {keeper}

    def said(self) -> str:
        return self.errors.read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(PATIENCE)
        if self.process.stdout:
            self.process.stdout.close()


class Load:
    """Clients that ask all the time, in kept connections and in new ones; `failed` are requests without an answer.

    `broken` is to how many of each client that happened on a connection that it had.
    """

    def __init__(self, address: str, path: str = "/word", clients: int = 6) -> None:
        self._address = address
        self._path = path
        self._ended = threading.Event()
        self.answers: list[bytes] = []
        self.failed: list[str] = []
        self.broken: Counter[int] = Counter()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(clients)]

    def _ask(self, number: int) -> None:
        kept = number % 2 == 0
        connection = http.client.HTTPConnection(self._address, timeout=PATIENCE)
        while not self._ended.is_set():
            try:
                connection.request("GET", self._path, headers={} if kept else {"Connection": "close"})
                reply = connection.getresponse()
                self.answers.append(reply.read())
                if reply.status != 200:
                    self.failed.append(str(reply.status))
            except ConnectionRefusedError:
                self.failed.append("refused")
                connection.close()
                self._ended.wait(0.01)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                self.broken[number] += 1
                connection.close()
        connection.close()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(PATIENCE)


if __name__ == "__main__":
    sys.exit(main())
