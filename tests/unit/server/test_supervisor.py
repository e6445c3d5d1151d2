"""The processes of a server: reloaded, killed, hung and stopped while requests are under way."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import resource
import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support import ports
from tests.support.patience import PATIENCE, eventually
from tests.support.serving import Load, Running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path) as server:
        yield server


def counted(server: Running, pattern: str) -> float:
    return sum(
        float(number) for number in re.findall("\n" + pattern + r" (\S+)\n", server.get_admin("/metrics").decode())
    )


def test_it_answers_until_it_is_told_to_stop(running: Running) -> None:
    assert running.get("/word") == b"one"
    eventually(lambda: json.loads(running.get_admin("/health/live"))["status"] == "live")
    assert running.stop() == 0
    assert running.said() == ""


def test_no_request_is_lost_while_settings_change(running: Running) -> None:
    with Load(running.address) as load:
        for word in ("two", "three", "four"):
            running.reload(word=word)
            wanted = word.encode()
            eventually(lambda wanted=wanted: wanted in load.answers[-20:])  # type: ignore[misc]
    assert load.failed == []
    assert {b"one", b"two", b"three", b"four"} == set(load.answers)
    eventually(lambda: running.said().count("reloaded: generation") == 3)
    assert running.stop() == 0


def test_the_answers_of_a_reload_count_with_those_before(running: Running) -> None:
    for _ in range(3):
        running.get("/word")
    running.reload(word="two")
    eventually(lambda: running.get("/word") == b"two")
    requests = r'chopmark_http_requests_total\{route="crl",status="200"\}'
    assert counted(running, requests) >= 4
    latencies = r'chopmark_http_request_seconds_count\{route="crl"\}'
    assert counted(running, latencies) >= 4


@pytest.mark.parametrize("changes", [{"refuse": "bad settings"}, {"fail": "no such key"}, {"ports": [0, 70000]}])
def test_settings_that_are_wrong_change_nothing(changes: dict[str, object], running: Running) -> None:
    eventually(lambda: len(running.workers()) == 2)
    before = running.workers()
    running.reload(word="two", **changes)
    eventually(lambda: "not reloaded" in running.said())
    assert running.get("/word") == b"one"
    eventually(lambda: running.workers() == before)
    running.settings = {"word": "three", "admin": True}
    running.reload()
    eventually(lambda: running.get("/word") == b"three")


def test_addresses_come_and_go(running: Running) -> None:
    with ports.held() as port:
        _come_and_go(running, port)


def _come_and_go(running: Running, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        running.reload(ports=[0, port], word="two")
        eventually(lambda: "not reloaded" in running.said())  # it is taken
    running.reload(ports=[0, port], word="three")
    eventually(lambda: running.get("/word") == b"three")
    assert running.get("/word", f"127.0.0.1:{port}") == b"three"
    running.reload(ports=[port], word="four")
    eventually(lambda: running.get("/word", f"127.0.0.1:{port}") == b"four")

    def refused() -> bool:
        try:
            running.get("/word")
        except (ConnectionError, OSError):
            return True
        return False

    eventually(refused)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_under_load_answers_what_was_begun(number: signal.Signals, tmp_path: Path) -> None:
    slow: list[bytes] = []
    with Running(tmp_path, SERVER_GRACE_SECONDS=10.0) as running, Load(running.address) as load:
        waiting = [threading.Thread(target=lambda: slow.append(running.get("/slow"))) for _ in range(6)]
        for one in waiting:
            one.start()
        eventually(lambda: counted(running, "chopmark_http_waiting") == 6)
        running.process.send_signal(number)
        eventually(lambda: "refused" in load.failed)
        (tmp_path / "free").touch()
        assert running.process.wait(2 * PATIENCE) == 0
        for one in waiting:
            one.join()
    assert slow == [b"slow "] * 6
    # Those who come after the door was closed are refused; nobody who was let in is left without an answer, but for
    # who comes in the very moment of closing: each client once, if the machine pauses then.
    assert all(times == 1 for times in load.broken.values())


def test_a_worker_that_is_killed_is_replaced(running: Running) -> None:
    eventually(lambda: len(running.workers()) == 2)
    killed = running.workers()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(running.workers() - killed) == 2)
    assert running.said().count("a worker ended (SIGKILL) and is replaced") == 2


def test_a_keeper_that_is_killed_is_replaced(running: Running) -> None:
    eventually(lambda: int(running.get("/keeper")) > 0)
    first = int(running.get("/keeper"))
    os.kill(first, signal.SIGKILL)
    eventually(lambda: int(running.get("/keeper")) != first)
    assert "a keeper ended (SIGKILL) and is replaced" in running.said()


def test_a_worker_that_hangs_is_replaced(tmp_path: Path) -> None:
    with Running(tmp_path, {"workers": 1}, SERVER_HUNG_SECONDS=0.5) as server:
        with pytest.raises(OSError, match=r"reset|closed"):
            server.get("/hang")
        assert "shows no sign of life" in server.said()
        eventually(lambda: server.get("/word") == b"one", despite=(ConnectionError,))  # it may seem to hang again


def test_workers_do_not_outlive_their_parent(running: Running) -> None:
    eventually(lambda: len(running.workers()) == 2)
    orphans = running.workers()
    running.process.kill()
    running.process.wait(PATIENCE)
    eventually(lambda: not any(_alive(pid) for pid in orphans))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ({"refuse": "bad settings"}, 2, "bad settings"),
        ({"fail": "no such key"}, 4, "no such key"),
        ({"ports": [70000]}, 2, "port"),
    ],
)
def test_it_does_not_start(settings: dict[str, object], status: int, words: str, tmp_path: Path) -> None:
    with Running(tmp_path, settings) as server:
        assert server.process.wait(PATIENCE) == status
        assert words in server.said()


def test_the_access_log_follows_its_name_after_a_reload(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with Running(tmp_path, {"log": str(log), "format": "json"}) as server:
        server.get("/word?secret")
        eventually(lambda: "/word?secret" in log.read_text())
        log.rename(tmp_path / "access.log.1")
        server.reload(word="two", format="common")
        eventually(log.exists)
        eventually(lambda: server.get("/word") == b"two")
        eventually(lambda: '"GET /word HTTP/1.1" 200 3' in log.read_text())
        entry = json.loads((tmp_path / "access.log.1").read_text().splitlines()[0])
        assert (entry["request"], entry["status"], entry["route"]) == ("GET /word?secret HTTP/1.1", 200, "crl")


def test_a_log_that_nobody_reads_holds_up_no_answer(tmp_path: Path) -> None:
    pipe = tmp_path / "log"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    with Running(tmp_path, {"log": str(pipe), "workers": 1}, SERVER_LOG_LINES_MAX=50) as server:
        eventually(
            lambda: server.get("/word") == b"one" and counted(server, "chopmark_http_lines_dropped_total") > 0, 60
        )
        os.close(reader)
        assert server.get("/word") == b"one"


def test_connections_are_kept_while_settings_change(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", int(running.address.rpartition(":")[2])), timeout=PATIENCE) as kept:
        kept.sendall(b"GET /word HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(1000).endswith(b"one")
        running.reload(word="two")
        eventually(lambda: running.get("/word") == b"two")
        eventually(lambda: "reloaded" in running.said())

        def is_the_last() -> bool:
            kept.sendall(b"GET /word HTTP/1.1\r\nHost: x\r\n\r\n")  # answered by the earlier generation
            answer = kept.recv(1000)
            assert answer.endswith(b"one")
            return b"Connection: close" in answer

        eventually(is_the_last)


def test_descriptors_are_asked_for_and_when_there_are_none_the_door_is_shut_for_a_while(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = len(os.listdir("/proc/self/fd")) + 64  # noqa: PTH208 - not files; other tests may have left some open
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))  # the server inherits it
    try:
        server = Running(tmp_path, {"workers": 1})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with server, contextlib.ExitStack() as opened:
        where = ("127.0.0.1", int(server.address.rpartition(":")[2]))
        for _ in range(few + 40):
            opened.enter_context(socket.create_connection(where, timeout=PATIENCE))
        assert server.get("/word") == b"one"
        worker = int(server.get("/pid"))
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (64, hard))
        asked = socket.create_connection(where, timeout=PATIENCE)
        opened.enter_context(asked)
        asked.sendall(b"GET /word HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: "no connection can be taken" in server.said())
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (min(1024, hard), hard))
        assert asked.recv(1000).endswith(b"one")
