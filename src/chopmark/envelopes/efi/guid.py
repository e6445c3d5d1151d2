"""EFI_GUID: sixteen octets, the first three fields little-endian (UEFI 2.10 appendix A)."""

from __future__ import annotations

import re

from chopmark.core.errors import UsageError

SIZE = 16
_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch


def swapped(octets: bytes) -> bytes:
    """The octets of a GUID in the order of its text, or back."""
    return octets[3::-1] + octets[5:3:-1] + octets[7:5:-1] + octets[8:]


def encode(text: str) -> bytes:
    """The octets of a GUID in text. Raises UsageError."""
    if not _TEXT(text.lower()):
        raise UsageError(f"not a GUID: {text[:64]!r}")
    return swapped(bytes.fromhex(text.replace("-", "")))


def show(octets: bytes) -> str:
    """The text of sixteen octets."""
    digits = swapped(octets).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
