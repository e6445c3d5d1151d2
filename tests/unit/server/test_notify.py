"""What systemd is told, sockets that it hands over, and lines of the access log."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits
from chopmark.core.errors import UsageError
from chopmark.net import notify
from chopmark.server import access, parsing
from chopmark.server.message import Reply
from tests.support.patience import PATIENCE, eventually
from tests.support.serving import Running

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("abstract", [False, True])
def test_the_manager_is_told(abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    name = f"\0chopmark-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", name.replace("\0", "@"))
        notify.ready("all is well")
        assert manager.recv(1000).decode().split("\n") == ["READY=1", "STATUS=all is well", f"MAINPID={os.getpid()}"]
        notify.reloading()
        told = manager.recv(1000).decode()
        assert told.startswith("RELOADING=1\nMONOTONIC_USEC=")
        notify.stopping()
        assert manager.recv(1000) == b"STOPPING=1"


@pytest.mark.parametrize("name", ["", "relative", "/nonexistent/notify"])
def test_without_a_manager_nobody_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    notify.ready("all is well")
    assert os.environ["NOTIFY_SOCKET"] == name


@pytest.mark.parametrize(
    ("wanted", "whom", "seconds"),
    [("", "", 0), ("2000000", "", 1), ("2000000", "me", 1), ("2000000", "1", 0), ("x", "", 0)],
)
def test_how_often_a_sign_of_life_is_wanted(
    wanted: str, whom: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", wanted)
    monkeypatch.setenv("WATCHDOG_PID", whom.replace("me", str(os.getpid())))
    assert notify.watchdog_seconds() == seconds


def test_sockets_are_taken_over(tmp_path: Path) -> None:
    program = """
import os
from chopmark.net import notify
print([(name, one.getsockname()[1], one.get_inheritable()) for name, one in notify.handed_over()])
print(notify.handed_over())
"""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        shell = f'exec {sys.executable} -c "$0" 3<&{one.fileno()} 4<&{two.fileno()}'
        for whom, expected in (
            ("$$", f"[('http', {one.getsockname()[1]}, False), ('', {two.getsockname()[1]}, False)]\n[]\n"),
            ("1", "[]\n[]\n"),
        ):
            command = ["bash", "-c", f"export LISTEN_PID={whom} LISTEN_FDS=2 LISTEN_FDNAMES=http; {shell}", program]
            done = subprocess.run(
                command, pass_fds=(one.fileno(), two.fileno()), capture_output=True, text=True, check=True, cwd=tmp_path
            )
            assert done.stdout == expected


def test_a_server_tells_its_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(0.1)
        ended = threading.Event()

        def listen() -> None:
            while not ended.is_set():
                try:
                    told.append(manager.recv(1000).decode().split("\n")[0])
                except TimeoutError:
                    continue

        listener = threading.Thread(target=listen)
        listener.start()
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        with Running(tmp_path, {"workers": 1}) as server:
            eventually(lambda: told.count("WATCHDOG=1") >= 2)
            server.reload(word="two")
            eventually(lambda: told.count("READY=1") == 2)
            assert server.stop() == 0
        eventually(lambda: "STOPPING=1" in told)
        ended.set()
        listener.join()
    assert [word for word in told if word != "WATCHDOG=1"] == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


HEAD = parsing.parse(b'GET /a"b\\c?d HTTP/1.1\r\nHost: x')


def test_lines_of_the_access_log() -> None:
    reply = Reply(b"12345", status=200)
    common = access.line_maker("common")("192.0.2.7", HEAD, "crl", reply, 0.5)
    assert common.startswith("192.0.2.7 - - [")
    assert common.endswith('] "GET /a\\"b\\\\c?d HTTP/1.1" 200 5')
    entry = json.loads(access.line_maker("json")("192.0.2.7", HEAD, "crl", reply, 0.5))
    assert entry | {"time": ""} == {
        "time": "",
        "peer": "192.0.2.7",
        "request": 'GET /a"b\\c?d HTTP/1.1',
        "route": "crl",
        "status": 200,
        "size": 5,
        "seconds": 0.5,
    }
    head = parsing.parse(b"HEAD / HTTP/1.1\r\nHost: x")
    assert access.line_maker("common")("::1", head, "crl", reply, 0.5).endswith('"HEAD / HTTP/1.1" 200 -')
    with pytest.raises(UsageError):
        access.line_maker("xml")


def test_the_log_is_written_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = access.AccessLog(str(path))
    for number in range(5000):
        assert log.put(f"line {number}")
    log.close()
    assert path.read_text().splitlines() == [f"line {number}" for number in range(5000)]
    assert path.stat().st_mode & 0o007 == 0


def test_a_log_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError):
        access.AccessLog(str(tmp_path / "nothing" / "log"))
    full = access.AccessLog("/dev/full")
    assert full.put("lost")
    full.close()
    monkeypatch.setattr(limits, "SERVER_LOG_LINES_MAX", 0)
    log = access.AccessLog(str(tmp_path / "log"))
    assert not log.put("dropped")
    log.close()
