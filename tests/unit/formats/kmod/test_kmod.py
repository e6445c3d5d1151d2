"""Kernel modules: what the kernel refuses is a finding, each by its own reason."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
from typing import TYPE_CHECKING

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import digest as digests
from chopmark.core import limits
from chopmark.core.artifact import Artifact, BytesView
from chopmark.core.contracts import Content, SealOptions
from chopmark.core.errors import BrokenError, MalformedError, RefusedError, UsageError
from chopmark.core.verdict import Status, Verdict
from chopmark.engine import check, sign
from chopmark.envelopes import algorithms, cms, der, module, x509
from chopmark.envelopes.cms import oids
from chopmark.formats.kmod import FORMAT, container, elf, trailer
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.contract import laws
from tests.support import pki

if TYPE_CHECKING:
    from pathlib import Path

TINY = (laws.VECTORS / "kmod" / "sample-tiny.ko").read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def knowing(folder: Path, *entities: pki.Entity, at: object = pki.NOW) -> contexts.Context:
    path = folder / "store.pem"
    path.write_bytes(b"".join(each.pem for each in entities))
    return contexts.Context(store.load([str(path)]), at, contexts.OFF, origins.CrlSource(cache=str(folder)))  # type: ignore[arg-type]


def everybody(folder: Path) -> contexts.Context:
    world = pki.world("rsa3072")
    return knowing(folder, world.root, world.issuing, world.signer)


def judged(data: bytes, context: contexts.Context, name: str = "tiny.ko") -> Verdict:
    return check.check(Artifact.from_bytes(data, name), context)


def codes(verdict: Verdict) -> set[str]:
    found = [*verdict.findings, *(each for seal in verdict.seals for each in seal.findings)]
    return {each.code for each in found if each.outcome in ("no", "unknown")}


def signature(**changes: bytes) -> bytes:
    """A module's signature by hand; `changes` replace parts of it."""
    signer = pki.world("rsa3072").signer
    own = x509.certificate(signer.der)
    digest = der.sequence(der.oid(algorithms.OID_BY_DIGEST["sha256"]))
    parts = {
        "version": der.integer(1),
        "content": der.sequence(der.oid(oids.DATA)),
        "certificates": b"",
        "signer_version": der.integer(1),
        "identifier": der.sequence(own.issuer, der.encode(der.INTEGER, own.serial_octets)),
        "signed": b"",
        "algorithm": der.sequence(der.oid(algorithms.RSA_ENCRYPTION), der.null()),
        "unsigned": b"",
    } | changes
    info = der.sequence(
        parts["signer_version"],
        parts["identifier"],
        digest,
        parts["signed"],
        parts["algorithm"],
        der.octet_string(signer.sign(TINY, "sha256")),
        parts["unsigned"],
    )
    signers = der.set_of([info, parts["second"]] if "second" in parts else [info])
    data = der.sequence(parts["version"], der.set_of([digest]), parts["content"], parts["certificates"], signers)
    return der.sequence(der.oid(oids.SIGNED_DATA), der.explicit(0, data))


def test_what_is_built_by_hand_is_what_is_signed(folder: Path) -> None:
    made = sign.sign(Artifact.from_bytes(TINY, "tiny.ko"), laws.request(pki.world("rsa3072").signer))
    assert made.envelope == signature()
    assert judged(TINY + trailer.appended(signature()), everybody(folder)).status is Status.TRUSTED


def test_what_is_signed_must_be_a_module(folder: Path) -> None:
    def about(data: bytes, **changes: bytes) -> set[str]:
        artifact = Artifact.from_bytes(data + trailer.appended(signature(**changes)), "tiny.ko")
        [seal] = check.check(artifact, everybody(folder), "kmod").seals
        return {each.code for each in seal.findings}

    assert {"kmod.module", "module.signer_found"} < about(TINY)
    carried = der.explicit(0, pki.world("rsa3072").signer.der)
    assert "module.certificates" in about(TINY, certificates=carried) - about(TINY)
    executable = TINY[:16] + b"\x02\x00" + TINY[18:]
    assert "kmod.module_wrong" in about(executable)


def test_a_signer_named_by_key_is_found(folder: Path) -> None:
    key_id = x509.certificate(pki.world("rsa3072").signer.der).subject_key_id
    assert key_id
    named = signature(
        version=der.integer(3),
        signer_version=der.integer(3),
        identifier=der.encode(der.context(0, constructed=False), key_id),
    )
    assert judged(TINY + trailer.appended(named), everybody(folder)).status is Status.TRUSTED


ATTRIBUTE = der.sequence(der.oid("1.2.3"), der.set_of([der.null()]))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"signed": der.explicit(0, ATTRIBUTE)}, "module.attributes"),
        ({"unsigned": der.explicit(1, ATTRIBUTE)}, "module.loaded"),
        ({"content": der.sequence(der.oid(oids.DATA), der.explicit(0, der.octet_string(TINY)))}, "module.content"),
        ({"content": der.sequence(der.oid("1.2.3"))}, "module.content"),
        ({"version": der.integer(3)}, "cms.version_wrong"),
        ({"signer_version": der.integer(3)}, "cms.version_wrong"),
        ({"second": der.sequence()}, "format.malformed"),
        ({"algorithm": der.sequence(der.oid("1.2.840.113549.1.1.11"), der.null())}, "module.algorithm"),
    ],
)
def test_what_the_kernel_refuses_is_refused(changes: dict[str, bytes], code: str, folder: Path) -> None:
    verdict = judged(TINY + trailer.appended(signature(**changes)), everybody(folder))
    assert verdict.status is Status.REJECTED
    assert code in codes(verdict)


def test_pss_is_refused(folder: Path) -> None:
    class Pss:
        algorithm = "rsa-pss"

    identifier = algorithms.signing_identifier(Pss(), "sha256")  # type: ignore[arg-type]
    verdict = judged(TINY + trailer.appended(signature(algorithm=identifier)), everybody(folder))
    assert verdict.status is Status.REJECTED
    assert "module.algorithm" in codes(verdict)


def test_a_signature_with_attributes_is_refused_though_it_holds_elsewhere(folder: Path) -> None:
    signer = pki.world("rsa3072").signer
    content = Content(oids.DATA, "sha256", digests.of(TINY, "sha256"))
    draft = cms.draft(content, signer, signer.certificates, signing_time=None)
    made = draft.finish(signer.sign(draft.to_be_signed, "sha256"))
    verdict = judged(TINY + trailer.appended(made), everybody(folder))
    assert verdict.status is Status.REJECTED
    assert "module.attributes" in codes(verdict)


def test_a_module_signature_is_none_beside_a_file(folder: Path) -> None:
    """Only kernel modules are checked without signed attributes."""
    artifact = Artifact.from_bytes(TINY, "tiny.txt", {".p7s": signature()})
    verdict = check.check(artifact, everybody(folder), "detached")
    assert verdict.status is Status.REJECTED
    assert "cms.attributes_missing" in codes(verdict)


@pytest.mark.parametrize(
    "fields",
    [
        (1, 0, 2, 0, 0, b"\0\0\0"),
        (0, 1, 2, 0, 0, b"\0\0\0"),
        (0, 0, 1, 0, 0, b"\0\0\0"),
        (0, 0, 2, 1, 0, b"\0\0\0"),
        (0, 0, 2, 0, 1, b"\0\0\0"),
        (0, 0, 2, 0, 0, b"\0\1\0"),
    ],
)
def test_other_trailers_are_refused(fields: tuple[int | bytes, ...], folder: Path) -> None:
    made = signature()
    data = TINY + made + struct.pack(">BBBBB3sI", *fields, len(made)) + trailer.MARK
    verdict = judged(data, everybody(folder))
    assert verdict.status is Status.REJECTED
    assert "kmod.trailer_wrong" in codes(verdict)


@pytest.mark.parametrize("length", [0, 1 << 31, limits.ENVELOPE_MAX + 1, len(TINY) + 100_000])
def test_lengths_that_do_not_fit_are_refused(length: int, folder: Path) -> None:
    data = TINY + signature() + struct.pack(">BBBBB3sI", 0, 0, 2, 0, 0, bytes(3), length) + trailer.MARK
    assert "kmod.trailer_wrong" in codes(judged(data, everybody(folder)))


@pytest.mark.parametrize("added", [b"\0", b"\n", b"x" * 2000])
def test_data_behind_a_signature_is_a_rejection(added: bytes, folder: Path) -> None:
    data = TINY + trailer.appended(signature()) + added
    verdict = judged(data, everybody(folder))
    assert verdict.status is Status.REJECTED
    assert "kmod.trailing" in codes(verdict)
    with pytest.raises(BrokenError):
        sign.sign(Artifact.from_bytes(data, "tiny.ko"), laws.request())


def test_a_signature_below_the_last_is_a_rejection_and_strip_takes_both(folder: Path) -> None:
    once = TINY + trailer.appended(signature())
    signer = pki.world("rsa3072").signer
    content = Content(oids.DATA, "sha256", b"", message=once)
    draft = module.draft(content, signer, signer.certificates, signing_time=None)
    twice = once + trailer.appended(draft.finish(signer.sign(once, "sha256")))
    verdict = judged(twice, everybody(folder))
    assert verdict.status is Status.REJECTED
    assert codes(verdict) == {"kmod.twice"}
    artifact = Artifact.from_bytes(twice, "tiny.ko")
    assert FORMAT.strip(artifact).render(artifact) == TINY


def test_what_is_no_module_is_not_signed() -> None:
    changed = TINY.replace(b".modinfo", b".madinfo")
    with pytest.raises(RefusedError):
        sign.sign(Artifact.from_bytes(changed, "tiny.ko"), laws.request())
    for data in (b"", b"\x7fELF", TINY[:100], changed):
        assert elf.problem(BytesView(data), len(data))
    assert not elf.problem(BytesView(TINY), len(TINY))


def test_a_certificate_nobody_knows_leaves_it_undecided(folder: Path) -> None:
    verdict = judged(TINY + trailer.appended(signature()), knowing(folder, pki.world().root))
    assert verdict.status is Status.UNDECIDED
    assert "module.signer_unknown" in codes(verdict)


def test_found_is_not_trusted(folder: Path) -> None:
    stranger = pki.leaf(pki.authority("Example Root of nobody"), "Example Stranger")
    made = sign.sign(Artifact.from_bytes(TINY, "tiny.ko"), laws.request(stranger))
    verdict = judged(TINY + trailer.appended(made.envelope), knowing(folder, pki.world().root, stranger))
    assert verdict.seals[0].intact
    assert verdict.status is not Status.TRUSTED


@pytest.mark.parametrize(
    ("purposes", "trusted"),
    [
        ((), True),
        ((ExtendedKeyUsageOID.CODE_SIGNING,), True),
        ((ObjectIdentifier("1.3.6.1.4.1.2312.16.1.2"),), True),
        ((ExtendedKeyUsageOID.SERVER_AUTH,), False),
        ((ExtendedKeyUsageOID.TIME_STAMPING,), False),
    ],
)
def test_what_a_signers_certificate_must_be_for(
    purposes: tuple[ObjectIdentifier, ...],
    trusted: bool,  # noqa: FBT001 - a column of the table
    folder: Path,
) -> None:
    alone = pki.leaf(None, "Build time autogenerated kernel key", purposes=purposes)
    made = sign.sign(Artifact.from_bytes(TINY, "tiny.ko"), laws.request(alone))
    verdict = judged(TINY + trailer.appended(made.envelope), knowing(folder, alone))
    assert (verdict.status is Status.TRUSTED) is trusted
    assert ("path.purpose" in codes(verdict)) is not trusted


def test_an_expired_certificate_is_refused(folder: Path) -> None:
    verdict = judged(TINY + trailer.appended(signature()), everybody(folder))
    assert verdict.status is Status.TRUSTED
    world = pki.world("rsa3072")
    late = knowing(folder, world.root, world.issuing, world.signer, at=pki.UNTIL.replace(year=2036))
    assert "path.expired" in codes(judged(TINY + trailer.appended(signature()), late))


def test_the_compression_has_no_room_for_anything(folder: Path) -> None:
    signed = TINY + trailer.appended(signature())
    named = io.BytesIO()
    with gzip.GzipFile("name", "wb", fileobj=named) as file:
        file.write(signed)
    plain, xz = container.pack(signed, container.GZIP), container.pack(signed, container.XZ)
    for data in (named.getvalue(), plain + plain, plain + b"\0", plain[:-1], xz + xz, xz + bytes(4), xz[:-1]):
        verdict = judged(data, everybody(folder), "tiny.ko.gz")
        assert verdict.status is Status.REJECTED
        assert codes(verdict) == {"kmod.container"}
    for data in (plain, xz, gzip.compress(signed), lzma.compress(signed)):
        assert judged(data, everybody(folder), "tiny.ko.gz").status is Status.TRUSTED


def test_bits_that_fill_the_last_byte_are_zero() -> None:
    data = bytearray(container.pack(TINY, container.GZIP))
    refused = 0
    for bit in range(8):
        data[-9] ^= 1 << bit
        with pytest.raises(BrokenError):
            container.unpack(BytesView(bytes(data)), container.GZIP)
        refused += 1
        data[-9] ^= 1 << bit
    assert refused == 8


@pytest.mark.parametrize("packed", [container.GZIP, container.XZ])
def test_what_uncompresses_to_very_much_is_refused(packed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONTENT_SIGNED_MAX", 3 * limits.MIB)
    with pytest.raises(BrokenError) as caught:
        container.unpack(BytesView(container.pack(bytes(20 * limits.MIB), packed)), packed)
    assert caught.value.reason.code == "kmod.too_large"
    assert container.unpack(BytesView(container.pack(bytes(3 * limits.MIB), packed)), packed) == bytes(3 * limits.MIB)


def test_what_is_compressed_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = container.pack(TINY, container.GZIP)
    monkeypatch.setattr(limits, "MODULE_PACKED_MAX", len(data) - 1)
    with pytest.raises(BrokenError) as caught:
        container.unpack(BytesView(data), container.GZIP)
    assert caught.value.reason.code == "kmod.too_large"


def test_an_xz_file_that_wants_much_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "XZ_MEMORY_MAX", 1 << 16)
    with pytest.raises(BrokenError):
        container.unpack(BytesView(container.pack(TINY, container.XZ)), container.XZ)


def test_zstandard_is_said_to_be_unread(folder: Path) -> None:
    verdict = judged(b"\x28\xb5\x2f\xfd" + bytes(100), everybody(folder), "tiny.ko.zst")
    assert verdict.status is Status.UNDECIDED
    assert codes(verdict) == {"kmod.zstandard"}


def test_a_complete_signature_is_attached_if_its_certificate_is_given() -> None:
    artifact = Artifact.from_bytes(TINY, "tiny.ko")
    signer = pki.world("rsa3072").signer
    made = sign.attach_envelope(artifact, signature(), SealOptions(), certificates=signer.certificates)
    assert made.patch.render(artifact) == TINY + trailer.appended(signature())
    with pytest.raises(RefusedError):
        sign.attach_envelope(artifact, signature(), SealOptions())
    other = Artifact.from_bytes(TINY + b"x", "tiny.ko")
    with pytest.raises(RefusedError):
        sign.attach_envelope(other, signature(), SealOptions(), certificates=signer.certificates)


def test_a_time_stamp_has_no_place() -> None:
    with pytest.raises(UsageError):
        sign.sign(Artifact.from_bytes(TINY, "tiny.ko"), laws.request(stamped=True))


@given(data=st.binary(max_size=300), tail=st.sampled_from([b"", trailer.MARK, trailer.appended(b"x")]))
def test_any_bytes_are_an_answer(data: bytes, tail: bytes) -> None:
    for head in (b"", TINY[:64], TINY, b"\x1f\x8b\x08\0", b"\xfd7zXZ\0"):
        artifact = Artifact.from_bytes(head + data + tail, "x.ko")
        try:
            assert len(list(FORMAT.extract(artifact))) <= 1
        except MalformedError as error:
            assert str(error)  # noqa: PT017 - the other answer is a seal
