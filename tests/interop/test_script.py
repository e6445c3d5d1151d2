"""Script signatures against openssl and the shell, both ways, by the commands of docs/spec/script-signature.md."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from chopmark.core.artifact import Artifact
from chopmark.formats.script import FORMAT, languages
from tests.support import pki, probing
from tests.support.integrity import examine

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parent.parent.parent
VECTORS = ROOT / "tests" / "vectors" / "script"
SAMPLES = sorted((*VECTORS.glob("sample-*"), *VECTORS.glob("more-*")))
COMMANDS = (ROOT / "docs" / "spec" / "script-signature.md").read_text("utf-8")

every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)


def commands(title: str) -> str:
    """The shell commands that stand under a heading of the specification."""
    lines = COMMANDS[COMMANDS.index(f"### {title}\n") :].split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith("    "))
    stop = next(number for number, line in enumerate(lines) if number > start and line and not line.startswith("    "))
    return "\n".join(line.removeprefix("    ") for line in lines[start:stop])


def shell(title: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-eu", "-o", "pipefail", "-c", commands(title)]
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", **variables}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    world = pki.world()
    (tmp_path / "root.pem").write_bytes(world.root.pem)
    (tmp_path / "cert.pem").write_bytes(world.signer.pem)
    (tmp_path / "chain.pem").write_bytes(world.issuing.pem)
    (tmp_path / "key.pem").write_bytes(world.signer.private_pem())
    return tmp_path


def comment(sample: Path) -> str:
    language = languages.identify(sample.read_bytes(), sample.name).language
    assert language
    return language.comment


@every_sample
def test_openssl_verifies_what_we_sign(sample: Path, folder: Path) -> None:
    artifact = Artifact.from_bytes(sample.read_bytes(), sample.name)
    signed = probing.signed(FORMAT, artifact).render(artifact)
    (folder / "script").write_bytes(signed)
    done = shell("Checking by hand", folder, COMMENT=comment(sample))
    assert done.returncode == 0, done.stderr
    assert (folder / "content").read_bytes() == sample.read_bytes()
    changed = signed.replace(b"hello", b"hullo").replace(b"two", b"too").replace(b"done", b"gone")
    assert changed != signed
    (folder / "script").write_bytes(changed)
    assert shell("Checking by hand", folder, COMMENT=comment(sample)).returncode != 0


@every_sample
def test_we_verify_what_openssl_signs(sample: Path, folder: Path) -> None:
    (folder / "script").write_bytes(sample.read_bytes())
    newline = "\r" if sample.read_bytes().endswith(b"\r\n") else ""
    done = shell("Signing by hand", folder, COMMENT=comment(sample), CR=newline)
    assert done.returncode == 0, done.stderr
    signed = (folder / "signed").read_bytes()
    [answer] = examine(FORMAT, Artifact.from_bytes(signed, sample.name))
    assert answer.intact, answer.wrong


def test_the_vectors_by_hand(folder: Path) -> None:
    for path in sorted(VECTORS.glob("signed-*")):
        (folder / "script").write_bytes(path.read_bytes())
        done = shell("Checking by hand", folder, COMMENT=comment(path))
        assert done.returncode == 0, (path.name, done.stderr)
