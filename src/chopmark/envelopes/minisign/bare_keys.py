"""Public keys of minisign and signify in files, as trust stores hold them."""

from __future__ import annotations

from chopmark.envelopes.minisign.reading import public_keys

__all__ = ["public_keys"]
