"""What a protected key file asks of whoever opens it: rounds and memory, to derive a key from a passphrase.

The file says how much that is (RFC 8018, RFC 7914, RFC 7292), the libraries that open it do as it says, and it may be
somebody else's: hours, or all memory there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.envelopes import der
from chopmark.keys.errors import UnusableKeyError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCRYPT = der.oid("1.3.6.1.4.1.11591.4.11")
_BY_ROUNDS = (
    der.oid("1.2.840.113549.1.5.12"),  # PBKDF2
    *(der.oid(f"1.2.840.113549.1.5.{number}") for number in (1, 3, 4, 6, 10, 11)),  # PBES1
    *(der.oid(f"1.2.840.113549.1.12.1.{number}") for number in range(1, 7)),  # PKCS #12's own
)
"""Algorithms whose parameters have the number of rounds for the first INTEGER."""
_MAC = [der.SEQUENCE, der.OCTET_STRING, der.INTEGER]
"""The elements of MacData (RFC 7292 clause 4): digest, salt, rounds."""
_SCRYPT_BLOCK, _SCRYPT_OPERATIONS = 128, 4
_COST, _BLOCK_SIZE, _PARALLEL = range(3)


def refuse_endless(raw: bytes, where: str) -> None:
    """Raise UnusableKeyError for a structure (DER or BER) in which a derivation asks for more than the limits allow."""
    for node in _inside(raw, where):
        elements = _elements(node)
        if len(elements) > 1 and elements[0].raw in _BY_ROUNDS:
            _check_rounds(_numbers(elements[1])[:1], where)
        elif len(elements) > 1 and elements[0].raw == _SCRYPT:
            _check_scrypt(_numbers(elements[1]), where)
        elif [each.tag for each in elements] == _MAC:
            _check_rounds(_numbers(node), where)


def _check_rounds(found: list[int], where: str) -> None:
    if found and found[0] > limits.PBKDF2_ROUNDS_MAX:
        message = f"{where}: more than {limits.PBKDF2_ROUNDS_MAX} rounds for a passphrase, which is the limit"
        raise UnusableKeyError(message)


def _check_scrypt(found: list[int], where: str) -> None:
    """Cost, size of blocks and parallel runs, as libsodium counts their memory and work (see minisign)."""
    if len(found) <= _PARALLEL:
        return  # whoever loads it says what is wrong
    blocks = found[_COST] * found[_BLOCK_SIZE]
    if max(_SCRYPT_BLOCK * blocks, _SCRYPT_OPERATIONS * blocks * found[_PARALLEL]) > limits.KDF_MEMORY_MAX:
        message = f"{where}: its encryption asks for more memory or time than is allowed"
        raise UnusableKeyError(message)


def _inside(raw: bytes, where: str) -> Iterator[der.Node]:
    """Every SEQUENCE in a structure, those in octet strings as well; what is no DER or BER has none."""
    from chopmark.envelopes.cms import ber  # many PKCS #12 files are BER; others are the same to it

    pending = [(raw, 0)]
    seen = 0
    while pending:
        octets, depth = pending.pop()
        try:
            nodes = [der.parse(ber.normalise(octets))]
        except der.DerError:
            continue
        while nodes:
            node = nodes.pop()
            seen += 1
            if node.tag == der.OCTET_STRING:
                pending.append((node.value, depth + 1))
            elif node.tag == der.SEQUENCE:
                yield node
            nodes += _elements(node)
        if seen > limits.DER_ELEMENTS_MAX or depth > limits.DER_DEPTH_MAX:
            message = f"{where}: more in it, or deeper inside, than key files hold"
            raise UnusableKeyError(message)


def _elements(node: der.Node) -> list[der.Node]:
    try:
        return node.children()
    except der.DerError:
        return []


def _numbers(node: der.Node) -> list[int]:
    """The numbers among the elements, however long."""
    return [int.from_bytes(each.value, "big", signed=True) for each in _elements(node) if each.tag == der.INTEGER]
