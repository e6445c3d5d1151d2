"""Files signed for fs-verity: which digest was signed is found out, and what the kernel says has to fit."""

from __future__ import annotations

import fcntl
import json
import struct
from typing import TYPE_CHECKING

import pytest

from chopmark import cli
from chopmark.core import limits
from chopmark.core.contracts import SealOptions
from chopmark.core.errors import RefusedError, UsageError
from chopmark.core.verdict import Status, Verdict
from chopmark.engine import check
from chopmark.formats._verity import fsverity, kernel
from chopmark.formats.fsverity import FORMAT
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.contract import laws
from tests.support import pki

if TYPE_CHECKING:
    from pathlib import Path

DATA = bytes(range(256)) * 40
SUFFIX = ".fsv_sig"


def signer(kind: str = "rsa2048") -> pki.Entity:
    return pki.leaf(None, f"Example fs-verity Signer {kind}", kind=kind, purposes=())


def knowing(folder: Path, *entities: pki.Entity) -> contexts.Context:
    path = folder / "store.pem"
    path.write_bytes(b"".join(each.pem for each in entities))
    return contexts.Context(store.load([str(path)]), pki.NOW, contexts.OFF, origins.CrlSource(cache=str(folder)))


def signed(entity: pki.Entity, variant: str = "", digest: str = "sha256") -> laws.State:
    options = SealOptions(variant=variant, digest_algorithm=digest)
    return laws.signed(laws.State("tool", DATA, asked="fsverity"), entity, options)


def codes(verdict: Verdict) -> set[str]:
    return {each.code for each in (*verdict.findings, *(found for seal in verdict.seals for found in seal.findings))}


@pytest.mark.parametrize("variant", ["", "sha256", "sha512", "1024", "sha512-1024", "65536-sha256", "SHA512"])
@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_the_parameters_are_found_out(variant: str, digest: str, tmp_path: Path) -> None:
    entity = signer("p256")
    state = signed(entity, variant, digest)
    context = knowing(tmp_path, entity)
    verdict = check.check(state.artifact(), context)
    assert verdict.status is Status.TRUSTED, verdict
    changed = check.check(state.with_part("", DATA[:-1] + b"?").artifact(), context)
    assert changed.status is Status.REJECTED
    assert "module.signature_wrong" in codes(changed)


def test_nothing_else_is_tried_while_nobody_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = signed(signer())
    asked: list[int] = []
    plain = fsverity.digests

    def counted(view: object, wanted: list[fsverity.Parameters]) -> list[bytes]:
        asked.append(len(wanted))
        return plain(view, wanted)  # type: ignore[arg-type]

    monkeypatch.setattr(fsverity, "digests", counted)
    assert check.check(state.artifact(), knowing(tmp_path, signer("p256"))).status is Status.UNDECIDED
    assert check.check(state.artifact(), knowing(tmp_path, signer())).status is Status.TRUSTED
    assert asked == [1, 1]


@pytest.mark.parametrize("variant", ["md5", "sha384", "sha512/1024", "4097", "2048", "131072", "99999999"])
def test_what_no_verifier_would_find_is_refused(variant: str) -> None:
    with pytest.raises(UsageError):
        signed(signer(), variant)


def test_a_second_signature_and_what_is_none_are_refused() -> None:
    artifact = signed(signer()).artifact()
    with pytest.raises(RefusedError):
        FORMAT.embed(artifact, artifact.companion(SUFFIX) or b"", SealOptions(append=True))
    with pytest.raises(RefusedError):
        FORMAT.embed(artifact, b"none", SealOptions())


def test_one_larger_than_the_kernel_takes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FS_VERITY_SIGNATURE_MAX", 100)
    with pytest.raises(RefusedError):
        signed(signer())


class Kernel:
    """A kernel with fs-verity, as far as the three calls go."""

    def __init__(self) -> None:
        self.parameters: fsverity.Parameters | None = None
        self.digest = b""
        self.signature = b""
        self.refusal = 0

    def ioctl(self, _: int, request: int, argument: bytearray) -> int:
        if request == 0x40806685:
            return self._enable(argument)
        if self.parameters is None:
            raise OSError(61, "no data")
        number = fsverity.ALGORITHMS[self.parameters.algorithm]
        if request == 0xC0046686:
            argument[:4] = struct.pack("@HH", number, len(self.digest))
            argument[4 : 4 + len(self.digest)] = self.digest
            return 0
        assert request == 0xC0286687
        kind, offset, length, address, _ = struct.unpack("@QQQQQ", argument)
        bits = self.parameters.block_size.bit_length() - 1
        salt = self.parameters.salt
        head = fsverity.DESCRIPTOR.pack(1, number, bits, len(salt), 0, len(DATA), b"", salt, b"")
        found = {2: head, 3: self.signature}[kind]
        if kind == 3 and not found:
            raise OSError(61, "no data")
        # A few octets at a time, as a kernel may do.
        piece = found[offset : offset + min(length, 100)]
        import ctypes

        ctypes.memmove(address, piece, len(piece))
        return len(piece)

    def _enable(self, argument: bytearray) -> int:
        import ctypes

        if self.refusal:
            raise OSError(self.refusal, "refused")
        version, number, block, salt_size, salt, size, _, signature = struct.unpack_from("@IIIIQIIQ", argument)
        assert (version, len(argument)) == (1, 128)
        self.parameters = fsverity.Parameters(
            fsverity.NAMES[number], block, ctypes.string_at(salt, salt_size) if salt_size else b""
        )
        self.signature = ctypes.string_at(signature, size) if size else b""
        return 0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    found = Kernel()
    monkeypatch.setattr(fcntl, "ioctl", found.ioctl)
    return found


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    path = tmp_path / "tool"
    path.write_bytes(DATA)
    return path


def measured(path: Path, parameters: fsverity.Parameters) -> bytes:
    from chopmark.core.artifact import Artifact

    with Artifact.open(path) as artifact:
        [digest] = fsverity.digests(artifact.view, [parameters])
    return digest


def test_the_kernels_own_parameters_count_where_it_has_some(tool: Path, machine: Kernel, tmp_path: Path) -> None:
    entity = signer()
    machine.parameters = fsverity.Parameters("sha512", 2048, b"salted")
    machine.digest = measured(tool, machine.parameters)
    message = fsverity.formatted(machine.digest, "sha512")
    from chopmark.core.contracts import Content
    from chopmark.core.digest import of
    from chopmark.envelopes import module

    content = Content("1.2.840.113549.1.7.1", "sha256", of(message, "sha256"), message=message)
    draft = module.draft(content, entity, entity.certificates, signing_time=None)
    envelope = draft.finish(entity.sign(draft.to_be_signed, "sha256"))
    machine.signature = envelope
    verdict = check.check_path(str(tool), knowing(tmp_path, entity), "fsverity")
    assert verdict.status is Status.TRUSTED, verdict
    assert "fsverity.measured" in codes(verdict)
    tool.with_name("tool" + SUFFIX).write_bytes(envelope)
    assert len(check.check_path(str(tool), knowing(tmp_path, entity)).seals) == 1  # the same one is not shown twice
    machine.digest = bytes(64)
    verdict = check.check_path(str(tool), knowing(tmp_path, entity), "fsverity")
    assert verdict.status is Status.REJECTED
    assert "fsverity.measured_otherwise" in codes(verdict)


def test_a_kernel_that_says_nonsense_says_nothing(machine: Kernel) -> None:
    machine.parameters = fsverity.Parameters()
    machine.digest = bytes(32)
    assert kernel.measure(0) == (bytes(32), "sha256")
    machine.parameters = fsverity.Parameters("sha256", 1 << 20)
    assert kernel.parameters(0) is None
    machine.parameters = None
    assert [ask(0) for ask in (kernel.measure, kernel.parameters, kernel.signature)] == [None] * 3


def test_enabling_hands_everything_over(
    tool: Path, machine: Kernel, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["fsverity", "measure", str(tool)]) == 1
    machine.digest = bytes(64)
    tool.with_name("tool" + SUFFIX).write_bytes(b"signature")
    asked = ["fsverity", "enable", str(tool), "--hash", "sha512", "--block-size", "1024", "--salt", "00ff"]
    assert cli.main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "path": str(tool),
        "digest_algorithm": "sha512",
        "digest": "00" * 64,
        "signed": True,
    }
    assert machine.parameters == fsverity.Parameters("sha512", 1024, b"\0\xff")
    assert machine.signature == b"signature"
    assert cli.main(["fsverity", "enable", str(tool), "--unsigned"]) == 0
    assert machine.signature == b""
    other = tmp_path / "other"
    other.write_bytes(b"given")
    assert cli.main(["fsverity", "enable", str(tool), "--signature", str(other)]) == 0
    assert machine.signature == b"given"
    assert cli.main(["fsverity", "measure", str(tool)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"sha256:{'00' * 64} {tool}"


@pytest.mark.parametrize("number", [25, 95, 17, 26, 74, 129, 126, 1, 22, 30, 13, 5])
def test_what_the_kernel_refuses_is_one_error(
    tool: Path, machine: Kernel, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.refusal = number
    assert cli.main(["fsverity", "enable", str(tool)]) == 4
    said = capsys.readouterr().err
    assert str(tool) in said
    assert "Traceback" not in said


def test_usage(tool: Path, tmp_path: Path) -> None:
    for words in (
        ["digest", str(tool), "--hash", "md5"],
        ["digest", str(tool), "--block-size", "1000"],
        ["digest", str(tool), "--salt", "xyz"],
        ["digest", str(tool), "--salt", "00" * 33],
        ["enable", str(tool), str(tool), "--signature", str(tool)],
        ["enable", str(tool), "--unsigned", "--signature", str(tool)],
        ["digest", str(tmp_path)],
        ["digest", str(tmp_path / "missing")],
    ):
        assert cli.main(["fsverity", *words]) == 2
    assert cli.main(["fsverity", "digest", str(tool), str(tmp_path / "missing")]) == 2
