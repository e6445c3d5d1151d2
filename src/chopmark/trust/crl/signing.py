"""With which keys lists are signed: the date in a list is only told by who signed it, and makes no key strong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.envelopes import public_keys

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.envelopes import x509


def weakness(issuer: x509.Certificate, at: dt.datetime) -> str:
    """Why the silence of the lists of an authority does not count at a time: its key may be somebody else's; or empty.

    A path can be good for a short key, by a time stamp from when it was long enough. Raises UnsupportedError.
    """
    kind, size = public_keys.require_usable(issuer.spki)
    if kind == "rsa" and size < limits.RSA_BITS_MIN and at >= limits.RSA_1024_SUNSET:
        return f"it is signed with an RSA key of {size} bits"
    return ""
