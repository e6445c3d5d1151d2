"""What happens where the kernel lets us, does not let us, or lets us halfway; tests/vm ask real ones."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import struct
from pathlib import Path

import pytest

from chopmark.agent.bpf import assembler, btf, kernel, keyrings, pinned, programs, sealing, support
from chopmark.cli import main
from chopmark.core import limits
from chopmark.core.errors import InputError, RefusedError, UnavailableError, UsageError
from chopmark.core.finding import Outcome
from tests.support import btf as made

TYPES = btf.Types(made.kernel())


class Bpf:
    """bpf(2), as far as files and numbers go: what was asked, and which command fails how."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fails: dict[int, int] = {4: errno.ENOENT}  # no further key
        self.asked: list[int] = []
        self.open: set[int] = set()
        self.log = b""
        self.values: dict[int, bytes] = {}
        monkeypatch.setattr(kernel, "_call", self._call)

    def _call(self, command: int, attributes: bytes) -> int:
        self.asked.append(command)
        if command in self.fails:
            raise OSError(self.fails[command], os.strerror(self.fails[command]))
        if command == 6:
            Path(ctypes.string_at(struct.unpack_from("=Q", attributes)[0]).decode()).touch()
            return 0
        if command in (0, 5, 7, 17, 18):
            descriptor = os.open("/dev/null", os.O_RDONLY)
            self.open.add(descriptor)
            return descriptor
        return 0

    def left_open(self) -> int:
        found = 0
        for each in self.open:
            try:
                os.fstat(each)
            except OSError:
                continue
            found += 1
        return found


@pytest.fixture
def bpf(monkeypatch: pytest.MonkeyPatch) -> Bpf:
    return Bpf(monkeypatch)


def _names(folder: str) -> set[str]:
    return {each.name for each in Path(folder).iterdir()}


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "pins")


def test_everything_is_pinned_and_nothing_stays_open(bpf: Bpf, place: str) -> None:
    pinned.load(TYPES, place)
    assert _names(place) >= {*programs.Maps._fields, "digests", "keyring", "link-file_open"}
    assert len(pinned.attached(place)) == 6
    assert not bpf.left_open()
    with pinned.open_pinned(place) as held:
        assert held.proves
    assert not bpf.left_open()
    with pytest.raises(UsageError):
        pinned.load(TYPES, place)
    pinned.unload(place)
    assert not Path(place).exists()
    with pytest.raises(UsageError):
        pinned.unload(place)


def test_older_kernels_go_without_proofs(bpf: Bpf, place: str) -> None:
    pinned.load(btf.Types(made.kernel(with_verity=False)), place)
    assert not Path(place, "digests").exists()
    with pinned.open_pinned(place) as held:
        assert not held.proves
        with pytest.raises(UnavailableError):
            held.trust_keyring(1)
    assert not bpf.left_open()


@pytest.mark.parametrize("command", [0, 2, 5, 6, 17, 18, 22], ids="command-{}".format)
def test_whatever_fails_nothing_is_left(bpf: Bpf, place: str, command: int) -> None:
    bpf.fails[command] = errno.EPERM
    with pytest.raises(UnavailableError):
        pinned.load(TYPES, place)
    assert not Path(place).exists()
    assert not bpf.left_open()


def test_a_program_that_the_verifier_refuses_is_our_fault(bpf: Bpf, place: str) -> None:
    bpf.fails[5] = errno.EACCES
    with pytest.raises(RefusedError):
        pinned.load(TYPES, place)
    assert bpf.asked.count(5) == 2  # once more for its log
    assert not Path(place).exists()


def test_programs_are_attached_once_all_are_verified(bpf: Bpf, place: str) -> None:
    pinned.load(TYPES, place)
    assert bpf.asked.index(17) > max(at for at, command in enumerate(bpf.asked) if command == 5)


def test_writers_are_seen_before_users_are_judged() -> None:
    hooks = [each.hook for each in programs.Programs(TYPES, programs.Maps(1, 2, 3, 4, 5, 6)).each()]
    assert max(map(hooks.index, ("file_open", "inode_setattr"))) < min(
        map(hooks.index, ("bprm_creds_for_exec", "bprm_check_security", "mmap_file"))
    )


def test_where_nothing_is_loaded(place: str) -> None:
    with pytest.raises(UnavailableError):
        pinned.open_pinned(place)
    assert pinned.attached(place) == []


def test_a_jump_needs_a_place_ahead() -> None:
    code = assembler.Code()
    code.label("before")
    code.jump("nowhere")
    with pytest.raises(UsageError):
        code.assembled()
    with pytest.raises(UsageError):
        code.label("before")
    code = assembler.Code()
    code.label("before")
    code.put(0, 0)
    code.jump("before")
    with pytest.raises(UsageError):
        code.assembled()


def test_fields_too_far_for_an_instruction_are_refused() -> None:
    code = assembler.Code()
    code.load(1, 6, 0x8000)
    with pytest.raises(UnavailableError):
        code.assembled()


def test_instructions_as_the_specification_has_them() -> None:
    """RFC 9669, sections 3 and 4; the octets are those of LLVM's assembler."""
    code = assembler.Code()
    code.move(6, 1)
    code.load(1, 6, 8)
    code.jump_if(1, assembler.If.SIGNED_GREATER_WORD, 0, "end")
    code.fetch_add(0, 0, 1)
    code.map(1, 5)
    code.label("end")
    code.put(0, -1)
    code.end()
    assert code.assembled().hex(" ", 8) == (
        "bf16000000000000 7961080000000000 6601030000000000 db10000001000000 "
        "1811000005000000 0000000000000000 b7000000ffffffff 9500000000000000"
    )


# --- whether it works here


def _host(folder: Path, *, types: bool = True, modules: str | None = None) -> str:
    if types:
        (folder / "sys/kernel/btf").mkdir(parents=True)
        (folder / "sys/kernel/btf/vmlinux").write_bytes(made.kernel())
    if modules is not None:
        (folder / "sys/kernel/security").mkdir(parents=True)
        (folder / "sys/kernel/security/lsm").write_text(modules)
    return str(folder)


@pytest.mark.parametrize(
    ("modules", "outcome"),
    [("lockdown,bpf", Outcome.OK), ("lockdown,yama", Outcome.INFO), ("", Outcome.INFO), (None, Outcome.UNKNOWN)],
)
@pytest.mark.usefixtures("bpf")
def test_whether_programs_are_asked(tmp_path: Path, modules: str | None, outcome: Outcome) -> None:
    assert support.of_host(_host(tmp_path, modules=modules)).outcome is outcome


def test_kernels_that_do_not_take_programs(bpf: Bpf, tmp_path: Path) -> None:
    bpf.fails[5] = errno.EPERM
    assert support.of_host(_host(tmp_path, modules="bpf")).outcome is Outcome.INFO
    assert support.of_host(str(tmp_path / "nothing")).outcome is Outcome.INFO
    (tmp_path / "sys/kernel/btf/vmlinux").write_bytes(b"no types")
    assert support.of_host(str(tmp_path)).outcome is Outcome.INFO


# --- sealing


def test_only_signatures_of_some_length_are_attached(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(b"x")
    for signature in (b"", b"s" * (limits.GUARD_BPF_SIGNATURE_MAX + 1)):
        with pytest.raises(RefusedError):
            sealing.seal(str(path), signature)
    with pytest.raises(InputError):
        sealing.seal(str(tmp_path / "none"), b"s")
    with pytest.raises(RefusedError):
        sealing.seal("/proc/self/status", b"s")
    with path.open("rb") as file:
        assert sealing.digest(file.fileno()) is None


def test_certificates_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def call(which: int, *arguments: object) -> int:
        asked.append((which, *arguments))
        if arguments[0] == b"asymmetric" and arguments[2] == b"not DER":
            raise OSError(errno.EBADMSG, "")
        return 5

    monkeypatch.setattr(keyrings, "_call", call)
    assert keyrings.make([b"DER"]) == 5
    assert [each[:2] for each in asked[-2:]] == [(1, 29), (1, 5)]  # closed, and out of the hands of others
    with pytest.raises(RefusedError):
        keyrings.make([b"not DER"])


# --- the command


def test_without_a_file_system_for_pins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = str(tmp_path / "no" / "such")
    assert main(["guard", "bpf", "load", "--pins", nowhere]) == 3
    assert main(["guard", "bpf", "status", "--pins", nowhere]) == 3
    assert main(["guard", "bpf", "unload", "--pins", nowhere]) == 2
    assert all(len(line) > 20 for line in capsys.readouterr().err.splitlines())


@pytest.mark.usefixtures("bpf")
def test_status_and_its_json(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    pinned.load(TYPES, place)
    assert main(["guard", "bpf", "status", "--json", "--pins", place]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["hooks"] == pinned.attached(place)
    assert facts["protected"] == []
    assert set(facts["counts"]) == set(programs.COUNTS)
    assert main(["guard", "bpf", "status", "--pins", place]) == 0
    assert "mmap_file" in capsys.readouterr().out
    assert main(["guard", "bpf", "unload", "--pins", place]) == 0


def test_a_kernel_without_room_is_said_in_a_line(bpf: Bpf, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    pinned.load(TYPES, place)
    bpf.fails[1] = errno.ENOMEM
    assert main(["guard", "bpf", "status", "--pins", place]) == 3
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("folder", ["/no/such", "/proc"])
def test_folders_that_cannot_be_protected(place: str, folder: str) -> None:
    assert main(["guard", "bpf", "load", "--mount", folder, "--pins", place]) == 2
    assert not Path(place).exists()


def test_signatures_by_nobody(place: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["guard", "bpf", "load", "--signed-by", str(tmp_path / "empty"), "--pins", place]) == 2
    assert main(["guard", "bpf", "load", "--signed-by", str(tmp_path / "none"), "--pins", place]) == 2


def test_files_without_a_signature_are_not_sealed(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"x")
    assert main(["guard", "bpf", "seal", str(tmp_path / "program")]) == 2
