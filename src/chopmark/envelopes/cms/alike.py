"""Reading signatures that are like one before: what a signer signs differs in a digest, a time and the signature.

`reading` looks at no value of an attribute and not into the signature. Where all other bytes are the same, everything
stands where it stood, and only has to be looked for in other bytes. Where the other values are the same as well, what
was found out about the one before holds for this one too, but for the time, which must be one, and the mathematics.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import repeat
from operator import attrgetter
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import der, signatures, x509
from chopmark.envelopes.cms import oids, reading
from chopmark.envelopes.cms.reading import SignedData, SignerInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.proof import Proof

    _Span = tuple[int, int]
    _Attributes = Mapping[str, tuple[der.Node, ...]]
    _Piece = tuple[int, int, bytes]


class _Proven(NamedTuple):
    """What a signature came to that nothing speaks against, with all values of attributes but the digest and the time.

    `allowed` are the unsigned attributes that might stand there, `spki` is the key of the signer.
    """

    allowed: frozenset[str]
    values: tuple[_Piece, ...]
    spki: bytes
    proof: Proof


class _Outline(NamedTuple):
    """A SignedData by one signer over detached content: where the attributes and the signature are, and all the rest.

    `fixed` are the pieces between what may be anything, each with where it begins and ends; `proven` is what the last
    one came to, or nothing.
    """

    signed: SignedData
    attributes: _Span
    signature: _Span
    fixed: tuple[_Piece, ...]
    proven: list[_Proven]


class _Alike(SignedData):
    """One that was read by its outline."""

    __slots__ = ("outline",)

    def __init__(self, outline: _Outline, raw: bytes) -> None:
        """Bytes that fit."""
        deque(map(setattr, repeat(self), SignedData.__slots__, _FIELDS(outline.signed)), 0)  # no step of ours for each
        self.outline = outline
        self.raw = self.definite = raw
        self.signers = (_signer(outline, raw),)


class _Within(Mapping[str, tuple[der.Node, ...]]):
    """Attributes at the same places in other bytes; most are not asked for."""

    __slots__ = ("_like", "_raw")

    def __init__(self, raw: bytes, like: _Attributes) -> None:
        self._raw = raw
        self._like = like

    def __getitem__(self, oid: str) -> tuple[der.Node, ...]:
        return tuple([node.within(self._raw) for node in self._like[oid]])

    def __iter__(self) -> Iterator[str]:
        return iter(self._like)

    def __len__(self) -> int:
        return len(self._like)

    def __contains__(self, oid: object) -> bool:
        return oid in self._like


_before: dict[int, SignedData] = {}
_outlines: dict[int, _Outline] = {}
"""By the length of the whole."""


def read(raw: bytes, *, allow_ber: bool = False) -> SignedData:
    """As `reading.read`, with the same result and the same errors."""
    if allow_ber or len(raw) > limits.CMS_KEPT_SIZE_MAX:
        return reading.read(raw, allow_ber=allow_ber)
    outline = _outlines.get(len(raw))
    if outline is not None and _fits(outline, raw):
        return _Alike(outline, raw)
    before = _before.get(len(raw))
    if before is not None and (outline is None or outline.signed is not before):
        outline = _outline(before)  # not the first time: most are read once
        if outline is not None:
            _outlines[len(raw)] = outline
            if _fits(outline, raw):
                return _Alike(outline, raw)
    signed = reading.read(raw)
    if len(_before) >= limits.CMS_KEPT_MAX:
        _before.clear()
        _outlines.clear()
    _before[len(raw)] = signed
    return signed


def _outline(signed: SignedData) -> _Outline | None:
    """None where more is looked at: the order of several signers, the content and its type."""
    if signed.content_raw is not None or len(signed.signers) != 1:
        return None
    [signer] = signed.signers
    parts = signer.node.children()
    at = next(number for number, part in enumerate(parts) if part.start == signer.algorithm.start)
    block, signature = parts[at - 1], parts[at + 1]
    has_attributes = bool(signer.attributes_raw)
    values = [*_values(signer.signed_attributes), *_values(signer.unsigned_attributes)]
    fixed, begin = [], 0
    for node in sorted((*values, signature), key=lambda each: each.body):
        fixed.append((begin, node.body, signed.raw[begin : node.body]))
        begin = node.end
    fixed.append((begin, len(signed.raw), signed.raw[begin:]))
    attributes = (block.start, block.end) if has_attributes else (0, 0)
    return _Outline(signed, attributes, (signature.body, signature.end), tuple(fixed), [])


def _values(attributes: _Attributes) -> Iterator[der.Node]:
    for several in attributes.values():
        yield from several


def _fits(outline: _Outline, raw: bytes) -> bool:
    for begin, end, piece in outline.fixed:  # noqa: SIM110 - a generator takes as long as all the comparing
        if raw[begin:end] != piece:
            return False
    return True


def _signer(outline: _Outline, raw: bytes) -> SignerInfo:
    [like] = outline.signed.signers
    signer = SignerInfo.__new__(SignerInfo)
    deque(map(setattr, repeat(signer), SignerInfo.__slots__, _SIGNER_FIELDS(like)), 0)
    begin, end = outline.attributes
    if end:
        signer.attributes_raw = raw[begin:end]
        signer.signed_attributes_der = bytes((der.SET,)) + raw[begin + 1 : end]
    begin, end = outline.signature
    signer.signature = raw[begin:end]
    signer.node, signer.algorithm = like.node.within(raw), like.algorithm.within(raw)
    signer.signed_attributes = _Within(raw, like.signed_attributes)
    if like.unsigned_attributes:
        signer.unsigned_attributes = _Within(raw, like.unsigned_attributes)
    return signer


_FIELDS = attrgetter(*SignedData.__slots__)
_SIGNER_FIELDS = attrgetter(*SignerInfo.__slots__)


# --- what they come to


def proven(signed: SignedData, signer: SignerInfo, allowed: frozenset[str]) -> Proof | None:
    """What `checking.check_alone` says of a signer without a digest, by what it said of one before (`keep`).

    None where it has to be asked: it was not the same, the time is none, or the signature does not hold.
    """
    known = signed.outline.proven if isinstance(signed, _Alike) else ()
    for before in known:
        if before.allowed != allowed or any(signed.raw[begin:end] != piece for begin, end, piece in before.values):
            return None
        time = signer.signing_time
        if time is None and before.proof.claimed_time is not None:
            return None
        try:
            algorithm = signer.signature_algorithm
            data, digest = signer.signed_attributes_der, signer.digest_algorithm
            signatures.verify(before.spki, algorithm, signer.signature, data, digest)
        except MalformedError:
            return None
        return before.proof._replace(claimed_time=time)
    return None


def keep(signed: SignedData, signer: SignerInfo, allowed: frozenset[str], proof: Proof) -> None:
    """Remember what `check_alone` said, for those that are like it."""
    if isinstance(signed, _Alike) and proof.intact and signer.attributes_raw:
        may_differ = {each.body for oid in _DIFFERING if (each := signer.single(oid)) is not None}
        nodes = [*_values(signer.signed_attributes), *_values(signer.unsigned_attributes)]
        values = tuple((each.body, each.end, each.value) for each in nodes if each.body not in may_differ)
        spki = x509.certificate(proof.certificates[0]).spki
        signed.outline.proven[:] = [_Proven(allowed, values, spki, proof)]


_DIFFERING = (oids.MESSAGE_DIGEST, oids.SIGNING_TIME)
