"""Signatures in a header of signatures, or beside a header in the database of installed packages."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.envelopes import openpgp
from chopmark.envelopes.openpgp import reasons as openpgp_reasons
from chopmark.envelopes.openpgp import signatures
from chopmark.formats.rpm import reasons, tags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.envelopes.openpgp import OpenPgpEnvelope
    from chopmark.formats.rpm.header import Header

HEADER = {tags.OPENPGP: "OPENPGP", tags.RSA: "RSAHEADER", tags.DSA: "DSAHEADER"}
"""Over the header, by their tags; RSA has one of its own, and DSAHEADER is for every other kind of key."""
BOTH = {tags.PGP: "SIGPGP", tags.GPG: "SIGGPG"}
"""Over header and payload, told apart the same way (format_v3.md)."""
EVERY = frozenset((*HEADER, *BOTH))


def found(source: Header, kinds: Mapping[int, str]) -> list[tuple[str, OpenPgpEnvelope]]:
    """Each signature of these kinds, and what it is called. Raises BrokenError for what is none."""
    several = []
    for tag, name in kinds.items():
        if tag not in source.entries:
            continue
        if tag == tags.OPENPGP:
            texts = source.strings(tag)
            if len(texts) > limits.OPENPGP_SIGNATURES_MAX:
                raise BrokenError(openpgp_reasons.FORM, f"{len(texts)} signatures")
            for number, text in enumerate(texts, 1):
                several.append((name if number == 1 else f"{name} {number}", _one(_decoded(text))))
        else:
            kind, *_ = source.entries[tag]
            if kind != tags.BINARY:
                raise BrokenError(reasons.TAG, f"tag {tag} of type {kind}")
            several.append((name, _one(source.raw(tag))))
    return several


def _one(raw: bytes) -> OpenPgpEnvelope:
    several = openpgp.envelopes_in(raw, (signatures.BINARY,))
    if len(several) != 1 or raw.startswith(b"-"):
        raise BrokenError(openpgp_reasons.FORM, "more than the one signature of a tag")
    return several[0]


def _decoded(text: bytes) -> bytes:
    """Base64 as rpm writes it, which is in lines or not."""
    bare = text.replace(b"\n", b"")
    try:
        raw = binascii.a2b_base64(bare, strict_mode=True)
    except binascii.Error:
        raw = b""
    if not raw or binascii.b2a_base64(raw, newline=False) != bare:
        raise BrokenError(openpgp_reasons.FORM, "not base64")
    return raw
