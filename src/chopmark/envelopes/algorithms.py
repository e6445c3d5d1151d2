"""Algorithms of signatures: their AlgorithmIdentifiers, read and written, and which digests go with which kind of key.

What is decided here is which identifiers and parameters mean what (RFC 3279, 4055, 5758, 8410, 9881).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from chopmark.core import digest as digests
from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import der
from chopmark.envelopes import dsa as dsa_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.core.contracts import Signer

DIGEST_OIDS = {
    "1.2.840.113549.2.5": "md5",
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    "2.16.840.1.101.3.4.2.8": "sha3_256",
    "2.16.840.1.101.3.4.2.9": "sha3_384",
    "2.16.840.1.101.3.4.2.10": "sha3_512",
}
OID_BY_DIGEST = {name: oid for oid, name in DIGEST_OIDS.items()}

RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
RSASSA_PSS = "1.2.840.113549.1.1.10"
MGF1 = "1.2.840.113549.1.1.8"
EC_PUBLIC_KEY = "1.2.840.10045.2.1"
ED25519 = "1.3.101.112"
ML_DSA = {
    "2.16.840.1.101.3.4.3.17": "ml-dsa-44",
    "2.16.840.1.101.3.4.3.18": "ml-dsa-65",
    "2.16.840.1.101.3.4.3.19": "ml-dsa-87",
}
"""ML-DSA signing the data itself, with an empty context (FIPS 204, RFC 9881): the names of `Signer.algorithm`."""
_HASH_ML_DSA = frozenset(f"2.16.840.1.101.3.4.3.{number}" for number in (32, 33, 34))
_ML_DSA_OIDS = {kind: oid for oid, kind in ML_DSA.items()}

_RSA_WITH = {
    "1.2.840.113549.1.1.4": "md5",
    "1.2.840.113549.1.1.5": "sha1",
    "1.3.14.3.2.29": "sha1",
    "1.2.840.113549.1.1.14": "sha224",
    "1.2.840.113549.1.1.11": "sha256",
    "1.2.840.113549.1.1.12": "sha384",
    "1.2.840.113549.1.1.13": "sha512",
    "2.16.840.1.101.3.4.3.14": "sha3_256",
    "2.16.840.1.101.3.4.3.15": "sha3_384",
    "2.16.840.1.101.3.4.3.16": "sha3_512",
}
_ECDSA_WITH = {
    "1.2.840.10045.4.1": "sha1",
    "1.2.840.10045.4.3.1": "sha224",
    "1.2.840.10045.4.3.2": "sha256",
    "1.2.840.10045.4.3.3": "sha384",
    "1.2.840.10045.4.3.4": "sha512",
    "2.16.840.1.101.3.4.3.10": "sha3_256",
    "2.16.840.1.101.3.4.3.11": "sha3_384",
    "2.16.840.1.101.3.4.3.12": "sha3_512",
}
_PLAIN: tuple[tuple[str, Mapping[str, str | None]], ...] = (
    ("rsa", _RSA_WITH),
    ("ecdsa", _ECDSA_WITH),
    ("dsa", dsa_keys.SIGNED_WITH),
    ("rsa", {RSA_ENCRYPTION: None}),
    ("by-key", DIGEST_OIDS),  # some signers put the digest's own identifier here
)
"""Signature algorithms whose parameters are absent or NULL."""


class UnsupportedError(MalformedError):
    """An algorithm, key or parameter that chopmark does not check; the check did not run."""


class SignatureAlgorithm(NamedTuple):
    """A parsed signature AlgorithmIdentifier.

    `kind` is rsa, rsa-pss, ecdsa, dsa, ed25519 or one of ML_DSA, or by-key where the identifier names nothing but a
    digest; `digest` is None where it does not say (rsaEncryption in CMS); `mask_digest` and `salt_length` (bytes) are
    those of PSS.
    """

    kind: str
    digest: str | None
    mask_digest: str | None = None
    salt_length: int = 0


def shown(algorithm: SignatureAlgorithm) -> str:
    """An algorithm for people: its kind, and the digest where it has one."""
    return f"{algorithm.kind} and {algorithm.digest}" if algorithm.digest else algorithm.kind


def digest_name(identifier: der.Node) -> str:
    """The digest an AlgorithmIdentifier names; its parameters absent or NULL. Raises UnsupportedError."""
    fields = identifier.fields()
    oid = fields.take().oid()
    absent_or_null(fields)
    name = DIGEST_OIDS.get(oid)
    if name is None:
        raise UnsupportedError(f"unknown digest algorithm {oid}")
    return name


@lru_cache(maxsize=64)
def digest_identifier(name: str, key_kind: str = "") -> bytes:
    """The AlgorithmIdentifier of a digest, with NULL parameters as the older verifiers want them (RFC 5754).

    Beside the newer kinds of key they must be absent (RFC 8419 clause 3.1, RFC 9882 clause 3.3).
    """
    return der.sequence(der.oid(OID_BY_DIGEST[name]), b"" if key_kind in _MESSAGE_DIGESTS else der.null())


def signature_algorithm(identifier: der.Node) -> SignatureAlgorithm:
    """Read a signature AlgorithmIdentifier (RFC 3279, 4055, 5758, 8410). Raises UnsupportedError."""
    return read_signature_algorithm(identifier.raw)


@lru_cache(maxsize=256)
def read_signature_algorithm(raw: bytes) -> SignatureAlgorithm:
    """The same from its octets, once for each. Raises UnsupportedError, DerError."""
    fields = der.parse(raw).fields()
    oid = fields.take().oid()
    if oid == RSASSA_PSS:
        return pss_parameters(fields)
    if kind := ML_DSA.get(oid, "ed25519" if oid == ED25519 else ""):
        fields.done()  # parameters are absent: RFC 8410 clause 3, RFC 9881 clause 2
        return SignatureAlgorithm(kind, None)
    if oid in _HASH_ML_DSA:
        raise UnsupportedError("HashML-DSA, which certificates and CMS do not use (RFC 9881 clause 8.3)")
    if oid == EC_PUBLIC_KEY:  # some signers name the key, perhaps with its curve, instead of the signature
        if curve := fields.optional(der.OBJECT_IDENTIFIER):
            curve.oid()
        absent_or_null(fields)
        return SignatureAlgorithm("ecdsa", None)
    absent_or_null(fields)
    for kind, table in _PLAIN:
        if oid in table:
            return SignatureAlgorithm(kind, table[oid])
    raise UnsupportedError(f"unknown signature algorithm {oid}")


def absent_or_null(fields: der.Fields) -> None:
    """Parameters that say nothing, and nothing behind them. Raises DerError."""
    if node := fields.optional(der.NULL):
        node.null()
    fields.done()


def pss_parameters(fields: der.Fields) -> SignatureAlgorithm:
    """RSASSA-PSS-params (RFC 4055 clause 3.1): defaults are SHA-1, MGF1 with SHA-1, 20 bytes of salt, trailer 1."""
    inner = fields.take().fields()
    fields.done()
    digest, mask, salt = "sha1", "sha1", 20
    if node := inner.optional(der.context(0)):
        digest = digest_name(node.only_child())
    if node := inner.optional(der.context(1)):
        generator = node.only_child().fields()
        if generator.take().oid() != MGF1:
            raise UnsupportedError("a PSS mask generation function other than MGF1")
        mask = digest_name(generator.take())
    if node := inner.optional(der.context(2)):
        salt = node.only_child().expect(der.INTEGER).integer()
    if (node := inner.optional(der.context(3))) and node.only_child().expect(der.INTEGER).integer() != 1:
        raise UnsupportedError("a PSS trailer field other than 1")
    inner.done()
    if not 0 <= salt <= limits.RSA_BITS_MAX // 8:
        raise UnsupportedError(f"a PSS salt of {salt} bytes")
    return SignatureAlgorithm("rsa-pss", digest, mask, salt)


def signing_identifier(signer: Signer, digest: str) -> bytes:
    """The signature AlgorithmIdentifier that CMS wants for what `signer` makes (RFC 3370, 4056, 5754, 8419)."""
    return _signing_identifier(signer.algorithm, digest)


def signature_identifier(signer: Signer, digest: str) -> bytes:
    """The signature AlgorithmIdentifier of certificates, CRLs and requests (RFC 4055, 5758, 8410)."""
    if signer.algorithm == "rsa":  # unlike CMS, they name the digest here
        return der.sequence(der.oid(next(oid for oid, name in _RSA_WITH.items() if name == digest)), der.null())
    return _signing_identifier(signer.algorithm, digest)


def _signing_identifier(kind: str, digest: str) -> bytes:
    if kind == "rsa":
        return der.sequence(der.oid(RSA_ENCRYPTION), der.null())
    if kind in _ML_DSA_OIDS:
        return der.sequence(der.oid(_ML_DSA_OIDS[kind]))
    if kind == "rsa-pss":  # the salt as long as the digest, as every signer of this kind makes it
        hash_identifier = digest_identifier(digest)
        parameters = der.sequence(
            der.explicit(0, hash_identifier),
            der.explicit(1, der.sequence(der.oid(MGF1), hash_identifier)),
            der.explicit(2, der.integer(digests.ALGORITHMS[digest].size)),
        )
        return der.sequence(der.oid(RSASSA_PSS), parameters)
    if kind == "ed25519":
        return der.sequence(der.oid(ED25519))
    return der.sequence(der.oid(next(oid for oid, name in _ECDSA_WITH.items() if name == digest)))


def identifiers_for(kind: str, digest: str) -> list[bytes]:
    """The signature AlgorithmIdentifiers that a key of this kind may have signed under, the usual one first."""
    kinds = ("rsa", "rsa-pss") if kind == "rsa" else (kind,)
    return [_signing_identifier(kind, digest) for kind in kinds]


def message_digests(kind: str) -> tuple[str, ...]:
    """The digests that may stand below a CMS signature of a `Signer.algorithm`, the usual one first.

    For Ed25519 it is SHA-512 alone (RFC 8419 clause 3.1); below ML-DSA it must not be the weaker of the two (RFC 9882
    clause 3.3), and SHA-512 is what everybody has. The others leave the choice to the signer.
    """
    return _MESSAGE_DIGESTS.get(kind, ("sha256", *(name for name in DIGEST_OIDS.values() if name != "sha256")))


def usual_digest(signer: Signer) -> str:
    """The digest to sign a message with when nobody says which: one that the key's kind and its keeper allow."""
    able: tuple[str, ...] = getattr(signer, "digests", digests.SIGNING_ALGORITHMS)
    fitting = message_digests(signer.algorithm)
    return next((name for name in fitting if name in able), fitting[0])


_MESSAGE_DIGESTS = {
    "ed25519": ("sha512",),
    "ml-dsa-44": ("sha512", "sha256", "sha384", "sha3_256", "sha3_384", "sha3_512"),
    "ml-dsa-65": ("sha512", "sha384", "sha3_384", "sha3_512"),
    "ml-dsa-87": ("sha512", "sha3_512"),
}
