"""Conditional requests: whether the asker has it already (RFC 9110 clause 13)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chopmark.server.message import Reply
    from chopmark.server.parsing import Head

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def unchanged(reply: Reply, head: Head) -> bool:
    """Whether a GET or HEAD is answered with 304: If-None-Match decides where there is one (clause 13.2.2)."""
    if reply.status != 200 or head.method not in ("GET", "HEAD"):  # noqa: PLR2004 - HTTP's own number
        return False
    if head.etags:
        return bool(reply.etag) and (head.etags == "*" or reply.etag in _TAG.findall(head.etags))
    since = _seconds(head.since)
    return reply.modified is not None and since is not None and reply.modified <= since


def _seconds(text: str) -> int | None:
    """A date of any kind that clause 5.6.7 knows; what is none is ignored."""
    from email.utils import mktime_tz, parsedate_tz  # few ask so

    try:
        found = parsedate_tz(text)
        return None if found is None else int(mktime_tz(found))
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
