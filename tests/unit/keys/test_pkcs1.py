"""RSA private keys read from their numbers: the same keys as a general loader's, and nothing that is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from hypothesis import given
from hypothesis import strategies as st

from chopmark import keys
from chopmark.core.contracts import Content
from chopmark.core.errors import RefusedError
from chopmark.core.seal import DATA
from chopmark.envelopes import algorithms, cms, der, pem
from chopmark.keys import pkcs1
from tests.support import pki

if TYPE_CHECKING:
    from pathlib import Path

FORMS = (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)
RSA = der.sequence(der.oid(algorithms.RSA_ENCRYPTION), der.null())


def raw(kind: str, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return pki.key(kind).private_bytes(Encoding.DER, form, NoEncryption())


def numbers() -> list[int]:
    """Modulus, public and private exponent, primes, exponents of the Chinese remainder theorem, coefficient."""
    key = pki.key("rsa2048")
    assert isinstance(key, rsa.RSAPrivateKey)
    found = key.private_numbers()
    public = found.public_numbers
    return [public.n, public.e, found.d, found.p, found.q, found.dmp1, found.dmq1, found.iqmp]


def bare(values: list[int], version: int = 0) -> bytes:
    return der.sequence(*map(der.integer, (version, *values)))


def enveloped(inner: bytes, algorithm: bytes = RSA, *behind: bytes, version: int = 0) -> bytes:
    return der.sequence(der.integer(version), algorithm, der.octet_string(inner), *behind)


@pytest.mark.parametrize("kind", ["rsa2048", "rsa3072"])
@pytest.mark.parametrize("form", FORMS)
def test_the_key_is_the_one_that_a_general_loader_finds(kind: str, form: PrivateFormat) -> None:
    found = pkcs1.load(raw(kind, form))
    other = load_der_private_key(raw(kind, form), None)
    assert found is not None
    assert isinstance(other, rsa.RSAPrivateKey)
    assert found.private_numbers() == other.private_numbers()


def test_attributes_behind_the_key_say_nothing_about_it() -> None:
    attributes = der.explicit(0, der.sequence(der.oid("1.2.840.113549.1.9.20"), der.set_of([der.octet_string(b"x")])))
    found = pkcs1.load(enveloped(bare(numbers()), RSA, attributes))
    assert found is not None
    assert found.private_numbers().d == numbers()[2]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(raw("p256"), id="EC in PKCS 8"),
        pytest.param(raw("p256", PrivateFormat.TraditionalOpenSSL), id="EC of RFC 5915"),
        pytest.param(raw("ed25519"), id="Ed25519"),
        pytest.param(bare(numbers(), version=1), id="more than two primes"),
        pytest.param(enveloped(bare(numbers(), version=1)), id="more than two primes in PKCS 8"),
        pytest.param(enveloped(bare(numbers()), version=1), id="PKCS 8 of another version"),
        pytest.param(bare(numbers()[:-1]), id="a number missing"),
        pytest.param(bare([*numbers(), 1]), id="a number too many"),
        *(
            pytest.param(bare([-each if at == number else each for at, each in enumerate(numbers())]), id=f"-{number}")
            for number in range(8)
        ),
        pytest.param(bare([1 << (8 * 2100), *numbers()[1:]]), id="huge"),
        pytest.param(bare(numbers()) + b"\0", id="something behind it"),
        pytest.param(enveloped(bare(numbers()) + b"\0"), id="something behind it in PKCS 8"),
        pytest.param(enveloped(bare(numbers()), RSA, der.null()), id="something behind PKCS 8"),
        pytest.param(enveloped(enveloped(bare(numbers()))), id="PKCS 8 in PKCS 8"),
        pytest.param(enveloped(bare(numbers()), der.sequence(der.oid(algorithms.RSA_ENCRYPTION))), id="no NULL"),
        pytest.param(enveloped(bare(numbers()), der.sequence(der.oid(algorithms.RSASSA_PSS))), id="bound to PSS"),
        pytest.param(bare([numbers()[0] + 2, *numbers()[1:]]), id="another modulus"),
        pytest.param(bare([*numbers()[:3], 6, *numbers()[4:]]), id="another prime"),
    ],
)
def test_anything_else_is_left_to_a_general_loader(data: bytes) -> None:
    assert pkcs1.load(data) is None


@given(st.data())
def test_a_damaged_key_is_none_or_a_key(data: st.DataObject) -> None:
    whole = bytearray(raw("rsa2048"))
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        assert pkcs1.load(bytes(whole[:at])) is None
    else:
        whole[at] ^= data.draw(st.integers(1, 255))
        found = pkcs1.load(bytes(whole))
        assert found is None or isinstance(found, rsa.RSAPrivateKey)


def test_what_a_key_with_a_wrong_exponent_makes_is_refused(tmp_path: Path) -> None:
    """Loading does not see it; whoever makes a signature verifies it before it gets out."""
    values = numbers()
    path = tmp_path / "key.pem"
    path.write_bytes(pem.encode("PRIVATE KEY", enveloped(bare([*values[:2], values[2] + 2, *values[3:5], 3, 5, 7]))))
    path.chmod(0o600)
    signer = keys.open_key(str(path))
    certificate = pki.world("rsa2048").signer.der
    made = cms.draft(Content(DATA, "sha256", b"", b"data"), signer, [certificate], signing_time=pki.NOW)
    with pytest.raises(RefusedError):
        made.finish(signer.sign(made.to_be_signed, "sha256"))
