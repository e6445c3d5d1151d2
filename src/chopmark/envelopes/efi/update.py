"""Signed updates of variables: EFI_VARIABLE_AUTHENTICATION_2 before the new value (UEFI 2.10 clause 8.2.2)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import cms, der
from chopmark.envelopes.cms import oids
from chopmark.envelopes.efi import guid, moment, reasons

if TYPE_CHECKING:
    import datetime as dt

_HEAD = struct.Struct("<IHH16s")
"""WIN_CERTIFICATE_UEFI_GUID: length, revision, type, the GUID of what follows."""
_REVISION, _UEFI_GUID = 0x0200, 0x0EF1
_PKCS7 = guid.encode("4aafd29d-68df-49ee-8aa9-347d375665a7")
_START = moment.SIZE + _HEAD.size


class Update(NamedTuple):
    """What a file with an update holds: its time, the PKCS #7 as it stands there, the new value."""

    time_raw: bytes
    signature: bytes
    payload: bytes

    @property
    def time(self) -> dt.datetime | None:
        """When it is from; None for the zeros that no earlier update can have been before."""
        return moment.read(self.time_raw)

    @property
    def content_info(self) -> bytes:
        """The signature as a ContentInfo; clause 8.2.2 has it without, most firmware takes both. Raises DerError."""
        first = der.parse(self.signature).expect(der.SEQUENCE).children()[:1]
        if first and first[0].tag == der.OBJECT_IDENTIFIER:
            return self.signature
        return der.sequence(der.oid(oids.SIGNED_DATA), der.explicit(0, self.signature))

    def signed_data(self) -> cms.SignedData:
        """The signature, read. Raises MalformedError."""
        return cms.read(self.content_info)

    def message(self, name: str, vendor: bytes, attributes: int) -> bytes:
        """What is signed, if this is an update of that variable with those attributes."""
        return message(name, vendor, attributes, self.time_raw, self.payload)


def message(name: str, vendor: bytes, attributes: int, time_raw: bytes, payload: bytes) -> bytes:
    """What is signed: name (UTF-16LE without its end), GUID, attributes, time and the new value."""
    return name.encode("utf-16-le") + vendor + struct.pack("<I", attributes) + time_raw + payload


def looks_like(data: bytes) -> bool:
    """Whether the header of an update stands there."""
    if len(data) < _START:
        return False
    _, revision, kind, octets = _HEAD.unpack_from(data, moment.SIZE)
    return (revision, kind, octets) == (_REVISION, _UEFI_GUID, _PKCS7)


def read(data: bytes) -> Update:
    """Take an update apart. Raises BrokenError."""
    if not looks_like(data):
        raise BrokenError(reasons.UPDATE, "there is no WIN_CERTIFICATE_UEFI_GUID with PKCS #7")
    if len(data) > limits.EFI_LISTS_MAX + limits.ENVELOPE_MAX:
        raise BrokenError(reasons.UPDATE, f"{len(data)} bytes")
    length = int.from_bytes(data[moment.SIZE : moment.SIZE + 4], "little")
    end = moment.SIZE + length
    if not _START < end <= len(data):
        raise BrokenError(reasons.UPDATE, f"a signature of {length} bytes in {len(data)}")
    found = Update(data[: moment.SIZE], data[_START:end], data[end:])
    _ = found.time
    try:
        _ = found.content_info
    except MalformedError as error:
        raise BrokenError(reasons.UPDATE, str(error)) from None
    return found


def write(made: Update) -> bytes:
    """The file of an update."""
    head = _HEAD.pack(_HEAD.size + len(made.signature), _REVISION, _UEFI_GUID, _PKCS7)
    return made.time_raw + head + made.signature + made.payload
