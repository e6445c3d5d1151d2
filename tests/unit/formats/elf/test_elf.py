"""ELF programs: what is appended has to end the file, and nothing that is loaded may reach into it."""

from __future__ import annotations

import os
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.artifact import Artifact, BytesView
from chopmark.core.contracts import Content, SealOptions
from chopmark.core.digest import of
from chopmark.core.errors import MalformedError, RefusedError
from chopmark.core.verdict import Status, Verdict
from chopmark.engine import check, sign
from chopmark.envelopes import cms
from chopmark.formats._appended import trailer
from chopmark.formats._elf import header
from chopmark.formats.elf import FORMAT
from tests.contract import laws
from tests.support import pki, stuffing

if TYPE_CHECKING:
    from pathlib import Path

VECTORS = laws.VECTORS / "elf"
EXIT = (VECTORS / "sample-exit").read_bytes()
POWERPC = (VECTORS / "sample-exit-powerpc").read_bytes()
DATA = "1.2.840.113549.1.7.1"


def forged(data: bytes, body: bytes | None = None, more: tuple[bytes, ...] = ()) -> bytes:
    """A good signature over any bytes, with no regard to what they are; with `more` certificates."""
    signer = pki.world().signer
    content = Content(DATA, "sha256", of(data, "sha256"), body)
    draft = cms.draft(content, signer, (*signer.certificates, *more), signing_time=pki.NOW)
    return data + trailer.appended(draft.finish(signer.sign(draft.to_be_signed, "sha256")))


def judged(data: bytes, folder: Path, name: str = "") -> Verdict:
    return check.check(Artifact.from_bytes(data, "tool"), laws.court(folder), name)


def against(verdict: Verdict) -> set[str]:
    found = [*verdict.findings, *(each for seal in verdict.seals for each in seal.findings)]
    return {each.code for each in found if each.outcome in ("no", "unknown")}


def changed(data: bytes, offset: int, form: str, *values: int) -> bytes:
    made = bytearray(data)
    struct.pack_into(form, made, offset, *values)
    return bytes(made)


def test_forging_is_signing_where_nothing_is_wrong(tmp_path: Path) -> None:
    assert judged(forged(EXIT), tmp_path).status is Status.TRUSTED
    assert forged(EXIT) == laws.signed(laws.State("tool", EXIT)).data


# e_phoff and e_shoff stand at 32 and 40 in 64 bits, e_ehsize and the counts behind at 52; p_offset and p_filesz of the
# first segment at 64 + 8 and 64 + 32.
@pytest.mark.parametrize(
    ("offset", "form", "values"),
    [
        (64 + 32, "<Q", (len(EXIT) + 1,)),
        (64 + 8, "<Q", (len(EXIT),)),
        (64 + 8, "<Q", (1 << 63,)),
        (64 + 8, "<QQQQ", (1 << 63, 0, 0, 1 << 63)),
        (32, "<Q", (len(EXIT),)),
        (32, "<Q", ((1 << 64) - 1,)),
        (40, "<Q", (len(EXIT) - 1,)),
        (52, "<H", (63,)),
        (54, "<H", (55,)),
        (56, "<H", (0xFFFE,)),
        (58, "<H", (63,)),
        (60, "<H", (0xFFFE,)),
        (62, "<H", (0xFFFE,)),
        (6, "<B", (2,)),
        (56, "<H", (0,)),
    ],
    ids=str,
)
def test_hostile_headers(offset: int, form: str, values: tuple[int, ...], tmp_path: Path) -> None:
    data = changed(EXIT, offset, form, *values)
    with pytest.raises(RefusedError):
        FORMAT.recipe(Artifact.from_bytes(data, "tool"), SealOptions())
    verdict = judged(forged(data), tmp_path)
    assert verdict.status is Status.REJECTED
    assert against(verdict) == {"elf.program_wrong"}


def test_a_segment_that_loads_the_signature_is_refused(tmp_path: Path) -> None:
    """What is in the signature can be changed in part without breaking it: nothing there may be run."""
    size = len(forged(EXIT)) - len(EXIT)
    reaching = changed(EXIT, 64 + 32, "<QQ", len(EXIT) + size, len(EXIT) + size)
    assert against(judged(forged(reaching), tmp_path)) == {"elf.program_wrong"}


def test_an_archive_that_ends_in_the_signature_is_refused(tmp_path: Path) -> None:
    """Python and Java run the archive, wherever it ends; nothing covers the certificates that are not needed."""
    archive = stuffing.archive()
    assert against(judged(forged(EXIT, more=(stuffing.certificate(archive),)), tmp_path)) == {"appended.archive"}
    wide = b"PK\6\7" + bytes(16) + archive[-22:]  # an end that points to the end of 64 bits
    assert against(judged(forged(EXIT, more=(stuffing.certificate(wide),)), tmp_path)) == {"appended.archive"}
    # The list of members may stand in the program itself: another than the archive's own is found then.
    own = EXIT + archive
    plain = forged(own, more=(stuffing.certificate(b"PK\5\6" + bytes(18)),))
    size = plain.rindex(b"PK\5\6") - plain.index(b"PK\1\2")
    end = b"PK\5\6" + bytes(8) + size.to_bytes(4, "little") + bytes(6)
    assert against(judged(forged(own, more=(stuffing.certificate(end),)), tmp_path)) == {"appended.archive"}


def test_what_only_looks_like_the_end_of_an_archive_does_no_harm(tmp_path: Path) -> None:
    for harmless in (b"PK\5\6", b"PK\5\6" + bytes(18), b"PK\5\6" + b"\xff" * 18, b"PK\1\2" * 9):
        assert judged(forged(EXIT, more=(stuffing.certificate(harmless),)), tmp_path).status is Status.TRUSTED
    own = EXIT + stuffing.archive()  # of the program's own, which is signed
    assert judged(forged(own), tmp_path).status is Status.TRUSTED


@pytest.mark.parametrize("sample", [EXIT, POWERPC], ids=["little", "big"])
def test_counts_that_stand_in_the_first_section(sample: bytes) -> None:
    """65,535 and more: PN_XNUM and SHN_XINDEX (gABI 4.2, ELF Header)."""
    wide = sample[4] == 2
    order = "<" if sample[5] == 1 else ">"
    plain = header.read(BytesView(sample), len(sample))
    assert plain.bits == (64 if wide else 32)
    at = struct.unpack_from(order + ("Q" if wide else "I"), sample, 40 if wide else 32)[0]
    data = bytearray(sample)
    # sh_size, sh_link and sh_info of the first section
    struct.pack_into(order + "H", data, 60 if wide else 48, 0)
    struct.pack_into(order + "H", data, 62 if wide else 50, 0xFFFF)
    struct.pack_into(order + "H", data, 56 if wide else 44, 0xFFFF)
    names = plain.names
    values = (len(plain.sections), names, len(plain.segments))
    struct.pack_into(order + ("QII" if wide else "III"), data, at + (32 if wide else 20), *values)
    seen = header.read(BytesView(bytes(data)), len(data))
    assert seen._replace(rows=plain.rows) == plain
    assert seen.sections == plain.sections
    for count in (1 << 20, (1 << 32) - 1):
        struct.pack_into(order + ("Q" if wide else "I"), data, at + (32 if wide else 20), count)
        with pytest.raises(MalformedError):
            header.read(BytesView(bytes(data)), len(data))


@pytest.mark.parametrize(("kind", "size", "sound"), [(1, 1, False), (1, 0, True), (8, 1, True), (0, 1, True)])
def test_sections_that_are_in_the_file_end_in_it(kind: int, size: int, sound: bool) -> None:  # noqa: FBT001
    """Of a section without room in the file (SHT_NOBITS, SHT_NULL) and of an empty one nobody reads anything."""
    [at] = struct.unpack_from("<Q", EXIT, 40)
    data = changed(changed(EXIT, at + 64 + 4, "<I", kind), at + 64 + 24, "<QQ", len(EXIT), size)
    if sound:
        assert header.read(BytesView(data), len(data)).rows[1][1] == kind
        return
    with pytest.raises(MalformedError):
        header.read(BytesView(data), len(data))


def test_a_table_larger_than_any_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ELF_TABLE_MAX", 100)
    with pytest.raises(MalformedError):
        header.read(BytesView(EXIT), len(EXIT))


@given(st.integers(0, len(EXIT) - 1), st.binary(min_size=1, max_size=16))
def test_no_header_crashes_it(offset: int, raw: bytes) -> None:
    for sample in (EXIT, POWERPC):
        data = sample[:offset] + raw + sample[offset + len(raw) :]
        said = "sound"
        try:
            header.read(BytesView(data), len(data))
        except MalformedError as error:
            said = str(error)
        assert said.isprintable()


@pytest.mark.parametrize("kind", [0, 4, 5, 0xFE00, 0xFFFF])
def test_other_kinds_of_elf_files_are_not_programs(kind: int, tmp_path: Path) -> None:
    data = changed(EXIT, 16, "<H", kind)
    assert FORMAT.detect(data, "tool") == 0
    assert judged(data, tmp_path).format == "detached"
    assert "elf.program_wrong" in against(judged(forged(data), tmp_path, "elf"))


def test_without_sections_it_is_a_program_still(tmp_path: Path) -> None:
    bare = changed(changed(EXIT, 40, "<Q", 0), 58, "<HHH", 0, 0, 0)
    assert judged(forged(bare), tmp_path).status is Status.TRUSTED
    assert against(judged(forged(changed(bare, 60, "<H", 1)), tmp_path)) == {"elf.program_wrong"}


@pytest.mark.parametrize("added", [b"\0", b"#!/bin/sh\n", b"PK\x05\x06" + bytes(18), bytes(3000)])
def test_something_behind_is_not_unsigned_but_rejected(added: bytes, tmp_path: Path) -> None:
    verdict = judged(forged(EXIT) + added, tmp_path)
    assert verdict.status is Status.REJECTED
    assert against(verdict) == {"elf.trailing"}


def test_one_signature_below_another_is_refused(tmp_path: Path) -> None:
    once = forged(EXIT)
    assert against(judged(forged(once), tmp_path)) == {"elf.twice"}
    artifact = Artifact.from_bytes(forged(once), "tool")
    assert FORMAT.strip(artifact).render(artifact) == EXIT
    made = sign.sign(artifact, laws.request())
    assert made.patch.render(artifact) == once
    with pytest.raises(MalformedError):
        sign.sign(artifact, laws.request(options=SealOptions(append=True)))
    many = EXIT
    for _ in range(limits.SIGNERS_MAX):
        many = forged(many)
    with pytest.raises(MalformedError):
        FORMAT.strip(Artifact.from_bytes(many, "tool"))


@pytest.mark.parametrize("fields", [(1, 0, 2), (0, 4, 2), (0, 0, 1), (0, 0, 3)])
def test_trailers_of_other_kinds(fields: tuple[int, int, int], tmp_path: Path) -> None:
    data = bytearray(forged(EXIT))
    place = len(data) - len(trailer.MARK) - 12
    data[place : place + 3] = bytes(fields)
    assert against(judged(bytes(data), tmp_path)) == {"elf.trailer_wrong"}


def test_a_signature_that_carries_something_is_refused(tmp_path: Path) -> None:
    assert "elf.content" in against(judged(forged(EXIT, body=EXIT), tmp_path))


def test_a_modules_signature_is_none_for_a_program(tmp_path: Path) -> None:
    from chopmark.envelopes import module

    signer = pki.world().signer
    content = Content(DATA, "sha256", of(EXIT, "sha256"), message=EXIT)
    draft = module.draft(content, signer, signer.certificates, signing_time=None)
    made = EXIT + trailer.appended(draft.finish(signer.sign(EXIT, "sha256")))
    assert "cms.attributes_missing" in against(judged(made, tmp_path))


def test_what_is_none_is_not_embedded() -> None:
    artifact = Artifact.from_bytes(EXIT, "tool")
    with pytest.raises(RefusedError):
        FORMAT.embed(artifact, b"none", SealOptions())


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the sample is a program for x86-64")
def test_the_program_runs_before_and_after(tmp_path: Path) -> None:
    path = tmp_path / "exit"
    for data in (EXIT, forged(EXIT)):
        path.write_bytes(data)
        path.chmod(0o755)
        assert subprocess.run([path], check=False).returncode == 0
