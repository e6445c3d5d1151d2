"""ML-DSA from end to end: keys in three forms, identifiers, CMS, certificates, lists, stamps and paths."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as other
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import example, given
from hypothesis import strategies as st

from chopmark import keys
from chopmark.authority.crl import encoding
from chopmark.authority.issuing import certificates, extensions
from chopmark.cli import main
from chopmark.core.contracts import Content
from chopmark.core.errors import ChopmarkError, RefusedError
from chopmark.envelopes import algorithms, cms, der, names, pem, pkcs10, public_keys, signatures, timestamp, x509
from chopmark.envelopes.cms import checking
from chopmark.envelopes.timestamp import info, making
from chopmark.keys import ml_dsa, pbes2
from chopmark.keys.errors import PassphraseError, UnusableKeyError
from tests.support import der_trees, pki

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("ml-dsa-44", "ml-dsa-65", "ml-dsa-87")
DATA = b"what is signed"


def parsed(identifier: bytes) -> algorithms.SignatureAlgorithm:
    return algorithms.signature_algorithm(der.parse(identifier))


def pkcs8(kind: str, held: bytes) -> bytes:
    oid = next(oid for oid, name in algorithms.ML_DSA.items() if name == kind)
    return der.sequence(der.integer(0), der.sequence(der.oid(oid)), der.octet_string(held))


def seed_and_expanded(kind: str) -> tuple[bytes, bytes]:
    """The seed of the test key, and as much of its expanded form as is hashed from seed and public key."""
    key = pki.key(kind)
    seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    size, dimensions = {
        "ml-dsa-44": (2560, (4, 4)),
        "ml-dsa-65": (4032, (6, 5)),
        "ml-dsa-87": (4896, (8, 7)),
    }[kind]
    stretched = hashlib.shake_256(seed + bytes(dimensions)).digest(128)
    spki = key.public_key().public_bytes_raw()  # type: ignore[union-attr]
    head = stretched[:32] + stretched[96:128] + hashlib.shake_256(spki).digest(64)
    return seed, head + bytes(size - len(head))


def written(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "key.pem"
    path.touch(0o600)
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_key_signs_verifies_and_nothing_else(kind: str) -> None:
    signer = pki.world(kind).signer
    signature = signer.sign(DATA, "sha512")
    algorithm = parsed(algorithms.signing_identifier(signer, "sha512"))
    assert algorithms.signature_identifier(signer, "sha256") == algorithms.signing_identifier(signer, "sha512")
    assert signatures.verify(signer.public_key, algorithm, signature, DATA) is None
    with pytest.raises(signatures.BadSignatureError):
        signatures.verify(signer.public_key, algorithm, signature, DATA + b"!")
    with pytest.raises(signatures.BadSignatureError):  # a context of its own makes it another signature
        signatures.verify(signer.public_key, algorithm, signer.private_key.sign(DATA, b"context"), DATA)  # type: ignore[call-arg, arg-type]
    another = KINDS[(KINDS.index(kind) + 1) % 3]
    with pytest.raises(algorithms.UnsupportedError):
        signatures.verify(pki.world(another).signer.public_key, algorithm, signature, DATA)
    with pytest.raises(algorithms.UnsupportedError):
        signatures.verify(pki.world("p256").signer.public_key, algorithm, signature, DATA)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_absent(kind: str) -> None:
    signer = pki.world(kind).signer
    bare = der.parse(algorithms.signing_identifier(signer, "sha512")).children()
    assert len(bare) == 1
    with pytest.raises(der.DerError):
        parsed(der.sequence(bare[0].raw, der.null()))
    algorithm, bits = (node.raw for node in der.parse(signer.public_key).children())
    with pytest.raises(algorithms.UnsupportedError):
        public_keys.load(der.sequence(der.sequence(der.parse(algorithm).children()[0].raw, der.null()), bits))
    with pytest.raises(algorithms.UnsupportedError):
        public_keys.load(der.sequence(algorithm, der.bit_string(der.parse(bits).bit_string()[:-1])))


@pytest.mark.parametrize("last", [32, 33, 34])
def test_hash_ml_dsa_is_refused_by_name(last: int) -> None:
    with pytest.raises(algorithms.UnsupportedError, match="HashML-DSA"):
        parsed(der.sequence(der.oid(f"2.16.840.1.101.3.4.3.{last}")))


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_seed_or_both_forms_are_read(kind: str, encrypted: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    seed, expanded = seed_and_expanded(kind)
    both = der.sequence(der.octet_string(seed), der.octet_string(expanded))
    for held in (b"\x80\x20" + seed, both):
        raw = pkcs8(kind, held)
        text = pem.encode("PRIVATE KEY", raw)
        if encrypted:
            text = pem.encode("ENCRYPTED PRIVATE KEY", pbes2.encrypt(raw, b"open", 1000))
        signer = keys.open_key(written(tmp_path, text), lambda _: b"open")
        assert signer.algorithm == kind
        parsed_kind = parsed(algorithms.signing_identifier(signer, "sha512"))
        assert signatures.verify(signer.public_key, parsed_kind, signer.sign(DATA, "sha512"), DATA) is None
        if encrypted:
            with pytest.raises(PassphraseError):
                keys.open_key(written(tmp_path, text), lambda _: b"shut")


@pytest.mark.parametrize("kind", KINDS)
def test_forms_that_do_not_belong_together_and_the_expanded_one_alone(kind: str, tmp_path: Path) -> None:
    seed, expanded = seed_and_expanded(kind)
    for place in (0, 32, 64):
        changed = bytearray(expanded)
        changed[place] ^= 1
        raw = pkcs8(kind, der.sequence(der.octet_string(seed), der.octet_string(bytes(changed))))
        with pytest.raises(UnusableKeyError, match="not the same key"):
            keys.open_key(written(tmp_path, pem.encode("PRIVATE KEY", raw)))
    for wrong, told in (
        (der.octet_string(expanded), "expanded form alone"),
        (der.sequence(der.octet_string(seed), der.octet_string(expanded[:-1])), "not the same key"),
        (der.sequence(der.octet_string(seed[:-1]), der.octet_string(expanded)), "seed"),
    ):
        with pytest.raises(UnusableKeyError, match=told):
            keys.open_key(written(tmp_path, pem.encode("PRIVATE KEY", pkcs8(kind, wrong))))


@given(st.binary(max_size=80))
def test_any_private_key_bytes_are_read_or_refused(held: bytes) -> None:
    for raw in (held, pkcs8("ml-dsa-65", held)):
        try:
            assert ml_dsa.from_pkcs8(raw, "key.pem") is None or raw
        except UnusableKeyError as error:
            assert str(error).startswith("key.pem: ")  # noqa: PT017 - either way is right, and only these


@given(st.binary(max_size=200) | der_trees.changed(pbes2.encrypt(b"plain", b"open", 16)))
@example(der.sequence(der.sequence(der.oid("1.2.840.113549.1.5.13"), der.sequence()), der.octet_string(b"")))
def test_any_encrypted_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        pbes2.decrypt(raw, b"open")
    except ChopmarkError as error:
        assert str(error).isprintable()  # noqa: PT017 - same


def test_endless_key_derivation_is_refused() -> None:
    assert pbes2.decrypt(pbes2.encrypt(b"plain", b"open", 1000), b"open") == b"plain"
    with pytest.raises(ChopmarkError, match="rounds"):
        pbes2.decrypt(_rounds(2**31), b"open")


def _rounds(rounds: int) -> bytes:
    """An EncryptedPrivateKeyInfo that claims so many rounds."""
    derivation = der.sequence(
        der.oid("1.2.840.113549.1.5.12"),
        der.sequence(
            der.octet_string(bytes(16)),
            der.integer(rounds),
            der.sequence(der.oid("1.2.840.113549.2.9"), der.null()),
        ),
    )
    scheme = der.sequence(der.oid("2.16.840.1.101.3.4.1.42"), der.octet_string(bytes(16)))
    algorithm = der.sequence(der.oid("1.2.840.113549.1.5.13"), der.sequence(derivation, scheme))
    return der.sequence(algorithm, der.octet_string(bytes(16)))


def test_an_openssl_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(*_: object) -> object:
        raise UnsupportedAlgorithm("ML-DSA-65 is not supported by this backend.")

    spki = pki.world("ml-dsa-65").signer.public_key
    for method in ("generate", "from_seed_bytes"):
        monkeypatch.setattr(mldsa.MLDSA65PrivateKey, method, missing)
    with pytest.raises(UnusableKeyError, match="with OpenSSL"):
        ml_dsa.new("ml-dsa-65")
    seed, expanded = seed_and_expanded("ml-dsa-87")
    raw = pkcs8("ml-dsa-65", der.sequence(der.octet_string(seed), der.octet_string(expanded)))
    with pytest.raises(UnusableKeyError, match="with OpenSSL"):
        keys.open_key(written(tmp_path, pem.encode("PRIVATE KEY", raw)))
    monkeypatch.setattr(mldsa.MLDSA65PublicKey, "from_public_bytes", missing)
    monkeypatch.setattr(public_keys, "_loaded", {})
    with pytest.raises(algorithms.UnsupportedError):
        public_keys.load(spki)


# CMS


@pytest.mark.parametrize(("kind", "fitting"), [("ml-dsa-44", 3), ("ml-dsa-65", 2), ("ml-dsa-87", 1)])
def test_the_message_digest_is_not_the_weaker_of_the_two(kind: str, fitting: int) -> None:
    signer = pki.world(kind).signer
    names_ = ("sha512", "sha384", "sha256")
    for name in names_[:fitting]:
        content = Content("1.2.840.113549.1.7.1", name, hashlib.new(name, DATA).digest(), DATA)
        draft = cms.draft(content, signer, signer.certificates, signing_time=pki.NOW)
        signed = cms.read(draft.finish(signer.sign(draft.to_be_signed, name)))
        assert checking.check_alone(signed, signed.signers[0]).intact
        identifier = der.sequence(der.oid(algorithms.OID_BY_DIGEST[name]))
        assert identifier in signed.raw  # RFC 9882 clause 3.3: the parameters are absent
        assert der.sequence(der.oid(algorithms.OID_BY_DIGEST[name]), der.null()) not in signed.raw
    for name in names_[fitting:]:
        content = Content("1.2.840.113549.1.7.1", name, hashlib.new(name, DATA).digest(), DATA)
        with pytest.raises(RefusedError, match="RFC 9882"):
            cms.draft(content, signer, signer.certificates, signing_time=pki.NOW)


def test_a_weaker_message_digest_made_elsewhere_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = pki.world("ml-dsa-65").signer
    content = Content("1.2.840.113549.1.7.1", "sha256", hashlib.sha256(DATA).digest(), DATA)
    with monkeypatch.context() as patch:
        patch.setitem(algorithms._MESSAGE_DIGESTS, "ml-dsa-65", ("sha256",))  # noqa: SLF001 - a signer without the rule
        draft = cms.draft(content, signer, signer.certificates, signing_time=pki.NOW)
        raw = draft.finish(signer.sign(draft.to_be_signed, "sha256"))
    signed = cms.read(raw)
    proof = checking.check_alone(signed, signed.signers[0])
    assert not proof.intact
    assert {finding.code for finding in proof.findings if finding.outcome == "no"} == {"cms.digest_inconsistent"}


# Certificates, requests, lists, stamps


@pytest.mark.parametrize("kind", KINDS)
def test_certificates_requests_and_lists_are_what_others_read(kind: str) -> None:
    root = pki.authority("Quantum Root", kind=kind)
    draft = certificates.Draft(
        certificates.new_serial(),
        x509.certificate(root.der).subject,
        names.encode([("CN", "Signer")]),
        pki.world(kind).signer.public_key,
        pki.SINCE,
        pki.UNTIL,
        (extensions.subject_key_id(pki.world(kind).signer.public_key),),
    )
    made = other.load_der_x509_certificate(draft.sign(root))
    made.verify_directly_issued_by(root.certificate)
    entry = encoding.entry("04d2", pki.NOW - dt.timedelta(days=1), 0)
    listed = encoding.write(x509.certificate(root.der), root, [entry], encoding.Frame(1, pki.NOW, pki.UNTIL))
    read = other.load_der_x509_crl(b"".join(listed))
    assert read.is_signature_valid(root.certificate.public_key())  # type: ignore[arg-type]
    assert len(read) == 1
    request = pkcs10.build(names.encode([("CN", "Signer")]), pki.world(kind).signer)
    pkcs10.read(request).verify()
    assert other.load_der_x509_csr(request).is_signature_valid


def test_a_time_stamp_rests_on_sha512() -> None:
    world = pki.world()
    tsa = pki.stamper(world.issuing, kind="ml-dsa-65")
    digest = hashlib.sha256(DATA).digest()
    stamped = info.TstInfo("1.2.3", "sha256", digest, 42, pki.NOW)
    token = making.make_token(stamped, tsa, tsa.certificates)
    stamp = timestamp.check(token, DATA)
    assert stamp.proof.intact
    assert stamp.proof.digest_algorithm in ("sha256", "sha512")


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_chain_of_it_is_believed(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    root = pki.authority("Quantum Root", kind=kind)
    issuing = pki.authority("Quantum Issuing", issuer=root, kind=kind, path_length=0)
    signer = pki.leaf(issuing, "Quantum Signer", kind=kind)
    (tmp_path / "root.pem").write_bytes(root.pem)
    (tmp_path / "chain.pem").write_bytes(signer.pem + issuing.pem)
    key = written(tmp_path, signer.private_pem())
    (tmp_path / "script.sh").write_bytes(b"#!/bin/sh\necho hello\n")
    assert main(["sign", "--key", key, "--cert", "chain.pem", "script.sh"]) == 0
    verify = ["verify", "--store", "root.pem", "--revocation", "off", "script.sh"]
    assert main(verify) == 0
    text = (tmp_path / "script.sh").read_bytes()
    (tmp_path / "script.sh").write_bytes(text.replace(b"hello", b"hullo"))
    assert main(verify) == 1
    (tmp_path / "script.sh").write_bytes(text)
    (tmp_path / "root.crl").write_bytes(pki.crl(root, until=pki.UNTIL))
    lists = ["--crl", "root.crl", "--crl", "list.crl"]
    for listed, status in (([], 0), ([pki.Revoked(signer.certificate.serial_number, pki.SINCE)], 1)):
        (tmp_path / "list.crl").write_bytes(pki.crl(issuing, listed, until=pki.UNTIL))
        checked = ["verify", "--store", "root.pem", "--revocation", "require", *lists, "script.sh"]
        assert main(checked) == status, capsys.readouterr().out
    capsys.readouterr()
    assert main(["key", "show", key]) == 0
    assert kind.upper() in capsys.readouterr().out
