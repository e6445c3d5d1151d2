"""Reading an Authenticode signature and all that are nested in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.envelopes import cms
from chopmark.envelopes.authenticode import reasons
from chopmark.envelopes.authenticode.envelope import AuthenticodeEnvelope

if TYPE_CHECKING:
    from chopmark.envelopes import der


def read(raw: bytes, *, number: int = 1) -> list[AuthenticodeEnvelope]:
    """The signature in a DER ContentInfo, and those nested in it, depth first, as people count them.

    `number` is the place of the outer one among its like. Raises MalformedError when the outer one cannot be read; a
    nested one that cannot is a finding on the signature around it, and so is one beyond limits.NESTED_MAX.
    """
    outer = AuthenticodeEnvelope(cms.read(raw), f"signature {number}", 0)
    found = [outer]
    pending = _children(outer, str(number))
    while pending:
        parent, node, path = pending.pop()
        if len(found) > limits.NESTED_MAX:
            parent.note([reasons.NESTED_TOO_MANY.found(f"more than {limits.NESTED_MAX}")])
            break
        try:
            inner = AuthenticodeEnvelope(cms.read(node.raw), f"nested signature {path}", parent.depth + 1)
        except MalformedError as error:
            parent.note([reasons.NESTED_BROKEN.found(f"nested signature {path}: {error}")])
            continue
        found.append(inner)
        pending += _children(inner, path)
    return found


def _children(parent: AuthenticodeEnvelope, path: str) -> list[tuple[AuthenticodeEnvelope, der.Node, str]]:
    """What is nested directly in one signature, the first last, because it is taken from the end."""
    return [(parent, node, f"{path}.{index}") for index, node in enumerate(parent.nested, 1)][::-1]
