"""Streams that the standard library cannot pack."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from chopmark.formats._compressed import streams

lz4: Any = import_module("lz4.frame")
"""Has no types."""


def zstd(data: bytes) -> bytes:
    """As zstd(1) packs a file: with a size and a checksum."""
    library = streams.zstandard_module()
    return bytes(library.compress(data, options={library.CompressionParameter.checksum_flag: 1}))
