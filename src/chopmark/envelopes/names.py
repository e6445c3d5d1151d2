"""Distinguished names (X.501) as an authority writes them: from text to DER, in one order, with clean characters."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from chopmark.core.errors import UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import der, x509

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class _Attribute(NamedTuple):
    oid: str
    encoding: int
    longest: int


# In the order in which an authority writes them, from the general to the particular. Encodings and upper bounds are
# those of RFC 5280 appendix A and X.520; text is UTF8String, as RFC 5280 clause 4.1.2.6 wants it.
ATTRIBUTES = {
    "DC": _Attribute("0.9.2342.19200300.100.1.25", der.IA5_STRING, 63),
    "businessCategory": _Attribute("2.5.4.15", der.UTF8_STRING, 128),
    "jurisdictionC": _Attribute("1.3.6.1.4.1.311.60.2.1.3", der.PRINTABLE_STRING, 2),
    "jurisdictionST": _Attribute("1.3.6.1.4.1.311.60.2.1.2", der.UTF8_STRING, 128),
    "jurisdictionL": _Attribute("1.3.6.1.4.1.311.60.2.1.1", der.UTF8_STRING, 128),
    "serialNumber": _Attribute("2.5.4.5", der.PRINTABLE_STRING, 64),
    "C": _Attribute("2.5.4.6", der.PRINTABLE_STRING, 2),
    "ST": _Attribute("2.5.4.8", der.UTF8_STRING, 128),
    "L": _Attribute("2.5.4.7", der.UTF8_STRING, 128),
    "postalCode": _Attribute("2.5.4.17", der.UTF8_STRING, 40),
    "street": _Attribute("2.5.4.9", der.UTF8_STRING, 128),
    "O": _Attribute("2.5.4.10", der.UTF8_STRING, 64),
    "organizationIdentifier": _Attribute("2.5.4.97", der.UTF8_STRING, 128),
    "OU": _Attribute("2.5.4.11", der.UTF8_STRING, 64),
    "title": _Attribute("2.5.4.12", der.UTF8_STRING, 64),
    "SN": _Attribute("2.5.4.4", der.UTF8_STRING, 64),
    "GN": _Attribute("2.5.4.42", der.UTF8_STRING, 64),
    "CN": _Attribute("2.5.4.3", der.UTF8_STRING, 64),
    "emailAddress": _Attribute("1.2.840.113549.1.9.1", der.IA5_STRING, 255),
}
_KNOWN = {name.casefold(): name for name in ATTRIBUTES} | {"s": "ST", "e": "emailAddress", "email": "emailAddress"}
_ORDER = {name: position for position, name in enumerate(ATTRIBUTES)}
_REPEATABLE = ("OU", "DC", "street")
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,./:=?-]*")
_PAIR = re.compile(r"\s*([A-Za-z]+)\s*=\s*((?:\\.|[^\\,+])*)", re.DOTALL)


def parse(text: str) -> list[tuple[str, str]]:
    r"""Read a name such as `CN=Example Ltd, O=Example Ltd, L=Leeds, C=GB` (RFC 4514; `\,` is a comma in a value).

    The order does not matter: `ordered` decides it. Raises UsageError.
    """
    found: list[tuple[str, str]] = []
    position = 0
    while match := _PAIR.match(text, position):
        kind = _KNOWN.get(match[1].casefold())
        if kind is None:
            message = f"unknown name attribute {match[1]!r}: one of {', '.join(ATTRIBUTES)}"
            raise UsageError(message)
        found.append((kind, re.sub(r"\\(.)", r"\1", match[2].strip(" "), flags=re.DOTALL)))
        position = match.end()
        if position == len(text):
            return found
        if text[position] != ",":
            break
        position += 1
    message = f"not a name: {text!r} (expected CN=Example Ltd, O=Example Ltd, L=Leeds, C=GB)"
    raise UsageError(message)


def parts(raw: bytes) -> list[tuple[str, str]]:
    """The attributes of a Name in DER: (kind, text), where an unknown kind is its identifier. Raises DerError."""
    kinds = {attribute.oid: kind for kind, attribute in ATTRIBUTES.items()}
    return [(kinds.get(kind, kind), text) for kind, text in x509.name_parts(raw)]


def ordered(attributes: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The attributes from the general to the particular, so that one subject always gets one name."""
    return sorted(attributes, key=lambda part: _ORDER.get(part[0], len(_ORDER)))


def faults(attributes: Sequence[tuple[str, str]]) -> list[str]:
    """What is wrong with a name's attributes: types, lengths and characters; empty when nothing is."""
    found = [] if attributes else ["the name is empty"]
    for kind, value in attributes:
        attribute = ATTRIBUTES.get(kind)
        if attribute is None:
            found.append(f"{kind}: not an attribute that is written into names here")
            continue
        found += [f"{kind}: {fault}" for fault in _value_faults(value, attribute)]
        if attribute.longest == 2 and not re.fullmatch("[A-Z]{2}", value):
            found.append(f"{kind}: {value!r} is not a two-letter country code (ISO 3166-1)")
    kinds = [kind for kind, _ in attributes if kind not in _REPEATABLE]
    repeated = {kind for kind in kinds if kinds.count(kind) > 1}
    return found + [f"{kind}: stands more than once" for kind in sorted(repeated)]


def _value_faults(value: str, attribute: _Attribute) -> Iterable[str]:
    if not value.strip(" .-_"):
        yield "says nothing"
    if value != " ".join(value.split()):
        yield f"{value!r} has spaces at an end or in a row"
    if len(value) > attribute.longest:
        yield f"{len(value)} characters; at most {attribute.longest} (RFC 5280 appendix A)"
    # Control, format (bidirectional marks, zero width), surrogate, private and unassigned characters.
    if hidden := sorted(
        {f"U+{ord(character):04X}" for character in value if unicodedata.category(character)[0] == "C"}
    ):
        yield f"characters that nobody sees: {', '.join(hidden[:5])}"
    if attribute.encoding == der.PRINTABLE_STRING and not _PRINTABLE.fullmatch(value):
        yield f"{value!r} has characters that a PrintableString does not"
    if attribute.encoding == der.IA5_STRING and not value.isascii():
        yield f"{value!r} is not ASCII"


def encode(attributes: Iterable[tuple[str, str]]) -> bytes:
    """The DER of a Name with one attribute in each step, in this order. Raises UsageError for what has faults."""
    given = list(attributes)
    if wrong := faults(given):
        raise UsageError("; ".join(wrong))
    steps = []
    for kind, value in given:
        attribute = ATTRIBUTES[kind]
        text = der.encode(attribute.encoding, value.encode())
        steps.append(der.set_of([der.sequence(der.oid(attribute.oid), text)]))
    return der.sequence(*steps)
