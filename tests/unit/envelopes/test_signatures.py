"""Checking signatures: cryptography signs, chopmark verifies, and only what the key and its identifier are for."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import digest as digests
from chopmark.core.errors import ChopmarkError
from chopmark.envelopes import algorithms, der, public_keys, signatures
from tests.unit.envelopes import material

DATA = b"what is signed"
SHA2 = ("sha256", "sha384", "sha512")


def parsed(identifier: bytes) -> algorithms.SignatureAlgorithm:
    return algorithms.signature_algorithm(der.parse(identifier))


@pytest.mark.parametrize("digest", SHA2)
@pytest.mark.parametrize("kind", material.KINDS)
def test_what_a_signer_makes_verifies_under_the_identifier_for_it(kind: str, digest: str) -> None:
    signer = material.KeySigner(kind)
    algorithm = parsed(algorithms.signing_identifier(signer, digest))
    signature = signer.sign(DATA, digest)
    used = signatures.verify(signer.public_key, algorithm, signature, DATA, digest)
    assert used == (None if kind == "ed25519" else digest)
    with pytest.raises(signatures.BadSignatureError):
        signatures.verify(signer.public_key, algorithm, signature, DATA + b"!", digest)
    with pytest.raises(signatures.BadSignatureError):
        signatures.verify(material.KeySigner(kind, "other").public_key, algorithm, signature, DATA, digest)
    assert algorithms.signing_identifier(signer, digest) in algorithms.identifiers_for(
        public_keys.kind(signer.public_key), digest
    )


@pytest.mark.parametrize("digest", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "sha3_512"])
def test_rsa_and_ecdsa_verify_with_every_digest_that_is_recognised(digest: str) -> None:
    hash_algorithm = signatures.hash_algorithm(digest)
    rsa_key, ec_key = material.private_key("rsa"), material.private_key("p256")
    rsa_signature = rsa_key.sign(DATA, padding.PKCS1v15(), hash_algorithm)
    plain = parsed(der.sequence(der.oid(algorithms.RSA_ENCRYPTION), der.null()))
    assert plain.digest is None
    assert signatures.verify(material.public_der(rsa_key), plain, rsa_signature, DATA, digest) == digest
    by_key = parsed(der.sequence(der.oid(algorithms.OID_BY_DIGEST[digest])))
    assert signatures.verify(material.public_der(rsa_key), by_key, rsa_signature, DATA) == digest
    ec_signature = ec_key.sign(DATA, ec.ECDSA(hash_algorithm))
    assert signatures.verify(material.public_der(ec_key), by_key, ec_signature, DATA) == digest


def test_an_identifier_for_one_kind_of_key_is_refused_with_another() -> None:
    rsa_signer, ec_signer, ed_signer = (material.KeySigner(kind) for kind in ("rsa", "p256", "ed25519"))
    rsa_oid = parsed(der.sequence(der.oid("1.2.840.113549.1.1.11"), der.null()))
    ec_oid = parsed(der.sequence(der.oid("1.2.840.10045.4.3.2")))
    ed_oid = parsed(der.sequence(der.oid(algorithms.ED25519)))
    for signer, identifier in (
        (rsa_signer, ec_oid),
        (rsa_signer, ed_oid),
        (ec_signer, rsa_oid),
        (ec_signer, ed_oid),
        (ed_signer, rsa_oid),
        (ed_signer, ec_oid),
    ):
        with pytest.raises(algorithms.UnsupportedError):
            signatures.verify(signer.public_key, identifier, signer.sign(DATA, "sha256"), DATA, "sha256")


def test_a_signature_without_any_digest_is_not_guessed_at() -> None:
    signer = material.KeySigner("rsa")
    with pytest.raises(algorithms.UnsupportedError):
        signatures.verify(
            signer.public_key, algorithms.SignatureAlgorithm("rsa", None), signer.sign(DATA, "sha256"), DATA
        )


def pss_key(parameters: bytes) -> bytes:
    spki = material.public_der(material.private_key("rsa"))
    return der.sequence(der.sequence(der.oid(algorithms.RSASSA_PSS), parameters), der.parse(spki).children()[1].raw)


def test_a_key_for_pss_verifies_nothing_else() -> None:
    signer = material.KeySigner("rsa")
    plain = parsed(algorithms.signing_identifier(signer, "sha256"))
    with pytest.raises(algorithms.UnsupportedError):
        signatures.verify(pss_key(b""), plain, signer.sign(DATA, "sha256"), DATA, "sha256")


def test_a_key_for_pss_with_parameters_verifies_nothing_with_others() -> None:
    signer = material.KeySigner("rsa-pss")
    identifiers = {digest: algorithms.signing_identifier(signer, digest) for digest in SHA2}
    key = material.private_key("rsa-pss")
    point = der.parse(material.public_der(key)).children()[1].raw
    parameters = der.parse(identifiers["sha256"]).children()[1].raw
    spki = der.sequence(der.sequence(der.oid(algorithms.RSASSA_PSS), parameters), point)
    signature = signer.sign(DATA, "sha256")
    assert signatures.verify(spki, parsed(identifiers["sha256"]), signature, DATA) == "sha256"
    with pytest.raises(algorithms.UnsupportedError):
        signatures.verify(spki, parsed(identifiers["sha384"]), signer.sign(DATA, "sha384"), DATA)


def test_pss_with_default_parameters_is_sha1() -> None:
    key = material.private_key("rsa-pss")
    algorithm = parsed(der.sequence(der.oid(algorithms.RSASSA_PSS), der.sequence()))
    assert algorithm == algorithms.SignatureAlgorithm("rsa-pss", "sha1", "sha1", 20)
    sha1 = signatures.hash_algorithm("sha1")
    signature = key.sign(DATA, padding.PSS(padding.MGF1(sha1), 20), sha1)
    assert signatures.verify(material.public_der(key), algorithm, signature, DATA) == "sha1"


def bare_signature(key: rsa.RSAPrivateKey, digest: bytes) -> bytes:
    """PKCS #1 1.5 padding around the digest itself, which no library makes any more."""
    numbers = key.private_numbers()
    size = key.key_size // 8
    block = b"\x00\x01" + b"\xff" * (size - 3 - len(digest)) + b"\x00" + digest
    return pow(int.from_bytes(block), numbers.d, numbers.public_numbers.n).to_bytes(size)


def test_a_digest_without_its_algorithm_is_recognised_and_no_other() -> None:
    key = material.private_key("rsa")
    digest = digests.of(DATA, "sha1")
    signature = bare_signature(key, digest)
    spki = material.public_der(key)
    assert signatures.recovers_bare_digest(spki, signature, digest)
    assert not signatures.recovers_bare_digest(spki, signature, digests.of(b"other", "sha1"))
    assert not signatures.recovers_bare_digest(spki, material.KeySigner("rsa").sign(DATA, "sha256"), digest)
    assert not signatures.recovers_bare_digest(material.KeySigner("p256").public_key, signature, digest)
    plain = parsed(der.sequence(der.oid(algorithms.RSA_ENCRYPTION)))
    with pytest.raises(signatures.BadSignatureError):
        signatures.verify(spki, plain, signature, DATA, "sha1")


def test_numbers_that_are_none_are_no_signature() -> None:
    """Zeros (CVE-2022-21449), what is the same modulo the order, and other encodings of what holds (CVE-2014-8275)."""
    signer = material.KeySigner("p256")
    algorithm = parsed(algorithms.signing_identifier(signer, "sha256"))
    good, order = signer.sign(DATA, "sha256"), ec.SECP256R1().group_order
    r, s = utils.decode_dss_signature(good)
    pairs = [(0, 0), (0, s), (r, 0), (order, order), (r + order, s), (r, s + order), (r, -s), (r - order, s)]
    padded = der.encode(der.INTEGER, b"\0\0" + r.to_bytes(32, "big"))
    for bad in (
        *(der.sequence(der.integer(one), der.integer(other)) for one, other in pairs),
        der.sequence(padded, der.integer(s)),
        der.sequence(der.integer(r), der.integer(s), der.integer(1)),
        good + b"\0",
        b"\x30\x81" + good[1:],
        r.to_bytes(32, "big") + s.to_bytes(32, "big"),
        bytes(64),
    ):
        with pytest.raises(signatures.BadSignatureError):
            signatures.verify(signer.public_key, algorithm, bad, DATA, "sha256")


def test_padding_that_leaves_room_is_no_signature() -> None:
    """PKCS #1 1.5 has one form for each digest: where others pass, signatures below small exponents can be made up."""
    key: rsa.RSAPrivateKey = material.private_key("rsa")
    spki, numbers, size = material.public_der(key), key.private_numbers(), key.key_size // 8
    digest, identifier = digests.of(DATA, "sha256"), der.oid("2.16.840.1.101.3.4.2.1")
    plain = parsed(der.sequence(der.oid(algorithms.RSA_ENCRYPTION), der.null()))
    junk = der.octet_string(b"A" * 60)

    def info(*parameters: bytes, behind: bytes = b"") -> bytes:
        return der.sequence(der.sequence(identifier, *parameters), der.octet_string(digest), behind)

    def signed(block: bytes) -> bytes:
        return pow(int.from_bytes(block), numbers.d, numbers.public_numbers.n).to_bytes(size)

    def filled(data: bytes, *, kind: int = 1, fill: bytes = b"\xff", end: bytes = b"\0") -> bytes:
        return bytes((0, kind)) + fill * (size - 3 - len(data)) + end + data

    right = info(der.null())
    assert signatures.verify(spki, plain, signed(filled(right)), DATA, "sha256") == "sha256"
    for block in (
        b"\0\1" + b"\xff" * 8 + b"\0" + right.ljust(size - 11, b"\x11"),  # behind it (CVE-2006-4339, CVE-2022-24772)
        b"\0\1" + b"\0" + right.ljust(size - 3, b"\0"),
        filled(info(junk)),  # in the parameters (CVE-2014-1568, CVE-2018-16152)
        filled(info(der.null(), junk)),
        filled(info(der.null(), behind=junk)),
        filled(info()),
        filled(b"\x30\x81" + right[1:]),  # a longer length (CVE-2014-1569)
        filled(right, kind=0, fill=b"\0"),
        filled(right, kind=2, fill=b"\x55"),
        filled(right, fill=b"\xfe"),  # CVE-2018-15836
        filled(right, end=b"\xff"),
    ):
        bad = signed(block)
        with pytest.raises(signatures.BadSignatureError):
            signatures.verify(spki, plain, bad, DATA, "sha256")
        assert not signatures.recovers_bare_digest(spki, bad, digest)
    larger = int.from_bytes(signed(filled(right))) + numbers.public_numbers.n
    with pytest.raises(signatures.BadSignatureError):
        signatures.verify(spki, plain, larger.to_bytes(size + 1), DATA, "sha256")


@given(st.binary(max_size=80), st.sampled_from(material.KINDS))
def test_random_signatures_raise_nothing_but_chopmark_errors(signature: bytes, kind: str) -> None:
    signer = material.KeySigner(kind)
    for identifier in algorithms.identifiers_for(public_keys.kind(signer.public_key), "sha256"):
        with pytest.raises(ChopmarkError):
            signatures.verify(signer.public_key, parsed(identifier), signature, DATA, "sha256")
