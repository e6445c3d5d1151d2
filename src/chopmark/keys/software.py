"""Keys held in memory: what may sign, and the bare operation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from chopmark.core import digest, limits
from chopmark.core.errors import RefusedError, UsageError
from chopmark.envelopes import public_keys, signatures, spki, x509
from chopmark.keys.errors import UNREADABLE, UnusableKeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from chopmark.keys.ml_dsa import MlDsaKey

    PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey | MlDsaKey

CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
"""The curves that sign here, and what people call them."""


class SoftwareSigner:
    """A private key of cryptography's as a Signer (core.contracts); `size` is in bits.

    Everything that is the same for all signatures is prepared once, so that `sign` is the bare operation.
    """

    at_hand = True

    __slots__ = ("_operations", "algorithm", "certificates", "curve", "public_key", "size")

    def __init__(self, key: PrivateKey, certificates: Iterable[bytes] = (), *, scheme: str = "") -> None:
        """Take a key that `checked` let pass; `scheme` is "pss" or "pkcs1" and is for RSA alone."""
        self.public_key = _spki(key)
        self.certificates = own_first(certificates, self.public_key)
        self.curve = ""
        if scheme and not isinstance(key, rsa.RSAPrivateKey):
            message = "only RSA keys have a padding"
            raise UsageError(message)
        if scheme not in ("", "pkcs1", "pss"):
            message = f"unknown padding {scheme!r}: pkcs1 or pss"
            raise UsageError(message)
        if isinstance(key, rsa.RSAPrivateKey):
            self.algorithm = "rsa-pss" if scheme == "pss" else "rsa"
            self.size = key.key_size
        elif isinstance(key, ec.EllipticCurvePrivateKey):
            self.algorithm = "ec"
            self.size = key.curve.key_size
            self.curve = CURVES[key.curve.name]
        else:
            self.algorithm = public_keys.kind(self.public_key)
            self.size = public_keys.size(self.public_key)
        self._operations = {name: _operation(key, name, self.algorithm) for name in digest.SIGNING_ALGORITHMS}

    def sign(self, data: bytes, digest_algorithm: str) -> bytes:
        """The raw signature over `data`. Raises RefusedError for a digest that new signatures do not use.

        Raises UnusableKeyError for a key that was damaged: its primes are not looked at before (see pkcs1).
        """
        try:
            operation = self._operations[digest_algorithm]
        except KeyError:
            message = f"new signatures use {', '.join(digest.SIGNING_ALGORITHMS)}, not {digest_algorithm}"
            raise RefusedError(message) from None
        try:
            return operation(data)
        except UNREADABLE:
            message = "the private key is damaged: its numbers do not belong together"
            raise UnusableKeyError(message) from None


def _spki(key: PrivateKey) -> bytes:
    """The SubjectPublicKeyInfo of a key."""
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return spki.rsa_key(numbers.n, numbers.e)
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # see pkcs1

    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _operation(key: PrivateKey, name: str, algorithm: str) -> Callable[[bytes], bytes]:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return partial(key.sign, signature_algorithm=ec.ECDSA(signatures.hash_algorithm(name)))
    if not isinstance(key, rsa.RSAPrivateKey):
        return key.sign  # Ed25519 and ML-DSA take the data as it is
    hashed = signatures.hash_algorithm(name)
    scheme: padding.AsymmetricPadding = padding.PKCS1v15()
    if algorithm == "rsa-pss":
        scheme = padding.PSS(padding.MGF1(hashed), hashed.digest_size)
    return partial(key.sign, padding=scheme, algorithm=hashed)


def checked(key: object, where: str) -> PrivateKey:
    """The key, if it may sign: RSA from RSA_BITS_MIN bits on, P-256, P-384, P-521, Ed25519, ML-DSA.

    Raises UnusableKeyError.
    """
    if isinstance(key, rsa.RSAPrivateKey):
        if not limits.RSA_BITS_MIN <= key.key_size <= limits.RSA_BITS_MAX:
            message = f"{where}: an RSA key of {key.key_size} bits; signatures need at least {limits.RSA_BITS_MIN}"
            raise UnusableKeyError(message)
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if key.curve.name not in CURVES:
            message = f"{where}: a key on the curve {key.curve.name}; chopmark signs on {', '.join(CURVES.values())}"
            raise UnusableKeyError(message)
        return key
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # most sign with RSA, or on a curve

    from chopmark.keys.ml_dsa import MlDsaKey  # likewise

    if isinstance(key, Ed25519PrivateKey | MlDsaKey):
        return key
    kind = type(key).__name__.removesuffix("PrivateKey")
    can = "RSA, P-256/384/521, Ed25519 and ML-DSA do"
    message = f"{where}: a key of a kind that chopmark does not sign with: {kind} ({can})"
    raise UnusableKeyError(message)


def own_first(certificates: Iterable[bytes], public_key: bytes) -> tuple[bytes, ...]:
    """The key's own certificate, then the others in their order; nothing when none of them is its own."""
    found = tuple(dict.fromkeys(certificates))
    own = [raw for raw in found if x509.certificate(raw).spki == public_key]
    return (*own, *(raw for raw in found if raw not in own)) if own else ()
