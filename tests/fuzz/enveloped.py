"""Files with the signature exchanged for another one, and everything around it made to fit: sizes, sums, lines."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, NamedTuple

from chopmark.engine import identify
from chopmark.formats._appended import trailer
from tests.contract import laws
from tests.fuzz.repairs import pe

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.laws import State

_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
"""Of texts whose encoding is settled."""
_SOME = 40
"""Characters that no line of base64 is shorter than."""


class Enveloped(NamedTuple):
    """A signed file of a format: `signature` is its DER, which `part` holds; `around` puts another one in its place."""

    format: str
    state: State
    signature: bytes
    part: str
    around: Callable[[bytes], bytes]

    @classmethod
    def of(cls, format_name: str, *, stamped: bool = False, encoding: str = "") -> Enveloped:
        """The smallest sample of a format whose signature lies there uncompressed, as bytes or in this encoding."""
        own = [each.unsigned for each in laws.subjects() if each.format.name == format_name]
        if encoding:
            own = [_encoded(each, encoding) for each in own if not each.data.startswith(_MARKS)]
        for state in sorted(own, key=lambda each: len(each.data)):
            signed = laws.signed(state, stamped=stamped)
            [seal] = identify.formats()[format_name].extract(signed.artifact())
            raw = seal.envelope.raw
            for part, data in signed.parts.items():
                if encoding:
                    return cls(format_name, signed, raw, part, _wide(data, raw, encoding))
                if raw in data or base64.b64encode(raw)[:_SOME] in data:
                    return cls(format_name, signed, raw, part, _around(data, raw))
        raise LookupError(format_name)

    def with_signature(self, signature: bytes) -> State:
        """The file with another one."""
        return self.state.with_part(self.part, self.around(signature))


def _around(data: bytes, raw: bytes) -> Callable[[bytes], bytes]:
    if data == raw:
        return lambda signature: signature
    if data.endswith(trailer.MARK):
        return lambda signature: data[: data.index(raw)] + trailer.appended(signature)
    if data.startswith(b"MZ"):
        return lambda signature: pe.with_signature(data, signature)
    return _in_lines(data, raw)


def _encoded(state: State, encoding: str) -> State:
    """The text in UTF-16 of one order."""
    return state.with_part("", f"\ufeff{state.data.decode()}".encode(encoding))


def _wide(data: bytes, raw: bytes, encoding: str) -> Callable[[bytes], bytes]:
    narrow = _in_lines(data.decode(encoding).encode(), raw)
    return lambda signature: narrow(signature).decode().encode(encoding)


def _in_lines(data: bytes, raw: bytes) -> Callable[[bytes], bytes]:
    """Base64 in lines that all begin and end as the first one does, and are as wide."""
    text = base64.b64encode(raw)
    found = re.search(rb"(?m)^(.*?)(" + re.escape(text[:_SOME]) + rb"[A-Za-z0-9+/]*)(\r?\n| [^\n]*\n)", data)
    assert found
    before, first, after = found.groups()

    def lines(signature: bytes) -> bytes:
        text, width = base64.b64encode(signature), len(first)
        return b"".join(before + text[at : at + width] + after for at in range(0, len(text), width))

    place = data.index(lines(raw))
    return lambda signature: data[:place] + lines(signature) + data[place + len(lines(raw)) :]
