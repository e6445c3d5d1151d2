"""The variables of a machine, from a folder as efivarfs has it, and lists from files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits
from chopmark.core.errors import UsageError
from chopmark.envelopes.efi import lists, update, variables
from chopmark.trust.secureboot import state
from tests.support import firmware

if TYPE_CHECKING:
    from pathlib import Path

LEVEL = b"sbat,1,2024010900\nshim,4\n"


def test_a_machine_is_what_its_variables_say(tmp_path: Path) -> None:
    folder = firmware.efivars(
        tmp_path / "efivars",
        PK=firmware.written(firmware.PK),
        db=firmware.written(firmware.DB),
        dbx=b"",
        MokListRT=firmware.written(firmware.KEK),
        SecureBoot=b"\1",
        SetupMode=b"\0",
        SbatLevelRT=LEVEL,
    )
    known = state.machine(str(folder))
    assert known.db == tuple(firmware.entries(firmware.DB))
    assert known.mok == tuple(firmware.entries(firmware.KEK))
    assert (known.dbx, known.dbx_known, known.enforcing, known.level) == ((), True, True, LEVEL)
    assert [name for name, _ in state.read_folder(str(folder))] == ["PK", "db", "dbx", "MokListRT"]


@pytest.mark.parametrize(
    ("secure", "setup", "enforcing"), [(b"\1", b"\0", True), (b"\0", b"\0", False), (b"\1", b"\1", False)]
)
def test_secure_boot_is_on_or_not(tmp_path: Path, secure: bytes, setup: bytes, enforcing: bool) -> None:  # noqa: FBT001
    folder = firmware.efivars(tmp_path / "efivars", SecureBoot=secure, SetupMode=setup)
    assert state.machine(str(folder)).enforcing is enforcing
    assert state.machine(str(firmware.efivars(tmp_path / "other", db=b""))).enforcing is None


def test_what_is_no_folder_of_variables_is_a_wrong_call(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    firmware.efivars(tmp_path / "broken", db=b"broken")
    short = firmware.efivars(tmp_path / "short")
    (short / variables.file_name("db")).write_bytes(b"\x27\0")
    blocked = firmware.efivars(tmp_path / "blocked", SecureBoot=b"\1")
    (blocked / variables.file_name("dbx")).mkdir()
    for name in ("missing", "empty", "broken", "short", "blocked"):
        with pytest.raises(UsageError):
            state.machine(str(tmp_path / name))


def test_lists_and_certificates_are_read_from_files(tmp_path: Path) -> None:
    entries = tuple(firmware.entries(firmware.DB))
    for data in (
        firmware.written(firmware.DB),
        b"\x27\0\0\0" + firmware.written(firmware.DB),
        update.write(firmware.signed()),
    ):
        (tmp_path / "file").write_bytes(data)
        assert state.entries(str(tmp_path / "file")) == entries
    for data in (firmware.DB.pem, firmware.DB.der):
        (tmp_path / "file").write_bytes(data)
        assert [each.data for each in state.entries(str(tmp_path / "file"))] == [firmware.DB.der]
        assert [each.raw for each in state.certificates(str(tmp_path / "file"))] == [firmware.DB.der]


@pytest.mark.parametrize("data", [b"text", b"\x30\x03\x02\x01", lists.write([lists.digest_entry("sha256", bytes(32))])])
def test_files_without_certificates_are_a_wrong_call(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(UsageError):
        state.certificates(str(tmp_path / "file"))
    with pytest.raises(UsageError):
        state.read_file(str(tmp_path / "missing"))


def test_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(firmware.written(firmware.DB))
    monkeypatch.setattr(limits, "EFI_LISTS_MAX", 100)
    with pytest.raises(UsageError):
        state.entries(str(tmp_path / "file"))
