"""ML-DSA private keys (FIPS 204): made, and read from the three forms that PKCS #8 has for them (RFC 9881 clause 6)."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import mldsa

from chopmark.core.errors import MalformedError
from chopmark.envelopes import algorithms, der
from chopmark.keys.errors import UnusableKeyError

MlDsaKey = mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey
CLASSES: dict[str, type[MlDsaKey]] = {
    "ml-dsa-44": mldsa.MLDSA44PrivateKey,
    "ml-dsa-65": mldsa.MLDSA65PrivateKey,
    "ml-dsa-87": mldsa.MLDSA87PrivateKey,
}
_DIMENSIONS = {"ml-dsa-44": b"\4\4", "ml-dsa-65": b"\6\5", "ml-dsa-87": b"\10\7"}
"""The octets k and l, which separate the parameter sets when a key is expanded (FIPS 204 algorithm 6)."""
_SEED, _EXPANDED = 32, {"ml-dsa-44": 2560, "ml-dsa-65": 4032, "ml-dsa-87": 4896}
_TOO_OLD = "keys need cryptography with OpenSSL 3.5 or later, which is not what is installed here"


def new(kind: str) -> MlDsaKey:
    """A fresh key of one of CLASSES. Raises UnusableKeyError where the OpenSSL below is too old."""
    try:
        return CLASSES[kind].generate()
    except UnsupportedAlgorithm:
        message = f"{kind} {_TOO_OLD}"
        raise UnusableKeyError(message) from None


def from_pkcs8(raw: bytes, where: str) -> MlDsaKey | None:
    """The key in a plain PKCS #8 structure; None when it is of another kind, or malformed.

    cryptography loads the form with the seed alone. The one with both has its seed taken, once the two belong together;
    the expanded form alone is refused, because nothing here signs with it. Raises UnusableKeyError.
    """
    try:
        fields = der.parse(raw).fields()
        fields.take(der.INTEGER)
        algorithm = fields.take(der.SEQUENCE).fields()
        kind = algorithms.ML_DSA.get(algorithm.take().oid(), "")
        if not kind:
            return None
        algorithm.done()
        held = der.parse(fields.take(der.OCTET_STRING).octets())
        if held.tag == der.SEQUENCE:
            both = held.fields()
            seed, expanded = (both.take(der.OCTET_STRING).octets() for _ in range(2))
            both.done()
        elif held.tag == der.OCTET_STRING:
            seed, expanded = b"", held.octets()
        else:
            seed, expanded = held.value, None
    except MalformedError:
        return None
    if not seed:
        message = f"{where}: an {kind} key in its expanded form alone; chopmark signs with the seed, which is not there"
        raise UnusableKeyError(message)
    return _from_seed(kind, seed, expanded, where)


def _from_seed(kind: str, seed: bytes, expanded: bytes | None, where: str) -> MlDsaKey:
    if len(seed) != _SEED:
        message = f"{where}: the seed of an {kind} key has {_SEED} bytes, not {len(seed)}"
        raise UnusableKeyError(message)
    try:
        key = CLASSES[kind].from_seed_bytes(seed)
    except UnsupportedAlgorithm:
        message = f"{where}: {kind} {_TOO_OLD}"
        raise UnusableKeyError(message) from None
    if expanded is not None and not _belong_together(kind, seed, expanded, key.public_key().public_bytes_raw()):
        message = f"{where}: the seed and the expanded form of this {kind} key are not the same key"
        raise UnusableKeyError(message)
    return key


def _belong_together(kind: str, seed: bytes, expanded: bytes, public: bytes) -> bool:
    """Compare what an expanded key (rho, K, tr, ...) has that is hashed from seed and public key (FIPS 204, 6.1).

    The rest of it are the vectors, which are not used.
    """
    stretched = hashlib.shake_256(seed + _DIMENSIONS[kind]).digest(128)
    head = stretched[:32] + stretched[96:] + hashlib.shake_256(public).digest(64)
    return len(expanded) == _EXPANDED[kind] and hmac.compare_digest(expanded[: len(head)], head)
