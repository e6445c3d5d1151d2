"""Signature algorithms: cryptography signs, chopmark verifies; identifiers mean one thing, and bad keys are refused."""

from __future__ import annotations

import pytest
from asn1crypto import algos as oracle
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import digest as digests
from chopmark.core.errors import ChopmarkError
from chopmark.envelopes import algorithms, der
from tests.support import rsa_numbers
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
    used = algorithms.verify(signer.public_key, algorithm, signature, DATA, digest)
    assert used == (None if kind == "ed25519" else digest)
    with pytest.raises(algorithms.BadSignatureError):
        algorithms.verify(signer.public_key, algorithm, signature, DATA + b"!", digest)
    with pytest.raises(algorithms.BadSignatureError):
        algorithms.verify(material.KeySigner(kind, "other").public_key, algorithm, signature, DATA, digest)
    assert algorithms.signing_identifier(signer, digest) in algorithms.identifiers_for_key(signer.public_key, digest)


@pytest.mark.parametrize("digest", SHA2)
def test_the_pss_identifier_says_to_asn1crypto_what_it_should(digest: str) -> None:
    theirs = oracle.SignedDigestAlgorithm.load(algorithms.signing_identifier(material.KeySigner("rsa-pss"), digest))
    assert theirs.signature_algo == "rsassa_pss"
    assert theirs.hash_algo == digest
    assert theirs["parameters"]["mask_gen_algorithm"]["parameters"]["algorithm"].native == digest
    assert theirs["parameters"]["salt_length"].native == digests.ALGORITHMS[digest].size


@pytest.mark.parametrize("digest", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "sha3_512"])
def test_rsa_and_ecdsa_verify_with_every_digest_that_is_recognised(digest: str) -> None:
    hash_algorithm = algorithms.hash_algorithm(digest)
    rsa_key, ec_key = material.private_key("rsa"), material.private_key("p256")
    rsa_signature = rsa_key.sign(DATA, padding.PKCS1v15(), hash_algorithm)
    plain = parsed(der.sequence(der.oid(algorithms.RSA_ENCRYPTION), der.null()))
    assert plain.digest is None
    assert algorithms.verify(material.public_der(rsa_key), plain, rsa_signature, DATA, digest) == digest
    by_key = parsed(der.sequence(der.oid(algorithms.OID_BY_DIGEST[digest])))
    assert algorithms.verify(material.public_der(rsa_key), by_key, rsa_signature, DATA) == digest
    ec_signature = ec_key.sign(DATA, ec.ECDSA(hash_algorithm))
    assert algorithms.verify(material.public_der(ec_key), by_key, ec_signature, DATA) == digest


def test_every_identifier_is_known_to_asn1crypto_under_the_same_meaning() -> None:
    for oid, name in algorithms.DIGEST_OIDS.items():
        assert oracle.DigestAlgorithmId(oid).native == name
    known = oracle.SignedDigestAlgorithmId._map  # noqa: SLF001 - the oracle's table
    for kind, table in (("rsassa_pkcs1v15", algorithms._RSA_WITH), ("ecdsa", algorithms._ECDSA_WITH)):  # noqa: SLF001
        for oid, name in table.items():
            if oid in known and not name.startswith("sha3"):  # it has no digests for those
                theirs = oracle.SignedDigestAlgorithm({"algorithm": oid})
                assert (theirs.signature_algo, theirs.hash_algo) == (kind, name)


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
            algorithms.verify(signer.public_key, identifier, signer.sign(DATA, "sha256"), DATA, "sha256")


def test_a_signature_without_any_digest_is_not_guessed_at() -> None:
    signer = material.KeySigner("rsa")
    with pytest.raises(algorithms.UnsupportedError):
        algorithms.verify(
            signer.public_key, algorithms.SignatureAlgorithm("rsa", None), signer.sign(DATA, "sha256"), DATA
        )


def test_an_elliptic_curve_that_the_key_brings_along_is_forbidden() -> None:
    spki = material.public_der(material.private_key("p256"))
    identifier, point = der.parse(spki).children()
    explicit = der.sequence(der.integer(1), der.sequence(der.oid("1.2.840.10045.1.1"), der.integer(23)))
    with pytest.raises(algorithms.ForbiddenKeyError):
        algorithms.public_key(der.sequence(der.sequence(identifier.children()[0].raw, explicit), point.raw))


@pytest.mark.parametrize("oid", ["1.2.840.10040.4.1", "1.2.840.10046.2.1", "1.3.101.113"])
def test_other_kinds_of_keys_are_refused(oid: str) -> None:
    with pytest.raises(algorithms.UnsupportedError):
        algorithms.public_key(der.sequence(der.sequence(der.oid(oid)), der.bit_string(bytes(32))))


def test_an_unknown_curve_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP224R1())
    with pytest.raises(algorithms.UnsupportedError):
        algorithms.public_key(material.public_der(key))


def test_an_absurd_rsa_key_is_refused_before_it_is_used() -> None:
    numbers = der.sequence(der.integer((1 << 20000) + 1), der.integer(65537))
    spki = der.sequence(der.sequence(der.oid(algorithms.RSA_ENCRYPTION), der.null()), der.bit_string(numbers))
    with pytest.raises(algorithms.UnsupportedError):
        algorithms.public_key(spki)


def rsa_key(
    modulus: int, exponent: int, parameters: bytes = b"\x05\x00", oid: str = algorithms.RSA_ENCRYPTION
) -> bytes:
    numbers = der.sequence(der.integer(modulus), der.integer(exponent))
    return der.sequence(der.sequence(der.oid(oid), parameters), der.bit_string(numbers))


def test_rsa_keys_whose_numbers_cannot_be_right_are_refused() -> None:
    modulus = material.private_key("rsa").public_key().public_numbers().n
    assert algorithms.public_key(rsa_key(modulus, 65537)) == material.private_key("rsa").public_key()
    for bad in (
        rsa_key(modulus, -65537),
        rsa_key(-modulus, 65537),
        rsa_key(modulus, 1),
        rsa_key(modulus, 2),
        rsa_key(modulus, 0),
        rsa_key(modulus, modulus + 2),
        rsa_key(3 * 5, 3),
        rsa_key(modulus, 65537, b"\x15\x00"),
        rsa_key(modulus, 65537, b"\x05\x01\x00"),
        rsa_key(modulus, 65537, b"\x05\x00", algorithms.RSASSA_PSS),
        rsa_key(modulus, 65537).replace(b"\x02\x03\x01\x00\x01", b"\x0a\x03\x01\x00\x01"),
        rsa_key(modulus, 65537) + b"\x00",
    ):
        with pytest.raises(ChopmarkError):
            algorithms.public_key(bad)


def test_the_largest_rsa_key_is_loaded() -> None:
    modulus = rsa_numbers.honest((1 << 16383) + 1)
    assert algorithms.key_size(rsa_key(modulus, 65537)) == 16384
    with pytest.raises(algorithms.UnsupportedError):
        algorithms.public_key(rsa_key(modulus << 8, 65537))


def test_key_sizes() -> None:
    sizes = {kind: algorithms.key_size(material.KeySigner(kind).public_key) for kind in material.KINDS}
    assert sizes == {"rsa": 2048, "rsa-pss": 2048, "p256": 256, "p384": 384, "p521": 521, "ed25519": 256}


def pss_key(parameters: bytes) -> bytes:
    spki = material.public_der(material.private_key("rsa"))
    return der.sequence(der.sequence(der.oid(algorithms.RSASSA_PSS), parameters), der.parse(spki).children()[1].raw)


def test_a_key_for_pss_verifies_nothing_else() -> None:
    signer = material.KeySigner("rsa")
    plain = parsed(algorithms.signing_identifier(signer, "sha256"))
    with pytest.raises(algorithms.UnsupportedError):
        algorithms.verify(pss_key(b""), plain, signer.sign(DATA, "sha256"), DATA, "sha256")


def test_a_key_for_pss_with_parameters_verifies_nothing_with_others() -> None:
    signer = material.KeySigner("rsa-pss")
    identifiers = {digest: algorithms.signing_identifier(signer, digest) for digest in SHA2}
    key = material.private_key("rsa-pss")
    point = der.parse(material.public_der(key)).children()[1].raw
    parameters = der.parse(identifiers["sha256"]).children()[1].raw
    spki = der.sequence(der.sequence(der.oid(algorithms.RSASSA_PSS), parameters), point)
    signature = signer.sign(DATA, "sha256")
    assert algorithms.verify(spki, parsed(identifiers["sha256"]), signature, DATA) == "sha256"
    with pytest.raises(algorithms.UnsupportedError):
        algorithms.verify(spki, parsed(identifiers["sha384"]), signer.sign(DATA, "sha384"), DATA)


def test_pss_with_default_parameters_is_sha1() -> None:
    key = material.private_key("rsa-pss")
    algorithm = parsed(der.sequence(der.oid(algorithms.RSASSA_PSS), der.sequence()))
    assert algorithm == algorithms.SignatureAlgorithm("rsa-pss", "sha1", "sha1", 20)
    sha1 = algorithms.hash_algorithm("sha1")
    signature = key.sign(DATA, padding.PSS(padding.MGF1(sha1), 20), sha1)
    assert algorithms.verify(material.public_der(key), algorithm, signature, DATA) == "sha1"


@pytest.mark.parametrize(
    "parameters",
    [
        der.explicit(2, der.integer(-1)),
        der.explicit(2, der.integer(10**400)),
        der.explicit(2, der.integer(10**4500)),
        der.explicit(2, der.encode(der.ENUMERATED, b"\x20")),
        der.explicit(3, der.integer(2)),
        der.explicit(1, der.sequence(der.oid("1.2.3"), der.null())),
        der.explicit(0, der.sequence(der.oid("1.2.3"))),
        der.explicit(5, der.integer(1)),
    ],
)
def test_odd_pss_parameters_are_refused(parameters: bytes) -> None:
    with pytest.raises(ChopmarkError):
        parsed(der.sequence(der.oid(algorithms.RSASSA_PSS), der.sequence(parameters)))


@pytest.mark.parametrize("parameters", [der.integer(0), der.sequence(), b"\x05\x01\x00", der.null() + der.null()])
def test_parameters_that_should_be_absent_or_null_are_nothing_else(parameters: bytes) -> None:
    with pytest.raises(der.DerError):
        algorithms.digest_name(der.parse(der.sequence(der.oid("2.16.840.1.101.3.4.2.1"), parameters)))
    with pytest.raises(der.DerError):
        parsed(der.sequence(der.oid(algorithms.RSA_ENCRYPTION), parameters))


def test_unknown_identifiers_are_unsupported() -> None:
    with pytest.raises(algorithms.UnsupportedError):
        algorithms.digest_name(der.parse(der.sequence(der.oid("1.2.3"))))
    with pytest.raises(algorithms.UnsupportedError):
        parsed(der.sequence(der.oid("1.2.3")))


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
    assert algorithms.recovers_bare_digest(spki, signature, digest)
    assert not algorithms.recovers_bare_digest(spki, signature, digests.of(b"other", "sha1"))
    assert not algorithms.recovers_bare_digest(spki, material.KeySigner("rsa").sign(DATA, "sha256"), digest)
    assert not algorithms.recovers_bare_digest(material.KeySigner("p256").public_key, signature, digest)
    plain = parsed(der.sequence(der.oid(algorithms.RSA_ENCRYPTION)))
    with pytest.raises(algorithms.BadSignatureError):
        algorithms.verify(spki, plain, signature, DATA, "sha1")


@given(st.binary(max_size=80), st.sampled_from(material.KINDS))
def test_random_signatures_raise_nothing_but_chopmark_errors(signature: bytes, kind: str) -> None:
    signer = material.KeySigner(kind)
    for identifier in algorithms.identifiers_for_key(signer.public_key, "sha256"):
        with pytest.raises(ChopmarkError):
            algorithms.verify(signer.public_key, parsed(identifier), signature, DATA, "sha256")


@given(st.binary(max_size=60))
def test_random_identifiers_and_keys_raise_nothing_but_chopmark_errors(raw: bytes) -> None:
    for read in (algorithms.signature_algorithm, algorithms.digest_name):
        try:
            read(der.parse(der.sequence(raw)))
        except ChopmarkError:
            continue
    with pytest.raises(ChopmarkError):
        algorithms.public_key(raw)


@pytest.mark.parametrize("kind", material.KINDS)
def test_no_changed_byte_of_a_key_raises_anything_but_a_chopmark_error(kind: str) -> None:
    spki = material.KeySigner(kind).public_key
    for position in range(min(len(spki), 60)):
        for bit in (1, 0x20, 0x80):
            try:
                algorithms.public_key(spki[:position] + bytes((spki[position] ^ bit,)) + spki[position + 1 :])
            except ChopmarkError:
                continue


def test_pem_of_the_same_key_loads_as_the_same_numbers() -> None:
    key = material.private_key("p256")
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    theirs = serialization.load_pem_public_key(pem)
    assert algorithms.public_key(material.public_der(key)) == theirs
