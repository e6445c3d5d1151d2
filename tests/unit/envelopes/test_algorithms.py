"""Identifiers of algorithms mean one thing, the same as to asn1crypto."""

from __future__ import annotations

import pytest
from asn1crypto import algos as oracle
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import digest as digests
from chopmark.core.errors import ChopmarkError
from chopmark.envelopes import algorithms, der
from tests.unit.envelopes import material

SHA2 = ("sha256", "sha384", "sha512")


def parsed(identifier: bytes) -> algorithms.SignatureAlgorithm:
    return algorithms.signature_algorithm(der.parse(identifier))


@pytest.mark.parametrize("digest", SHA2)
def test_the_pss_identifier_says_to_asn1crypto_what_it_should(digest: str) -> None:
    theirs = oracle.SignedDigestAlgorithm.load(algorithms.signing_identifier(material.KeySigner("rsa-pss"), digest))
    assert theirs.signature_algo == "rsassa_pss"
    assert theirs.hash_algo == digest
    assert theirs["parameters"]["mask_gen_algorithm"]["parameters"]["algorithm"].native == digest
    assert theirs["parameters"]["salt_length"].native == digests.ALGORITHMS[digest].size


def test_every_identifier_is_known_to_asn1crypto_under_the_same_meaning() -> None:
    for oid, name in algorithms.DIGEST_OIDS.items():
        assert oracle.DigestAlgorithmId(oid).native == name
    known = oracle.SignedDigestAlgorithmId._map  # noqa: SLF001 - the oracle's table
    for kind, table in (("rsassa_pkcs1v15", algorithms._RSA_WITH), ("ecdsa", algorithms._ECDSA_WITH)):  # noqa: SLF001
        for oid, name in table.items():
            if oid in known and not name.startswith("sha3"):  # it has no digests for those
                theirs = oracle.SignedDigestAlgorithm({"algorithm": oid})
                assert (theirs.signature_algo, theirs.hash_algo) == (kind, name)


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


@given(st.binary(max_size=60))
def test_random_identifiers_raise_nothing_but_chopmark_errors(raw: bytes) -> None:
    for read in (algorithms.signature_algorithm, algorithms.digest_name):
        try:
            read(der.parse(der.sequence(raw)))
        except ChopmarkError:
            continue
