"""What the tests in virtual machines share: programs for the guests, identities, kernels. Made once in each process."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.vm import firmware, identities, kernels, lab, shim

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vm.identities import Identity


class Cast(NamedTuple):
    """Everybody who signs here. What trusts whom is written in each test's machine."""

    platform: Identity
    exchange: Identity
    authority: Identity
    boot: Identity
    """Below the authority."""
    revoked: Identity
    """Below the authority."""
    module: Identity
    stranger: Identity
    owner: Identity
    """Of the machine: known to shim alone."""


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what is built."""
    if not (lab.LAB / "complete").exists():
        pytest.fail("build/vm is not complete: these tests are run by `make vm`, which fetches what they boot")
    return tmp_path_factory.mktemp("workshop")


@pytest.fixture(scope="session")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Cast:
    """Keys and certificates, new in each run."""
    folder = tmp_path_factory.mktemp("identities")
    authority = identities.authority(folder, "Boot CA")
    return Cast(
        platform=identities.authority(folder, "Platform Key"),
        exchange=identities.authority(folder, "Key Exchange Key"),
        authority=authority,
        boot=identities.signer(folder, "Boot Signer", authority),
        revoked=identities.signer(folder, "Revoked Signer", authority),
        module=identities.signer(folder, "Module Signer"),
        stranger=identities.signer(folder, "Stranger"),
        owner=identities.signer(folder, "Machine Owner"),
    )


@pytest.fixture(scope="session")
def first_process(workshop: Path) -> bytes:
    """The guest's /init."""
    return lab.first_process(workshop / "init").read_bytes()


@pytest.fixture(scope="session")
def harness(workshop: Path) -> Path:
    """The EFI application that asks the firmware, unsigned."""
    return lab.harness(workshop / "harness.efi")


@pytest.fixture(scope="session")
def payload(workshop: Path) -> Path:
    """The EFI application that it asks about, unsigned."""
    return lab.payload(workshop / "payload.efi")


@pytest.fixture(scope="module", params=kernels.NAMES)
def kernel(request: pytest.FixtureRequest, workshop: Path) -> kernels.Kernel:  # noqa: ARG001 - fails where there is none
    """Each of Debian's kernels."""
    return kernels.Kernel(request.param)


@pytest.fixture(scope="module")
def vmlinux(kernel: kernels.Kernel, workshop: Path) -> Path:
    """It, unpacked."""
    return kernel.unpacked(workshop / f"{kernel.name}.vmlinux")


@pytest.fixture(scope="session")
def start(cast: Cast, harness: Path, workshop: Path) -> shim.Start:
    """Machines that begin with shim: the authority and the module signer are in db, the owner in MokList."""
    image = workshop / "shim.efi"
    lab.chopmark("sign", lab.SHIM, "-o", image, "--append", *cast.boot.options)
    variables = firmware.variables(
        workshop / "mok.fd", cast.platform, cast.exchange, db=[cast.authority, cast.module], mok=[cast.owner]
    )
    return shim.Start(image, variables, cast.owner, harness)
