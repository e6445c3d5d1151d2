"""PE images with peers: they accept what chopmark signs, chopmark what they sign, and nobody what was changed since."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import pytest

from chopmark.core.contracts import SealOptions
from chopmark.envelopes import authenticode, cms
from chopmark.formats.pe import FORMAT
from tests.interop import pe_peers as peers
from tests.support import pki
from tests.unit.formats.pe import signing
from tests.vectors.pe import make

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.interop

PROGRAMS = [
    f"{machine}-{name}" for machine in ("x86_64", "i686") for name in ("console.exe", "library.dll", "boot.efi")
]
EVERYTHING = SealOptions(description="A program ☃", url="https://example.org/", page_hashes=True)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> peers.Material:
    return peers.Material(tmp_path_factory.mktemp("material"))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {path.name: path for path in peers.compiled(tmp_path_factory.mktemp("programs"))}


def signed(data: bytes, options: SealOptions = signing.PLAIN, kind: str = "rsa2048", *, stamped: bool = False) -> bytes:
    """Signed by chopmark with the key of the test world of this kind."""
    signer = pki.world(kind).signer
    content = signing.content(data, options)
    draft = cms.draft(content, signer, signer.certificates, signing_time=pki.NOW)
    made = draft.finish(signer.sign(draft.to_be_signed, content.digest_algorithm))
    return signing.embedded(data, signing.with_stamp(made) if stamped else made, options)


def verdicts(material: peers.Material, path: Path) -> dict[str, bool]:
    """What every peer says."""
    return {
        "osslsigncode": peers.osslsigncode(material, path),
        "sbverify": peers.sbverify(material, path),
        "LIEF": peers.lief_accepts(path),
        "signify": peers.signify(material, path),
    }


ALL = {"osslsigncode": True, "sbverify": True, "LIEF": True, "signify": True}
NONE = dict.fromkeys(ALL, False)


@pytest.mark.parametrize("options", [signing.PLAIN, EVERYTHING], ids=["plain", "everything"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_peers_accept_what_chopmark_signs(
    material: peers.Material, programs: dict[str, Path], name: str, options: SealOptions, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(signed(programs[name].read_bytes(), options))
    assert verdicts(material, path) == ALL


@pytest.mark.parametrize("options", [SealOptions("sha384"), SealOptions("sha512")], ids=["sha384", "sha512"])
def test_peers_accept_other_digests(
    material: peers.Material, programs: dict[str, Path], options: SealOptions, tmp_path: Path
) -> None:
    """All but sbverify, which like most firmware knows SHA-256 only."""
    path = tmp_path / "program.exe"
    path.write_bytes(signed(programs["x86_64-console.exe"].read_bytes(), options))
    assert verdicts(material, path) == ALL | {"sbverify": False}


@pytest.mark.parametrize("kind", ["p256", "p384"])
def test_peers_accept_elliptic_curves(
    kind: str, programs: dict[str, Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    material = peers.Material(tmp_path_factory.mktemp(kind), kind)
    path = tmp_path / "program.exe"
    path.write_bytes(signed(programs["x86_64-console.exe"].read_bytes(), kind=kind))
    assert verdicts(material, path) == ALL


def test_peers_accept_time_stamps_and_nested_signatures(
    material: peers.Material, programs: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "program.exe"
    once = signed(programs["i686-console.exe"].read_bytes(), EVERYTHING, stamped=True)
    twice = signed(once, SealOptions("sha512", append=True), stamped=True)
    for data in (once, twice):
        path.write_bytes(data)
        assert signing.against(data) == set()
        assert verdicts(material, path) == ALL
    said = peers.run("osslsigncode", "verify", "-CAfile", material.root_pem, "-TSA-CAfile", material.root_pem, path)
    assert "Timestamp Verified by" in said or "Timestamp time" in said or "timestamp" in said.lower()


def test_sbverify_accepts_each_of_several_signatures(
    material: peers.Material, programs: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "boot.efi"
    once = signed(programs["x86_64-boot.efi"].read_bytes())
    path.write_bytes(signed(once, signing.APPEND, "rsa3072"))
    assert peers.sbverify(material, path)
    assert peers.run("sbverify", "--list", path).count("image signature issuers") == 2
    assert [seal.where for seal in FORMAT.extract(signing.artifact(path.read_bytes()))] == [
        "signature 1",
        "signature 2",
    ]


@pytest.mark.parametrize("name", PROGRAMS)
def test_nobody_accepts_what_was_changed(
    material: peers.Material, programs: dict[str, Path], name: str, tmp_path: Path
) -> None:
    data = programs[name].read_bytes()
    path = tmp_path / name
    for whole in (signed(data), _by_osslsigncode(material, programs[name], tmp_path)):
        head = signing.headers(whole)
        for place in (0x41, head.sections[0].raw_offset + 5, head.table.offset - 9):
            changed = bytearray(whole)
            changed[place] ^= 1
            path.write_bytes(changed)
            assert signing.against(bytes(changed)) == {"mismatch: image"}
            assert verdicts(material, path) == NONE


def test_everybody_accepts_a_changed_checksum(
    material: peers.Material, programs: dict[str, Path], tmp_path: Path
) -> None:
    whole = bytearray(signed(programs["x86_64-console.exe"].read_bytes()))
    struct.pack_into("<I", whole, signing.headers(bytes(whole)).checksum, 0xDEADBEEF)
    path = tmp_path / "program.exe"
    path.write_bytes(whole)
    assert signing.against(bytes(whole)) == set()
    assert verdicts(material, path) == ALL


def test_a_signature_taken_off_and_attached_by_osslsigncode_still_holds(
    material: peers.Material, programs: dict[str, Path], tmp_path: Path
) -> None:
    source = programs["x86_64-console.exe"]
    path, envelope, attached = tmp_path / "signed.exe", tmp_path / "sig.der", tmp_path / "attached.exe"
    path.write_bytes(signed(source.read_bytes(), EVERYTHING))
    peers.run("osslsigncode", "extract-signature", "-in", path, "-out", envelope)
    found = next(iter(FORMAT.extract(signing.artifact(path.read_bytes())))).envelope.raw
    assert envelope.read_bytes() == found
    roots = ("-CAfile", material.root_pem, "-TSA-CAfile", material.root_pem)
    peers.run("osslsigncode", "attach-signature", *roots, "-sigin", envelope, "-in", source, "-out", attached)
    assert attached.read_bytes() == path.read_bytes()
    peers.run("osslsigncode", "remove-signature", "-in", path, "-out", attached.with_suffix(".stripped"))
    assert attached.with_suffix(".stripped").read_bytes() == signing.stripped(path.read_bytes())


# The other way round


def _by_osslsigncode(
    material: peers.Material, source: Path, folder: Path, *options: str, stamped: bool = False
) -> bytes:
    made = peers.osslsigncode_sign(material, source, folder / "by-osslsigncode", *options, stamped=stamped)
    return made.read_bytes()


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha1"])
@pytest.mark.parametrize("stamped", [False, True], ids=["", "stamped"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_chopmark_accepts_what_osslsigncode_signs(
    material: peers.Material, programs: dict[str, Path], name: str, *, stamped: bool, digest: str, tmp_path: Path
) -> None:
    options = ("-h", digest, "-ph", "-n", "A program", "-i", "https://example.org/")
    whole = _by_osslsigncode(material, programs[name], tmp_path, *options, stamped=stamped)
    assert signing.against(whole) == set()
    [seal] = FORMAT.extract(signing.artifact(whole))
    assert isinstance(seal.envelope, authenticode.AuthenticodeEnvelope)
    assert (seal.envelope.description, seal.envelope.url) == ("A program", "https://example.org/")
    assert [claim.what for claim in seal.claims] == ["image", "page hashes"]
    proof = seal.envelope.check([])
    assert proof.digest_algorithm == digest
    assert len(proof.stamps) == stamped
    assert proof.signer is not None
    assert proof.certificates[0] == pki.world("rsa2048").signer.der


def test_chopmark_accepts_osslsigncodes_nested_signatures(
    material: peers.Material, programs: dict[str, Path], tmp_path: Path
) -> None:
    path = peers.osslsigncode_sign(material, programs["x86_64-library.dll"], tmp_path / "1", "-h", "sha1", stamped=True)
    for number in range(2, 5):
        path = peers.osslsigncode_sign(material, path, tmp_path / str(number), "-nest", "-ph", stamped=True)
    whole = path.read_bytes()
    assert signing.against(whole) == set()
    where = [seal.where for seal in FORMAT.extract(signing.artifact(whole))]
    assert where == ["signature 1", "nested signature 1.1", "nested signature 1.2", "nested signature 1.3"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_chopmark_accepts_what_sbsign_signs(
    material: peers.Material, programs: dict[str, Path], name: str, tmp_path: Path
) -> None:
    path = peers.sbsign(material, programs[name], tmp_path / name)
    assert signing.against(path.read_bytes()) == set()
    twice = peers.sbsign(material, path, tmp_path / "twice")
    where = [seal.where for seal in FORMAT.extract(signing.artifact(twice.read_bytes()))]
    assert where == ["signature 1", "signature 2"]
    # Outside of firmware only the first entry is ever looked at, so that a second one is refused.
    assert signing.against(twice.read_bytes()) == (set() if name.endswith(".efi") else {"pe.table_several"})


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_make_the_same_page_hashes(
    material: peers.Material, programs: dict[str, Path], name: str, tmp_path: Path
) -> None:
    theirs = _by_osslsigncode(material, programs[name], tmp_path, "-h", "sha256", "-ph")
    ours = signed(programs[name].read_bytes(), signing.PAGES)
    found = [next(iter(FORMAT.extract(signing.artifact(whole)))).claims for whole in (theirs, ours)]
    assert [claim.expected for claim in found[0]] == [claim.expected for claim in found[1]]


@pytest.mark.parametrize("name", PROGRAMS)
def test_pesign_digests_section_by_section_and_comes_to_the_same(
    programs: dict[str, Path], name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    whole = signed(programs[name].read_bytes())
    path.write_bytes(whole)
    [seal] = FORMAT.extract(signing.artifact(whole))
    assert peers.pesign_digest(path) == seal.claims[0].expected


@pytest.mark.parametrize("length", [1, 4, 7, 8, 9, 4096, 100_003])
def test_data_behind_the_last_section_is_covered_alike(
    material: peers.Material, programs: dict[str, Path], length: int, tmp_path: Path
) -> None:
    data = programs["x86_64-stripped.exe"].read_bytes() + os.urandom(length)
    source, path = tmp_path / "source.exe", tmp_path / "signed.exe"
    source.write_bytes(data)
    path.write_bytes(signed(data))
    assert verdicts(material, path) == ALL
    theirs = _by_osslsigncode(material, source, tmp_path)
    assert signing.against(theirs) == set()
    [ours_seal], [theirs_seal] = (FORMAT.extract(signing.artifact(each)) for each in (path.read_bytes(), theirs))
    assert ours_seal.claims[0].expected == theirs_seal.claims[0].expected


def test_page_hashes_of_images_aligned_to_more_than_a_page(material: peers.Material, tmp_path: Path) -> None:
    """.NET assemblies are aligned to 8192 bytes; a page has 4096 nevertheless.

    signify judges by the offsets in the table and agrees. osslsigncode 2.9 takes SectionAlignment for the size of a
    page: it refuses such tables, and what it makes itself does not hold, as relic's did not before 7.6
    (https://github.com/sassoftware/relic/issues/32, on Windows' own kernel32.dll).
    """
    section = make.Section(b".text", bytes(range(256)) * 100)
    source, path = tmp_path / "source.dll", tmp_path / "signed.dll"
    source.write_bytes(make.Pe(sections=(section,), section_alignment=0x2000).build())
    path.write_bytes(signed(source.read_bytes(), signing.PAGES))
    assert signing.against(path.read_bytes()) == set()
    assert verdicts(material, path) == ALL | {"osslsigncode": False}
    theirs = _by_osslsigncode(material, source, tmp_path, "-h", "sha256", "-ph")
    assert signing.against(theirs) == {"mismatch: page hashes"}
    path.write_bytes(theirs)
    assert not peers.signify(material, path)


def test_the_samples_here_are_programs_to_others(material: peers.Material, tmp_path: Path) -> None:
    for name, built in make.SAMPLES.items():
        path = tmp_path / name
        data = make.with_checksum(built)
        path.write_bytes(signed(data))
        assert verdicts(material, path) == ALL
        # sbverify cannot read an SpcIndirectData of 128 to 255 bytes, by whomever; one section makes such page hashes.
        path.write_bytes(signed(data, EVERYTHING))
        assert verdicts(material, path) == ALL | {"sbverify": len(built.sections) > 1}
