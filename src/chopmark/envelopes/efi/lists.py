"""EFI_SIGNATURE_LIST (UEFI 2.10 clause 32.4.1): certificates and digests, as PK, KEK, db, dbx and the like hold."""

from __future__ import annotations

import struct
from itertools import groupby
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError, RefusedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes.efi import guid, moment, reasons

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

_HEADER = struct.Struct("<16sIII")


class Kind(NamedTuple):
    """A type of entry: its name, its GUID, its octets without the owner (None: any number), the digest in it."""

    name: str
    octets: bytes
    size: int | None
    digest: str = ""

    @property
    def revokes_tbs(self) -> bool:
        """Whether it is the digest of a TBSCertificate with a time of revocation."""
        return self.name.startswith("x509-")


KINDS = (
    Kind("sha256", guid.encode("c1c41626-504c-4092-aca9-41f936934328"), 32, "sha256"),
    Kind("rsa2048", guid.encode("3c5766e8-269c-4e34-aa14-ed776e85b3b6"), 256),
    Kind("rsa2048-sha256", guid.encode("e2b36190-879b-4a3d-ad8d-f2e7bba32784"), 256),
    Kind("sha1", guid.encode("826ca512-cf10-4ac9-b187-be01496631bd"), 20, "sha1"),
    Kind("rsa2048-sha1", guid.encode("67f8444f-8743-48f1-a328-1eaab8736080"), 256),
    Kind("x509", guid.encode("a5c059a1-94e4-4aa7-87b5-ab155c2bf072"), None),
    Kind("sha224", guid.encode("0b6e5233-a65c-44c9-9407-d9ab83bfc8bd"), 28, "sha224"),
    Kind("sha384", guid.encode("ff3e5307-9fd0-48c9-85f1-8ad56c701e01"), 48, "sha384"),
    Kind("sha512", guid.encode("093e0fae-a6c4-4f50-9f1b-d41e2b89c19a"), 64, "sha512"),
    Kind("x509-sha256", guid.encode("3bd2a492-96c0-4079-b420-fcf98ef103ed"), 32 + moment.SIZE, "sha256"),
    Kind("x509-sha384", guid.encode("7076876e-80c2-4ee6-aad2-28b349a6865b"), 48 + moment.SIZE, "sha384"),
    Kind("x509-sha512", guid.encode("446dbf63-2502-4cda-bcfa-2465d2b0fe9d"), 64 + moment.SIZE, "sha512"),
    Kind("external-management", guid.encode("452e8ced-dfff-4b8c-ae01-5118862e682c"), 1),
)
_BY_OCTETS = {kind.octets: kind for kind in KINDS}
BY_NAME = {kind.name: kind for kind in KINDS}
OWNER = bytes(guid.SIZE)
"""Nobody in particular."""


class Entry(NamedTuple):
    """One EFI_SIGNATURE_DATA: the type of its list, whose it is (a GUID in octets), and the octets after that."""

    kind: Kind
    owner: bytes
    data: bytes

    @property
    def digest(self) -> bytes:
        """The digest in it; empty where it is none."""
        if not self.kind.digest:
            return b""
        return self.data[: -moment.SIZE] if self.kind.revokes_tbs else self.data

    @property
    def revoked_at(self) -> dt.datetime | None:
        """From when on a certificate counts as revoked; None for always, and for entries of other types."""
        return moment.read(self.data[-moment.SIZE :]) if self.kind.revokes_tbs else None


def certificate_entry(certificate: bytes, owner: bytes = OWNER) -> Entry:
    """An entry for a DER certificate."""
    return Entry(BY_NAME["x509"], owner, certificate)


def digest_entry(algorithm: str, digest: bytes, owner: bytes = OWNER) -> Entry:
    """An entry for the digest of an image."""
    return Entry(BY_NAME[algorithm], owner, digest)


def revocation_entry(algorithm: str, digest: bytes, revoked_at: dt.datetime | None, owner: bytes = OWNER) -> Entry:
    """An entry that revokes a certificate by the digest of its TBSCertificate, at all times or from one on."""
    time = moment.encode(revoked_at) if revoked_at else moment.NEVER
    return Entry(BY_NAME[f"x509-{algorithm}"], owner, digest + time)


def read(data: bytes) -> list[Entry]:
    """The entries of all lists, one behind the other. Raises BrokenError; types that are not known are kept."""
    if len(data) > limits.EFI_LISTS_MAX:
        raise BrokenError(reasons.LIST, f"{len(data)} bytes; {limits.EFI_LISTS_MAX} are the limit")
    found: list[Entry] = []
    position = 0
    while position < len(data):
        if len(data) - position < _HEADER.size:
            raise BrokenError(reasons.LIST, f"cut off at {position}")
        octets, size, header, each = _HEADER.unpack_from(data, position)
        start, end = position + _HEADER.size + header, position + size
        if not position + _HEADER.size <= start <= end <= len(data):
            raise BrokenError(reasons.LIST, f"the list at {position} is said to be {size} bytes long")
        found += _entries(octets, data[start:end], each, header)
        if len(found) > limits.EFI_ENTRIES_MAX:
            raise BrokenError(reasons.LIST, f"more than {limits.EFI_ENTRIES_MAX} entries")
        position = end
    return found


def _entries(octets: bytes, body: bytes, each: int, header: int) -> list[Entry]:
    kind = _BY_OCTETS.get(octets) or Kind(guid.show(octets), octets, None)
    if each <= guid.SIZE or len(body) % each:
        raise BrokenError(reasons.LIST, f"{len(body)} bytes of entries of {each} bytes")
    if (kind.size is not None and each != guid.SIZE + kind.size) or (header and octets in _BY_OCTETS):
        raise BrokenError(reasons.ENTRY, f"{kind.name}: {each - guid.SIZE} bytes, {header} of header")
    pieces = (body[start : start + each] for start in range(0, len(body), each))
    return [Entry(kind, piece[: guid.SIZE], piece[guid.SIZE :]) for piece in pieces]


def write(entries: Iterable[Entry]) -> bytes:
    """Entries as lists: neighbours of one type and size in one, but each certificate in its own, as all firmware reads.

    Raises RefusedError for an entry that is not as its type has it.
    """
    out = bytearray()
    numbered = enumerate(entries)
    for (octets, each, _), group in groupby(numbered, key=lambda pair: _grouping(*pair)):
        body = b"".join(entry.owner + entry.data for _, entry in group)
        out += _HEADER.pack(octets, _HEADER.size + len(body), 0, each) + body
    if len(out) > limits.EFI_LISTS_MAX:
        raise RefusedError(f"{len(out)} bytes of signature lists; {limits.EFI_LISTS_MAX} are the limit")
    return bytes(out)


def _grouping(number: int, entry: Entry) -> tuple[bytes, int, int]:
    kind = entry.kind
    if len(entry.owner) != guid.SIZE or not entry.data or (kind.size is not None and len(entry.data) != kind.size):
        raise RefusedError(f"an entry of type {kind.name} with {len(entry.data)} bytes")
    return kind.octets, guid.SIZE + len(entry.data), number if kind.size is None else -1
