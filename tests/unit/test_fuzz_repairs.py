"""What fuzzers mend: files around other signatures, signatures that hold over what was changed, and checksums."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark.core.errors import MalformedError
from chopmark.core.verdict import Status
from chopmark.engine import check
from chopmark.formats._compressed import streams
from tests.fuzz.repairs import cms as repairs
from tests.fuzz.repairs import compressed
from tests.fuzz.targets import enveloped
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
