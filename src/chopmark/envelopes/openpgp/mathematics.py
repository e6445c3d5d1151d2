"""OpenPGP's numbers as other people's: public keys as SubjectPublicKeyInfo, signatures over a digest.

RFC 9580 clauses 5.2.3, 5.5.5 and 9.2. Elliptic curves that OpenPGP has and chopmark has not are named, not checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa, utils

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.envelopes import algorithms, public_keys, signatures, spki

if TYPE_CHECKING:
    from chopmark.envelopes.openpgp.packets import Reader

RSA, RSA_SIGN, DSA, ECDSA, EDDSA, ED25519, ED448 = 1, 3, 17, 19, 22, 27, 28
OLDEST = (RSA, RSA_SIGN, DSA)
"""What signatures of version 3 are made with."""
SIGNING = {
    RSA: "RSA",
    RSA_SIGN: "RSA",
    DSA: "DSA",
    ECDSA: "ECDSA",
    EDDSA: "EdDSA",
    ED25519: "Ed25519",
    ED448: "Ed448",
}
"""The kinds of key that can sign (clause 9.1)."""
DIGESTS = {
    1: "md5",
    2: "sha1",
    8: "sha256",
    9: "sha384",
    10: "sha512",
    11: "sha224",
    12: "sha3_256",
    14: "sha3_512",
}
DIGEST_NUMBERS = {name: number for number, name in DIGESTS.items()}
CURVES: dict[bytes, ec.EllipticCurve] = {
    bytes.fromhex("2a8648ce3d030107"): ec.SECP256R1(),
    bytes.fromhex("2b81040022"): ec.SECP384R1(),
    bytes.fromhex("2b81040023"): ec.SECP521R1(),
    bytes.fromhex("2b8104000a"): ec.SECP256K1(),
    bytes.fromhex("2b2403030208010107"): ec.BrainpoolP256R1(),
    bytes.fromhex("2b240303020801010b"): ec.BrainpoolP384R1(),
    bytes.fromhex("2b240303020801010d"): ec.BrainpoolP512R1(),
}
EDDSA_CURVE = bytes.fromhex("2b06010401da470f01")
_HALF = 32
_PADDING = padding.PKCS1v15()


def public_key(algorithm: int, fields: Reader) -> bytes:
    """The SubjectPublicKeyInfo of a key's own fields. Raises MalformedError, UnsupportedError."""
    key: rsa.RSAPublicKey | dsa.DSAPublicKey | ec.EllipticCurvePublicKey
    try:
        if algorithm in (RSA, RSA_SIGN):
            modulus, exponent = fields.mpi(), fields.mpi()
            if modulus.bit_length() > limits.RSA_BITS_MAX:
                raise algorithms.UnsupportedError(f"an RSA key of {modulus.bit_length()} bits")
            key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        elif algorithm == DSA:
            p, q, g, y = (fields.mpi() for _ in range(4))
            key = dsa.DSAPublicNumbers(y, dsa.DSAParameterNumbers(p, q, g)).public_key()
        elif algorithm == ECDSA:
            curve = CURVES.get(fields.take(fields.number(1)))
            if curve is None:
                raise algorithms.UnsupportedError("an unknown elliptic curve")
            point = fields.mpi()
            key = ec.EllipticCurvePublicKey.from_encoded_point(
                curve, point.to_bytes(-(-point.bit_length() // 8), "big")
            )
        else:
            return spki.ed25519_key(_edwards(algorithm, fields))
    except (ValueError, OverflowError, UnsupportedAlgorithm):
        raise algorithms.UnsupportedError("a public key that cannot be loaded") from None
    return spki.of(key)


def _edwards(algorithm: int, fields: Reader) -> bytes:
    if algorithm == ED25519:
        return fields.take(_HALF)
    if algorithm != EDDSA or fields.take(fields.number(1)) != EDDSA_CURVE:
        raise algorithms.UnsupportedError(f"a key of the kind {SIGNING.get(algorithm, algorithm)}")
    point = fields.mpi()
    if point >> 8 * _HALF != 0x40:
        raise MalformedError("a point that is not in its native form")
    return (point & (1 << 8 * _HALF) - 1).to_bytes(_HALF, "big")


def verify(public: bytes, algorithm: int, fields: Reader, name: str, digest: bytes, *, exact: bool) -> bool:
    """Whether a signature's own fields are one over a digest. Raises MalformedError, UnsupportedError.

    Without `exact`, the number of RSA's may have zeros before it, as some signers write it.
    """
    kind, key = public_keys.load_with_kind(public)
    prehashed = signatures.prehashed(name)
    try:
        if algorithm in (RSA, RSA_SIGN) and kind == "rsa":
            value = fields.mpi_octets(exact=exact)
            fields.done()
            size = (key.key_size + 7) // 8
            if len(value) > size:
                return False
            key.verify(value.rjust(size, b"\0"), digest, _PADDING, prehashed)
        elif algorithm == ECDSA and kind == "ec":
            key.verify(_pair(fields), digest, ec.ECDSA(prehashed))
        elif algorithm == DSA and kind == public_keys.DSA:
            key.verify(_pair(fields), digest, prehashed)
        elif algorithm in (EDDSA, ED25519) and kind == "ed25519":
            key.verify(_edwards_pair(algorithm, fields), digest)
        else:
            raise algorithms.UnsupportedError(
                f"a signature of the kind {SIGNING.get(algorithm, algorithm)} by this key"
            )
    except InvalidSignature:
        return False
    except (ValueError, UnsupportedAlgorithm) as error:
        raise algorithms.UnsupportedError(str(error)) from None
    return True


def _pair(fields: Reader) -> bytes:
    first, second = fields.mpi(), fields.mpi()
    fields.done()
    return utils.encode_dss_signature(first, second)


def _edwards_pair(algorithm: int, fields: Reader) -> bytes:
    if algorithm == ED25519:
        value = fields.take(2 * _HALF)
    else:
        halves = fields.mpi(), fields.mpi()
        if max(halves).bit_length() > 8 * _HALF:
            raise MalformedError("a signature that is too long")
        value = b"".join(half.to_bytes(_HALF, "big") for half in halves)
    fields.done()
    return value
