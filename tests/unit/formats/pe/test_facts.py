"""What `inspect` shows of images for firmware."""

from __future__ import annotations

from chopmark.core import limits
from chopmark.core.artifact import Artifact
from chopmark.engine import inspect
from chopmark.formats.pe import FORMAT
from tests.support import firmware
from tests.vectors.pe import make

SBAT = b"sbat,1,a,b,c,d\nsystemd,1,a,b,c,d\n"


def facts(data: bytes) -> dict[str, str]:
    return dict(FORMAT.facts(Artifact.from_bytes(data, "image.efi")))  # type: ignore[attr-defined]


def test_a_unified_kernel_image_is_taken_apart() -> None:
    made = firmware.image(
        linux=bytes(5000),
        initrd=bytes(100),
        cmdline=b"quiet root=/dev/vda\n\0",
        osrel=b'ID=example\nPRETTY_NAME="Example Linux"\n',
        uname=b"6.1.0",
        sbat=SBAT,
        pcrsig=b"{}",
    )
    assert facts(made) == {
        "kind": "unified kernel image",
        ".linux": "5,000 bytes",
        ".initrd": "100 bytes",
        ".cmdline": "quiet root=/dev/vda",
        ".osrel": "Example Linux",
        ".uname": "6.1.0",
        ".sbat": "sbat 1; systemd 1",
        ".pcrsig": "2 bytes",
    }


def test_kernels_shims_and_other_applications_are_told_apart() -> None:
    kernel = bytearray(firmware.image())
    kernel[0x202:0x206] = b"HdrS"
    assert facts(bytes(kernel)) == {"kind": "Linux kernel with an EFI stub"}
    assert facts(firmware.shim())["kind"] == "shim"
    assert facts(firmware.image()) == {"kind": "EFI application"}
    assert facts(make.Pe().build()) == {}


def test_sections_that_stand_twice_are_both_shown() -> None:
    twice = (make.Section(b".linux", b"one"), make.Section(b".cmdline", b"a"), make.Section(b".cmdline", b"b" * 2))
    found = facts(make.Pe(subsystem=make.EFI_APPLICATION, sections=twice).build())
    assert (found[".cmdline"], found[".cmdline 2"]) == ("a", "bb")


def test_not_more_sections_are_shown_than_anybody_reads() -> None:
    """65535 of them, all in one place, made gigabytes of text, after minutes of counting."""
    same = make.Section(b".osrel", b"", virtual_size=512, raw_offset=0x200, raw_size=512)
    many = make.Pe(subsystem=make.EFI_APPLICATION, sections=(same,) * (limits.SECTIONS_SHOWN_MAX + 7))
    found = facts(many.build())
    assert len(found) == limits.SECTIONS_SHOWN_MAX + 2
    assert found["further sections"] == "7"
    assert f".osrel {limits.SECTIONS_SHOWN_MAX}" in found


def test_what_is_long_or_lies_outside_is_only_counted() -> None:
    long = firmware.image(cmdline=b"x" * (limits.SECTION_SHOWN_MAX + 1))
    assert facts(long)[".cmdline"] == f"{limits.SECTION_SHOWN_MAX + 1:,} bytes"
    outside = make.Section(b".cmdline", b"x", virtual_size=4, raw_size=512, raw_offset=0x7FFFFFFF)
    found = facts(make.Pe(subsystem=make.EFI_APPLICATION, sections=(outside,)).build())
    assert found[".cmdline"] == "4 bytes"


def test_names_that_lead_nowhere_stay_as_they_are() -> None:
    named = (make.Section(b"/9999999", b"x"), make.Section(b"/4", b"y"))
    assert facts(make.Pe(subsystem=make.EFI_APPLICATION, sections=named).build()) == {"kind": "EFI application"}


def test_inspect_shows_them_also_of_broken_images() -> None:
    made = firmware.sealed(firmware.image(cmdline=b"quiet", linux=b"MZ"), firmware.DB)
    shown = inspect.inspect(Artifact.from_bytes(made, "image.efi"))
    assert shown["facts"][".cmdline"] == "quiet"
    assert inspect.inspect(Artifact.from_bytes(made[:-1], "image.efi"))["facts"][".cmdline"] == "quiet"
    assert inspect.inspect(Artifact.from_bytes(made[:0x100], "image.efi"))["facts"] == {}
    assert inspect.inspect(Artifact.from_bytes(b"#!/bin/sh\n", "x.sh"))["facts"] == {}
