"""The access log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chopmark.server.message import Reply
    from chopmark.server.parsing import Head


def common(peer: str, head: Head, reply: Reply) -> str:
    """A line on a request."""
    return f'{peer} "{head.line[:200]}" {reply.status}'
