"""Files that are vouched for by what stands elsewhere, while a format answers from the file alone (ADR 0115).

And files that vouch for others: who asks about a signature means what it signs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.core.reasons import SEAL_ELSEWHERE, SEAL_OF_ANOTHER
from chopmark.engine import identify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.finding import Finding

_UEFI_CERTIFICATE = b"\x00\x02\xf1\x0e"
"""Revision and type of a WIN_CERTIFICATE_UEFI_GUID, behind a time and a length (UEFI 2.10 clauses 8.2.2 and 32.2.4)."""
_PLACE = 20
_DEBIAN = b"!<arch>\ndebian-binary"


def told(head: bytes) -> Iterator[Finding]:
    """Who judges the file that begins so, if somebody does."""
    if head.startswith(_DEBIAN):
        yield SEAL_ELSEWHERE.found("a repository's signed release lists its packages: chopmark apt verify")
    if head[_PLACE : _PLACE + len(_UEFI_CERTIFICATE)] != _UEFI_CERTIFICATE:
        return
    from chopmark.envelopes.efi import update  # hardly any file gets here

    if update.looks_like(head):
        yield SEAL_ELSEWHERE.found("a signed update of a firmware variable: chopmark secureboot verify-update")


def told_by_name(path: str) -> Iterator[Finding]:
    """What the file signs, if it is called like a signature and that is there.

    This is for who names files, and not for guards: another file is looked up, wherever it lies.
    """
    signed = signed_by(path)
    if signed:
        yield SEAL_OF_ANOTHER.found(f"chopmark verify {signed}")


def signed_by(name: str) -> str:
    """The file that there is for a signature of this name; empty: it is not called like one."""
    if not name.endswith(identify.suffixes_beside()):
        return ""
    of = (name.removesuffix(suffix) for suffix in identify.suffixes_beside() if name.endswith(suffix))
    return next(filter(os.path.isfile, of), "")
