"""What an image for firmware is: a kernel, a unified kernel image, shim; and the texts that it carries."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.formats.pe import image as images
from chopmark.formats.pe import sections

if TYPE_CHECKING:
    from chopmark.core.artifact import Artifact, View
    from chopmark.formats.pe.image import Section

_UNIFIED = frozenset({b".linux", b".initrd", b".cmdline", b".osrel", b".uname", b".dtb", b".splash", b".ucode",
                      b".pcrsig", b".pcrpkey", b".profile", b".hwids", b".dtbauto", b".efifw"})  # fmt: skip
"""Sections of a unified kernel image (UAPI Group Specifications, UKI)."""
_TRUSTED = (sections.SBAT, sections.SBAT_LEVEL, sections.VENDOR)
_TEXTS = (b".cmdline", b".uname", b".osrel", sections.SBAT)
_NAME = b"PRETTY_NAME="


def facts(artifact: Artifact) -> list[tuple[str, str]]:
    """Rows for people; none for a program of an operating system. Raises MalformedError."""
    view = artifact.view
    image = images.read(view)
    if not image.efi:
        return []
    named = list(sections.named(view, image))
    names = {name for name, _ in named}
    rows = [("kind", _kind(view, names))]
    telling = [(name, section) for name, section in named if name in _UNIFIED or name in _TRUSTED]
    counts: Counter[bytes] = Counter()
    for name, section in telling[: limits.SECTIONS_SHOWN_MAX]:
        counts[name] += 1
        number = f" {counts[name]}" if counts[name] > 1 else ""
        rows.append((_shown(name) + number, _text(view, name, section)))
    if (left := len(telling) - limits.SECTIONS_SHOWN_MAX) > 0:
        rows.append(("further sections", f"{left:,}"))
    return rows


def _kind(view: View, names: set[bytes]) -> str:
    if b".linux" in names:
        return "unified kernel image"
    if sections.VENDOR in names:
        return "shim"
    return "Linux kernel with an EFI stub" if sections.is_kernel(view) else "EFI application"


def _shown(name: bytes) -> str:
    return name.decode("ascii", "backslashreplace")


def _text(view: View, name: bytes, section: Section) -> str:
    """What stands in a section of text (of an os-release its name); of others how much it is."""
    size = f"{min(section.virtual_size, section.raw_size):,} bytes"
    if name not in _TEXTS:
        return size
    try:
        data = sections.content(view, section, limits.SECTION_SHOWN_MAX).rstrip(b"\0\n")
    except MalformedError:
        return size
    if name == b".osrel":
        pretty = [line for line in data.splitlines() if line.startswith(_NAME)]
        data = pretty[0].removeprefix(_NAME).strip(b'"') if pretty else data
    lines = data.decode("utf-8", "backslashreplace").splitlines()
    return "; ".join(_component(line) for line in lines) if name == sections.SBAT else " ".join(lines)


def _component(row: str) -> str:
    """Component and generation of a row of SBAT."""
    return " ".join(row.split(",")[:2])
