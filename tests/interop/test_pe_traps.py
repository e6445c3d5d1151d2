"""What popular verifiers accept in PE images, and chopmark refuses. When a peer learns, its line here changes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from chopmark.core.contracts import SealOptions
from chopmark.envelopes import authenticode, cms, der
from chopmark.formats.pe import FORMAT, reasons, table
from tests.interop import pe_peers as peers
from tests.interop.test_pe import signed, verdicts
from tests.support import pki, probing
from tests.unit.formats.pe import signing
from tests.vectors.pe import make

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.interop

PROGRAM = make.with_checksum(make.Pe())
EVERYBODY = {"osslsigncode", "sbverify", "LIEF", "signify"}


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> peers.Material:
    return peers.Material(tmp_path_factory.mktemp("material"))


def judged(material: peers.Material, folder: Path, data: bytes) -> set[str]:
    """Who accepts these bytes."""
    path = folder / "program.exe"
    path.write_bytes(data)
    return {name for name, accepts in verdicts(material, path).items() if accepts}


def envelope_of(data: bytes) -> bytes:
    return next(iter(FORMAT.extract(signing.artifact(data)))).envelope.raw


def test_payload_in_the_certificate_padding(material: peers.Material, tmp_path: Path) -> None:
    """CVE-2013-3900: everybody still takes it."""
    whole = signed(PROGRAM)
    made = envelope_of(whole) + b"payload behind the signature".ljust(64, b"\0")
    made += bytes(-len(made) % 8)
    tampered = signing.with_table(whole, struct.pack("<IHH", 8 + len(made), 0x200, 2) + made)
    assert signing.against(tampered) == {reasons.PADDING.code}
    assert judged(material, tmp_path, tampered) == EVERYBODY


def test_a_second_entry_in_the_certificate_table(material: peers.Material, tmp_path: Path) -> None:
    whole = signed(PROGRAM)
    tampered = signing.with_table(whole, signing.table_of(whole) + signing.table_of(whole))
    assert signing.against(tampered) == {reasons.TABLE_SEVERAL.code}
    assert judged(material, tmp_path, tampered) == {"sbverify", "LIEF", "signify"}


def test_data_behind_the_certificate_table(material: peers.Material, tmp_path: Path) -> None:
    tampered = signed(PROGRAM) + b"payload!" * 4
    assert signing.against(tampered) == {reasons.TRAILING.code}
    assert judged(material, tmp_path, tampered) == set()


def test_an_unauthenticated_blob(material: peers.Material, tmp_path: Path) -> None:
    """osslsigncode itself puts one in on demand, as installers that want to be personalised do."""
    source = tmp_path / "source.exe"
    source.write_bytes(PROGRAM)
    made = peers.osslsigncode_sign(material, source, tmp_path / "blob.exe", "-h", "sha256", "-addUnauthenticatedBlob")
    tampered = made.read_bytes()
    assert signing.against(tampered) == {"cms.unsigned_unknown"}
    assert judged(material, tmp_path, tampered) == EVERYBODY


def test_garbage_where_a_nested_signature_should_be(material: peers.Material, tmp_path: Path) -> None:
    whole = signed(PROGRAM)
    nested = cms.add_unsigned(envelope_of(whole), "1.3.6.1.4.1.311.2.4.1", der.octet_string(b"payload" * 1000))
    tampered = signing.with_table(whole, table.entry(nested))
    assert signing.against(tampered) == {"authenticode.nested_broken"}
    assert judged(material, tmp_path, tampered) == {"osslsigncode", "sbverify", "LIEF"}


def test_a_broken_first_signature_with_a_good_one_nested(material: peers.Material, tmp_path: Path) -> None:
    """osslsigncode calls the whole good; here each is reported by itself, and the first one is not."""
    other = make.with_checksum(make.Pe(overlay=b"another!"))
    good, foreign = envelope_of(signed(PROGRAM)), envelope_of(signed(other))
    tampered = signing.with_table(signed(PROGRAM), table.entry(authenticode.nest(foreign, good)))
    assert signing.against(tampered) == {"mismatch: image"}
    seals = list(FORMAT.extract(signing.artifact(tampered)))
    values = FORMAT.digest(signing.artifact(tampered), [seal.claims[0].recipe for seal in seals])
    assert [payload.value == seal.claims[0].expected for seal, payload in zip(seals, values, strict=True)] == [
        False,
        True,
    ]
    assert judged(material, tmp_path, tampered) == {"osslsigncode"}


def test_a_good_first_signature_with_a_stranger_nested(material: peers.Material, tmp_path: Path) -> None:
    """Which root a signature leads to is trust's business; here both are there for it to judge."""
    stranger = pki.leaf(None, "Microsoft Corporation", kind="rsa2048")
    content = signing.content(PROGRAM)
    draft = cms.draft(content, stranger, [stranger.der], signing_time=pki.NOW)
    inner = draft.finish(stranger.sign(draft.to_be_signed, "sha256"))
    data = signing.with_table(signed(PROGRAM), table.entry(authenticode.nest(envelope_of(signed(PROGRAM)), inner)))
    assert [seal.where for seal in FORMAT.extract(signing.artifact(data))] == ["signature 1", "nested signature 1.1"]
    assert signing.against(data) == set()
    assert judged(material, tmp_path, data) == {"osslsigncode", "sbverify", "LIEF"}


def test_a_section_that_reaches_into_the_certificate_table(material: peers.Material, tmp_path: Path) -> None:
    """What a loader would map there is covered by no signature."""
    honest = make.Pe(sections=(make.Section(b".text", make.RETURN_ZERO),)).build()
    size = len(signed(honest)) - len(honest)
    reaching = make.Section(b".text", make.RETURN_ZERO, raw_size=0x400)
    data = make.Pe(sections=(reaching,), security=(len(honest), size)).build() + bytes(size)
    [payload] = FORMAT.digest(signing.artifact(data), [signing.recipe_of(data, "sha256")])
    content = authenticode.pe_content("sha256", payload.value, page_hashes=None, options=SealOptions())
    signer = pki.world("rsa2048").signer
    draft = cms.draft(content, signer, signer.certificates, signing_time=pki.NOW)
    made = table.entry(draft.finish(signer.sign(draft.to_be_signed, "sha256")))
    assert len(made) == size
    tampered = signing.with_table(data, made)
    assert signing.against(tampered) == {reasons.SECTION_OUTSIDE.code}
    assert judged(material, tmp_path, tampered) == {"osslsigncode", "signify"}


def test_a_signer_key_on_a_curve_of_its_own(tmp_path: Path) -> None:
    """CVE-2020-0601: explicit parameters. OpenSSL refuses such certificates by now, but does read them."""
    key, certificate = tmp_path / "key.pem", tmp_path / "leaf.pem"
    peers.run("openssl", "ecparam", "-name", "prime256v1", "-param_enc", "explicit", "-genkey", "-noout", "-out", key)
    subject = ("-subj", "/CN=Microsoft Corporation", "-days", "2000", "-addext", "extendedKeyUsage=codeSigning")
    peers.run("openssl", "req", "-x509", "-new", "-key", key, "-out", certificate, *subject)
    source, path = tmp_path / "source.exe", tmp_path / "signed.exe"
    source.write_bytes(PROGRAM)
    who = ("-certs", certificate, "-key", key)
    peers.run("osslsigncode", "sign", *who, "-h", "sha256", "-in", source, "-out", path)
    assert signing.against(path.read_bytes()) == {"cms.key_forbidden"}


@pytest.mark.parametrize("digest", ["md5", "sha1"])
def test_weak_digests_are_verified_and_named(material: peers.Material, digest: str, tmp_path: Path) -> None:
    """Whether they still suffice, and when, is trust's business."""
    source = tmp_path / "source.exe"
    source.write_bytes(PROGRAM)
    made = peers.osslsigncode_sign(material, source, tmp_path / "weak.exe", "-h", digest)
    [seal] = FORMAT.extract(signing.artifact(made.read_bytes()))
    assert seal.envelope.check([]).digest_algorithm == digest


def test_two_signers_in_one_signature(material: peers.Material, tmp_path: Path) -> None:
    whole = signed(PROGRAM)
    raw = envelope_of(whole)
    fields = der.parse(raw).children()[1].only_child().children()
    own = cms.read(raw).signers[0].node.raw
    parts = [node.raw for node in fields[:-1]]
    twice = der.sequence(
        der.oid("1.2.840.113549.1.7.2"), der.explicit(0, der.sequence(*parts, der.encode(der.SET, own, own)))
    )
    tampered = signing.with_table(whole, table.entry(twice))
    assert signing.against(tampered) == {"authenticode.signers"}
    assert judged(material, tmp_path, tampered) == {"sbverify"}


def test_a_script_signature_on_a_program(material: peers.Material, tmp_path: Path) -> None:
    """The digest is right, the kind of file is not."""
    guid = "603bcc1f-4b59-4e08-b724-d2c6297ef351"
    content = authenticode.sip_content(guid, "sha256", signing.content(PROGRAM).digest, SealOptions())
    tampered = signing.with_table(signed(PROGRAM), table.entry(probing.envelope(content)))
    assert signing.against(tampered) == {"authenticode.wrong_subject"}
    assert judged(material, tmp_path, tampered) == {"sbverify", "signify"}
