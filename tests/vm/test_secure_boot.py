"""Secure Boot: what the firmware OVMF starts and what it refuses, of images that chopmark signed.

Our own platform key, key exchange key and db are enrolled, and nobody else's. One boot answers most questions: a
program that chopmark signed is started by the firmware and asks it about all the others.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support import pki
from tests.vm import firmware, identities, initramfs, kernels
from tests.vm.lab import altered, chopmark, verdict
from tests.vm.machine import Console, Machine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vm.conftest import Cast

pytestmark = pytest.mark.vm

RUNS = "vm: payload runs"


class Case(NamedTuple):
    """An image: what the firmware answers, and what `chopmark verify` says with the CA in db as its store."""

    firmware: str
    chopmark: str


OK, DENIED = "ok", "ACCESS_DENIED"

CASES = {
    "signed": Case(OK, "trusted"),
    "sha384": Case(OK, "trusted"),
    "sha512": Case(OK, "trusted"),
    "page-hashes": Case(OK, "trusted"),
    "two-signatures": Case(OK, "rejected"),  # one of them is a stranger's: firmware wants one good, chopmark none bad
    "hash-in-db": Case(OK, "unsigned"),
    "kernel-ours-too": Case(OK, "rejected"),  # Debian's signature stays; its CA is not in this store
    "kernel-ours": Case(OK, "trusted"),
    "expired": Case(OK, "rejected"),  # firmware has no clock to trust
    "unsigned": Case(DENIED, "unsigned"),
    "tampered": Case(DENIED, "rejected"),
    "tampered-signature": Case(DENIED, "rejected"),
    "stranger": Case(DENIED, "rejected"),
    "stripped": Case(DENIED, "unsigned"),
    "elliptic": Case(DENIED, "trusted"),  # OVMF verifies RSA alone
    "hash-in-dbx": Case(DENIED, "trusted"),  # this store has no dbx
    "certificate-in-dbx": Case(DENIED, "trusted"),
    "one-of-two-in-dbx": Case(DENIED, "trusted"),
    "kernel-debians": Case(DENIED, "rejected"),
}
STARTED = [name for name, case in CASES.items() if case.firmware == OK and "kernel" not in name]


def sign(source: Path, target: Path, *options: str | Path) -> None:
    chopmark("sign", source, "-o", target, *options)


def image_hash(path: Path) -> str:
    """What db and dbx list: the SHA-256 digest of Authenticode."""
    facts = json.loads(chopmark("inspect", "--json", path))
    claimed: str = facts["seals"][0]["claims"][0]["computed"]
    return claimed


@pytest.fixture(scope="module")
def images(cast: Cast, payload: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image for each case."""
    folder = tmp_path_factory.mktemp("images")
    ours = cast.boot.options

    def at(name: str) -> Path:
        return folder / f"{name}.efi"

    shutil.copy(payload, at("unsigned"))
    sign(payload, at("signed"), *ours)
    for algorithm in ("sha384", "sha512"):
        sign(payload, at(algorithm), "--digest", algorithm, *ours)
    sign(payload, at("page-hashes"), "--page-hashes", *ours)
    sign(payload, at("stranger"), *cast.stranger.options)
    sign(at("stranger"), at("two-signatures"), "--append", *ours)
    sign(payload, at("certificate-in-dbx"), *cast.revoked.options)
    sign(at("certificate-in-dbx"), at("one-of-two-in-dbx"), "--append", *ours)
    others = folder / "identities"
    past = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
    expired = identities.signer(others, "Expired Signer", cast.authority, until=past)
    sign(payload, at("expired"), "--signing-time", "2025-03-01", *expired.options)
    elliptic = identities.signer(others, "P-256 Signer", cast.authority, private_key=pki.key("p256", "vm"))
    sign(payload, at("elliptic"), *elliptic.options)
    altered(at("signed"), at("tampered"), 0x420)  # in its code
    altered(at("signed"), at("tampered-signature"), -60)
    shutil.copy(at("signed"), at("stripped"))
    chopmark("strip", at("stripped"))
    # Other bytes for the two that are listed by their hash: data behind the last section belongs to it.
    for name in ("hash-in-db", "hash-in-dbx"):
        (folder / "other").write_bytes(payload.read_bytes() + name.encode().ljust(16))
        sign(folder / "other", at(name), *ours)
    kernel = kernels.Kernel("linux-old").image
    shutil.copy(kernel, at("kernel-debians"))
    sign(kernel, at("kernel-ours-too"), "--append", *ours)
    sign(kernel, at("kernel-ours"), *ours)
    return folder


@pytest.fixture(scope="module")
def judged(cast: Cast, harness: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Console:
    """One boot: the firmware's answer about each."""
    folder = tmp_path_factory.mktemp("secure-boot")
    boot = folder / "boot.efi"
    sign(harness, boot, *cast.boot.options)
    listed = [image_hash(images / "hash-in-db.efi")]
    chopmark("strip", images / "hash-in-db.efi")
    variables = firmware.variables(
        folder / "variables.fd",
        cast.platform,
        cast.exchange,
        db=[cast.authority],
        dbx=[cast.revoked],
        db_hashes=listed,
        dbx_hashes=[image_hash(images / "hash-in-dbx.efi")],
    )
    wanted = {name: f"{'start' if name in STARTED else 'load'}|\\{name}.efi" for name in CASES}
    disk = firmware.volume(folder / "disk", boot, initramfs.steps(wanted), images.glob("*.efi"))
    return Machine("secure-boot", 20, variables=variables, disk=disk).boot()


def test_secure_boot_is_on(judged: Console) -> None:
    assert "vm: begin firmware SecureBoot=1" in judged.text


@pytest.mark.parametrize("name", CASES)
def test_firmware(judged: Console, name: str) -> None:
    assert judged[name].word == CASES[name].firmware
    assert (RUNS in judged[name].log) == (name in STARTED)


@pytest.mark.parametrize("name", CASES)
def test_chopmark_beside_it(cast: Cast, images: Path, judged: Console, name: str) -> None:  # noqa: ARG001 - has changed one of them
    assert verdict(images / f"{name}.efi", cast.authority.certificate) == CASES[name].chopmark


@pytest.mark.parametrize("what", ["unsigned", "tampered", "stranger"])
def test_the_boot_manager_refuses(cast: Cast, harness: Path, what: str, tmp_path: Path) -> None:
    """The same for what the firmware starts by itself: it says why on its console, and waits."""
    boot = tmp_path / "boot.efi"
    sign(harness, boot, *(cast.stranger if what == "stranger" else cast.boot).options)
    if what == "unsigned":
        chopmark("strip", boot)
    if what == "tampered":
        altered(boot, boot, 0x420)
    variables = firmware.variables(tmp_path / "variables.fd", cast.platform, cast.exchange, db=[cast.authority])
    disk = firmware.volume(tmp_path / "disk", boot)
    seen = Machine(f"boot-manager-{what}", 8, variables=variables, disk=disk).boot(until="Access Denied")
    assert "vm: begin" not in seen.text
