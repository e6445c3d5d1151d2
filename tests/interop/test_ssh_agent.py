"""Keys in OpenSSH's own agent: they sign what openssl verifies; locked, unconfirmed and dead agents are told apart."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark import keys
from chopmark.cli import main
from chopmark.core.errors import RefusedError, UnavailableError
from chopmark.envelopes import pem
from chopmark.keys.errors import UnusableKeyError
from tests.support.patience import PATIENCE, eventually
from tests.support.ports import listens

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.interop

CHOPMARK = Path(sys.executable).with_name("chopmark")
KINDS = {
    "rsa": ("-t", "rsa", "-b", "3072"),
    "p256": ("-t", "ecdsa", "-b", "256"),
    "p384": ("-t", "ecdsa", "-b", "384"),
    "p521": ("-t", "ecdsa", "-b", "521"),
    "ed25519": (
        "-t",
        "ed25519",
    ),
}
DATA = b"name,price\nchop,1\n"


@dataclass
class Agent:
    """A running ssh-agent with a key of each kind."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def socket(self) -> str:
        return str(self.folder / "agent")

    def run(self, *words: str | Path, status: int = 0, given: str = "") -> str:
        environment = {**os.environ, "SSH_AUTH_SOCK": self.socket, "SSH_ASKPASS": "/bin/false", "DISPLAY": ":9"}
        done = subprocess.run(
            [str(word) for word in words],
            env={**environment, "SSH_ASKPASS_REQUIRE": "force" if not given else "never"},
            cwd=self.folder,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr


@contextmanager
def running(folder: Path) -> Iterator[Agent]:
    folder.mkdir()
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(folder / "agent")],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "SSH_ASKPASS": "/bin/false", "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":9"},
    )
    try:
        agent = Agent(folder, process)
        eventually(lambda: listens(folder / "agent"))
        yield agent
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with running(tmp_path_factory.mktemp("ssh") / "agent") as started:
        for kind, words in KINDS.items():
            started.run("ssh-keygen", "-q", *words, "-N", "", "-C", f"key {kind}", "-f", kind)
            started.run("ssh-add", "-q", kind)
        yield started


@pytest.fixture
def spare(tmp_path: Path) -> Iterator[Agent]:
    with running(tmp_path / "agent") as started:
        started.run("ssh-keygen", "-q", *KINDS["p256"], "-N", "", "-C", "key", "-f", "key")
        yield started


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_verifies_the_bare_signature(kind: str, agent: Agent) -> None:
    signer = keys.open_key(f"ssh-agent:comment=key%20{kind}?socket={agent.socket}")
    (agent.folder / "data").write_bytes(DATA)
    (agent.folder / "public.pem").write_bytes(pem.encode("PUBLIC KEY", signer.public_key))
    digests = {"rsa": ("sha256", "sha512"), "p384": ("sha384",), "p521": ("sha512",)}.get(kind, ("sha256",))
    for digest in digests:
        (agent.folder / "signature").write_bytes(signer.sign(DATA, digest))
        how = () if kind == "ed25519" else ("-digest", digest)
        check = ("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "public.pem", "-rawin", *how)
        agent.run(*check, "-sigfile", "signature", "-in", "data")
        (agent.folder / "changed").write_bytes(DATA + b"!")
        agent.run(*check, "-sigfile", "signature", "-in", "changed", status=1)


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_signed_in_two_processes_with_a_digest_that_the_key_has(
    kind: str, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", agent.socket)
    key = f"ssh-agent:comment=key%20{kind}"
    public = tmp_path / "public.pem"
    public.write_bytes(pem.encode("PUBLIC KEY", keys.open_key(key).public_key))
    ca = str(tmp_path / "ca")
    assert (
        main(
            [
                "ca",
                "init",
                "--ca",
                ca,
                "--name",
                "Mint",
                "--url",
                "http://pki.example.com/",
                "--type",
                "p256",
                "--no-passphrase",
                "--no-trust",
            ]
        )
        == 0
    )
    assert (
        main(
            [
                "ca",
                "issue",
                "--ca",
                ca,
                "--profile",
                "internal",
                "--public-key",
                str(public),
                "--subject",
                "CN=Me",
                "-o",
                str(tmp_path / "cert.pem"),
            ]
        )
        == 0
    )
    files = [tmp_path / f"{number}.csv" for number in range(6)]
    for path in files:
        path.write_bytes(DATA)
    assert main(["sign", "-j", "2", "--key", key, "--cert", str(tmp_path / "cert.pem"), *map(str, files)]) == 0
    root = f"{ca}/public/aia/root.cer"
    verify = ["verify", "--store", root, "--revocation", "off"]
    assert main([*verify, *map(str, files)]) == 0
    files[0].write_bytes(DATA + b"!")
    assert main([*verify, str(files[0])]) == 1


def test_keys_are_listed(agent: Agent) -> None:
    said = agent.run(CHOPMARK, "key", "list", "ssh-agent:")
    for line in agent.run("ssh-add", "-l").splitlines():
        assert line.split()[1] in said


def test_a_locked_agent_shows_no_key_and_signs_nothing(spare: Agent) -> None:
    spare.run("ssh-add", "-q", "key")
    signer = keys.open_key(f"ssh-agent:comment=key?socket={spare.socket}")
    signer.sign(DATA, "sha256")
    _lock(spare, "-x")
    with pytest.raises(RefusedError, match="locked"):
        signer.sign(DATA, "sha256")
    with pytest.raises(UnusableKeyError, match="locked"):
        keys.open_key(f"ssh-agent:comment=key?socket={spare.socket}")
    _lock(spare, "-X")
    signer.sign(DATA, "sha256")


def _lock(agent: Agent, option: str) -> None:
    """ssh-add asks at a terminal or by a program; here a program that says always the same."""
    answer = agent.folder / "answer"
    answer.write_text("#!/bin/sh\necho secret\n")
    answer.chmod(0o700)
    environment = {**os.environ, "SSH_AUTH_SOCK": agent.socket, "SSH_ASKPASS": str(answer), "DISPLAY": ":9"}
    subprocess.run(
        ["ssh-add", option],
        env={**environment, "SSH_ASKPASS_REQUIRE": "force"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=True,
    )


def test_a_key_whose_use_nobody_confirms_does_not_sign(spare: Agent) -> None:
    spare.run("ssh-add", "-q", "-c", "key")
    signer = keys.open_key(f"ssh-agent:comment=key?socket={spare.socket}")
    with pytest.raises(RefusedError, match="declined"):
        signer.sign(DATA, "sha256")


def test_a_key_that_was_removed_and_an_agent_that_died(spare: Agent) -> None:
    spare.run("ssh-add", "-q", "key")
    signer = keys.open_key(f"ssh-agent:comment=key?socket={spare.socket}")
    spare.run("ssh-add", "-q", "-d", "key")
    with pytest.raises(RefusedError, match="removed"):
        signer.sign(DATA, "sha256")
    spare.process.terminate()
    spare.process.wait(PATIENCE)
    with pytest.raises(UnavailableError):
        signer.sign(DATA, "sha256")
