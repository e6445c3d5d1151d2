"""What fuzzers mend: files around other signatures, signatures that hold over what was changed, and checksums."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark.core.errors import MalformedError
from chopmark.core.verdict import Status
from chopmark.engine import check
from chopmark.envelopes.openpgp import packets
from chopmark.formats._compressed import streams
from tests.fuzz import openpgp_trees
from tests.fuzz.repairs import cms as repairs
from tests.fuzz.repairs import compressed
from tests.fuzz.repairs import openpgp as made
from tests.fuzz.targets import efi_updates, enveloped, packaged, powershell
from tests.support import pki
from tests.support.packed import lz4, zstd

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT = bytes(range(64))
PACKED: dict[str, Callable[..., bytes]] = {
    "zst": lambda: zstd(CONTENT),
    "lz4": lambda: lz4.compress(CONTENT, content_checksum=True, store_size=False),
    "lz4 with checksums of blocks": lambda: lz4.compress(CONTENT, content_checksum=True, block_checksum=True),
    "lz4 with checksums of blocks alone": lambda: lz4.compress(CONTENT, block_checksum=True),
}


@pytest.mark.parametrize(
    "number", range(len(enveloped.FILES)), ids=lambda number: f"{number}-{enveloped.FILES[number].format}"
)
def test_a_signature_made_anew_holds_where_the_old_one_stood(number: int) -> None:
    file, message = enveloped.FILES[number], enveloped.MESSAGES[number]
    court = enveloped.COURTS[file.format in enveloped.BARE]
    assert file.with_signature(file.signature) == file.state
    wrong = file.signature[:-1] + bytes([file.signature[-1] ^ 1])
    again = repairs.signed_again(wrong, pki.world().signer, message)
    assert again != wrong
    for signature, status, holds in ((again, Status.TRUSTED, True), (wrong, Status.REJECTED, False)):
        state = file.with_signature(signature)
        assert check.check(state.artifact(), court, state.asked).status is status
        assert enveloped.signs(signature, file.format, message) is holds
    assert not enveloped.signs(again, file.format, bytes(32))


@pytest.mark.parametrize("name", PACKED)
def test_checksums_fit_what_was_changed(name: str) -> None:
    kind, packed = name.split(maxsplit=1)[0], PACKED[name]()
    assert compressed.repaired(packed) == packed
    changed = packed.replace(CONTENT[10:20], CONTENT[11:21])
    with pytest.raises(MalformedError):
        list(streams.unpacked([changed], kind, 100))
    mended = compressed.repaired(changed)
    assert b"".join(streams.unpacked([mended], kind, 100)) == CONTENT[:10] + CONTENT[11:21] + CONTENT[20:]


def test_the_checksum_of_a_header_fits() -> None:
    packed = PACKED["lz4"]()
    assert compressed.repaired(packed[:6] + bytes([packed[6] ^ 1]) + packed[7:]) == packed


@pytest.mark.parametrize("name", PACKED)
def test_what_is_cut_off_is_mended_as_far_as_it_goes(name: str) -> None:
    packed = PACKED[name]()
    for end in range(len(packed)):
        assert len(compressed.repaired(packed[:end])) <= len(packed) + 8


@pytest.mark.parametrize("number", range(len(packaged.PACKAGES)))
def test_a_packet_made_anew_holds_in_its_package_and_in_no_other(number: int) -> None:
    package, other = packaged.PACKAGES[number], packaged.PACKAGES[not number]
    [packet] = packets.read(made.signed(b"another", made.Said(), by_subkey=True))
    again = openpgp_trees.signed_again(packet.body, package.content)
    for body, holds in ((packet.body, False), (again, True), (again[:-1] + bytes([again[-1] ^ 1]), False)):
        assert packaged.trusted(package, body) is openpgp_trees.holds(body, package.content) is holds
    assert not packaged.trusted(other, again)
    assert not openpgp_trees.holds(again, other.content)


def test_packets_are_taken_apart_and_written_the_same() -> None:
    long = made.subpacket(24, bytes(90)), b"\xff" + packets.number(3, 4) + b"\x64ab", b"\xc0\x01" + bytes(193)
    body = b"\4\0" + made.HEAD + packets.number(sum(map(len, long)), 2) + b"".join(long) + b"\0\3\2\x10\1rest"
    parts = openpgp_trees.read(body)
    assert parts is not None
    assert tuple(parts) == (body[:4], long, (b"\2\x10\1",), b"rest")
    assert parts.body() == body
    assert all(openpgp_trees.read(body[:end]) is None for end in range(len(body) - 4))


def test_an_update_made_anew_is_accepted_and_for_one_variable_alone() -> None:
    found = efi_updates.Input.read(next(iter(efi_updates.seeds())))
    assert efi_updates.Input.read(found.write()) == found
    wrong = found._replace(value=found.value[:-1] + b"\0")
    again = wrong._replace(head=wrong.head | efi_updates.SIGNED_AGAIN)
    assert [efi_updates.judged(each) for each in (found, wrong, again)] == [True, False, True]
    made_anew = again.update()
    assert efi_updates.holds(made_anew.content_info, again.message)
    assert not efi_updates.holds(made_anew.content_info, again._replace(head=again.head ^ 1).message)
    assert not efi_updates.judged(wrong._replace(head=1, signature=made_anew.signature))


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_a_text_in_utf_16_holds_as_it_was_signed_alone(order: str) -> None:
    text = powershell.SIGNED[0]
    assert powershell.holds(text.encode(order), order)
    assert not powershell.holds(text.replace("exit 0", "exit 1").encode(order), order)
    assert not powershell.holds(f"{text}\r\nexit 1".encode(order), order)
