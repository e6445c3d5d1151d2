"""Checking signatures: a public key, an algorithm, the octets that were signed. The mathematics is cryptography's."""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

from chopmark.core.errors import MalformedError
from chopmark.envelopes import algorithms, der, public_keys
from chopmark.envelopes.algorithms import SignatureAlgorithm, UnsupportedError

_WHOLE = frozenset({"ed25519", *algorithms.ML_DSA.values()})
"""Kinds of keys that take the data as it is."""
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "md5": hashes.MD5(),  # noqa: S303 - recognised and reported as broken
    "sha1": hashes.SHA1(),  # noqa: S303 - recognised and reported as dated
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "sha3_256": hashes.SHA3_256(),
    "sha3_384": hashes.SHA3_384(),
    "sha3_512": hashes.SHA3_512(),
}


class BadSignatureError(MalformedError):
    """The signature is not this key's over these bytes."""


def verify(
    spki: bytes,
    algorithm: SignatureAlgorithm,
    signature: bytes,
    data: bytes | memoryview,
    digest: str | None = None,
    *,
    digested: bool = False,
) -> str | None:
    """Check a signature over `data`; return the name of the digest it rests on (None for Ed25519 and ML-DSA).

    `digest` fills in for identifiers that name none; `digested` says that `data` is the digest already. Raises
    BadSignatureError or UnsupportedError.
    """
    kind, key = public_keys.load_with_kind(spki)
    digest = algorithm.digest or digest
    try:
        if kind in _WHOLE:
            if algorithm.kind != kind or digested:
                raise UnsupportedError(f"a signature of the kind {algorithm.kind} with a key of {kind}")
            key.verify(signature, data)
            return None
        if digest is None:
            raise UnsupportedError("a signature algorithm without a digest")
        hashing = prehashed(digest) if digested else _HASHES[digest]
        if kind == "ec":
            if algorithm.kind not in ("ecdsa", "by-key"):
                raise UnsupportedError(f"an {algorithm.kind} signature with an elliptic-curve key")
            key.verify(signature, data, _ecdsa(digest, digested=digested))
        elif kind == public_keys.DSA:
            if algorithm.kind not in ("dsa", "by-key"):
                raise UnsupportedError(f"an {algorithm.kind} signature with a DSA key")
            key.verify(signature, data, hashing)
        else:
            key.verify(signature, data, _rsa_padding(spki, algorithm), hashing)
    except InvalidSignature:
        raise BadSignatureError("the signature is not this key's over these bytes") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnsupportedError(str(error)) from None
    return digest


class _Ecdsa(ec.ECDSA):
    """ECDSA for checking alone.

    Cryptography's own constructor asks whether OpenSSL can sign without chance, for which it loads every cipher there
    is: a twentieth of the time that verifying one file takes (docs/adr/0256).
    """

    def __init__(self, algorithm: hashes.HashAlgorithm | utils.Prehashed) -> None:  # not the one above: see there
        self._hashing = algorithm

    @property
    def algorithm(self) -> hashes.HashAlgorithm | utils.Prehashed:
        """The digest."""
        return self._hashing


@lru_cache(maxsize=32)
def _ecdsa(digest: str, *, digested: bool) -> _Ecdsa:
    return _Ecdsa(prehashed(digest) if digested else _HASHES[digest])


def _rsa_padding(spki: bytes, algorithm: SignatureAlgorithm) -> padding.PSS | padding.PKCS1v15:
    if not _pss_key_permits(spki, algorithm):
        raise UnsupportedError("a signature that the RSASSA-PSS key is not for")
    if algorithm.kind == "rsa-pss" and algorithm.mask_digest is not None:
        return padding.PSS(padding.MGF1(_HASHES[algorithm.mask_digest]), algorithm.salt_length)
    if algorithm.kind in ("rsa", "by-key"):
        return padding.PKCS1v15()
    raise UnsupportedError(f"an {algorithm.kind} signature with an RSA key")


@lru_cache(maxsize=1024)
def _pss_key_permits(spki: bytes, algorithm: SignatureAlgorithm) -> bool:
    """Whether a key that names RSASSA-PSS may have made this: PSS only, with its own parameters if it has some.

    RFC 4055 clauses 1.2 and 3.3: same digests, and no shorter a salt. Other keys permit everything.
    """
    identifier = der.parse(spki).children()[0].fields()
    if identifier.take().oid() != algorithms.RSASSA_PSS:
        return True
    parameters = identifier.optional(der.SEQUENCE)
    if algorithm.kind != "rsa-pss" or parameters is None:
        return algorithm.kind == "rsa-pss"
    own = algorithms.pss_parameters(der.Fields([parameters]))
    digests = (own.digest, own.mask_digest)
    return (algorithm.digest, algorithm.mask_digest) == digests and algorithm.salt_length >= own.salt_length


def recovers_bare_digest(spki: bytes, signature: bytes, digest: bytes) -> bool:
    """Whether an RSA signature holds the digest without a DigestInfo, as old Symantec countersignatures do."""
    kind, key = public_keys.load_with_kind(spki)
    if kind != "rsa":
        return False
    try:
        return bool(key.recover_data_from_signature(signature, padding.PKCS1v15(), None) == digest)
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False


def hash_algorithm(digest: str) -> hashes.HashAlgorithm:
    """Cryptography's object for a digest name."""
    return _HASHES[digest]


@lru_cache(maxsize=16)
def prehashed(digest: str) -> utils.Prehashed:
    """The same where what is checked is a digest already."""
    return utils.Prehashed(_HASHES[digest])
