"""Object identifiers of Authenticode ("Windows Authenticode Portable Executable Signature Format"), and GUIDs."""

from __future__ import annotations

import struct

# Content type, and what it may hold the digest of
SPC_INDIRECT_DATA = "1.3.6.1.4.1.311.2.1.4"
SPC_PE_IMAGE_DATA = "1.3.6.1.4.1.311.2.1.15"
SPC_CAB_DATA = "1.3.6.1.4.1.311.2.1.25"
SPC_SIPINFO = "1.3.6.1.4.1.311.2.1.30"

# Page hashes, inside SpcPeImageData
PAGE_HASHES = {"1.3.6.1.4.1.311.2.3.1": "sha1", "1.3.6.1.4.1.311.2.3.2": "sha256"}
PAGE_HASHES_CLASS = bytes.fromhex("a6b586d5b4a12466ae05a217da8e60d6")
"""The class identifier of the SpcSerializedObject that holds them, in the order of its bytes."""

# Signed attributes
SPC_STATEMENT_TYPE = "1.3.6.1.4.1.311.2.1.11"
SPC_SP_OPUS_INFO = "1.3.6.1.4.1.311.2.1.12"
INDIVIDUAL_CODE_SIGNING = "1.3.6.1.4.1.311.2.1.21"

# Unsigned attributes
NESTED_SIGNATURE = "1.3.6.1.4.1.311.2.4.1"


def guid(text: str) -> bytes:
    """The 16 bytes of a GUID such as "603bcc1f-4b59-4e08-b724-d2c6297ef351", its first three parts little-endian.

    Raises ValueError when it is not one.
    """
    parts = text.strip("{}").split("-")
    if [len(part) for part in parts] != [8, 4, 4, 4, 12]:
        raise ValueError(text)
    return struct.pack("<IHH", *(int(part, 16) for part in parts[:3])) + bytes.fromhex(parts[3] + parts[4])


def guid_text(raw: bytes) -> str:
    """The usual text of 16 bytes of GUID."""
    first, second, third = struct.unpack_from("<IHH", raw)
    return f"{first:08x}-{second:04x}-{third:04x}-{raw[8:10].hex()}-{raw[10:].hex()}"
