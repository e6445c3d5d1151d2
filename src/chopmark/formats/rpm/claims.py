"""What the digests in a package say: those beside signatures, and those of the payload in the signed header."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING

from chopmark.core.digest import ALGORITHMS, STRONG
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.core.seal import Claim, Range, Recipe
from chopmark.envelopes.openpgp import mathematics
from chopmark.formats.rpm import reasons, tags

if TYPE_CHECKING:
    from chopmark.core.artifact import View
    from chopmark.formats.rpm.header import Header
    from chopmark.formats.rpm.package import Package

_OF_HEADER = ((tags.SHA1, "sha1"), (tags.SHA256, "sha256"), (tags.SHA3_256, "sha3_256"))
_MORE = (
    ("sha512", tags.PAYLOAD_SHA512, tags.PAYLOAD_SHA512_UNPACKED),
    ("sha3_256", tags.PAYLOAD_SHA3_256, tags.PAYLOAD_SHA3_256_UNPACKED),
)
"""Digests of the payload that have tags of their own."""
_CPIO = b"0707"


class Stated(NamedTuple):
    """A digest of the payload that the header has: as it is in the package, and uncompressed."""

    algorithm: str
    packed: bytes
    unpacked: bytes


def beside(found: Package, *, md5: bool = True) -> list[Claim]:
    """The digests that stand beside the signatures. Nobody signs them; rpm refuses a package where they are wrong.

    MD5 of it all takes longer than everything else, and adds nothing where the payload has a digest that is signed.
    """
    made = []
    head = (found.head,)
    for tag, algorithm in _OF_HEADER:
        said = found.signatures.string(tag)
        if said is not None:
            made.append(Claim("header", Recipe(algorithm, head), _octets(said, algorithm)))
    if md5 and tags.MD5 in found.signatures.entries:
        whole = (Range(found.start, found.size - found.start),)
        made.append(Claim("package", Recipe("md5", whole), found.signatures.raw(tags.MD5)))
    return made


def of_payload(view: View, found: Package) -> list[Claim]:
    """The strong digests of the payload that the header has; without any, a signature over the header leaves it open.

    A package whose payload was uncompressed since has it as the digest of that says; rpm takes it as well.
    """
    ranges = (found.rest,)
    plain = view.read(found.payload, len(_CPIO)) == _CPIO
    made = []
    for algorithm, packed, unpacked in stated(found.header):
        expected = unpacked if plain and unpacked else packed
        if expected and algorithm in STRONG:
            made.append(Claim("payload", Recipe(algorithm, ranges), expected))
    return made


def stated(header: Header) -> list[Stated]:
    """All digests of the payload in a header. Raises BrokenError where there are several of a kind."""
    found = []
    packed, unpacked = header.strings(tags.PAYLOAD_DIGEST), header.strings(tags.PAYLOAD_DIGEST_UNPACKED)
    if max(len(packed), len(unpacked)) > 1:
        raise BrokenError(reasons.TAG, "several digests of one payload")
    if packed or unpacked:
        number = header.number(tags.PAYLOAD_DIGEST_ALGORITHM)
        algorithm = mathematics.DIGESTS.get(8 if number is None else number)
        if algorithm is None:
            raise BrokenError(reasons.TAG, f"a digest {number} of the payload")
        found.append(_stated(algorithm, packed[0] if packed else b"", unpacked[0] if unpacked else b""))
    for algorithm, tag, other in _MORE:
        first, second = header.string(tag) or b"", header.string(other) or b""
        if first or second:
            found.append(_stated(algorithm, first, second))
    return found


def _stated(algorithm: str, packed: bytes, unpacked: bytes) -> Stated:
    return Stated(
        algorithm, _octets(packed, algorithm) if packed else b"", _octets(unpacked, algorithm) if unpacked else b""
    )


def _octets(text: bytes, algorithm: str) -> bytes:
    """A digest in hex, in lower case as rpm writes it."""
    try:
        value = binascii.unhexlify(text)
    except ValueError:
        value = b""
    if len(value) != ALGORITHMS[algorithm].size or binascii.hexlify(value) != text:
        raise BrokenError(reasons.TAG, f"a {algorithm} that is none")
    return value
