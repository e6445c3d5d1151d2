"""The file beside the file: CMS in DER, BER or PEM, read strictly and written."""

from __future__ import annotations

from typing import NamedTuple

from chopmark.core.errors import BrokenError
from chopmark.envelopes import pem
from chopmark.formats.detached import reasons

SUFFIX = ".p7s"
PEM_LABEL = "CMS"

_PEM_START = b"-----BEGIN "
_MIME_STARTS = (b"mime-version:", b"content-type:", b"from:", b"received:", b"to:", b"subject:")


class Companion(NamedTuple):
    """The CMS object in a companion file, and the PEM label it stood under (empty for DER and BER)."""

    cms: bytes
    label: str


def read(data: bytes) -> Companion:
    """Take the CMS object out of a companion file.

    PEM is one block and nothing else, its lines of one width and with one kind of line break, so that no byte of it can
    be another. Raises BrokenError.
    """
    if data[:200].lstrip().lower().startswith(_MIME_STARTS):
        raise BrokenError(reasons.MIME)
    if not data.startswith(_PEM_START):
        return Companion(data, "")
    blocks = [block for block in pem.blocks(data) if block.der]
    if len(blocks) != 1 or blocks[0].label not in pem.CMS:
        raise BrokenError(reasons.PEM_FORM, f"{len(blocks)} blocks that can be read")
    [block] = blocks
    if _canonical(block, data) != data:
        raise BrokenError(reasons.PEM_FORM, "not as it is written")
    return Companion(block.der, block.label)


def write(cms: bytes, label: str = "") -> bytes:
    """The companion file for a CMS object: DER, or PEM under a label."""
    return pem.encode(label, cms) if label else cms


def _canonical(block: pem.Block, data: bytes) -> bytes:
    """The PEM file that has this block's lines: their width and line break are those of the first two."""
    import base64

    lines = data.split(b"\n", 2)
    newline = b"\r\n" if lines[0].endswith(b"\r") else b"\n"
    width = max(len(lines[1].rstrip(b"\r")), 1)
    text = base64.b64encode(block.der)
    body = [text[start : start + width] for start in range(0, len(text), width)]
    name = block.label.encode("latin-1")
    return newline.join((b"-----BEGIN " + name + b"-----", *body, b"-----END " + name + b"-----", b""))
