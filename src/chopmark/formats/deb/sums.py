"""What dpkg-sig signs: a text with the MD5, SHA-1 and size of every member. Read, and never made: see docs/adr/0136."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core.errors import BrokenError
from chopmark.core.seal import Claim, Range, Recipe
from chopmark.formats.deb import reasons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.contracts import KeySource
    from chopmark.core.proof import Proof
    from chopmark.core.seal import Payload
    from chopmark.envelopes.openpgp import OpenPgpEnvelope
    from chopmark.formats.deb.package import Package

_FIELDS = re.compile(rb"Version: 4\r\n(?:(?:Signer|Date|Role): [^\r\n]*\r\n)*Files: *\r\n").match
_LINE = re.compile(rb"\t([0-9a-f]{32}) ([0-9a-f]{40}) (0|[1-9][0-9]{0,18}) ([a-z0-9_.+-]+)").fullmatch
_STRENGTH = "sha1"
"""Of two digests side by side: no more than the better one (Joux, Multicollisions in Iterated Hash Functions, 2004)."""


class WeakEnvelope:
    """A signature that is as weak as the digests in the text under it."""

    scheme = "openpgp"

    def __init__(self, inner: OpenPgpEnvelope) -> None:
        self._inner = inner
        self.raw = inner.raw
        self.digest_algorithm = _STRENGTH
        self.facts = inner.facts

    def check(self, payloads: Sequence[Payload]) -> Proof:
        """As the signature says of itself."""
        return self._inner.check(payloads)._replace(digest_algorithm=_STRENGTH)

    def check_with(self, payloads: Sequence[Payload], keys: KeySource) -> Proof:
        """As the signature, with the keys that are known."""
        return self._inner.check_with(payloads, keys)._replace(digest_algorithm=_STRENGTH)


def claims(signed: bytes, found: Package) -> list[Claim]:
    """What the text (as it is signed) says of the members. Raises BrokenError where it is about others."""
    head = _FIELDS(signed)
    if head is None:
        raise BrokenError(reasons.SUMS, "its fields")
    lines = [_LINE(line) for line in signed[head.end() :].removesuffix(b"\r\n").split(b"\r\n")]
    said = {line[4].decode("ascii"): line for line in lines if line is not None}
    parts = {part.name: part for part in found.parts}
    if None in lines or len(said) != len(lines) or said.keys() != parts.keys():
        raise BrokenError(reasons.SUMS, "its members")
    made = []
    for name, part in parts.items():
        if int(said[name][3]) != part.size:
            raise BrokenError(reasons.SUMS, f"{name} has {part.size} bytes")
        whole = (Range(part.offset, part.size),)
        for algorithm, group in (("md5", 1), ("sha1", 2)):
            made.append(Claim(name, Recipe(algorithm, whole), bytes.fromhex(said[name][group].decode("ascii"))))
    return made
