"""struct signature_v2_hdr (Linux, security/integrity/integrity.h): what stands in front of a signature of IMA's."""

from __future__ import annotations

import struct

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.envelopes.ima import reasons

_FIELDS = struct.Struct(">BBB4sH")
"""type, version, hash_algo, keyid (big-endian) and sig_size."""
FILE, VERITY, EVM = 3, 6, 5
"""EVM_IMA_XATTR_DIGSIG, IMA_VERITY_DIGSIG and EVM_XATTR_PORTABLE_DIGSIG: over the digest of the file, over its
fs-verity digest, over its metadata."""
VERSIONS = {FILE: 2, VERITY: 3, EVM: 2}
CONTENT = {FILE: "ima-file", VERITY: "ima-verity", EVM: "evm-portable"}
"""What `core.contracts.Content.content_type` is for a kind."""
ALGORITHMS = {
    1: "md5",
    2: "sha1",
    4: "sha256",
    5: "sha384",
    6: "sha512",
    7: "sha224",
    20: "sha3_256",
    21: "sha3_384",
    22: "sha3_512",
}
"""enum hash_algo (Linux, include/uapi/linux/hash_info.h), as far as chopmark computes them."""
NUMBERS = {name: number for number, name in ALGORITHMS.items()}


class Header(NamedTuple):
    """One signature as found: `key_id` are the last four octets of the key's identifier."""

    kind: int
    digest_algorithm: str
    key_id: bytes
    signature: bytes
    raw: bytes


def is_signature(raw: bytes) -> bool:
    """Whether it is one of these kinds at all; the attribute may as well hold nothing but a digest."""
    return raw[:1] in (b"\3", b"\5", b"\6")


def read(raw: bytes) -> Header:
    """Read a header and the signature behind it, with nothing behind that. Raises BrokenError."""
    if not is_signature(raw):
        raise BrokenError(reasons.HEADER_WRONG, f"type {raw[0]:#04x}" if raw else "empty")
    if len(raw) > limits.IMA_SIGNATURE_MAX:
        raise BrokenError(reasons.HEADER_WRONG, f"{len(raw)} bytes")
    if len(raw) <= _FIELDS.size:
        raise BrokenError(reasons.HEADER_WRONG, "cut off")
    kind, version, number, key_id, length = _FIELDS.unpack_from(raw)
    if version != VERSIONS[kind]:
        raise BrokenError(reasons.UNSUPPORTED, f"type {kind:#04x} in version {version}")
    if number not in ALGORITHMS:
        raise BrokenError(reasons.UNSUPPORTED, f"digest algorithm {number}")
    if length != len(raw) - _FIELDS.size:
        raise BrokenError(reasons.HEADER_WRONG, f"a signature of {length} bytes, and {len(raw) - _FIELDS.size} there")
    return Header(kind, ALGORITHMS[number], key_id, raw[_FIELDS.size :], raw)


def write(kind: int, digest_algorithm: str, key_id: bytes, signature: bytes) -> bytes:
    """The header and the signature behind it."""
    return _FIELDS.pack(kind, VERSIONS[kind], NUMBERS[digest_algorithm], key_id, len(signature)) + signature
