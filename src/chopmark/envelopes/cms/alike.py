"""Reading signatures that are like one before: what a signer signs differs in a digest, a time and the signature.

`reading` looks at no value of an attribute and not into the signature. Where all other bytes are the same, everything
stands where it stood, and only has to be looked for in other bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.envelopes import der
from chopmark.envelopes.cms import reading
from chopmark.envelopes.cms.reading import SignedData, SignerInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    _Span = tuple[int, int]
    _Attributes = Mapping[str, tuple[der.Node, ...]]


class _Outline(NamedTuple):
    """A SignedData by one signer over detached content: where the attributes and the signature are, and all the rest.

    `fixed` are the pieces between what may be anything, each with where it begins and ends.
    """

    signed: SignedData
    attributes: _Span
    signature: _Span
    fixed: tuple[tuple[int, int, bytes], ...]


_before: dict[int, SignedData] = {}
_outlines: dict[int, _Outline] = {}
"""By the length of the whole."""


def read(raw: bytes, *, allow_ber: bool = False) -> SignedData:
    """As `reading.read`, with the same result and the same errors."""
    if allow_ber or len(raw) > limits.CMS_KEPT_SIZE_MAX:
        return reading.read(raw, allow_ber=allow_ber)
    outline = _outlines.get(len(raw))
    if outline is not None and _fits(outline, raw):
        return _filled(outline, raw)
    before = _before.get(len(raw))
    if before is not None and (outline is None or outline.signed is not before):
        outline = _outline(before)  # not the first time: most are read once
        if outline is not None:
            _outlines[len(raw)] = outline
            if _fits(outline, raw):
                return _filled(outline, raw)
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
    return _Outline(signed, attributes, (signature.body, signature.end), tuple(fixed))


def _values(attributes: _Attributes) -> Iterator[der.Node]:
    for several in attributes.values():
        yield from several


def _fits(outline: _Outline, raw: bytes) -> bool:
    return all(raw[begin:end] == piece for begin, end, piece in outline.fixed)


def _filled(outline: _Outline, raw: bytes) -> SignedData:
    """What `reading.read` makes of bytes that fit."""
    signed = SignedData.__new__(SignedData)
    for name in SignedData.__slots__:
        setattr(signed, name, getattr(outline.signed, name))
    signed.raw = signed.definite = raw
    signed.signers = (_signer(outline, raw),)
    return signed


def _signer(outline: _Outline, raw: bytes) -> SignerInfo:
    [like] = outline.signed.signers
    signer = SignerInfo.__new__(SignerInfo)
    for name in SignerInfo.__slots__:
        setattr(signer, name, getattr(like, name))
    begin, end = outline.attributes
    if end:
        signer.attributes_raw = raw[begin:end]
        signer.signed_attributes_der = bytes((der.SET,)) + raw[begin + 1 : end]
    begin, end = outline.signature
    signer.signature = raw[begin:end]
    signer.node, signer.algorithm = like.node.within(raw), like.algorithm.within(raw)
    signer.signed_attributes = _within(raw, like.signed_attributes)
    signer.unsigned_attributes = _within(raw, like.unsigned_attributes)
    return signer


def _within(raw: bytes, attributes: _Attributes) -> _Attributes:
    return {oid: tuple([node.within(raw) for node in several]) for oid, several in attributes.items()}
