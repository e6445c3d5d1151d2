"""Public keys, loaded from a SubjectPublicKeyInfo (RFC 5280 clause 4.1.2.7), as `spki` writes it.

Refused are explicit elliptic-curve parameters (CVE-2020-0601), unknown curves, RSA moduli out of bounds, and keys with
which everybody can sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.envelopes import algorithms, der, trivial_keys
from chopmark.envelopes import dsa as dsa_keys
from chopmark.envelopes.algorithms import UnsupportedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import dsa

DSA = "dsa"
CURVES: dict[str, ec.EllipticCurve] = {
    "1.2.840.10045.3.1.7": ec.SECP256R1(),
    "1.3.132.0.34": ec.SECP384R1(),
    "1.3.132.0.35": ec.SECP521R1(),
    "1.3.132.0.10": ec.SECP256K1(),
    "1.3.36.3.3.2.8.1.1.7": ec.BrainpoolP256R1(),
    "1.3.36.3.3.2.8.1.1.11": ec.BrainpoolP384R1(),
    "1.3.36.3.3.2.8.1.1.13": ec.BrainpoolP512R1(),
}
"""The curves of keys, by their object identifiers."""


class _Usual(NamedTuple):
    """How a SubjectPublicKeyInfo with both coordinates of a point begins (RFC 5480 clause 2), and how long it is.

    The curve is y^2 = x^3 - 3x + `b` modulo `prime` (SP 800-186 clause 3.2.1).
    """

    head: bytes
    size: int
    curve: ec.EllipticCurve
    prime: int
    b: int

    def holds(self, point: bytes) -> bool:
        """Whether a point of two coordinates is on the curve; there is no other subgroup that it could be in."""
        half, prime = len(point) // 2, self.prime
        x, y = int.from_bytes(point[:half], "big"), int.from_bytes(point[half:], "big")
        return x < prime and y < prime and (y * y - (x * x - 3) * x - self.b) % prime == 0


def _usual(curve: str, prime: int, b: int) -> _Usual:
    identifier = der.sequence(der.oid(algorithms.EC_PUBLIC_KEY), der.oid(curve))
    size = 2 * ((prime.bit_length() + 7) // 8)
    whole = der.sequence(identifier, der.bit_string(b"\x04" + bytes(size)))
    return _Usual(whole[:-size], len(whole), CURVES[curve], prime, b)


_USUAL = (
    _usual(
        "1.2.840.10045.3.1.7",
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    ),
    _usual(
        "1.3.132.0.34",
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
    ),
)
"""Keys of P-256 and P-384 with both coordinates, which most are, need no reading."""


class ForbiddenKeyError(UnsupportedError):
    """A key that no honest signer has: explicit curve parameters (CVE-2020-0601), or everybody can sign with it."""


def load(spki: bytes) -> Any:  # noqa: ANN401 - one of cryptography's key classes, each with its own verify()
    """Load a SubjectPublicKeyInfo. Raises UnsupportedError for kinds, sizes, curves and parameters that are refused."""
    return load_with_kind(spki)[1]


def load_with_kind(spki: bytes) -> tuple[str, Any]:
    """The same with its kind in front (that of `kind`, or DSA), which costs less than asking for its class."""
    known = _loaded.get(spki)
    if known is None:
        if len(_loaded) >= _KEYS_KEPT:
            _loaded.clear()
        known = _loaded[spki] = _load(spki)
    return known


_loaded: dict[bytes, tuple[str, Any]] = {}
_KEYS_KEPT = 1024


def _load(spki: bytes) -> tuple[str, Any]:
    for usual in _USUAL:
        if len(spki) == usual.size and spki.startswith(usual.head):
            return "ec", _point(usual.curve, spki[len(usual.head) - 1 :])
    return _other_key(spki)


def require_usable(spki: bytes) -> tuple[str, int]:
    """The kind of a key that has to be one, and its size in bits; it is loaded only where that takes no less.

    Whose certificate is judged is mostly not whose key is used. Raises UnsupportedError as `load` does.
    """
    if spki not in _loaded:
        for usual in _USUAL:
            if len(spki) == usual.size and spki.startswith(usual.head) and usual.holds(spki[len(usual.head) :]):
                return "ec", usual.curve.key_size
    found, key = load_with_kind(spki)
    return found, int(key.key_size) if hasattr(key, "key_size") else 8 * len(key.public_bytes_raw())


def kind(spki: bytes) -> str:
    """What `Signer.algorithm` is for a public key: rsa, ec, ed25519 or one of ML_DSA.

    Raises UnsupportedError, also for DSA.
    """
    found, _ = load_with_kind(spki)
    if found == DSA:
        raise UnsupportedError("a DSA key, with which nothing is signed any more (FIPS 186-5)")
    return found


def size(spki: bytes) -> int:
    """Bits of an RSA modulus or a curve; of the public key itself for Ed25519 and ML-DSA."""
    return require_usable(spki)[1]


def _other_key(spki: bytes) -> tuple[str, Any]:
    outer = der.parse(spki).fields()
    identifier = outer.take().fields()
    bits = outer.take().bit_string()
    outer.done()
    oid = identifier.take().oid()
    # From the numbers, not by a loader for all encodings: importing that takes as long as starting Python.
    try:
        if oid == algorithms.EC_PUBLIC_KEY:
            return "ec", _point(_curve(identifier), bits)
        if oid == algorithms.ED25519:
            from cryptography.hazmat.primitives.asymmetric import ed25519  # most keys of certificates are others

            identifier.done()
            _require_honest(trivial_keys.ed25519_fault(bits))
            return "ed25519", ed25519.Ed25519PublicKey.from_public_bytes(bits)
        if oid in algorithms.ML_DSA:
            identifier.done()
            return algorithms.ML_DSA[oid], _ml_dsa_key(algorithms.ML_DSA[oid], bits)
        if oid in (algorithms.RSA_ENCRYPTION, algorithms.RSASSA_PSS):
            if oid == algorithms.RSA_ENCRYPTION:
                algorithms.absent_or_null(identifier)
            elif identifier.optional(der.SEQUENCE) is None:  # of PSS; verify() holds the key to them
                identifier.done()
            return "rsa", _rsa_key(bits)
        if oid == dsa_keys.KEY:
            return DSA, _dsa_key(dsa_keys.read(identifier, bits))
    except (ValueError, UnsupportedAlgorithm, der.DerError) as error:
        raise UnsupportedError(f"a public key that cannot be loaded ({error})") from None
    raise UnsupportedError(f"an unknown kind of public key {oid}")


def _point(curve: ec.EllipticCurve, bits: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, bits)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnsupportedError(f"a public key that cannot be loaded ({error})") from None


def _dsa_key(numbers: dsa.DSAPublicNumbers) -> dsa.DSAPublicKey:
    key = numbers.public_key()  # which holds the sizes within bounds
    group = numbers.parameter_numbers
    _require_honest(trivial_keys.dsa_fault(group.p, group.q, group.g, numbers.y))
    return key


def _ml_dsa_key(kind: str, bits: bytes) -> Any:  # noqa: ANN401 - one of three classes with the same verify()
    """The bare octets of FIPS 204 (RFC 9881 clause 4). Raises UnsupportedError where OpenSSL is older than 3.5."""
    from cryptography.hazmat.primitives.asymmetric import mldsa  # few have such keys yet

    loaders = {
        "ml-dsa-44": mldsa.MLDSA44PublicKey.from_public_bytes,
        "ml-dsa-65": mldsa.MLDSA65PublicKey.from_public_bytes,
        "ml-dsa-87": mldsa.MLDSA87PublicKey.from_public_bytes,
    }
    return loaders[kind](bits)


def _curve(identifier: der.Fields) -> ec.EllipticCurve:
    """The curve that the parameters name (RFC 5480 clause 2.1.1: nothing but a name is allowed)."""
    parameters = identifier.take()
    if parameters.tag != der.OBJECT_IDENTIFIER:
        raise ForbiddenKeyError("an elliptic-curve key with explicit parameters (CVE-2020-0601)")
    identifier.done()
    curve = CURVES.get(parameters.oid())
    if curve is None:
        raise UnsupportedError(f"an unknown elliptic curve {parameters.oid()}")
    return curve


def _require_honest(fault: str) -> None:
    if fault:
        raise ForbiddenKeyError(fault)


def _rsa_key(bits: bytes) -> rsa.RSAPublicKey:
    """RSAPublicKey (RFC 8017 appendix A.1.1), within bounds."""
    numbers = der.parse(bits).fields()
    longest = limits.RSA_BITS_MAX // 8 + 1
    modulus, exponent = (numbers.take().natural(longest) for _ in "ne")
    numbers.done()
    if not 512 <= modulus.bit_length() <= limits.RSA_BITS_MAX:
        raise UnsupportedError(f"an RSA key of {modulus.bit_length()} bits")
    _require_honest(trivial_keys.rsa_fault(modulus))
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()
