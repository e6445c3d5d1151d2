"""Bad input through the command line: one clear answer, the right exit status, never a traceback, bounded memory."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from chopmark.core import digest as digests
from chopmark.core import reasons
from chopmark.core.artifact import FileView
from chopmark.core.contracts import Content
from chopmark.envelopes import cms, der
from tests.support import pki, preloaded
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

COMMAND = [sys.executable, "-c", "from chopmark.cli import entry; entry()"]
"""What the installed command `chopmark` does."""
NOBODY = 65534
MIB = 1 << 20
MEMORY_MAX = 150 * MIB
"""What one process may use, however large the file is."""
PE = Path(__file__).parent.parent / "vectors" / "pe" / "sample-program64.exe"


class Answer(NamedTuple):
    """What a command said, and what it cost."""

    status: int
    out: str
    error: str
    memory: int

    @property
    def verdicts(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Desk:
    """A key, its certificates, a root to trust, and a command line to use them with."""

    def __init__(self, folder: Path) -> None:
        world = pki.world()
        self.folder = folder
        self.root = folder / "root.pem"
        self.root.write_bytes(world.root.pem)
        self.key = folder / "key.pem"
        self.key.touch(0o600)
        self.key.write_bytes(world.signer.private_pem())
        self.certificates = folder / "certificates.pem"
        self.certificates.write_bytes(world.signer.pem + world.issuing.pem)
        self.judging = ["--store", str(self.root), "--offline", "--revocation", "off", "--at", "2026-07-01"]
        self.signing = ["--key", str(self.key), "--cert", str(self.certificates), "--signing-time", "2026-07-01"]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "CHOPMARK_HOME": str(self.folder / "home")}

    def run(self, *arguments: object, stdout: int | IO[str] = subprocess.PIPE) -> Answer:
        """Run to the end, and hold it to what holds for every command."""
        words = map(str, arguments)
        with preloaded.Process(*words, stdout=stdout, stderr=subprocess.PIPE, env=self.environment) as process:
            try:
                out, error = (os.fsdecode(each) for each in process.communicate(timeout=2 * PATIENCE))
            except subprocess.TimeoutExpired:
                process.kill()
                pytest.fail(f"hung: {process.args}")
        assert "Traceback" not in error
        assert "internal error" not in error
        return Answer(process.wait(), out, error, 0)

    def measure(self, *arguments: object) -> Answer:
        """As `run`, with the most memory that it or a process of its used, in bytes."""
        program = (
            "import resource, subprocess, sys\n"
            "done = subprocess.run(sys.argv[1:], capture_output=True, text=True)\n"
            "sys.stdout.write(done.stdout); sys.stderr.write(done.stderr)\n"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)\n"
            "sys.exit(done.returncode)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, *COMMAND, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=self.environment,
        )
        assert "Traceback" not in done.stderr
        *out, memory = done.stdout.splitlines()
        return Answer(done.returncode, "\n".join(out), done.stderr, int(memory))

    def verify(self, *paths: object) -> Answer:
        return self.run("verify", *self.judging, *paths)

    def sign(self, *arguments: object) -> Answer:
        return self.run("sign", *self.signing, *arguments)


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"))


def one_line(text: str) -> bool:
    return text.count("\n") == 1 and text.endswith("\n") and len(text) > 1


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


# Paths that are no files, or none to be read


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


STRANGE: dict[str, tuple[Callable[[Path], object], reasons.Reason]] = {
    "missing": (lambda _: None, reasons.INPUT_MISSING),
    "directory": (Path.mkdir, reasons.INPUT_NOT_A_FILE),
    "fifo": (make_fifo, reasons.INPUT_NOT_A_FILE),
    "socket": (make_socket, reasons.INPUT_NOT_A_FILE),
    "link to itself": (lambda path: path.symlink_to(path.name), reasons.INPUT_UNREADABLE),
    "link to a device": (lambda path: path.symlink_to("/dev/zero"), reasons.INPUT_NOT_A_FILE),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_verify_says_what_is_no_file_and_is_undecided(desk: Desk, tmp_path: Path, kind: str) -> None:
    make, reason = STRANGE[kind]
    path = tmp_path / "it.exe"
    make(path)
    answer = desk.verify("--json", path)
    assert (answer.status, answer.error) == (3, "")
    [verdict] = answer.verdicts
    assert (verdict["path"], verdict["status"]) == (str(path), "undecided")
    assert [finding["code"] for finding in verdict["findings"]] == [reason.code]  # type: ignore[attr-defined]
    said, _, remedy = desk.verify(path).out.partition("\n           -> ")  # folders have one
    assert one_line(said if said.endswith("\n") else f"{said}\n")
    assert reason.code in said
    assert bool(remedy) == (kind == "directory")


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("verb", ["sign", "inspect", "strip"])
def test_others_refuse_what_is_no_file_in_one_line(desk: Desk, tmp_path: Path, kind: str, verb: str) -> None:
    make, _ = STRANGE[kind]
    path = tmp_path / "it.exe"
    make(path)
    answer = desk.sign(path) if verb == "sign" else desk.run(verb, path)
    assert answer.status == 2
    assert answer.out == ""
    assert one_line(answer.error)
    assert "it.exe" in answer.error


def test_an_unreadable_file_is_said_to_be_unreadable(desk: Desk) -> None:
    program = (
        "import io, os, sys, contextlib\n"
        "from chopmark.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()): main(sys.argv[1:-1] + [sys.executable])\n"  # loads everything
        f"if os.geteuid() == 0: os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder, "secret.exe")
        path.write_bytes(b"MZ")
        path.chmod(0)
        root = Path(folder, "root.pem")
        root.write_bytes(desk.root.read_bytes())
        root.chmod(0o644)
        done = subprocess.run(
            [sys.executable, "-c", program, "verify", "-j1", "--offline", "--store", str(root), "--json", str(path)],
            env={**os.environ, "CHOPMARK_HOME": folder},  # root's own home is closed to nobody
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (3, "")
    verdict = json.loads(done.stdout)
    assert [finding["code"] for finding in verdict["findings"]] == [reasons.INPUT_UNREADABLE.code]


def test_the_worst_of_many_decides_and_every_path_is_reported(desk: Desk, tmp_path: Path) -> None:
    good = tmp_path / "good.sh"
    good.write_bytes(b"#!/bin/sh\ntrue\n")
    assert desk.sign(good).status == 0
    paths = [tmp_path / "missing", good, tmp_path, good]
    answer = desk.verify("--json", *paths)
    assert answer.status == 3
    assert [verdict["status"] for verdict in answer.verdicts] == ["undecided", "trusted", "undecided", "trusted"]
    (tmp_path / "plain").write_bytes(b"x")
    assert desk.verify("--json", *paths, tmp_path / "plain").status == 1
    assert desk.verify("--json", good).status == 0


@pytest.mark.parametrize(
    "name", [b"a\x1b[31mred.sh", b"line\nbreak.sh", b"caf\xe9.sh", b"-rf.sh", "ä\u202e.sh".encode()]
)
def test_names_steer_no_terminal_and_break_no_json(desk: Desk, tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(b"#!/bin/sh\ntrue\n")
    for answer in (desk.sign(path), desk.verify(path), desk.verify(tmp_path / (path.name + "x")), desk.sign(tmp_path)):
        assert "\x1b" not in answer.out + answer.error
        assert "\u202e" not in answer.out + answer.error
    answer = desk.verify("--json", path)
    assert answer.status == 0
    assert len(answer.verdicts) == 1
    assert os.fsencode(str(answer.verdicts[0]["path"])).endswith(name)


# Contents


CONTENTS = {
    "empty": (b"", "a.exe", 1),
    "one byte": (b"M", "a.exe", 1),
    "cut off": (PE.read_bytes()[:200], "a.exe", 1),
    "an empty script": (b"", "a.ps1", 1),
    "zeros": (bytes(100_000), "a.ps1", 1),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_poor_files_are_unsigned_or_rejected(desk: Desk, tmp_path: Path, kind: str) -> None:
    data, name, status = CONTENTS[kind]
    path = tmp_path / name
    path.write_bytes(data)
    answer = desk.verify("--json", path)
    assert (answer.status, answer.error) == (status, "")
    assert answer.verdicts[0]["status"] in ("unsigned", "rejected")


def nested(depth: int) -> bytes:
    """Values in values, each of them right."""
    header, size = bytearray(), 0
    layers = []
    for _ in range(depth):
        layer = der.encode(der.SEQUENCE, bytes(size))[: -size or None]
        layers.append(layer)
        size += len(layer)
    for layer in reversed(layers):
        header += layer
    return bytes(header)


ENVELOPES = {
    "nothing": b"",
    "deep": nested(100_000),
    "deep and indefinite": b"\x30\x80" * 100_000,
    "wide": der.sequence(b"\x05\x00" * 2_000_000),
    "huge": der.sequence(der.octet_string(bytes(20 * MIB))),
    "a long number": der.sequence(der.integer(1 << 200_000)),
    "no PEM": b"-----BEGIN CMS-----\n" * 100_000,
}


@pytest.mark.parametrize("kind", ENVELOPES)
def test_hostile_signatures_are_rejected_in_good_time(desk: Desk, tmp_path: Path, kind: str) -> None:
    envelope = ENVELOPES[kind]
    notes = tmp_path / "notes.txt"
    notes.write_bytes(b"notes")
    (tmp_path / "notes.txt.p7s").write_bytes(envelope)
    image = tmp_path / "image.exe"
    unsigned = bytearray(PE.read_bytes())
    header = int.from_bytes(unsigned[0x3C:0x40], "little")
    table = (len(envelope) + 8).to_bytes(4, "little") + b"\x00\x02\x02\x00" + envelope
    table += bytes(-len(table) % 8)
    directory = header + 24 + 112 + 8 * 4
    unsigned += bytes(-len(unsigned) % 8)
    unsigned[directory : directory + 8] = len(unsigned).to_bytes(4, "little") + len(table).to_bytes(4, "little")
    image.write_bytes(unsigned + table)
    answer = desk.measure("verify", *desk.judging, "--json", "-j1", notes, image)
    assert answer.status in (1, 3)
    assert [verdict["status"] in ("rejected", "undecided") for verdict in answer.verdicts] == [True, True], answer
    assert answer.memory < MEMORY_MAX


def test_many_enormous_certificates_do_not_add_up(desk: Desk, tmp_path: Path) -> None:
    """Each file has a certificate of 200 KiB with a name of its own, of which nothing must stay in memory."""
    parts = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, f"unit 00000 {part:050}") for part in range(2500)]
    signer = pki.issue(x509.Name(parts), pki.key("p256", "enormous"), pki.world().root, [])
    content = Content("1.2.840.113549.1.7.1", "sha256", digests.of(b"x", "sha256"))
    draft = cms.draft(content, signer, signer.certificates, signing_time=pki.NOW)
    envelope = draft.finish(signer.sign(draft.to_be_signed, "sha256"))
    paths = [tmp_path / f"{number}.bin" for number in range(40)]
    for number, path in enumerate(paths):
        path.write_bytes(b"x")
        path.with_suffix(".bin.p7s").write_bytes(envelope.replace(b"unit 00000", f"unit {number:05}".encode()))
    answer = desk.measure("verify", "-j1", *desk.judging, *paths)
    assert answer.status == 1
    assert answer.memory < 75 * MIB  # one that keeps what it found of each has 90


@pytest.fixture
def enormous(tmp_path: Path) -> Iterator[Path]:
    """Two gibibytes and some, of which the file system keeps almost nothing.

    Reading holes takes no time in memory; on a disk the kernel fills pages with zeros first, which takes longer than
    all that is tested here.
    """
    with contextlib.ExitStack() as stack:
        folder = tmp_path
        if os.access("/dev/shm", os.W_OK):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")))
        path = folder / "enormous.bin"
        with path.open("wb") as file:
            file.truncate((2 << 30) + 12345)
        yield path
        path.unlink()


def test_two_gibibytes_are_signed_and_checked_in_little_memory(desk: Desk, enormous: Path) -> None:
    signed = desk.measure("sign", *desk.signing, "--format", "detached", enormous)
    assert (signed.status, signed.error) == (0, "")
    verified = desk.measure("verify", *desk.judging, enormous)
    assert verified.status == 0
    assert max(signed.memory, verified.memory) < MEMORY_MAX


def test_an_image_of_two_gibibytes_is_looked_at_in_little_memory(desk: Desk, enormous: Path) -> None:
    image = enormous.rename(enormous.with_suffix(".exe"))
    with image.open("r+b") as file:
        file.write(PE.read_bytes())
    try:
        prepared = desk.measure("sign", "--digest-only", "--cert", desk.certificates, *desk.signing[-2:], image)
        assert (prepared.status, prepared.error) == (0, "")
        verified = desk.measure("verify", *desk.judging, image)
        assert verified.status == 1
        assert max(prepared.memory, verified.memory) < MEMORY_MAX
    finally:
        image.rename(enormous)


def test_a_script_of_two_gibibytes_is_too_large_and_said_to_be(desk: Desk, enormous: Path) -> None:
    script = enormous.rename(enormous.with_suffix(".ps1"))
    try:
        verified = desk.measure("verify", *desk.judging, "--json", script)
        assert verified.status == 3
        assert reasons.INPUT_TOO_LARGE.code in verified.out
        assert verified.memory < MEMORY_MAX
        signed = desk.measure("sign", *desk.signing, script)
        assert signed.status == 2
        assert one_line(signed.error)
    finally:
        script.rename(enormous)


# Files that change, disks that are full, people who press Ctrl-C


def test_a_file_that_changes_while_it_is_read_is_undecided(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from chopmark.cli import main

    path = tmp_path / "log.txt"
    path.write_bytes(b"x" * 3 * MIB)
    assert desk.sign("--format", "detached", path).status == 0
    real = FileView.read

    def appends(view: FileView, offset: int, length: int) -> bytes:
        data = real(view, offset, length)
        if view.size == 3 * MIB and offset == MIB:
            with path.open("ab") as file:
                file.write(b"more")
        return data

    monkeypatch.setattr(FileView, "read", appends)
    assert main(["verify", *desk.judging, "--json", "-j1", str(path)]) == 3
    assert reasons.INPUT_CHANGED.code in capsys.readouterr().out


def test_a_file_that_changes_while_it_is_signed_is_left_alone(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from chopmark.cli import main

    path = tmp_path / "tool.exe"
    path.write_bytes(PE.read_bytes())
    real = FileView.read

    def turns(view: FileView, offset: int, length: int) -> bytes:
        data = real(view, offset, length)
        if view.size == path.stat().st_size == PE.stat().st_size:
            with path.open("ab") as file:
                file.write(b"!")
        return data

    monkeypatch.setattr(FileView, "read", turns)
    assert main(["sign", *desk.signing, "-j1", str(path)]) in (1, 2)
    assert one_line(capsys.readouterr().err)
    assert path.read_bytes() == PE.read_bytes() + b"!"
    assert names(tmp_path) == {"tool.exe"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, mounted for one test."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system is not permitted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_the_file_as_it_was(desk: Desk, small_disk: Path) -> None:
    path = small_disk / "tool.exe"
    content = PE.read_bytes() + bytes(200_000)
    path.write_bytes(content)
    answer = desk.sign(path)
    assert (answer.status, answer.out) == (4, "")
    assert one_line(answer.error)
    assert "No space left" in answer.error
    assert path.read_bytes() == content
    assert names(small_disk) == {"tool.exe"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupted_sign_leaves_whole_files(desk: Desk, tmp_path: Path, number: signal.Signals, jobs: int) -> None:
    """Interrupt it at several moments: every file is the old one or a signed one, and no process stays behind."""
    chance = random.Random(int(number) * jobs)  # noqa: S311 - moments, not keys
    content = PE.read_bytes() + bytes(2 * MIB)
    paths = [tmp_path / f"tool{index}.exe" for index in range(12)]
    for _ in range(4):
        for path in paths:
            path.write_bytes(content)
        process = subprocess.Popen(
            [*COMMAND, "sign", "-j", str(jobs), *desk.signing, *paths],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=desk.environment,
            start_new_session=True,
        )
        started(process)
        time.sleep(0.3 * chance.random())
        process.send_signal(number)
        _, error = process.communicate(timeout=PATIENCE)
        assert process.returncode in ({130, 0} if number is signal.SIGINT else {-number, 0}), error
        if process.returncode == 130:
            assert error == "chopmark: interrupted\n"
        assert "Traceback" not in error
        gone(process.pid)
        for path in paths:
            now = path.read_bytes()
            assert now == content or len(now) > len(content)
            assert now[1000:].startswith(content[1000:])
        for stray in names(tmp_path) - {path.name for path in paths}:
            assert stray.startswith(".tool")
            assert stray.endswith(".exe.chopmark")
            (tmp_path / stray).unlink()
    done = [path for path in paths if path.read_bytes() != content]
    if done:
        assert desk.verify(*done).status == 0


def started(process: subprocess.Popen[str]) -> None:
    """Wait until it is Python no longer, but chopmark: until then an interrupt is answered by the interpreter."""
    maps = Path(f"/proc/{process.pid}/maps")

    def is_loaded() -> bool:
        return process.poll() is not None or "cryptography" in maps.read_text(errors="replace")

    eventually(is_loaded, despite=(OSError,))


def gone(session: int) -> None:
    """Wait until no process of a session is left."""

    def is_gone() -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(session, 0)
            return False
        return True

    try:
        eventually(is_gone)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(session, signal.SIGKILL)


# What stands beside the files: keys, certificates, stores, lists, where the answer goes


def bad_option(path: Path, kind: str) -> Path:
    match kind:
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "empty":
            path.touch()
        case "noise":
            path.write_bytes(random.Random(1).randbytes(5000))  # noqa: S311 - noise, not keys
        case "enormous":
            with path.open("wb") as file:
                file.truncate(20 << 30)
    return path


BAD = ["missing", "directory", "fifo", "empty", "noise", "enormous"]


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("option", ["--key", "--cert"])
def test_keys_and_certificates_that_are_none_are_refused(desk: Desk, tmp_path: Path, option: str, kind: str) -> None:
    tool = tmp_path / "tool.exe"
    tool.write_bytes(PE.read_bytes())
    given = {"--key": desk.key, "--cert": desk.certificates, option: bad_option(tmp_path / "it", kind)}
    arguments: Sequence[object] = [part for pair in given.items() for part in pair]
    answer = desk.run("sign", *arguments, "--passphrase", "env:NONE", tool)
    assert answer.status in (1, 2)
    assert one_line(answer.error)
    assert tool.read_bytes() == PE.read_bytes()


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("option", ["--store", "--crl"])
def test_stores_and_lists_that_are_none_are_refused(desk: Desk, tmp_path: Path, option: str, kind: str) -> None:
    path = bad_option(tmp_path / "it", kind)
    (tmp_path / "tool.exe").write_bytes(PE.read_bytes())
    answer = desk.run("verify", "--offline", "--store", desk.root, option, path, tmp_path / "tool.exe")
    if (option, kind) == ("--crl", "directory"):  # a folder without lists is one
        assert answer.status in (1, 2)
        return
    assert answer.status == 2
    assert one_line(answer.error)


@pytest.mark.parametrize("kind", BAD)
def test_signatures_from_elsewhere_that_are_none_are_refused(desk: Desk, tmp_path: Path, kind: str) -> None:
    tool = tmp_path / "tool.exe"
    tool.write_bytes(PE.read_bytes())
    answer = desk.run("sign", "--attach", bad_option(tmp_path / "it", kind), tool)
    assert answer.status in (1, 2)
    assert one_line(answer.error)
    assert tool.read_bytes() == PE.read_bytes()


@pytest.mark.parametrize("verb", ["verify", "inspect"])
def test_nowhere_to_write_is_a_failure_not_a_verdict(desk: Desk, tmp_path: Path, verb: str) -> None:
    tool = tmp_path / "tool.sh"
    tool.write_bytes(b"#!/bin/sh\ntrue\n")
    assert desk.sign(tool).status == 0
    arguments = [verb, *(desk.judging if verb == "verify" else []), tool]
    with Path("/dev/full").open("w") as full:
        answer = desk.run(*arguments, stdout=full)
    assert answer.status == 4
    assert one_line(answer.error)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert desk.run(*arguments, stdout=writer).status == 4
    finally:
        os.close(writer)


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["verify", "--at", "yesterday", "x"],
        ["verify", "--format", "none", "x"],
        ["verify", "-j", "0", "x"],
        ["verify", "-j", "-5", "x"],
        ["verify", "--store", "", "x"],
        ["sign", "x"],
        ["sign", "--key", "nowhere:x", "x"],
        ["none"],
        ["\x1b[31m"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_apart(desk: Desk, arguments: list[str]) -> None:
    answer = desk.run(*arguments)
    assert answer.status in (2, 3) if "-j" in arguments else answer.status == 2
    assert "\x1b" not in answer.error
