"""Distinguished names (X.501) as they are read: what they are compared by, and how people see them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.lazy import lazy
from chopmark.core.named import NamedTuple
from chopmark.envelopes import der, stringprep

if TYPE_CHECKING:
    from collections.abc import Sequence

NameKey = tuple[tuple[tuple[str, str], ...], ...]
"""A Name as it is compared: sets of attributes (type, prepared text), in order."""

_ATTRIBUTES = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.15": "businessCategory",
    "2.5.4.17": "postalCode",
    "2.5.4.97": "organizationIdentifier",
    "1.2.840.113549.1.9.1": "emailAddress",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL",
    "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}

_SPECIAL = re.compile(r'[,+"\\<>;]')
"""What RFC 4514 clause 2.4 has escaped wherever it stands."""
_OPAQUE = "\0"
"""Begins the key of a value that is no comparable string; no prepared string has this character."""
_USUAL_ATTRIBUTE = re.compile(
    rb"\x31([\x00-\x7f])\x30([\x00-\x7f])\x06\x03(\x55\x04[\x00-\x7f])[\x0c\x13]([\x00-\x7f])"
)
"""How most sets of attributes in names begin: there is one, of id-at, and its value is a short string."""


class _Attribute(NamedTuple):
    """An attribute of a Name: its type, its text if it is a string, and the DER of its value."""

    oid: str
    text: str | None
    raw: bytes


class _Relative(NamedTuple):
    """A set of attributes: what it is compared by, each with its type, and as people see each."""

    key: tuple[tuple[str, str], ...]
    parts: tuple[tuple[str, str], ...]
    shown: tuple[str, ...]


class Name:
    """A Name that was read.

    `key` is what two of them are compared by (RFC 5280 clause 7.1): case, spaces and the type of string do not count. A
    value that cannot be compared as a string (`is_opaque`) stands for its own DER.
    """

    def __init__(self, raw: bytes) -> None:
        """Raises DerError."""
        self._relative = _relatives(raw)
        self.key: NameKey = tuple([each.key for each in self._relative])

    @lazy
    def parts(self) -> tuple[tuple[str, str], ...]:
        """The attributes in order: (short type or dotted identifier, text)."""
        return tuple([part for each in self._relative for part in each.parts])

    @lazy
    def text(self) -> str:
        """For people, most particular first (RFC 4514), without control characters; cut where it is enormous."""
        whole = ", ".join([text for each in reversed(self._relative) for text in reversed(each.shown)])
        if len(whole) > limits.NAME_SHOWN_MAX:
            whole = _cut(self.parts)
        if whole.isprintable():
            return whole
        return "".join(character if character.isprintable() else f"\\{ord(character):02X}" for character in whole)


def name(raw: bytes) -> Name:
    """A Name in DER, which is read once if it is not enormous. Raises DerError."""
    known = _known_names.get(raw)
    if known is None:
        known = Name(raw)
        if len(raw) <= limits.NAME_KEPT_MAX:
            if len(_known_names) >= _KEPT:
                _known_names.clear()
            _known_names[raw] = known
    return known


_known_names: dict[bytes, Name] = {}
_KEPT = 1024


def _relatives(raw: bytes) -> list[_Relative]:
    """The sets of a Name. Raises DerError."""
    outer = der.parse(raw).expect(der.SEQUENCE)
    position, end = outer.body, outer.end
    few = end - position <= 2 * limits.DER_ELEMENTS_MAX
    found: list[_Relative] = []
    while position < end:
        # What is known is whole: it ends where its own length says, and so does this one.
        following = position + 2 + (raw[position + 1] if position + 1 < end else der.LONG)
        octets = raw[position:following] if following <= end else b""
        read = _known_relatives.get(octets) or _usual(octets)
        if read is None:
            node = der.Node(raw, position, end).expect(der.SET)
            read = _unusual(node)
            following = node.end
        found.append(read)
        position = following
        if not few and len(found) > limits.DER_ELEMENTS_MAX:
            raise der.DerError(f"more than {limits.DER_ELEMENTS_MAX} elements")
    return found


_known_relatives: dict[bytes, _Relative] = {}
"""Usual sets by their DER: countries, places and organisations stand in many names."""


def _unusual(relative: der.Node) -> _Relative:
    attributes = [_attribute(pair) for pair in relative.children()]
    if not attributes:
        raise der.DerError("a name with a part that has no attribute")
    parts = [
        (_ATTRIBUTES.get(each.oid, each.oid), "#" + each.raw.hex() if each.text is None else each.text)
        for each in attributes
    ]
    key = tuple(sorted([(each.oid, _compared(each)) for each in attributes]))
    return _Relative(key, tuple(parts), tuple([f"{kind}={_escaped(text)}" for kind, text in parts]))


def _usual(octets: bytes) -> _Relative | None:
    """A set that is as most are: it has one attribute, whose value is a short ASCII string. It is known from now on."""
    usual = _USUAL_ATTRIBUTE.match(octets)
    if usual is None:
        return None
    (whole,), (pair,), kind, (text_size,) = usual.groups()
    start, size = usual.end(), len(octets)
    value = octets[start:]
    if not size == whole + 2 == pair + 4 == text_size + start or not value.isascii():
        return None
    text, oid = value.decode("ascii"), der.dotted(kind)
    short = _ATTRIBUTES.get(oid, oid)
    read = _Relative(((oid, stringprep.prepare(text)),), ((short, text),), (f"{short}={_escaped(text)}",))
    if len(_known_relatives) >= _KEPT:
        _known_relatives.clear()
    _known_relatives[octets] = read
    return read


def _attribute(pair: der.Node) -> _Attribute:
    fields = pair.fields()
    oid = fields.take().oid()
    value = fields.take()
    fields.done()
    try:
        return _Attribute(oid, value.text(), value.raw)
    except der.DerError:
        return _Attribute(oid, None, value.raw)


def _cut(parts: Sequence[tuple[str, str]]) -> str:
    shown, room = [], limits.NAME_SHOWN_MAX
    for kind, text in reversed(parts):
        if room <= 0:
            shown.append("...")
            break
        shown.append(f"{kind}={_escaped(text[:room])}" + ("..." if len(text) > room else ""))
        room -= len(shown[-1])
    return ", ".join(shown)


def _escaped(text: str) -> str:
    shown = _SPECIAL.sub(r"\\\g<0>", text) if _SPECIAL.search(text) else text
    if shown[:1] == " ":
        shown = "\\" + shown
    return shown[:-1] + "\\ " if shown[-1:] == " " and len(shown) > 2 else shown


def _compared(attribute: _Attribute) -> str:
    if attribute.text is not None:
        try:
            return stringprep.prepare(attribute.text)
        except stringprep.ProhibitedError:
            pass
    return _OPAQUE + attribute.raw.hex()


def is_opaque(text: str) -> bool:
    """Whether a value in a `name_key` is no string that can be compared."""
    return text.startswith(_OPAQUE)
