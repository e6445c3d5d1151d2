"""EFI signature lists, in all the forms of their files, and signed updates of variables."""

import struct
from collections.abc import Iterable
from contextlib import suppress

from chopmark.core.errors import MalformedError
from chopmark.envelopes.efi import lists, update, variables
from chopmark.trust.secureboot import updating
from tests.support import firmware

_SIZES = (16 + 32, 16 + 48, 16 + 64)


def seeds() -> Iterable[bytes]:
    digests = [lists.digest_entry("sha256", bytes(32)), lists.revocation_entry("sha384", bytes(48), firmware.TIME)]
    yield lists.write([*firmware.entries(firmware.DB), *digests])
    yield b"\x27\0\0\0" + lists.write(digests)
    yield update.write(firmware.signed())
    yield update.write(firmware.signed("dbx", lists.write(digests), content_info=True))


def run(data: bytes) -> None:
    with suppress(MalformedError):
        found = lists.read(data)
        assert lists.read(lists.write(found)) == found
    for listed in _lists(data):
        with suppress(MalformedError):
            found = lists.read(listed)
            assert lists.read(lists.write(found)) == found
    with suppress(MalformedError):
        variables.read(data)
    with suppress(MalformedError):
        made = update.read(data)
        assert update.write(made)[16:] == data[16:]
        updating.judge(made, updating.Expected("db", append=False, signers=()))


def _lists(data: bytes) -> Iterable[bytes]:
    """The bytes as entries of one list: of the kind that begins them, and of sizes that fit it, or the rest of them."""
    kind, rest = data[:16].ljust(16, b"\0"), data[16:]
    yield kind + struct.pack("<3I", 28 + len(rest), 0, len(rest)) + rest
    for size in _SIZES:
        whole = rest[: len(rest) - len(rest) % size]
        yield kind + struct.pack("<3I", 28 + len(whole), 0, size) + whole
