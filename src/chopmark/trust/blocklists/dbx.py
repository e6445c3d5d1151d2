"""dbx, the list of what firmware must not start, as a blocklist."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from chopmark.core import clock
from chopmark.core.errors import MalformedError
from chopmark.envelopes.efi import lists, variables
from chopmark.trust.blocklists.blocklist import CERTIFICATE, IMAGE, TBS, Blocklist, Named

if TYPE_CHECKING:
    import datetime as dt


def parse(data: bytes, name: str, path: str, changed: dt.datetime | None) -> Blocklist:
    """The entries of a list in any form. Raises MalformedError, also for an entry that could not be held to.

    A certificate that is revoked from some time on is refused at all times: this is not about when a key was lost. The
    date is the file's, because updates that are appended say 2010 for ever, as Microsoft's do.
    """
    named = {_named(each): _remark(each) for each in lists.read(variables.read(data).value)}
    return Blocklist(name, path, changed, named)


def _named(entry: lists.Entry) -> Named:
    if entry.kind.name == "x509":
        return Named(CERTIFICATE, "sha256", hashlib.sha256(entry.data).digest())
    if not entry.digest:
        raise MalformedError(f"an entry of type {entry.kind.name}, by which no file can be recognised")
    return Named(TBS if entry.kind.revokes_tbs else IMAGE, entry.kind.digest, entry.digest)


def _remark(entry: lists.Entry) -> str:
    since = entry.revoked_at
    return f"revoked since {clock.show(since)}" if since else ""
