"""Keys of Secure Boot: what the firmware OVMF enrols and what it refuses, of updates that chopmark made and signed.

A machine without any keys is given db, KEK and PK, and is under Secure Boot from then on. The next boot offers it
updates, good and bad, and asks after each what that changed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.vm import firmware, identities, initramfs
from tests.vm.lab import FIRMWARE, altered, chopmark
from tests.vm.machine import Console, Machine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vm.conftest import Cast
    from tests.vm.identities import Identity

pytestmark = pytest.mark.vm

OK, DENIED, VIOLATION = "ok", "ACCESS_DENIED", "SECURITY_VIOLATION"

LATER = ("--time", "2026-11-02T00:00:00Z")
EARLIER = ("--time", "2026-11-01T00:00:00Z")


class Update(NamedTuple):
    """An update that is offered to the running machine: the firmware's answer, and the exit status of verify-update."""

    variable: str
    firmware: str
    chopmark: int


UPDATES = {
    "stranger-signs": Update("db", VIOLATION, 1),
    "tampered": Update("db", VIOLATION, 1),
    "other-variable": Update("db", VIOLATION, 1),
    "allows-stranger": Update("db", OK, 0),
    "forbids-image": Update("dbx", OK, 0),
    "forbids-signer": Update("dbx", OK, 0),
    "forbids-by-digest": Update("dbx", OK, 0),
}
IMAGES = ("signed", "listed", "revoked", "revoked-too", "stranger")


class Files(NamedTuple):
    """What the machines get."""

    folder: Path
    exchange: Path
    """The list in KEK."""
    enrolled: Console
    judged: Console


def made(folder: Path, name: str, *listed: str | Path) -> Path:
    target = folder / f"{name}.esl"
    chopmark("secureboot", "create", *listed, "-o", target)
    return target


def signed(source: Path, variable: str, by: Identity, *options: str | Path) -> Path:
    target = source.with_suffix(".auth")
    chopmark("secureboot", "sign-update", source, "--variable", variable, *by.options, *options, "-o", target)
    return target


def offers(folder: Path, cast: Cast, second: Identity) -> None:
    """An .auth for each of UPDATES; `second` is revoked by a digest."""
    stranger = ("--cert", cast.stranger.certificate)
    add = ("--append", *LATER)
    signed(made(folder, "stranger-signs", *stranger), "db", cast.stranger, *add)
    allows = signed(made(folder, "allows-stranger", *stranger), "db", cast.exchange, *add)
    altered(allows, folder / "tampered.auth", -40)  # in the certificate that it would add
    signed(made(folder, "other-variable", *stranger), "dbx", cast.exchange, *add)
    signed(made(folder, "forbids-image", "--image", folder / "listed.efi"), "dbx", cast.exchange, *add)
    signed(made(folder, "forbids-signer", "--cert", cast.revoked.certificate), "dbx", cast.exchange, *add)
    signed(made(folder, "forbids-by-digest", "--revoke", second.certificate), "dbx", cast.exchange, *add)


@pytest.fixture(scope="module")
def files(cast: Cast, harness: Path, payload: Path, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Both boots."""
    folder = tmp_path_factory.mktemp("updates")
    keys = folder / "keys"
    keys.mkdir()
    platform = made(keys, "PK", "--cert", cast.platform.certificate)
    exchange = made(keys, "KEK", "--cert", cast.exchange.certificate)
    allowed = made(keys, "db", "--cert", cast.authority.certificate)
    auths = [
        signed(allowed, "db", cast.exchange, *LATER),
        signed(exchange, "KEK", cast.platform, *LATER),
        signed(platform, "PK", cast.platform, *LATER),
    ]
    variables = folder / "variables.fd"
    shutil.copy(FIRMWARE / "OVMF_VARS_4M.fd", variables)
    steps = {f"enrol-{path.stem}": f"replace|{path.stem}|\\{path.name}" for path in auths}
    disk = firmware.volume(folder / "first", harness, initramfs.steps(steps), auths)
    enrolled = Machine("secure-boot-enrol", 8, variables=variables, disk=disk).boot()

    second = identities.signer(folder / "identities", "Second Revoked Signer", cast.authority)
    signers = {"signed": cast.boot, "revoked": cast.revoked, "revoked-too": second, "stranger": cast.stranger}
    for name, by in signers.items():
        chopmark("sign", payload, "-o", folder / f"{name}.efi", *by.options)
    (folder / "other").write_bytes(payload.read_bytes() + bytes(range(16)))
    chopmark("sign", folder / "other", "-o", folder / "listed.efi", *cast.boot.options)
    offers(folder, cast, second)
    # The same list as is enrolled already, as of an earlier time.
    signed(made(folder, "older", "--cert", cast.stranger.certificate), "db", cast.exchange, *EARLIER)

    asked = {f"{name}-before": f"load|\\{name}.efi" for name in IMAGES}
    asked |= {name: f"set|{update.variable}|\\{name}.auth" for name, update in UPDATES.items()}
    asked["older"] = "replace|db|\\older.auth"
    asked["instead"] = "replace|db|\\allows-stranger.auth"
    asked |= {f"{name}-after": f"load|\\{name}.efi" for name in IMAGES}
    boot = folder / "boot.efi"
    chopmark("sign", harness, "-o", boot, *cast.boot.options)
    parts = [*folder.glob("*.auth"), *(folder / f"{name}.efi" for name in IMAGES)]
    disk = firmware.volume(folder / "second", boot, initramfs.steps(asked), parts)
    judged = Machine("secure-boot-updates", 8, variables=variables, disk=disk).boot()
    return Files(folder, exchange, enrolled, judged)


def verdict(files: Files, name: str, variable: str, *how: str) -> int:
    command = [sys.executable, "-m", "chopmark", "secureboot", "verify-update", str(files.folder / f"{name}.auth")]
    command += ["--variable", variable, "--by", str(files.exchange), *how]
    return subprocess.run(command, capture_output=True, check=False).returncode


def test_a_machine_without_keys_takes_ours(files: Files) -> None:
    assert "vm: begin firmware SecureBoot=0" in files.enrolled.text
    assert [files.enrolled[f"enrol-{name}"].word for name in ("db", "KEK", "PK")] == [OK] * 3
    assert "vm: begin firmware SecureBoot=1" in files.judged.text


@pytest.mark.parametrize("name", UPDATES)
def test_update(files: Files, name: str) -> None:
    assert files.judged[name].word == UPDATES[name].firmware


def test_an_older_update_is_refused(files: Files) -> None:
    assert files.judged["older"].word == VIOLATION


def test_what_was_signed_to_be_appended_does_not_replace(files: Files) -> None:
    assert files.judged["instead"].word == VIOLATION
    assert verdict(files, "allows-stranger", "db") == 1


@pytest.mark.parametrize("name", UPDATES)
def test_chopmark_beside_it(files: Files, name: str) -> None:
    assert verdict(files, name, UPDATES[name].variable, "--append") == UPDATES[name].chopmark


def test_what_the_updates_changed(files: Files) -> None:
    before = {name: files.judged[f"{name}-before"].word for name in IMAGES}
    after = {name: files.judged[f"{name}-after"].word for name in IMAGES}
    assert before == {"signed": OK, "listed": OK, "revoked": OK, "revoked-too": OK, "stranger": DENIED}
    assert after == {"signed": OK, "listed": DENIED, "revoked": DENIED, "revoked-too": DENIED, "stranger": OK}
