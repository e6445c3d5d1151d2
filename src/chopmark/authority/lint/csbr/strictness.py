"""Whether bytes are DER all the way down (ITU-T X.690), beyond what a lenient reader has to insist on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.envelopes import der, x509

if TYPE_CHECKING:
    from collections.abc import Callable

_PRINTABLE = re.compile(rb"[A-Za-z0-9 '()+,./:=?-]*")
_CONSTRUCTED = 0x20
_UNIVERSAL_MAX, _UNIVERSAL_END = 0x1F, 0x40
_NESTED = (
    x509.BASIC_CONSTRAINTS,
    x509.KEY_USAGE,
    x509.EXTENDED_KEY_USAGE,
    x509.CERTIFICATE_POLICIES,
    x509.CRL_DISTRIBUTION_POINTS,
    x509.AUTHORITY_INFORMATION_ACCESS,
    x509.AUTHORITY_KEY_ID,
    x509.SUBJECT_KEY_ID,
    x509.SUBJECT_ALT_NAME,
    x509.NAME_CONSTRAINTS,
    x509.POLICY_CONSTRAINTS,
    x509.POLICY_MAPPINGS,
)
"""Extensions whose values are walked too: their definitions are RFC 5280's, so that DER is what they must be."""


def fault(certificate: x509.Certificate) -> str:
    """The first thing in a certificate that is not DER; empty when there is none."""
    try:
        found = _walk(certificate.raw)
        for oid, extension in certificate.extensions.items():
            if oid in _NESTED and not found:
                found = _walk(extension.value)
        return found or _defaults(certificate) or _key_usage(certificate)
    except MalformedError as error:
        return str(error)


def _walk(data: bytes) -> str:
    """Every value of a structure, without recursion."""
    pending = [(der.parse(data), 0)]
    seen = 0
    while pending:
        node, depth = pending.pop()
        seen += 1
        if depth > limits.DER_DEPTH_MAX or seen > limits.DER_ELEMENTS_MAX:
            return "a structure that is too deep or too large to be looked at"
        if found := _value_fault(node):
            return found
        if node.tag & _CONSTRUCTED:
            pending += [(child, depth + 1) for child in node.children()]
    return ""


def _value_fault(node: der.Node) -> str:
    if node.tag == der.SET:
        encoded = [child.raw for child in node.children()]
        return "a SET OF that is not sorted" if encoded != sorted(encoded) else ""
    if node.tag > _UNIVERSAL_MAX:
        return f"a constructed string, tag {node.tag:#04x}" if _constructed_string(node.tag) else ""
    if check := _CHECKS.get(node.tag):
        check(node)
    if node.tag == der.PRINTABLE_STRING and not _PRINTABLE.fullmatch(node.value):
        return f"a PrintableString with other characters: {node.value[:32]!r}"
    if node.tag == der.IA5_STRING and not node.value.isascii():
        return f"an IA5String outside of ASCII: {node.value[:32]!r}"
    return ""


def _constructed_string(tag: int) -> bool:
    return tag < _UNIVERSAL_END and tag & _UNIVERSAL_MAX in _STRINGS


def _integer(node: der.Node) -> None:
    node.integer(limits.RSA_BITS_MAX // 8 + 1)


def _bits(node: der.Node) -> None:
    if node.value[:1] == b"\x00":
        return
    node.bits()


_STRINGS = (
    der.BIT_STRING,
    der.OCTET_STRING,
    der.UTF8_STRING,
    der.NUMERIC_STRING,
    der.PRINTABLE_STRING,
    der.TELETEX_STRING,
    der.IA5_STRING,
    der.UTC_TIME,
    der.GENERALIZED_TIME,
    der.VISIBLE_STRING,
    der.BMP_STRING,
)
_CHECKS: dict[int, Callable[[der.Node], object]] = {
    der.BOOLEAN: der.Node.boolean,
    der.INTEGER: _integer,
    der.ENUMERATED: _integer,
    der.BIT_STRING: _bits,
    der.NULL: der.Node.null,
    der.OBJECT_IDENTIFIER: der.Node.oid,
    der.UTF8_STRING: der.Node.text,
    der.BMP_STRING: der.Node.text,
    der.UTC_TIME: der.Node.time,
    der.GENERALIZED_TIME: der.Node.time,
}


def _defaults(certificate: x509.Certificate) -> str:
    """DEFAULT values are left out (X.690 clause 11.5): critical FALSE, cA FALSE."""
    block = tbs_extensions(certificate)
    for node in block.children() if block else ():
        flags = [child for child in node.children() if child.tag == der.BOOLEAN]
        if any(not flag.boolean() for flag in flags):
            return f"a critical FALSE that is written out, in the extension {node.children()[0].oid()}"
    constraints = certificate.extensions.get(x509.BASIC_CONSTRAINTS)
    if constraints:
        first = der.parse(constraints.value).fields().optional(der.BOOLEAN)
        if first is not None and not first.boolean():
            return "a cA FALSE that is written out"
    return ""


def _key_usage(certificate: x509.Certificate) -> str:
    """A named bit list has no zero bits at its end (X.690 clause 11.2.2)."""
    extension = certificate.extensions.get(x509.KEY_USAGE)
    if extension is None:
        return ""
    value = der.parse(extension.value).expect(der.BIT_STRING).value
    if len(value) < 2:  # noqa: PLR2004 - the count of unused bits, and an octet
        return "key usage without a bit"
    return "" if value[-1] >> value[0] & 1 else "key usage with zero bits at its end"


def tbs_fields(certificate: x509.Certificate) -> list[der.Node]:
    """The elements of the TBSCertificate."""
    return der.parse(certificate.tbs).children()


def tbs_extensions(certificate: x509.Certificate) -> der.Node | None:
    """The Extensions as they stand."""
    last = tbs_fields(certificate)[-1]
    return last.only_child() if last.tag == der.context(3) else None
