"""Answers that were signed ahead, as one file that every process maps into its memory: found without asking a database.

The file is made of what `store` has, and replaced as a whole. It says up to which event it knows the register; about
certificates with which something was done later it is not asked. It is only a cache, and can be thrown away.

    records     each an answer: _RECORD, whose first octets are a checksum; the octets of the serial number, the digest
                of the whole response, what was signed, the signature
    index       eight octets for each slot: where a record begins, 0 for none; after a wrong one the next slot is tried
    trailer     JSON: the last event, the responders, and which CA has which hashes in questions
    _FOOTER     where index and trailer begin
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import sys
import zlib
from array import array
from typing import TYPE_CHECKING

from chopmark.core import limits, patch
from chopmark.core.named import NamedTuple
from chopmark.envelopes import der
from chopmark.envelopes.ocsp import certid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

FILE = "answers.table"
_MAGIC = b"chopmark answers 2\n".ljust(24, b"\0") + sys.byteorder.encode().ljust(8, b"\0")
_RECORD = struct.Struct("=IIHBBHHQQ")
_RECORD_SIZE = _RECORD.size
_unpack = _RECORD.unpack_from
_CHECKED = 4
_DIGEST = 32
"""Octets of a record that are the checksum of the others."""
_FOOTER = struct.Struct("=QQQI4x32s")
_SLOT = 8
_HASHES = 42
"""Octets of a question from the hash of the issuer's name to that of its key, the header between them included."""


class Entry(NamedTuple):
    """An answer: by which CA, about which serial number (octets of the INTEGER), by which responder, of which kind.

    Its times are Unix seconds; `data` is what was signed, `digest` the SHA-256 of the response that it is a part of,
    which HTTP wants to know each time (RFC 5019 clause 6.2).
    """

    issuer: int
    serial: bytes
    delegate: str
    kind: str
    this_update: int
    next_update: int
    digest: bytes
    data: bytes
    signature: bytes


_make_entry = Entry._make


class Facts(NamedTuple):
    """What holds for a whole table.

    `event` is the last event of the register that it knows and `mark` what that event was (Statuses.mark), `made` when
    it was written (Unix), `hashes` the CA for _HASHES octets of a question, in hex.
    """

    event: int
    mark: str
    made: int
    hashes: Mapping[str, int]


def hashes_of(name_hash: bytes, key_hash: bytes) -> str:
    """The part of a question by SHA-1 that says whose certificate it is about."""
    return (der.octet_string(name_hash) + der.octet_string(key_hash))[2:].hex()


def _heads() -> dict[int, bytes]:
    """How questions begin that are about one certificate by SHA-1 and ask for nothing else, by their whole length."""
    found = {}
    for size in range(1, 21):
        name_and_key = (bytes(20), bytes(20))
        inner = certid.CertId(certid.DIGESTS[0], *name_and_key, b"\1" * size).encoded()
        whole = inner
        for _ in range(4):  # Request, requestList, TBSRequest, OCSPRequest (RFC 6960 clause 4.1.1)
            whole = der.sequence(whole)
        found[len(whole)] = whole[: whole.index(bytes(20))]
    return found


_HEADS = {size: (head, len(head), len(head) + _HASHES) for size, head in _heads().items()}
"""With where the hashes begin and end."""
_KINDS = ("good", "revoked")


def write(path: str, entries: Iterable[Entry], facts: Facts) -> int:
    """Write a table; how many answers are in it. Raises WriteError."""
    writer = _Writer(facts)
    patch.write_file(path, writer.pieces(entries), 0o600)
    return len(writer.places)


class _Writer:
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._delegates: dict[str, int] = {}
        self._sums = array("I")
        self.places = array("Q")

    def pieces(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        piece = bytearray(_MAGIC)
        end = len(_MAGIC)
        for entry in entries:
            record = self._record(entry)
            self._sums.append(_sum(entry.issuer, entry.serial))
            self.places.append(end)
            end += len(record)
            piece += record
            if len(piece) >= limits.MIB:
                yield bytes(piece)
                piece.clear()
        yield bytes(piece)
        padding = -end % _SLOT
        index = self._index()
        facts = {**self._facts._asdict(), "delegates": list(self._delegates)}
        trailer = json.dumps(facts).encode()
        yield bytes(padding) + index.tobytes() + trailer
        yield _FOOTER.pack(end + padding, len(index), len(trailer), zlib.crc32(trailer), _MAGIC)

    def _record(self, entry: Entry) -> bytes:
        by = self._delegates.setdefault(entry.delegate, len(self._delegates))
        kind = _KINDS.index(entry.kind)
        sizes = len(entry.serial), len(entry.data), len(entry.signature)
        head = _RECORD.pack(0, entry.issuer, by, kind, *sizes, entry.this_update, entry.next_update)
        checked = b"".join((head[_CHECKED:], entry.serial, entry.digest, entry.data, entry.signature))
        return struct.pack("=I", zlib.crc32(checked)) + checked

    def _index(self) -> array[int]:
        slots = max(2 * len(self.places), 1)
        index = array("Q", bytes(_SLOT * slots))
        for number, place in zip(self._sums, self.places, strict=True):
            slot = number % slots
            while index[slot]:
                slot = (slot + 1) % slots
            index[slot] = place
        return index


def _sum(issuer: int, serial: bytes) -> int:
    return zlib.crc32(serial, issuer)


class Table:
    """One file, mapped. Raises OSError when it cannot be read, ValueError when it is not what it should be."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            self.identity = _identity(os.fstat(file.fileno()))
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if len(self._map) < len(_MAGIC) + _FOOTER.size or self._map[: len(_MAGIC)] != _MAGIC:
            message = f"{path}: not a table of answers"
            raise ValueError(message)
        index, self._slots, size, checksum, magic = _FOOTER.unpack_from(self._map, len(self._map) - _FOOTER.size)
        trailer = index + _SLOT * self._slots
        if magic != _MAGIC or not self._slots or trailer + size + _FOOTER.size != len(self._map):
            message = f"{path}: a table of answers that is cut off"
            raise ValueError(message)
        if zlib.crc32(self._map[trailer : trailer + size]) != checksum:
            message = f"{path}: a table of answers that is damaged"
            raise ValueError(message)
        facts = json.loads(self._map[trailer : trailer + size])
        self._delegates: Sequence[str] = facts.pop("delegates")
        self.facts = Facts(**facts)
        self._issuers = {bytes.fromhex(hashes): issuer for hashes, issuer in self.facts.hashes.items()}
        self._index = memoryview(self._map)[index:trailer].cast("Q")
        self._end = index

    def __len__(self) -> int:
        """How many answers there are."""
        return len(self._index) // 2

    def find(self, request: bytes) -> Entry | None:
        """The answer to a question, if it is as most are and there is one."""
        size = len(request)
        form = _HEADS.get(size)
        if form is None:
            return None
        head, begin, end = form
        issuer = self._issuers.get(request[begin:end])
        if issuer is None or not request.startswith(head):
            return None
        if request[end] != der.INTEGER or request[end + 1] != size - end - 2:
            return None
        return self._entry(issuer, request[end + 2 :])

    def _entry(self, issuer: int, serial: bytes) -> Entry | None:
        index, slots, octets, last = self._index, self._slots, self._map, self._end - _RECORD_SIZE
        slot = _sum(issuer, serial) % slots
        for _ in range(slots):
            place = index[slot]
            if not place or place > last:
                return None
            found = _unpack(octets, place)
            size = found[4]
            begin = place + _RECORD_SIZE
            if found[1] == issuer and octets[begin : begin + size] == serial:
                end = begin + size + _DIGEST + found[5] + found[6]
                return self._record(found, octets[place + _CHECKED : end], serial)
            slot = (slot + 1) % slots
        return None

    def _record(self, found: tuple[int, ...], checked: bytes, serial: bytes) -> Entry | None:
        """An answer, unless it is not what was written."""
        checksum, issuer, by, kind, size, data, _, this_update, next_update = found
        if zlib.crc32(checked) != checksum:
            return None
        start = _RECORD_SIZE - _CHECKED + size
        begin = start + _DIGEST
        middle = begin + data
        parts = checked[start:begin], checked[begin:middle], checked[middle:]
        return _make_entry((issuer, serial, self._delegates[by], _KINDS[kind], this_update, next_update, *parts))


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_dev, status.st_ino, status.st_mtime_ns


def identity(path: str) -> tuple[int, int, int] | None:
    """What tells a table from the one before it; None where there is none."""
    try:
        return _identity(os.stat(path))
    except OSError:
        return None
