"""Signature algorithms: reading AlgorithmIdentifiers, loading public keys, checking signatures.

The mathematics is cryptography's. What is decided here is which identifiers and parameters mean what, and which keys
are refused: explicit elliptic-curve parameters (CVE-2020-0601), RSA moduli out of bounds, unknown curves.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from chopmark.core import digest as digests
from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.envelopes import der, trivial_keys
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
DSA = "dsa"
_WHOLE = frozenset({"ed25519", *ML_DSA.values()})
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
    identifier = der.sequence(der.oid(EC_PUBLIC_KEY), der.oid(curve))
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


class UnsupportedError(MalformedError):
    """An algorithm, key or parameter that chopmark does not check; the check did not run."""


class ForbiddenKeyError(UnsupportedError):
    """A key that no honest signer has: explicit curve parameters (CVE-2020-0601), or everybody can sign with it."""


class BadSignatureError(MalformedError):
    """The signature is not this key's over these bytes."""


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
    _absent_or_null(fields)
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
        return _pss(fields)
    if kind := ML_DSA.get(oid, "ed25519" if oid == ED25519 else ""):
        fields.done()  # parameters are absent: RFC 8410 clause 3, RFC 9881 clause 2
        return SignatureAlgorithm(kind, None)
    if oid in _HASH_ML_DSA:
        raise UnsupportedError("HashML-DSA, which certificates and CMS do not use (RFC 9881 clause 8.3)")
    if oid == EC_PUBLIC_KEY:  # some signers name the key, perhaps with its curve, instead of the signature
        if curve := fields.optional(der.OBJECT_IDENTIFIER):
            curve.oid()
        _absent_or_null(fields)
        return SignatureAlgorithm("ecdsa", None)
    _absent_or_null(fields)
    for kind, table in _PLAIN:
        if oid in table:
            return SignatureAlgorithm(kind, table[oid])
    raise UnsupportedError(f"unknown signature algorithm {oid}")


def _absent_or_null(fields: der.Fields) -> None:
    if node := fields.optional(der.NULL):
        node.null()
    fields.done()


def _pss(fields: der.Fields) -> SignatureAlgorithm:
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


def public_key(spki: bytes) -> Any:  # noqa: ANN401 - one of cryptography's key classes, each with its own verify()
    """Load a SubjectPublicKeyInfo. Raises UnsupportedError for kinds, sizes, curves and parameters that are refused."""
    return loaded(spki)[1]


def loaded(spki: bytes) -> tuple[str, Any]:
    """The same with its kind in front (that of `key_kind`, or dsa), which costs less than asking for its class."""
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

    Whose certificate is judged is mostly not whose key is used. Raises UnsupportedError as `public_key` does.
    """
    if spki not in _loaded:
        for usual in _USUAL:
            if len(spki) == usual.size and spki.startswith(usual.head) and usual.holds(spki[len(usual.head) :]):
                return "ec", usual.curve.key_size
    kind, key = loaded(spki)
    return kind, int(key.key_size) if hasattr(key, "key_size") else 8 * len(key.public_bytes_raw())


def _other_key(spki: bytes) -> tuple[str, Any]:
    outer = der.parse(spki).fields()
    identifier = outer.take().fields()
    bits = outer.take().bit_string()
    outer.done()
    kind = identifier.take().oid()
    # From the numbers, not by a loader for all encodings: importing that takes as long as starting Python.
    try:
        if kind == EC_PUBLIC_KEY:
            return "ec", _point(_curve(identifier), bits)
        if kind == ED25519:
            identifier.done()
            _require_honest(trivial_keys.ed25519_fault(bits))
            return "ed25519", ed25519.Ed25519PublicKey.from_public_bytes(bits)
        if kind in ML_DSA:
            identifier.done()
            return ML_DSA[kind], _ml_dsa_key(ML_DSA[kind], bits)
        if kind in (RSA_ENCRYPTION, RSASSA_PSS):
            if kind == RSA_ENCRYPTION:
                _absent_or_null(identifier)
            elif identifier.optional(der.SEQUENCE) is None:  # of PSS; verify() holds the key to them
                identifier.done()
            return "rsa", _rsa_key(bits)
        if kind == dsa_keys.KEY:
            return DSA, dsa_keys.load(identifier, bits)
    except (ValueError, UnsupportedAlgorithm, der.DerError) as error:
        raise UnsupportedError(f"a public key that cannot be loaded ({error})") from None
    raise UnsupportedError(f"an unknown kind of public key {kind}")


def _point(curve: ec.EllipticCurve, bits: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, bits)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnsupportedError(f"a public key that cannot be loaded ({error})") from None


def _ml_dsa_key(kind: str, bits: bytes) -> Any:  # noqa: ANN401 - one of three classes with the same verify()
    """The bare octets of FIPS 204 (RFC 9881 clause 4). Raises UnsupportedError where OpenSSL is older than 3.5."""
    from cryptography.hazmat.primitives.asymmetric import mldsa  # few have such keys yet

    load = {
        "ml-dsa-44": mldsa.MLDSA44PublicKey.from_public_bytes,
        "ml-dsa-65": mldsa.MLDSA65PublicKey.from_public_bytes,
        "ml-dsa-87": mldsa.MLDSA87PublicKey.from_public_bytes,
    }
    return load[kind](bits)


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


def rsa_spki(modulus: int, exponent: int) -> bytes:
    """An RSA key as SubjectPublicKeyInfo (RFC 3279 clause 2.3.1)."""
    numbers = der.sequence(der.integer(modulus), der.integer(exponent))
    return der.sequence(der.sequence(der.oid(RSA_ENCRYPTION), der.null()), der.bit_string(numbers))


def ed25519_spki(point: bytes) -> bytes:
    """An Ed25519 key of 32 bytes as SubjectPublicKeyInfo (RFC 8410 clause 4)."""
    return der.sequence(der.sequence(der.oid(ED25519)), der.bit_string(point))


def key_size(spki: bytes) -> int:
    """Bits of an RSA modulus or a curve; of the public key itself for Ed25519 and ML-DSA."""
    return require_usable(spki)[1]


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
    kind, key = loaded(spki)
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
            key.verify(signature, data, ec.ECDSA(hashing) if digested else _ecdsa(digest))
        elif kind == DSA:
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


@lru_cache(maxsize=16)
def _ecdsa(digest: str) -> ec.ECDSA:
    """Made when it is wanted: making the first one loads what takes as long as a tenth of starting."""
    return ec.ECDSA(_HASHES[digest])


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
    if identifier.take().oid() != RSASSA_PSS:
        return True
    parameters = identifier.optional(der.SEQUENCE)
    if algorithm.kind != "rsa-pss" or parameters is None:
        return algorithm.kind == "rsa-pss"
    own = _pss(der.Fields([parameters]))
    digests = (own.digest, own.mask_digest)
    return (algorithm.digest, algorithm.mask_digest) == digests and algorithm.salt_length >= own.salt_length


def recovers_bare_digest(spki: bytes, signature: bytes, digest: bytes) -> bool:
    """Whether an RSA signature holds the digest without a DigestInfo, as old Symantec countersignatures do."""
    kind, key = loaded(spki)
    if kind != "rsa":
        return False
    try:
        return bool(key.recover_data_from_signature(signature, padding.PKCS1v15(), None) == digest)
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False


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
            der.explicit(2, der.integer(_HASHES[digest].digest_size)),
        )
        return der.sequence(der.oid(RSASSA_PSS), parameters)
    if kind == "ed25519":
        return der.sequence(der.oid(ED25519))
    return der.sequence(der.oid(next(oid for oid, name in _ECDSA_WITH.items() if name == digest)))


def identifiers_for_key(spki: bytes, digest: str) -> list[bytes]:
    """The signature AlgorithmIdentifiers that a key may have signed under, the usual one first."""
    kind = key_kind(spki)
    kinds = ("rsa", "rsa-pss") if kind == "rsa" else (kind,)
    return [_signing_identifier(kind, digest) for kind in kinds]


def hash_algorithm(digest: str) -> hashes.HashAlgorithm:
    """Cryptography's object for a digest name."""
    return _HASHES[digest]


@lru_cache(maxsize=16)
def prehashed(digest: str) -> utils.Prehashed:
    """The same where what is checked is a digest already."""
    return utils.Prehashed(_HASHES[digest])


def key_kind(spki: bytes) -> str:
    """What `Signer.algorithm` is for a public key: rsa, ec, ed25519 or one of ML_DSA.

    Raises UnsupportedError, also for DSA.
    """
    kind, _ = loaded(spki)
    if kind == DSA:
        raise UnsupportedError("a DSA key, with which nothing is signed any more (FIPS 186-5)")
    return kind


def message_digests(kind: str) -> tuple[str, ...]:
    """The digests that may stand below a CMS signature of a `Signer.algorithm`, the usual one first.

    For Ed25519 it is SHA-512 alone (RFC 8419 clause 3.1); below ML-DSA it must not be the weaker of the two (RFC 9882
    clause 3.3), and SHA-512 is what everybody has. The others leave the choice to the signer.
    """
    return _MESSAGE_DIGESTS.get(kind, ("sha256", *(name for name in _HASHES if name != "sha256")))


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
