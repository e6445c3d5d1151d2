"""What was claimed held against what is: each answer is about its own claim, whatever was asked before."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

from chopmark.core import reasons
from chopmark.core.proof import Proof
from chopmark.core.seal import Claim, Payload, Range, Recipe, Seal
from chopmark.engine import check

if TYPE_CHECKING:
    from collections.abc import Sequence

HEAD = (Range(0, 4),)


class Unsigned:
    """An envelope of nobody's."""

    scheme, raw = "none", b""

    def check(self, payloads: Sequence[Payload]) -> Proof:  # noqa: ARG002 - the contract
        return Proof(None, "", ())


def compared(*claims: tuple[str, str, bytes, bytes]) -> list[tuple[str, str, str]]:
    """Code, subject and detail of what is found about claims: what, algorithm, expected, and what there is."""
    made = tuple(Claim(what, Recipe(algorithm, HEAD), expected) for what, algorithm, expected, _ in claims)
    payloads = [Payload(claim.recipe, is_, 4) for claim, (*_, is_) in zip(made, claims, strict=True)]
    seal = Seal("signature", Unsigned(), made)
    return [(each.code, each.subject, each.detail) for each in check.content_findings(seal, payloads)]


def test_each_comparison_is_by_what_it_compares() -> None:
    match, mismatch = reasons.DIGEST_MATCH.code, reasons.DIGEST_MISMATCH.code
    expected = {
        ("header", "sha256", b"a", b"a"): (match, "header", "header, sha256"),
        ("header", "sha256", b"a", b"b"): (mismatch, "header", "header, sha256"),
        ("header", "sha1", b"a", b"a"): (match, "header", "header, sha1"),
        ("payload", "sha1", b"a", b"a"): (match, "payload", "payload, sha1"),
    }
    for order in permutations(expected):
        assert compared(*order) == [expected[each] for each in order]
