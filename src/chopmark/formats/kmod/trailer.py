"""What is appended to a signed module (formats/_appended/trailer.py), with the reasons of modules."""

from __future__ import annotations

from chopmark.formats._appended.trailer import MARK, Trailer, appended, envelope
from chopmark.formats.kmod import reasons

__all__ = ["MARK", "appended", "bare", "below", "envelope"]

_TRAILER = Trailer(reasons.TRAILER_WRONG, reasons.TRAILING, reasons.TWICE)
bare, below = _TRAILER.bare, _TRAILER.below
