"""Files whose signature another command judges: they are unsigned here, and it is said where to go."""

from __future__ import annotations

from pathlib import Path

import pytest

from chopmark.cli import main
from chopmark.core.artifact import Artifact
from chopmark.core.verdict import Status
from chopmark.engine import check
from tests.contract import laws
from tests.support import debs

UPDATE = Path(__file__).parents[2] / "vectors" / "efi" / "microsoft-dbx-amd64.auth"


def codes(data: bytes, folder: Path) -> list[str]:
    verdict = check.check(Artifact.from_bytes(data, "dbx.auth", {}), laws.court(folder))
    assert verdict.status is Status.UNSIGNED
    return [finding.code for finding in verdict.findings]


def test_an_update_of_firmware_is_named(tmp_path: Path) -> None:
    assert codes(UPDATE.read_bytes(), tmp_path) == ["format.detected", "seal.none", "seal.elsewhere"]


def test_a_debian_package_is_listed_by_its_repository(tmp_path: Path) -> None:
    assert codes(debs.deb([]), tmp_path) == ["format.detected", "seal.none", "seal.elsewhere"]


@pytest.mark.parametrize("length", [0, 16, 20, 24, 39])
def test_what_only_begins_so_is_not(length: int, tmp_path: Path) -> None:
    assert "seal.elsewhere" not in codes(UPDATE.read_bytes()[:length], tmp_path)


@pytest.mark.parametrize("suffix", [".p7s", ".asc", ".minisig", ".sig"])
def test_of_a_signature_is_told_what_it_signs(suffix: str, tmp_path: Path) -> None:
    notes, signature = tmp_path / "notes.txt", tmp_path / f"notes.txt{suffix}"
    signature.write_bytes(b"whatever")
    context = laws.court(tmp_path)
    told = []
    for _ in range(2):  # nothing is said of a file that is not there
        verdict = check.check_path(str(signature), context)
        assert verdict.status is Status.UNSIGNED
        told.append((verdict.findings[-1].code, verdict.findings[-1].detail))
        notes.touch()
    assert told == [("seal.none", ""), ("seal.of_another", f"chopmark verify {notes}")]


def test_verify_says_which_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(UPDATE), "--offline"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "chopmark secureboot verify-update" in shown
