"""Keys with which everybody can sign are refused before a signature is looked at."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import dsa as dsa_library
from cryptography.hazmat.primitives.asymmetric import ed25519

from chopmark.envelopes import algorithms, der, dsa, public_keys, signatures, spki, trivial_keys
from chopmark.trust.belief import Carried, believe
from chopmark.trust.moment import Moment
from tests.support import dsa_keys, pki
from tests.unit.trust import material
from tests.unit.trust.material import CODE, ca_extensions, codes, make, name, purposes

if TYPE_CHECKING:
    from pathlib import Path

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
ORDER_8 = [y for y in trivial_keys._SMALL_ORDER if y not in (0, 1, P - 1, P, P + 1)]  # noqa: SLF001 - what it is made of
POINTS = [(y | sign << 255).to_bytes(32, "little") for y in (0, 1, P - 1, P, P + 1, *ORDER_8) for sign in (0, 1)]
IDENTITY = b"\x01" + bytes(31)


@pytest.mark.parametrize("y", ORDER_8)
def test_points_of_order_eight_are_those_whose_double_lies_on_the_axis(y: int) -> None:
    """x^2 = (y^2 - 1) / (d y^2 + 1), and the double's y is 0 where x^2 + y^2 is."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    assert pow(square, (P - 1) // 2, P) == 1, "it is on the curve"
    assert (square + y * y) % P == 0


def test_anybody_signs_for_the_identity() -> None:
    """What this is about: OpenSSL takes one signature, of nobody, for every message."""
    key = ed25519.Ed25519PublicKey.from_public_bytes(IDENTITY)
    for message in (b"", b"one", b"two"):
        key.verify(IDENTITY + bytes(32), message)
    with pytest.raises(InvalidSignature):
        key.verify(IDENTITY + b"\x01" + bytes(31), b"one")


@pytest.mark.parametrize("point", POINTS, ids=bytes.hex)
def test_no_point_of_small_order_is_a_key(point: bytes) -> None:
    key = spki.ed25519_key(point)
    with pytest.raises(public_keys.ForbiddenKeyError):
        public_keys.load(key)
    with pytest.raises(public_keys.ForbiddenKeyError):
        signatures.verify(key, algorithms.SignatureAlgorithm("ed25519", None), IDENTITY + bytes(32), b"one")


@pytest.mark.parametrize("factor", [2, 3, 5, 7, 751])
def test_no_modulus_with_a_small_factor_is_a_key(factor: int) -> None:
    with pytest.raises(public_keys.ForbiddenKeyError):
        public_keys.load(spki.rsa_key(factor * (2**3000 + 1), 65537))


KEY = dsa_keys.private_key(1024).public_key().public_numbers()
GROUP = KEY.parameter_numbers


def dsa_key(y: int, generator: int = GROUP.g, p: int = GROUP.p) -> bytes:
    group = der.sequence(der.integer(p), der.integer(GROUP.q), der.integer(generator))
    return der.sequence(der.sequence(der.oid(dsa.KEY), group), der.bit_string(der.integer(y)))


@pytest.mark.parametrize("y", [1, GROUP.p + 1])
def test_anybody_signs_for_a_dsa_key_that_is_one(y: int) -> None:
    """What this is about: the signature is made of the message alone, and OpenSSL takes it."""
    hashed = int.from_bytes(hashlib.sha1(b"any", usedforsecurity=False).digest(), "big")
    pair = pow(GROUP.g, 5, GROUP.p) % GROUP.q, hashed * pow(5, -1, GROUP.q) % GROUP.q
    theirs = dsa_library.DSAPublicNumbers(y, GROUP).public_key()
    made = der.sequence(*map(der.integer, pair))
    theirs.verify(made, b"any", signatures.hash_algorithm("sha1"))
    with pytest.raises(public_keys.ForbiddenKeyError):
        signatures.verify(dsa_key(y), algorithms.SignatureAlgorithm("dsa", "sha1"), made, b"any")


@pytest.mark.parametrize(
    "odd",
    [
        *(dsa_key(y) for y in (0, 1, GROUP.p - 1, GROUP.p, GROUP.p + 1, KEY.y + GROUP.p, 2)),
        *(dsa_key(KEY.y, generator) for generator in (GROUP.p - 1, 2)),
        dsa_key(KEY.y, p=GROUP.p - 1),
    ],
)
def test_no_number_outside_its_group_is_a_dsa_key(odd: bytes) -> None:
    with pytest.raises(public_keys.ForbiddenKeyError):
        public_keys.load(odd)
    assert public_keys.load(dsa_key(KEY.y)).public_numbers() == KEY


@pytest.mark.parametrize("kind", ["rsa2048", "rsa3072", "ed25519", "p256"])
def test_honest_keys_are_keys(kind: str) -> None:
    assert public_keys.load(material.spki(pki.key(kind)))


@pytest.mark.parametrize(
    "key", [spki.ed25519_key(IDENTITY), spki.rsa_key(3 * (2**3000 + 1), 65537)], ids=["ed25519", "rsa"]
)
def test_a_certificate_for_such_a_key_is_refused_whoever_signed_it(tmp_path: Path, key: bytes) -> None:
    root = make(name("Trivial Root"), pki.key("p256", "trivial root"), extensions=ca_extensions())
    leaf = make(name("Trivial"), pki.key("p256", "trivial"), root, extensions=[purposes(CODE)], key_info=key)
    here = material.circumstances(tmp_path, material.trusting(tmp_path, root))
    found = believe(leaf.view, Carried((), ()), "code-signing", Moment(pki.NOW), here)
    assert codes(found.findings) == {"path.weak_key"}
