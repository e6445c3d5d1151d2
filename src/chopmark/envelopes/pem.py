"""Textual encodings (RFC 7468): certificates, CRLs, CMS and keys between BEGIN and END lines, or as they are in DER."""

from __future__ import annotations

import binascii

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import der

CERTIFICATE = ("CERTIFICATE", "X509 CERTIFICATE")
CMS = ("CMS", "PKCS7", "PKCS #7 SIGNED DATA")
CRL = ("X509 CRL",)

_BEGIN = b"-----BEGIN "
_LINE = 64


class Block(NamedTuple):
    """One block: its label, its text with both lines, and the bytes it stands for.

    `der` is empty where the text is not base64 alone, as in keys that are encrypted the traditional way.
    """

    label: str
    text: bytes
    der: bytes


def blocks(data: bytes) -> list[Block]:
    """Every complete block, in order; what stands between them does not count. Time is linear in the input."""
    found: list[Block] = []
    position, end = data.find(_BEGIN), 0
    while position >= 0:
        label, dashes, _ = data[position + len(_BEGIN) : position + 80].partition(b"-----")
        begin = position + len(_BEGIN) + len(label) + 5
        following = data.find(_BEGIN, position + 1)
        if end < begin and (end := data.find(b"-----END ", begin)) < 0:
            break
        closing = b"-----END " + label + b"-----"
        # A block that another one begins in has lost its end.
        if dashes and not 0 <= following < end and data.startswith(closing, end):
            text = data[position : end + len(closing)]
            found.append(Block(label.decode("latin-1"), text + b"\n", _decoded(data[begin:end])))
        position = following
    return found


def _decoded(body: bytes) -> bytes:
    try:
        return binascii.a2b_base64(b"".join(body.split()), strict_mode=True)
    except (binascii.Error, ValueError):
        return b""


def encode(label: str, raw: bytes) -> bytes:
    """One block with lines of 64 characters."""
    text = binascii.b2a_base64(raw, newline=False)
    lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
    name = label.encode()
    return b"\n".join((b"-----BEGIN " + name + b"-----", *lines, b"-----END " + name + b"-----", b""))


def certificates(data: bytes) -> list[bytes]:
    """Every certificate in a file, as DER: PEM blocks, one or several in DER, or a certificates-only CMS ("p7b").

    Raises MalformedError when there is none, or more than CERTIFICATES_MAX.
    """
    if _BEGIN in data:
        found = [block.der for block in blocks(data) if block.label in CERTIFICATE]
        for block in blocks(data):
            if block.label in CMS:
                found += _carried(block.der)
    else:
        found = _carried(data) if data.startswith(b"\x30") else []
    if not data:
        raise MalformedError(der.EMPTY)
    if not found or b"" in found:
        raise MalformedError("there is no certificate in it")
    if len(found) > limits.CERTIFICATES_MAX:
        raise MalformedError(f"{len(found)} certificates; at most {limits.CERTIFICATES_MAX} are read")
    return found


def _carried(data: bytes) -> list[bytes]:
    """Certificates one behind the other, or those of a SignedData."""
    found = []
    position = 0
    while position < len(data):
        node = der.prefix(data, position).expect(der.SEQUENCE)
        position = node.end
        if node.children()[:1] and node.children()[0].tag == der.OBJECT_IDENTIFIER:
            found += _bag(node)
        else:
            found.append(node.raw)
    return found


def _bag(content_info: der.Node) -> list[bytes]:
    fields = content_info.fields()
    fields.take()
    for part in fields.take(der.context(0)).only_child().children():
        if part.tag == der.context(0):
            return [certificate.raw for certificate in part.children()]
    return []


def single(data: bytes, *labels: str) -> bytes:
    """The one object of a file that is DER, or PEM under one of these labels. Raises MalformedError."""
    if _BEGIN not in data:
        return _sequence(data)
    found = [block.der for block in blocks(data) if block.label in labels]
    if len(found) != 1 or not found[0]:
        raise MalformedError(f"expected one PEM block {labels[0]!r}, found {len(found)} that can be read")
    return found[0]


def several(data: bytes, *labels: str) -> list[bytes]:
    """The one object of a file that is DER, or all that are PEM under one of these labels. Raises MalformedError."""
    if _BEGIN not in data:
        return [_sequence(data)]
    found = [block.der for block in blocks(data) if block.label in labels]
    if not found:
        raise MalformedError(f"there is no PEM block {labels[0]!r} in it")
    return found


def _sequence(data: bytes) -> bytes:
    """What stands in PEM, without it, is a SEQUENCE. Raises MalformedError for what does not begin as one."""
    if not data:
        raise MalformedError(der.EMPTY)
    if data[0] != der.SEQUENCE:
        raise MalformedError("it is neither PEM nor DER")
    return data


def only(data: bytes, *labels: str) -> Block:
    """The one block of a file that has nothing else in it, under one of these labels.

    Its lines are of one width and with one kind of line break, so that no byte of it can be another. Raises
    MalformedError.
    """
    found = [block for block in blocks(data) if block.der]
    if len(found) != 1 or found[0].label not in labels:
        raise MalformedError(f"{len(found)} blocks that can be read")
    if _as_written(found[0], data) != data:
        raise MalformedError("not as it is written")
    return found[0]


def _as_written(block: Block, data: bytes) -> bytes:
    """The file that has this block's lines: their width and line break are those of the first two."""
    lines = data.split(b"\n", 2)
    newline = b"\r\n" if lines[0].endswith(b"\r") else b"\n"
    width = max(len(lines[1].rstrip(b"\r")), 1)
    text = binascii.b2a_base64(block.der, newline=False)
    body = [text[start : start + width] for start in range(0, len(text), width)]
    name = block.label.encode("latin-1")
    return newline.join((b"-----BEGIN " + name + b"-----", *body, b"-----END " + name + b"-----", b""))


def cms(data: bytes) -> bytes:
    """The DER (or BER) of a CMS object in a file. Raises MalformedError."""
    return single(data, *CMS)
