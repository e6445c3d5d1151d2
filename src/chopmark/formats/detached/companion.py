"""The file beside the file: CMS in DER, BER or PEM, read strictly and written."""

from __future__ import annotations

from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.named import NamedTuple
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
    try:
        block = pem.only(data, *pem.CMS)
    except MalformedError as error:
        raise BrokenError(reasons.PEM_FORM, str(error)) from None
    return Companion(block.der, block.label)


def write(cms: bytes, label: str = "") -> bytes:
    """The companion file for a CMS object: DER, or PEM under a label."""
    return pem.encode(label, cms) if label else cms
