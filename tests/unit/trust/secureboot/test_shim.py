"""Whether shim starts an image: its own certificate, the machine owner's, db and dbx; and SBAT."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from cryptography.x509 import ObjectIdentifier

from chopmark.core.artifact import Artifact
from chopmark.core.errors import BrokenError, UsageError
from chopmark.core.finding import Outcome
from chopmark.engine import secureboot
from chopmark.envelopes import x509
from chopmark.envelopes.efi import lists
from chopmark.formats.pe import sections
from chopmark.trust.secureboot import state
from tests.support import firmware, pki
from tests.support.firmware import GRUB, LEVEL, VENDOR, shim
from tests.vectors.pe import make

SIGNER = pki.leaf(VENDOR, "Example Vendor Signer", kind="rsa2048")
PLAIN = firmware.image(sbat=GRUB)
GRUB_SIGNED = firmware.sealed(PLAIN, SIGNER)
KNOWN = state.Databases(vendor=tuple(firmware.entries(VENDOR)), dbx_known=True, level=LEVEL)


def found(data: bytes, known: state.Databases = KNOWN) -> dict[str, set[str]]:
    codes: dict[str, set[str]] = {str(outcome): set() for outcome in Outcome}
    for each in secureboot.started_by_shim(Artifact.from_bytes(data, "image.efi"), known, pki.NOW):
        codes[str(each.outcome)].add(each.code)
    return codes


def against(data: bytes, known: state.Databases = KNOWN) -> set[str]:
    codes = found(data, known)
    return codes["no"] | codes["unknown"]


def having(known: state.Databases, name: str, *entries: lists.Entry) -> state.Databases:
    """The databases with another one of this name."""
    changed: dict[str, Any] = {name: entries}
    return known._replace(**changed)


def digest(data: bytes) -> lists.Entry:
    return lists.digest_entry("sha256", secureboot.digests(Artifact.from_bytes(data, ""), ("sha256",))["sha256"])


def test_what_any_list_of_shims_leads_to_is_started() -> None:
    assert against(GRUB_SIGNED) == set()
    assert "shim.trusted" in found(GRUB_SIGNED)["ok"]
    nobody = KNOWN._replace(vendor=())
    assert against(GRUB_SIGNED, nobody) == {"shim.untrusted"}
    for name in ("db", "mok", "vendor"):
        assert against(GRUB_SIGNED, having(nobody, name, *firmware.entries(SIGNER))) == set()
        assert against(PLAIN, having(nobody, name, digest(PLAIN))) == set()
    assert against(PLAIN) == {"shim.untrusted"}


def test_what_any_list_forbids_is_not_started() -> None:
    for name in ("dbx", "mokx", "vendorx"):
        for entry in (digest(GRUB_SIGNED), *firmware.entries(SIGNER), *firmware.entries(VENDOR)):
            assert "shim.forbidden" in against(GRUB_SIGNED, having(KNOWN, name, entry))


def test_a_forbidden_signature_beside_a_good_one_does_not_count() -> None:
    """Unlike firmware, which then refuses the image."""
    both = firmware.sealed(PLAIN, SIGNER, firmware.DB)
    known = KNOWN._replace(dbx=tuple(firmware.entries(firmware.DB)))
    assert against(both, known) == set()
    assert "secureboot.passed_over" in found(both, known)["info"]


def test_a_key_for_kernel_modules_starts_nothing() -> None:
    purposes = (ObjectIdentifier(x509.EKU_CODE_SIGNING), ObjectIdentifier(x509.EKU_MODULE_SIGNING))
    modules = pki.leaf(None, "Example MOK", kind="rsa2048", purposes=purposes)
    known = KNOWN._replace(mok=tuple(firmware.entries(modules)))
    assert against(firmware.sealed(PLAIN, modules), known) == {"shim.modules_only"}


def test_old_generations_are_refused() -> None:
    newer = KNOWN._replace(level=LEVEL.replace(b"grub,3", b"grub,4"))
    assert against(GRUB_SIGNED, newer) == {"shim.sbat_revoked"}
    assert "shim.sbat_unknown" in found(GRUB_SIGNED, KNOWN._replace(level=None))["info"]
    assert against(firmware.sealed(firmware.image(), SIGNER)) == {"shim.sbat_missing"}
    kernel = bytearray(firmware.image())
    kernel[0x202:0x206] = b"HdrS"
    assert against(firmware.sealed(bytes(kernel), SIGNER)) == set()
    assert "shim.sbat_absent" in found(firmware.sealed(bytes(kernel), SIGNER))["info"]
    assert against(firmware.sealed(firmware.image(sbat=b"grub"), SIGNER)) == {"shim.sbat_broken"}
    two = make.Pe(
        subsystem=make.EFI_APPLICATION, sections=(make.Section(b".sbat", GRUB), make.Section(b".sbat", GRUB))
    ).build()
    assert against(firmware.sealed(two, SIGNER)) == {"shim.sbat_broken"}
    assert against(GRUB_SIGNED, KNOWN._replace(level=b"shim,1\n")) == {"shim.sbat_broken"}


def test_changed_and_unreadable_images_are_not_started() -> None:
    code = GRUB_SIGNED.index(make.RETURN_ZERO)
    changed = GRUB_SIGNED[:code] + make.RETURN_ONE[:3] + GRUB_SIGNED[code + 3 :]
    assert against(changed) == {"secureboot.digest_mismatch"}
    assert against(GRUB_SIGNED[:-40] + b"\0" + GRUB_SIGNED[-39:]) == {"secureboot.signature_wrong"}
    assert against(GRUB_SIGNED[:-1]) == {"secureboot.table"}


def test_elliptic_curves_leave_it_open() -> None:
    known = KNOWN._replace(mok=tuple(firmware.entries(pki.world().root)))
    assert against(firmware.sealed(PLAIN, pki.world().signer), known) == {"secureboot.algorithm"}


# What shim itself carries


def test_what_a_shim_carries_is_found(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("shim") / "shim.efi"
    path.write_bytes(shim(forbidden=firmware.written(firmware.DB)))
    known = secureboot.with_shim(state.Databases(), str(path))
    assert known.vendor == (lists.certificate_entry(VENDOR.der),)
    assert known.vendorx == tuple(firmware.entries(firmware.DB))
    assert known.level == LEVEL
    older, newer = (LEVEL.replace(b"2024", year) for year in (b"2023", b"2025"))
    for level, expected in ((older, LEVEL), (newer, newer)):
        assert secureboot.with_shim(state.Databases(level=level), str(path)).level == expected
    path.write_bytes(shim(allowed=firmware.written(VENDOR, firmware.KEK)))
    assert len(secureboot.with_shim(state.Databases(), str(path)).vendor) == 2


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        b"text",
        shim(allowed=b"neither"),
        shim(level=b"shim,1\n").replace(struct.pack("<III", 0, 8, 16), struct.pack("<III", 0, 9999, 16)),
        shim(level=b"shim,1\n").replace(struct.pack("<III", 0, 8, 16), struct.pack("<III", 1, 8, 16)),
        shim().replace(struct.pack("<II", len(VENDOR.der), 0), struct.pack("<II", len(VENDOR.der), 999999)),
    ],
    ids=["no shim", "no image", "no certificate", "level outside", "another version", "cut off"],
)
def test_what_is_no_shim_is_refused(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("shim") / "shim.efi"
    path.write_bytes(data)
    with pytest.raises(UsageError):
        secureboot.with_shim(state.Databases(), str(path))


def test_a_shim_looks_at_its_own_generation_when_firmware_has_started_it() -> None:
    own = firmware.sealed(shim(sbat=b"sbat,1,a,b,c,d\nshim,3,a,b,c,d\n"), firmware.DB)
    known = state.Databases(db=tuple(firmware.entries(firmware.DB)), level=LEVEL)
    codes = {
        each.code
        for each in secureboot.started_by_firmware(Artifact.from_bytes(own, ""), known, pki.NOW)
        if each.outcome == "no"
    }
    assert codes == {"shim.sbat_revoked"}


def test_contents_of_sections_are_bounded() -> None:
    with Artifact.from_bytes(PLAIN, "") as artifact:
        from chopmark.formats.pe import image

        head = image.read(artifact.view)
        [section] = sections.find(artifact.view, head, b".sbat")
        assert sections.content(artifact.view, section, len(GRUB)) == GRUB
        with pytest.raises(BrokenError):
            sections.content(artifact.view, section, len(GRUB) - 1)
