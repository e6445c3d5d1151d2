"""Signing, checking again, appending, stripping: the format as the engine uses it."""

from __future__ import annotations

import importlib.util
import struct
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.core import patch
from chopmark.core.artifact import Artifact
from chopmark.core.contracts import Format, SealOptions
from chopmark.core.errors import MalformedError, RefusedError, UsageError
from chopmark.envelopes import authenticode, cms
from chopmark.envelopes.authenticode.reasons import WRONG_SUBJECT
from chopmark.formats.pe import FORMAT, reasons, table
from tests.support import pki, probing
from tests.unit.formats.pe import signing
from tests.vectors.pe import make

if TYPE_CHECKING:
    from chopmark.core.artifact import View

PROGRAM = make.with_checksum(make.Pe())
FIRMWARE = make.with_checksum(make.Pe(subsystem=make.EFI_APPLICATION))


def launchers() -> list[Path]:
    """Real programs: the Windows launchers in distlib."""
    found = importlib.util.find_spec("distlib")
    assert found is not None
    assert found.origin is not None
    return sorted(Path(found.origin).parent.glob("*.exe"))


def without_checksum(data: bytes) -> bytes:
    at = signing.headers(data).checksum
    return data[:at] + data[at + 4 :]


def where(data: bytes) -> list[str]:
    return [seal.where for seal in FORMAT.extract(signing.artifact(data))]


def test_it_is_a_format() -> None:
    assert isinstance(FORMAT, Format), FORMAT


def test_an_unsigned_program_has_no_seals_and_strips_to_itself() -> None:
    assert where(PROGRAM) == []
    assert signing.stripped(PROGRAM) == PROGRAM


@pytest.mark.parametrize("path", launchers(), ids=lambda path: path.name)
def test_real_launchers_round_trip(path: Path) -> None:
    data = path.read_bytes()
    for options in (signing.PLAIN, SealOptions("sha512", "Prüfung", "https://example.org/", page_hashes=True)):
        whole = signing.signed(data, options, stamped=True)
        assert signing.against(whole) == set()
        assert without_checksum(signing.stripped(whole)) == without_checksum(data) + bytes(-len(data) % 8)
        for place in range(0, len(data), len(data) // 23):
            flipped = bytearray(whole)
            flipped[place] ^= 0x10
            assert signing.against(bytes(flipped))


def test_another_signature_than_the_one_prepared_for_is_put_in_all_the_same() -> None:
    """Digests and page hashes that were not computed yet are then."""
    for options in (SealOptions("sha384"), signing.PAGES):
        here = signing.artifact(PROGRAM)
        FORMAT.digest(here, [FORMAT.recipe(here, signing.PLAIN)])
        whole = FORMAT.embed(here, signing.envelope(PROGRAM, options), options).render(here)
        assert whole == signing.signed(PROGRAM, options)
        assert signing.against(whole) == set()


def test_signing_again_replaces() -> None:
    once = signing.signed(PROGRAM)
    assert signing.signed(once) == once
    assert where(signing.signed(once, SealOptions("sha384"))) == ["signature 1"]


def test_stripping_brings_back_the_very_bytes() -> None:
    assert signing.stripped(signing.signed(PROGRAM)) == PROGRAM
    assert signing.stripped(signing.signed(signing.signed(PROGRAM), signing.APPEND)) == PROGRAM


def test_stripping_keeps_the_zeros_that_were_put_before_the_table() -> None:
    data = make.with_checksum(make.Pe(overlay=b"odd"))
    back = signing.stripped(signing.signed(data))
    assert without_checksum(back) == without_checksum(data) + bytes(5)


def test_appending_nests() -> None:
    whole = PROGRAM
    for algorithm in ("sha256", "sha384", "sha512"):
        whole = signing.signed(whole, SealOptions(algorithm, append=True), stamped=True)
    assert where(whole) == ["signature 1", "nested signature 1.1", "nested signature 1.2"]
    seals = list(FORMAT.extract(signing.artifact(whole)))
    assert [seal.claims[0].recipe.algorithm for seal in seals] == ["sha256", "sha384", "sha512"]
    assert [seal.nested for seal in seals] == [0, 1, 1]
    assert signing.against(whole) == set()


def test_appending_to_firmware_puts_another_entry_beside_the_first() -> None:
    whole = signing.signed(signing.signed(FIRMWARE), signing.APPEND)
    assert where(whole) == ["signature 1", "signature 2"]
    assert signing.against(whole) == set()
    assert signing.stripped(whole) == FIRMWARE


def test_appending_to_an_entry_without_padding_aligns_the_next() -> None:
    once = signing.signed(FIRMWARE)
    made = signing.envelope(FIRMWARE)
    bare = signing.with_table(once, struct.pack("<IHH", 8 + len(made), 0x200, 2) + made)
    assert signing.against(signing.signed(bare, signing.APPEND)) == set()


def test_appending_to_several_entries_outside_of_firmware_is_refused() -> None:
    once = signing.signed(PROGRAM)
    twice = signing.with_table(once, 2 * signing.table_of(once))
    with pytest.raises(RefusedError):
        signing.signed(twice, signing.APPEND)
    assert where(signing.signed(twice)) == ["signature 1"]


def test_too_many_signatures_are_refused() -> None:
    whole = PROGRAM
    for _ in range(9):
        whole = signing.signed(whole, signing.APPEND)
    with pytest.raises(RefusedError):
        signing.signed(whole, signing.APPEND)
    assert len(where(whole)) == 9
    assert signing.against(whole) == set()


def test_a_nested_signature_for_another_file_is_a_mismatch_of_its_own() -> None:
    other = signing.envelope(make.with_checksum(make.Pe(checksum=1, overlay=b"other.12")))
    [entry], _ = table.read(signing.artifact(signing.signed(PROGRAM)).view, signing.headers(signing.signed(PROGRAM)))
    grafted = signing.with_table(signing.signed(PROGRAM), table.entry(authenticode.nest(entry.envelope, other)))
    assert signing.against(grafted) == {"mismatch: image"}


def test_a_signature_for_another_file_is_not_put_in() -> None:
    other = signing.envelope(make.Pe(overlay=b"12345678").build())
    with pytest.raises(RefusedError):
        signing.embedded(PROGRAM, other)


def test_what_was_drafted_for_a_file_vouches_for_no_other_signature() -> None:
    """A file that content was just made for takes what encloses that content, and reads anything else anew."""
    for options in (signing.PLAIN, signing.PAGES):
        here = signing.artifact(PROGRAM)
        [payload] = FORMAT.digest(here, [FORMAT.recipe(here, options)])
        own = probing.envelope(FORMAT.content(here, payload, options))
        other = signing.envelope(make.Pe(overlay=b"12345678").build(), options)
        with pytest.raises(RefusedError):
            FORMAT.embed(here, other, options)
        assert FORMAT.embed(here, own, options).render(here) == signing.embedded(PROGRAM, own, options)


def test_a_signature_for_another_kind_of_file_is_refused() -> None:
    honest = signing.content(PROGRAM)
    guid = "603bcc1f-4b59-4e08-b724-d2c6297ef351"
    script = probing.envelope(authenticode.sip_content(guid, "sha256", honest.digest, signing.PLAIN))
    with pytest.raises(RefusedError):
        signing.embedded(PROGRAM, script)
    grafted = signing.with_table(signing.signed(PROGRAM), table.entry(script))
    assert signing.against(grafted) == {WRONG_SUBJECT.code}


def test_early_pesign_named_another_kind_and_firmware_never_looked() -> None:
    honest = signing.content(FIRMWARE)
    assert honest.body is not None
    named = honest.body.replace(bytes.fromhex("060a2b06010401823702010f"), bytes.fromhex("060a2b060104018237020115"))
    made = probing.envelope(honest._replace(body=named))
    grafted = signing.with_table(signing.signed(FIRMWARE), table.entry(made))
    assert signing.against(grafted) == set()
    assert reasons.SUBJECT_UNUSUAL.code in signing.codes(grafted)


def test_a_file_without_room_for_a_signature_is_refused() -> None:
    with pytest.raises(RefusedError):
        signing.signed(make.Pe(directories=4).build())


def test_a_link_must_be_ascii() -> None:
    with pytest.raises(UsageError):
        signing.signed(PROGRAM, SealOptions(url="https://example.org/größe"))


def test_what_the_signer_says_about_the_program_is_read_back() -> None:
    options = SealOptions(description="Schöne Prägung ☃ 𝄞", url="https://example.org/?a=1")
    [seal] = FORMAT.extract(signing.artifact(signing.signed(PROGRAM, options)))
    assert isinstance(seal.envelope, authenticode.AuthenticodeEnvelope)
    assert (seal.envelope.description, seal.envelope.url) == (options.description, options.url)


def test_two_steps_come_to_the_same_as_one() -> None:
    signer = pki.world().signer
    content = signing.content(PROGRAM, signing.PAGES)
    first = cms.draft(content, signer, signer.certificates, signing_time=pki.NOW)
    again = signing.content(PROGRAM, signing.PAGES)
    second = cms.resume(again, first.to_be_signed, signer.certificates)
    made = second.finish(signer.sign(first.to_be_signed, "sha256"))
    assert signing.against(signing.embedded(PROGRAM, made)) == set()


class CountingView:
    """Counts the bytes that are read."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.read_bytes = 0

    @property
    def size(self) -> int:
        return self._view.size

    def read(self, offset: int, length: int) -> bytes:
        data = self._view.read(offset, length)
        self.read_bytes += len(data)
        return data

    def changed(self) -> bool:
        return False


@pytest.mark.parametrize("options", [signing.PLAIN, signing.PAGES])
def test_the_file_is_read_once_to_sign_and_once_to_write(options: SealOptions) -> None:
    size = 4 << 20
    data = make.Pe(sections=(make.Section(b".text", b"\xcc" * size),)).build()
    view = CountingView(signing.artifact(data).view)
    here = Artifact("program.exe", view)
    [payload] = FORMAT.digest(here, [FORMAT.recipe(here, options)])
    made = probing.envelope(FORMAT.content(here, payload, options))
    change = FORMAT.embed(here, made, options)
    assert view.read_bytes < 1.05 * size
    whole = change.render(here)
    assert view.read_bytes < 2.05 * size
    view = CountingView(signing.artifact(whole).view)
    here = Artifact("program.exe", view)
    claims = [claim for seal in FORMAT.extract(here) for claim in seal.claims]
    values = FORMAT.digest(here, [claim.recipe for claim in claims])
    assert [payload.value for payload in values] == [claim.expected for claim in claims]
    assert view.read_bytes < 1.05 * size


def test_memory_stays_small_with_large_files(tmp_path: Path) -> None:
    size = 96 << 20
    built = make.Pe(sections=(make.Section(b".text", b"\xcc", raw_size=size),))
    path = tmp_path / "large.exe"
    path.write_bytes(built.build()[:0x200])
    with path.open("r+b") as file:
        file.truncate(0x200 + size)
    tracemalloc.start()
    with Artifact.open(path) as here:
        [payload] = FORMAT.digest(here, [FORMAT.recipe(here, signing.PAGES)])
        made = probing.envelope(FORMAT.content(here, payload, signing.PAGES))
        patch.apply(FORMAT.embed(here, made, signing.PAGES), here)
    with Artifact.open(path) as here:
        claims = [claim for seal in FORMAT.extract(here) for claim in seal.claims]
        values = FORMAT.digest(here, [claim.recipe for claim in claims])
        assert [payload.value for payload in values] == [claim.expected for claim in claims]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The table of page hashes is 0.9 MiB, and lives in an envelope and its parts.
    assert peak < 16 << 20


def test_the_digest_does_not_move_when_signing() -> None:
    before = FORMAT.digest(signing.artifact(PROGRAM), [FORMAT.recipe(signing.artifact(PROGRAM), signing.PLAIN)])
    whole = signing.signed(PROGRAM)
    [seal] = FORMAT.extract(signing.artifact(whole))
    after = FORMAT.digest(signing.artifact(whole), [seal.claims[0].recipe])
    assert before[0].value == after[0].value == seal.claims[0].expected


def test_every_flipped_byte_of_headers_and_content_is_caught() -> None:
    whole = signing.signed(PROGRAM)
    head = signing.headers(whole)
    free = range(head.checksum, head.checksum + 4)
    for place in range(head.table.offset + 8):
        for bit in (0x01, 0x80):
            flipped = bytearray(whole)
            flipped[place] ^= bit
            data = bytes(flipped)
            caught = FORMAT.detect(data[:4096], "") == 0 or bool(signing.against(data))
            gone = not caught and where(data) == []
            assert caught or gone or place in free, hex(place)
            assert not (gone and place not in range(head.directory or 0)), hex(place)


def test_unreadable_envelopes_are_malformed() -> None:
    whole = signing.signed(PROGRAM)
    for envelope in (b"\x30\x00", b"\x05\x00", bytes.fromhex("300b06092a864886f70d010702")):
        with pytest.raises(MalformedError):
            where(signing.with_table(whole, table.entry(envelope)))
