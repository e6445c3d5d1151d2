"""Wheels beside Python's own tools: real ones pass, tampered ones are refused; signatures in both directions."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.cli import main
from tests.interop import corpus
from tests.support import pki, wheels
from tests.support.bare_keys import VECTORS
from tests.support.wheels import FILES, FOLDER, METADATA, NAME, WHEEL, Member, members, record, zipped

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.interop

PINS = (
    "numpy==1.26.4", "lxml==6.1.3", "cryptography==50.0.2", "pip==26.3", "setuptools==84.2.1", "setuptools==20.0",
    "Django==1.8.19", "six==1.10.0", "uv==0.13.9", "maturin==1.16.0", "flit-core==4.2.0",
    "pytz==2016.4", "plotly==7.1.0",
)  # fmt: skip
"""Of setuptools, bdist_wheel old and new, flit, hatchling, maturin, meson; with native code and without."""
SOURCES = ("tomli==2.5.0", "idna==3.20", "packaging==26.4")
"""Built by flit, whose backend pip needs to look at what it downloads."""


def run(*command: str | Path, cwd: Path | None = None) -> int:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False).returncode


def told(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    main(["verify", "--json", "--offline", str(path)])
    answer: dict[str, object] = json.loads(capsys.readouterr().out)
    return answer


def against(answer: dict[str, object]) -> set[str]:
    findings: list[dict[str, str]] = answer["findings"]  # type: ignore[assignment]
    return {each["code"] for each in findings if each["outcome"] in ("no", "unknown")} - {"seal.none"}


@pytest.mark.parametrize("pin", PINS)
def test_real_wheels_are_what_they_say(pin: str, capsys: pytest.CaptureFixture[str]) -> None:
    [path] = corpus.distributions(pin)
    answer = told(path, capsys)
    assert answer["format"] == "wheel"
    assert answer["status"] == "unsigned"
    assert against(answer) == set()


@pytest.mark.parametrize("pin", SOURCES)
def test_real_sdists_are_what_they_say(pin: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("flit_core", reason="pip asks the backend of an sdist that it downloads")
    [path] = corpus.distributions(pin, source=True)
    answer = told(path, capsys)
    assert answer["format"] == "sdist"
    assert against(answer) == set()


def test_a_wheel_and_an_sdist_that_are_built_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Our own, by hatchling."""
    project = Path(__file__).resolve().parents[2]
    build = "import sys, hatchling.build as b; b.build_wheel(sys.argv[1]); b.build_sdist(sys.argv[1])"
    assert run(sys.executable, "-c", build, str(tmp_path), cwd=project) == 0
    kinds = {told(path, capsys)["format"] for path in tmp_path.iterdir()}
    assert kinds == {"wheel", "sdist"}
    assert all(against(told(path, capsys)) == set() for path in tmp_path.iterdir())


# Who refuses what


def pip(path: Path, into: Path) -> bool:
    """Whether pip installs it."""
    command = (
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-compile",
        "--target",
        into,
        path,
    )
    return run(*command) == 0


def unpack(path: Path, into: Path) -> bool:
    """Whether the program of the project wheel, which compares RECORD, unpacks it."""
    return run(sys.executable, "-m", "wheel", "unpack", "-d", into, path) == 0


def unzip(path: Path, into: Path) -> bool:  # noqa: ARG001 - as the others
    return run("unzip", "-t", "-q", path) == 0


def zipfile_(path: Path, into: Path) -> bool:  # noqa: ARG001 - as the others
    return run(sys.executable, "-m", "zipfile", "-t", path) == 0


PEERS: dict[str, Callable[[Path, Path], bool]] = {"pip": pip, "wheel": unpack, "unzip": unzip, "zipfile": zipfile_}

ALL = {**FILES, f"{FOLDER}RECORD": record(FILES)}
SIX = METADATA.replace(b"Name: sample", b"Name: other")
UNDETECTED = frozenset({"pip", "wheel", "unzip", "zipfile"})
CASES: dict[str, tuple[bytes, str, frozenset[str]]] = {
    # what it is, what we call it, and who takes it all the same
    "changed": (wheels.wheel({**FILES, "sample.py": b"evil"}, FILES), "wheel.record_changed", UNDETECTED - {"wheel"}),
    "added": (wheels.wheel({**FILES, "evil.py": b"evil"}, FILES), "wheel.record_unlisted", UNDETECTED - {"wheel"}),
    "one place": (wheels.wheel({**FILES, "sample-1.0.data/purelib/sample.py": b"evil"}), "wheel.collides", UNDETECTED),
    "removed": (wheels.wheel(FILES, {**FILES, "more.py": b""}), "wheel.record_missing", UNDETECTED),
    "md5": (wheels.wheel(listed=record(FILES).replace(b"sha256", b"md5")), "wheel.record_weak", UNDETECTED - {"wheel"}),
    "no record": (zipped(members(FILES)), "wheel.record_form", UNDETECTED - {"pip", "wheel"}),
    "other project": (wheels.wheel({**FILES, f"{FOLDER}METADATA": SIX}), "python.name_differs", UNDETECTED),
    "version 2": (
        wheels.wheel({**FILES, f"{FOLDER}WHEEL": WHEEL.replace(b"1.0", b"2.0")}), "wheel.version", UNDETECTED - {"pip"},
    ),
    "two of them": (
        wheels.wheel({**FILES, "other-1.0.dist-info/METADATA": SIX}), "wheel.dist_info", UNDETECTED - {"pip"},
    ),
    "climbing": (wheels.wheel({**FILES, "../evil.py": b""}), "zip.name", UNDETECTED - {"pip"}),
    "absolute": (wheels.wheel({**FILES, "/tmp/chopmark-evil": b""}), "zip.name", UNDETECTED - {"pip"}),
    "checksum": (zipped([Member(b"evil.py", b"x", crc=1), *members(ALL)]), "zip.data", frozenset({"zipfile"})),
    "cut": (wheels.wheel()[:-30], "zip.end", frozenset()),
    "encrypted": (zipped([Member(b"evil.py", b"x" * 20, flags=1), *members(ALL)]), "zip.encrypted", frozenset()),
    "in front": (b"#!/bin/sh\nexit\n" + wheels.wheel(), "zip.end", UNDETECTED - {"unzip"}),
    "behind": (wheels.wheel() + b"\n", "zip.end", UNDETECTED),
    "twice": (zipped([*members(ALL), Member(b"sample.py", b"evil")]), "zip.duplicate", UNDETECTED - {"wheel"}),
    "two names": (
        zipped([Member(b"evil.py", b"", local_name=b"good.py"), *members(ALL)]), "zip.differs", frozenset({"zipfile"}),
    ),
    "link": (
        zipped([*members(ALL), Member(b"l", b"/etc/passwd", mode=0o120777)]), "zip.kind", UNDETECTED - {"wheel"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_refused_here_and_by_whom_else(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, code, takers = CASES[case]
    path = tmp_path / NAME
    path.write_bytes(data)
    answer = told(path, capsys)
    assert answer["status"] == "rejected"
    assert code in against(answer)
    accepted = set()
    for name, peer in PEERS.items():
        into = tmp_path / name
        into.mkdir()
        if peer(path, into):
            accepted.add(name)
    assert accepted == takers


def test_all_take_the_sound_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / NAME
    path.write_bytes(wheels.wheel())
    assert against(told(path, capsys)) == set()
    for name, peer in PEERS.items():
        (tmp_path / name).mkdir()
        assert peer(path, tmp_path / name), name


def test_python_and_unzip_read_two_archives_in_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second list of members in the comment of the last: Python finds it by a record of 64 bits, unzip does not."""
    path = tmp_path / NAME
    inner = zipped(members(ALL), end64=True)
    start = inner.index(b"PK\1\2")
    listing = inner[start:-22]
    data = bytearray(zipped([*members(ALL), Member(b"z", b"z", comment=listing)]))
    shift = data.rindex(listing) - start
    record64 = len(data) - 22 - 20 - 56
    data[record64 + 48 : record64 + 56] = (start + shift).to_bytes(8, "little")
    data[len(data) - 22 - 12 : len(data) - 22 - 4] = record64.to_bytes(8, "little")
    path.write_bytes(data)
    with zipfile.ZipFile(path) as opened:
        assert "z" not in opened.namelist()
    shown = subprocess.run(["unzip", "-Z1", path], capture_output=True, text=True, check=False).stdout.split()
    assert "z" in shown
    assert "zip.end" in against(told(path, capsys))


# Signatures


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(wheels.wheel())
    (tmp_path / "tampered").mkdir()
    (tmp_path / "tampered" / NAME).write_bytes(
        wheels.wheel({**FILES, "sample.py": b"evil"}, {**FILES, "sample.py": b"evil"})
    )
    return path


def both_ways(sound: Path, suffix: str, store: str, sign: list[str], verify: Callable[[Path], bool]) -> None:
    """They take what we sign; and when the wheel becomes another, sound in itself, neither does."""
    assert main(["sign", str(sound), *sign]) == 0
    tampered = sound.parent / "tampered" / NAME
    shutil.copy(f"{sound}{suffix}", f"{tampered}{suffix}")
    hold(sound, tampered, store, verify)


def hold(sound: Path, tampered: Path, store: str, verify: Callable[[Path], bool]) -> None:
    assert main(["verify", str(sound), "--store", store, "--offline", "--at", "2026-07-01"]) == 0
    assert verify(sound)
    assert main(["verify", str(tampered), "--store", store, "--offline", "--at", "2026-07-01"]) == 1
    assert not verify(tampered)


def test_minisign(sound: Path) -> None:
    key, public = VECTORS / "minisign" / "signer.key", VECTORS / "minisign" / "signer.pub"
    private = sound.with_name("minisign.key")
    private.write_bytes(key.read_bytes())
    private.chmod(0o600)

    def verify(path: Path) -> bool:
        return run("minisign", "-V", "-q", "-p", public, "-m", path) == 0

    both_ways(sound, ".minisig", str(public), ["--format", "minisign", "--key", f"minisign:{private}"], verify)
    assert run("minisign", "-S", "-W", "-s", private, "-m", sound) == 0
    hold(sound, sound.parent / "tampered" / NAME, str(public), verify)


def test_ssh_keygen(sound: Path) -> None:
    key, allowed = sound.with_name("ssh.key"), sound.with_name("allowed")
    assert run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key) == 0
    allowed.write_text("me " + key.with_suffix(".key.pub").read_text())

    def verify(path: Path) -> bool:
        command = ("ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "me", "-n", "file", "-s", f"{path}.sig")
        with path.open("rb") as file:
            return subprocess.run(command, stdin=file, capture_output=True, check=False).returncode == 0

    both_ways(sound, ".sig", str(allowed), ["--format", "ssh", "--key", f"ssh:{key}"], verify)
    Path(f"{sound}.sig").unlink()
    assert run("ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", "file", sound) == 0
    shutil.copy(f"{sound}.sig", sound.parent / "tampered" / f"{NAME}.sig")
    hold(sound, sound.parent / "tampered" / NAME, str(allowed), verify)


def test_gpg(sound: Path) -> None:
    home, public, secret = (sound.with_name(name) for name in ("h", "public.gpg", "secret.gpg"))
    home.mkdir(mode=0o700)
    gpg = ("gpg", "-q", "--homedir", home, "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", "")
    try:
        assert run(*gpg, "--quick-generate-key", "me@example.org", "ed25519", "sign", "never") == 0
        assert run(*gpg, "-o", public, "--export") == 0
        assert run(*gpg, "-o", secret, "--export-secret-keys") == 0
        secret.chmod(0o600)

        def verify(path: Path) -> bool:
            return run("gpgv", "--keyring", public, f"{path}.asc", path) == 0

        def ours(path: Path) -> int:
            return main(["verify", str(path), "--store", str(public), "--offline"])

        tampered = sound.parent / "tampered" / NAME
        for sign in ("ours", "theirs"):
            ours_ = ["sign", str(sound), "--format", "openpgp", "--key", f"openpgp:{secret}"]
            assert (main(ours_) if sign == "ours" else run(*gpg, "--armor", "--detach-sign", sound)) == 0
            shutil.copy(f"{sound}.asc", f"{tampered}.asc")
            assert (ours(sound), verify(sound)) == (0, True)
            assert (ours(tampered), verify(tampered)) == (1, False)
    finally:
        run("gpgconf", "--homedir", home, "--kill", "all")


def test_openssl(sound: Path) -> None:
    world = pki.world()
    for name, data in (
        ("root.pem", world.root.pem),
        ("chain.pem", world.issuing.pem),
        ("signer.pem", world.signer.pem),
        ("both.pem", world.signer.pem + world.issuing.pem),
        ("signer.key", world.signer.private_pem()),
    ):
        sound.with_name(name).write_bytes(data)
    sound.with_name("signer.key").chmod(0o600)
    root, folder = str(sound.with_name("root.pem")), sound.parent

    def verify(path: Path) -> bool:
        command = ("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", f"{path}.p7s", "-content", path)
        return run(*command, "-purpose", "any", "-CAfile", root, "-out", "/dev/null") == 0

    key = ["--key", str(folder / "signer.key"), "--cert", str(folder / "both.pem")]
    both_ways(sound, ".p7s", root, [*key, "--signing-time", "2026-07-01"], verify)
    sign = ("openssl", "cms", "-sign", "-binary", "-md", "sha256", "-signer", "signer.pem", "-inkey", "signer.key")
    assert run(*sign, "-certfile", "chain.pem", "-in", NAME, "-outform", "DER", "-out", f"{NAME}.p7s", cwd=folder) == 0
    shutil.copy(f"{sound}.p7s", folder / "tampered" / f"{NAME}.p7s")
    hold(sound, folder / "tampered" / NAME, root, verify)


def test_a_line_that_pip_alone_sees_in_record_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """pip notes a file that was there before as one of the project's; uninstalling deletes it."""
    name, victim = f"a\u2028{tmp_path}/victim", tmp_path / "victim"
    files = {**FILES, name: b"x"}
    data = {**files, f"{FOLDER}RECORD": record(files)}
    made = [Member(each.encode(), body, flags=0 if each.isascii() else 0x800) for each, body in data.items()]
    path = tmp_path / NAME
    path.write_bytes(zipped(made))
    assert "wheel.record_form" in against(told(path, capsys))
    victim.touch()
    into = tmp_path / "into"
    assert pip(path, into)
    [noted] = into.rglob("RECORD")
    assert any(line.startswith(str(victim)) for line in noted.read_text("utf-8").split("\n"))
