"""OCSP responses put together from parts, which costs a tenth of encoding them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from chopmark.authority.ocsp.delegates import Delegate


class Frame(NamedTuple):
    """What stands around the signed data and the signature in a response by one responder, for one size of each."""

    head: bytes
    middle: bytes
    tail: bytes

    @classmethod
    def around(cls, delegate: Delegate, data: bytes, signature: bytes) -> Frame:
        """Taken from a whole response."""
        head, _, rest = delegate.response(data, signature).partition(data)
        middle, _, tail = rest.partition(signature)
        return cls(head, middle, tail)

    def whole(self, data: bytes, signature: bytes) -> bytes:
        """The response with data and a signature of these sizes."""
        return b"".join((self.head, data, self.middle, signature, self.tail))
