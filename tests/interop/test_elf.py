"""Real programs and libraries, which run after signing; openssl, and the tools that read ELF, as judges."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import lief
import pytest

from chopmark.core import patch as patches
from chopmark.core.artifact import Artifact
from chopmark.core.contracts import Content
from chopmark.core.seal import DATA
from chopmark.core.verdict import Status
from chopmark.engine import check, sign
from chopmark.envelopes import cms
from chopmark.formats._appended import trailer
from chopmark.formats._elf import header
from tests.contract import laws
from tests.support import pki, stuffing

pytestmark = pytest.mark.interop

SOURCE = """
#include <stdio.h>
int answer(void) { return 42; }
int main(void) { printf("%d\\n", answer()); return 7; }
"""
FORMS = {
    "pie": ["-pie", "-fPIE"],
    "plain": ["-no-pie"],
    "static": ["-static"],
    "static-pie": ["-static-pie", "-fPIE"],
    "stripped": ["-s"],
    "debug": ["-g"],
}


def run(*command: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, check=False)


def compiled(folder: Path, *options: str, compiler: str = "gcc", name: str = "tool") -> Path:
    source, path = folder / "source.c", folder / name
    source.write_text(SOURCE)
    made = run(compiler, "-o", path, source, *options)
    assert made.returncode == 0, made.stderr
    return path


def signed(path: Path) -> bytes:
    """Sign it in place; what it was before."""
    before = path.read_bytes()
    with Artifact.open(path) as artifact:
        sign.write(artifact, sign.sign(artifact, laws.request()))
    return before


def stripped(path: Path) -> bytes:
    with Artifact.open(path) as artifact:
        for patch in sign.stripped(artifact):
            patches.apply(patch, artifact)
    return path.read_bytes()


def status(path: Path) -> Status:
    return check.check_path(str(path), laws.court(path.parent)).status


@pytest.mark.parametrize("form", FORMS)
def test_programs_run_and_come_back(form: str, tmp_path: Path) -> None:
    path = compiled(tmp_path, *FORMS[form])
    assert status(path) is Status.UNSIGNED
    before = signed(path)
    assert status(path) is Status.TRUSTED
    ran = run(path)
    assert (ran.returncode, ran.stdout) == (7, b"42\n")
    data = path.read_bytes()
    for place in (5, 70, len(before) // 2, len(before) - 1):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert status(path) is not Status.TRUSTED
    path.write_bytes(data)
    assert stripped(path) == before


def test_a_library_is_loaded(tmp_path: Path) -> None:
    path = compiled(tmp_path, "-shared", "-fPIC", name="libtool.so")
    before = signed(path)
    assert ctypes.CDLL(str(path)).answer() == 42
    assert status(path) is Status.TRUSTED
    assert stripped(path) == before


@pytest.mark.parametrize("options", [["-static"], []], ids=["static", "dynamic"])
def test_32_bits_and_big_endian(options: list[str], tmp_path: Path) -> None:
    compiler = "powerpc-linux-gnu-gcc"
    if not shutil.which(compiler):
        pytest.skip("no cross-compiler for a big-endian machine is installed")
    path = compiled(tmp_path, *options, compiler=compiler)
    before = signed(path)
    assert status(path) is Status.TRUSTED
    assert b"Error" not in run("readelf", "-hlS", path).stderr
    assert stripped(path) == before


PROGRAMS = ("true", "ls", "bash", "sed", "tar", "gzip", "python3", "openssl", "git", "gcc", "perl", "ssh")


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_of_this_system(name: str, tmp_path: Path) -> None:
    found = Path(shutil.which(name, path="/usr/bin:/bin") or "/missing")
    if not found.exists() or not found.resolve().read_bytes().startswith(b"\x7fELF"):
        pytest.skip(f"there is no program {name} here")
    path = tmp_path / name
    shutil.copy(found.resolve(), path)
    asked = [] if name == "true" else ["-V"] if name in ("python3", "ssh") else ["--version"]
    asked = ["version"] if name == "openssl" else asked
    before_signing = run(path, *asked)
    before = signed(path)
    assert status(path) is Status.TRUSTED
    after = run(path, *asked)
    assert (after.returncode, after.stdout) == (before_signing.returncode, before_signing.stdout)
    assert stripped(path) == before


def test_openssl_accepts_the_signature(tmp_path: Path) -> None:
    path = compiled(tmp_path)
    before = signed(path)
    data = path.read_bytes()
    envelope, content, root = tmp_path / "envelope", tmp_path / "content", tmp_path / "root.pem"
    length = int.from_bytes(data[-len(trailer.MARK) - 4 : -len(trailer.MARK)], "big")
    envelope.write_bytes(data[-len(trailer.MARK) - 12 - length : -len(trailer.MARK) - 12])
    root.write_bytes(pki.world().root.pem)
    asking: list[str | Path] = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", envelope]
    asking += ["-CAfile", root, "-purpose", "any", "-attime", str(int(pki.NOW.timestamp()))]
    asking += ["-content", content, "-out", "/dev/null"]
    content.write_bytes(before)
    assert run(*asking).returncode == 0
    content.write_bytes(before[:-1] + b"?")
    assert run(*asking).returncode != 0


def test_openssl_signs_what_we_trust(tmp_path: Path) -> None:
    entity = pki.world().signer
    path = compiled(tmp_path)
    key, certificate, more, envelope = (tmp_path / name for name in ("key", "certificate", "more", "envelope"))
    key.write_bytes(entity.private_pem())
    certificate.write_bytes(entity.pem)
    more.write_bytes(pki.world().issuing.pem)
    made = run(
        *("openssl", "cms", "-sign", "-binary", "-md", "sha256", "-outform", "DER", "-in", path, "-out", envelope),
        *("-signer", certificate, "-inkey", key, "-certfile", more, "-nosmimecap"),
    )
    assert made.returncode == 0, made.stderr
    data = path.read_bytes()
    path.write_bytes(data + trailer.appended(envelope.read_bytes()))
    assert status(path) is Status.TRUSTED
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]) + trailer.appended(envelope.read_bytes()))
    assert status(path) is Status.REJECTED


def test_the_readers_of_elf_see_the_same_program(tmp_path: Path) -> None:
    path = compiled(tmp_path)
    before = run("readelf", "-aW", path).stdout
    unsigned = lief.ELF.parse(str(path))  # its parts are good only as long as it is kept
    segments = [(int(each.type), each.file_offset, each.physical_size) for each in unsigned.segments]
    data = signed(path)
    assert run("readelf", "-aW", path).stdout == before
    seen = lief.ELF.parse(str(path))
    assert [(int(each.type), each.file_offset, each.physical_size) for each in seen.segments] == segments
    assert bytes(seen.overlay) == path.read_bytes()[len(data) :]
    with Artifact.open(path) as artifact:
        ours = header.read(artifact.view, len(data))
    assert [(each.offset, each.size) for each in ours.segments] == [each[1:] for each in segments]


@pytest.mark.parametrize("tool", ["strip", "objcopy", "patchelf"])
def test_tools_that_write_elf_leave_no_signature_that_passes(tool: str, tmp_path: Path) -> None:
    path, out = compiled(tmp_path), tmp_path / "out"
    signed(path)
    commands = {
        "strip": ("strip", "-o", out, path),
        "objcopy": ("objcopy", path, out),
        "patchelf": ("patchelf", "--set-rpath", "/opt/lib", "--output", out, path),
    }
    assert run(*commands[tool]).returncode == 0
    assert status(out) in (Status.UNSIGNED, Status.REJECTED)
    assert run(out).stdout == b"42\n"


def test_programs_with_something_behind_them(tmp_path: Path) -> None:
    """An archive behind the program, as self-extracting ones have it: Python finds it with the signature behind."""
    path = compiled(tmp_path)
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("__main__.py", "print('from the archive')")
    path.write_bytes(path.read_bytes() + archive.read_bytes())
    before = signed(path)
    assert status(path) is Status.TRUSTED
    assert run(path).stdout == b"42\n"
    assert run(sys.executable, path).stdout == b"from the archive\n"
    assert stripped(path) == before


def test_an_archive_in_the_signature_is_not_run_by_who_verifies_first(tmp_path: Path) -> None:
    """Python runs what a certificate of nobody's carries, and what was signed is as it was."""
    path = compiled(tmp_path)
    signer = pki.world().signer
    content = Content(DATA, "sha256", hashlib.sha256(path.read_bytes()).digest())
    more = (*signer.certificates, stuffing.certificate(stuffing.archive()))
    draft = cms.draft(content, signer, more, signing_time=pki.NOW)
    path.write_bytes(path.read_bytes() + trailer.appended(draft.finish(signer.sign(draft.to_be_signed, "sha256"))))
    assert run(path).stdout == b"42\n"
    assert run(sys.executable, path).stdout == b"from the signature\n"
    assert status(path) is Status.REJECTED
