"""`chopmark tsa`: init, serve, stamp, show."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest

from chopmark.cli import main
from chopmark.core import clock
from chopmark.envelopes import pem, timestamp
from chopmark.server import routes
from chopmark.server.http import serve
from tests.support import pki
from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody is there to be asked; names and data are in a folder of the test's own."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority with a time-stamp key, made by command: a folder that can be copied."""
    home = tmp_path_factory.mktemp("founded") / "home"
    command = ["ca", "init", "--name", "Example Ltd", "--url", "http://pki.example.com", "--type", "p256"]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.setenv("CHOPMARK_HOME", str(home))
        assert main([*command, "--no-passphrase"]) == 0
        assert main(["tsa", "init", "--type", "p256", "--no-key-passphrase"]) == 0
    assert "CN=Example Ltd Time Stamping" in said.getvalue()
    return home


@pytest.fixture
def made(founded: Path, tmp_path: Path) -> None:
    """One of the test's own."""
    shutil.copytree(founded, tmp_path / "home", symlinks=True)


@pytest.mark.usefixtures("made")
def test_init_once(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["tsa", "init", "--type", "p256", "--no-key-passphrase"]
    assert main(command) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*command, "--force", "--profile", "internal-time-stamping"]) == 0


@pytest.mark.usefixtures("made")
def test_stamp_and_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert main(["tsa", "stamp", "file", "--digest", "sha384"]) == 0
    assert "by CN=Example Ltd Time Stamping" in capsys.readouterr().out
    assert main(["tsa", "show", "file.tsr"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) > 20
    assert main(["tsa", "show", "file.tsr", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["digest"] == f"sha384:{hashlib.sha384(b'content').hexdigest()}"
    assert facts["policy"] == "2.23.140.1.4.2"
    assert main(["tsa", "stamp", "file", "--policy", "1.2.3.4", "-o", "other.tsr"]) == 0
    assert main(["tsa", "show", "other.tsr"]) == 0
    assert "1.2.3.4" in capsys.readouterr().out


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("arguments", [["none"], ["."], ["file", "--policy", "x"], ["file", "--policy", "1"]])
def test_stamp_refused(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["tsa", "stamp", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "file.tsr").exists()


@pytest.mark.parametrize("arguments", [["serve"], ["stamp", "file"]])
def test_without_an_authority_nothing_is_said_of_its_clock(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["tsa", *arguments, "--time-source", "machine"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "clock" not in said


def test_a_key_from_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = pki.world()
    (tmp_path / "tsa.key").touch(0o600)
    (tmp_path / "tsa.key").write_bytes(world.tsa.private_pem())
    (tmp_path / "tsa.crt").write_bytes(world.tsa.pem + world.issuing.pem)
    (tmp_path / "file").touch()
    assert main(["tsa", "stamp", "file", "--key", "tsa.key", "--cert", "tsa.crt"]) == 0
    assert "CN=Example Time" in capsys.readouterr().out
    assert main(["tsa", "stamp", "file", "--key", "tsa.key"]) == 1
    assert "needs its certificate" in capsys.readouterr().err
    assert main(["tsa", "stamp", "file"]) == 2
    assert "chopmark tsa init" in capsys.readouterr().err


@pytest.mark.parametrize("shape", ["token", "pem"])
def test_show_a_token(shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    info = timestamp.TstInfo("1.2.3", "sha256", bytes(32), 7, pki.NOW)
    token = timestamp.make_token(info, pki.world().tsa, pki.world().tsa.certificates)
    (tmp_path / "x.tst").write_bytes(pem.encode("PKCS7", token) if shape == "pem" else token)
    assert main(["tsa", "show", "x.tst"]) == 0
    assert "2026-07-01T12:00:00Z" in capsys.readouterr().out


@pytest.mark.parametrize(
    "data", [b"", b"text", b"\x30\x00", timestamp.response(None, 2, failure="badAlg"), pki.world().signer.der]
)
def test_show_what_is_none(data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.tsr").write_bytes(data)
    assert main(["tsa", "show", "x.tsr"]) == 2  # as with ocsp inspect: nothing is judged
    assert capsys.readouterr().err.count("\n") == 1


def test_stamp_from_afar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from chopmark.authority.tsa.tsa import TimeStampAuthority

    (tmp_path / "file").touch()
    authority = TimeStampAuthority(pki.world().tsa, pki.world().tsa.certificates, clock=lambda: pki.NOW)
    with serve(routes.time_stamps(authority)) as url:
        assert main(["tsa", "stamp", "file", "--url", url]) == 0
        assert main(["tsa", "stamp", "file", "--url", f"{url}nothing"]) == 3
    assert main(["tsa", "stamp", "file", "--url", url]) == 3
    assert "2026-07-01T12:00:00Z by CN=Example Time" in capsys.readouterr().out


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_serve(stop: signal.Signals) -> None:
    command = [sys.executable, "-m", "chopmark", "tsa", "serve", "--listen", "127.0.0.1:0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert server.stderr is not None
    line = server.stdout.readline()
    assert line.startswith("listening on http://127.0.0.1:")
    url = line.split()[-1]
    request = timestamp.request(bytes(32), "sha256", nonce=3)
    question = urllib.request.Request(url, request, {"Content-Type": timestamp.QUERY_TYPE})  # noqa: S310 - loopback
    with urllib.request.urlopen(question, timeout=PATIENCE) as answer:  # noqa: S310
        assert timestamp.token(answer.read(), request)
    for path in ("crl/code-signing.crl", "crl/root.crl", "aia/time-stamping.cer"):
        with urllib.request.urlopen(url + path, timeout=PATIENCE) as answer:  # noqa: S310
            assert answer.read(1) == b"0"
    server.send_signal(stop)
    assert server.wait(PATIENCE) == 0
    told = server.stderr.read()
    server.stdout.close()
    server.stderr.close()
    assert '"POST / HTTP/1.1" 200' in told
    assert "Traceback" not in told


@pytest.mark.usefixtures("made")
def test_serve_where_somebody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with serve({}) as url:
        assert main(["tsa", "serve", "--listen", url.removeprefix("http://").rstrip("/")]) == 4
    assert "cannot listen" in capsys.readouterr().err
    assert main(["tsa", "serve", "--listen", "127.0.0.1:70000"]) == 2
    assert os.getpid()


@pytest.mark.usefixtures("made")
def test_a_key_is_replaced_when_it_is_due(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["tsa", "init", "--type", "p256", "--no-key-passphrase", "--due"]
    path = tmp_path / "home" / "data" / "ca" / "tsa.pem"
    before = path.read_bytes()
    assert main(command) == 0
    assert "not due" in capsys.readouterr().out
    assert path.read_bytes() == before
    later = clock.now() + dt.timedelta(days=370)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert main(command) == 0
    assert "issued" in capsys.readouterr().out
    assert path.read_bytes() != before


@pytest.mark.usefixtures("made")
def test_policies_and_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(b"content")
    terms = ["--policy", "1.2.3.4", "--ordering", "--time-source", "machine"]
    times = []
    for _ in range(2):
        assert main(["tsa", "stamp", "file", *terms]) == 0
        assert "nobody measures it" in capsys.readouterr().err
        assert main(["tsa", "show", "file.tsr", "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["policy"] == "1.2.3.4"
        times.append(facts["time"])
    assert times == sorted(set(times))


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("--time-source", "sundial"), 2),
        (("--time-source", "ntp:"), 2),
        (("--time-source", "ntp:127.0.0.1:1"), 3),
        (("--policy", "x"), 2),
    ],
)
def test_terms_that_cannot_be(tmp_path: Path, arguments: tuple[str, ...], status: int) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert main(["tsa", "stamp", "file", *arguments]) == status
    assert not (tmp_path / "file.tsr").exists()
