"""`pkcs11:token=NAME;object=NAME`: a private key in a token, a smart card or an HSM (RFC 7512).

Parameters: `module-path` or `module-name`, `pin-source`, and `padding` as for `file:`. The key stays where it is; only
digests (for Ed25519 the data) go in and signatures come out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chopmark.core import digest, limits
from chopmark.core.errors import MalformedError, RefusedError, UsageError
from chopmark.envelopes import algorithms, der, public_keys, spki, x509
from chopmark.keys import pkcs11_uri
from chopmark.keys.errors import UnusableKeyError
from chopmark.keys.pkcs11_session import TokenSession
from chopmark.keys.software import own_first

if TYPE_CHECKING:
    import pkcs11

    from chopmark.keys import Listed
    from chopmark.keys.passphrase import Passphrase
    from chopmark.keys.uri import KeyUri

_CURVES: dict[str, ec.EllipticCurve] = {
    "1.2.840.10045.3.1.7": ec.SECP256R1(),
    "1.3.132.0.34": ec.SECP384R1(),
    "1.3.132.0.35": ec.SECP521R1(),
}
_PRINTABLE_STRING = 0x13
_ED25519_SIZE = 32


def open_key(uri: KeyUri, passphrase: Passphrase) -> TokenSigner:
    """Open a private key in a token. Raises UsageError (UnusableKeyError, PassphraseError), UnavailableError."""
    wanted = pkcs11_uri.read(uri)
    if wanted.padding not in ("", "pkcs1", "pss"):
        message = f"unknown padding {wanted.padding!r}: pkcs1 or pss"
        raise UsageError(message)
    return TokenSigner(TokenSession(wanted, passphrase), wanted.padding)


def make_key(uri: KeyUri, kind: str, existing: Passphrase, chosen: Passphrase) -> TokenSigner:  # noqa: ARG001 - contract
    """Make a key pair in the token, which nobody ever gets out of it; `existing` answers the token's PIN.

    Raises UsageError (UnusableKeyError, PassphraseError), UnavailableError.
    """
    from chopmark.keys import pkcs11_making

    wanted = pkcs11_uri.read(uri)
    made = pkcs11_making.make(wanted, kind, existing)
    return TokenSigner(TokenSession(made, existing), wanted.padding)


def list_keys(uri: KeyUri, passphrase: Passphrase) -> list[Listed]:
    """The private keys on the one token that the URI names. Raises what `open_key` does."""
    from chopmark.keys import pkcs11_listing

    return pkcs11_listing.listed(uri, passphrase, _listed_spki)


def _listed_spki(session: TokenSession, key: pkcs11.Object) -> bytes | None:
    try:
        return _public(session, key)[0]
    except UnusableKeyError:
        return None


class TokenSigner:
    """A private key in a token as a Signer (core.contracts).

    One session serves all signatures of a process; a forked process opens its own with the same PIN, which stays in
    memory for that until `close`.
    """

    def __init__(self, session: TokenSession, padding: str = "") -> None:
        """Read what is public of the key: raises UnusableKeyError when that is not on the token."""
        self._session = session
        self.public_key, self.certificates = session.use(lambda opened: _public(opened, opened.key))
        key = public_keys.load(self.public_key)
        if padding and not isinstance(key, rsa.RSAPublicKey):
            message = "only RSA keys have a padding"
            raise UsageError(message)
        self._coordinate = 0
        if isinstance(key, rsa.RSAPublicKey):
            if not limits.RSA_BITS_MIN <= key.key_size <= limits.RSA_BITS_MAX:
                message = f"an RSA key of {key.key_size} bits; signatures need at least {limits.RSA_BITS_MIN}"
                raise UnusableKeyError(message)
            self.algorithm = "rsa-pss" if padding == "pss" else "rsa"
        elif isinstance(key, ec.EllipticCurvePublicKey):
            self.algorithm = "ec"
            self._coordinate = (key.curve.key_size + 7) // 8
        else:
            self.algorithm = "ed25519"

    def sign(self, data: bytes, digest_algorithm: str) -> bytes:
        """The signature over `data`, ECDSA in DER.

        Raises RefusedError for a digest that new signatures do not use, UnavailableError when the token is gone.
        """
        if digest_algorithm not in digest.SIGNING_ALGORITHMS:
            message = f"new signatures use {', '.join(digest.SIGNING_ALGORITHMS)}, not {digest_algorithm}"
            raise RefusedError(message)
        signature = self._session.use(lambda session: self._signed(session, data, digest_algorithm))
        if self.algorithm != "ec":
            return signature
        if len(signature) != 2 * self._coordinate:  # PKCS #11 v2.40, 2.3.1: r and s, each as long as the order
            message = f"{self._session.name}: an ECDSA signature of {len(signature)} bytes, not {2 * self._coordinate}"
            raise RefusedError(message)
        first, second = signature[: self._coordinate], signature[self._coordinate :]
        return utils.encode_dss_signature(int.from_bytes(first, "big"), int.from_bytes(second, "big"))

    def close(self) -> None:
        """Log out and forget the PIN."""
        self._session.close()

    def _signed(self, session: TokenSession, data: bytes, name: str) -> bytes:
        return session.signature(*self._way(session, data, name))

    def _way(self, session: TokenSession, data: bytes, name: str) -> tuple[pkcs11.Mechanism, Any, bytes]:
        """The mechanism, its parameter and what to give it.

        The bare operation over a digest made here where the token has it, as nearly all have; else the one that also
        makes the digest.
        """
        from pkcs11 import MGF, Mechanism

        if self.algorithm == "ed25519":
            return Mechanism.EDDSA, None, data
        hashed, upper = digest.of(data, name), name.upper()
        if self.algorithm == "ec":
            # All of these orders are whole bytes long, or longer than any digest (FIPS 186-5 clause 6.4.1).
            bare, whole, given, parameter = "ECDSA", f"ECDSA_{upper}", hashed[: self._coordinate], None
        elif self.algorithm == "rsa-pss":
            bare, whole, given = "RSA_PKCS_PSS", f"{upper}_RSA_PKCS_PSS", hashed
            parameter = (Mechanism[upper], MGF[upper], len(hashed))
        else:
            given = der.sequence(algorithms.digest_identifier(name), der.octet_string(hashed))
            bare, whole, parameter = "RSA_PKCS", f"{upper}_RSA_PKCS", None
        if Mechanism[bare] in session.mechanisms or Mechanism[whole] not in session.mechanisms:
            return Mechanism[bare], parameter, given
        return Mechanism[whole], parameter, data


def _public(session: TokenSession, key: Any) -> tuple[bytes, tuple[bytes, ...]]:  # noqa: ANN401 - a key object
    """SubjectPublicKeyInfo, and the certificates on the token: the key's own, then those above it."""
    from pkcs11 import Attribute, ObjectClass

    identifier = _attribute(key, Attribute.ID) or b""
    same = session.find({Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.ID: identifier}) if identifier else []
    all_certificates = [
        (_attribute(found, Attribute.ID), raw)
        for found in session.find({Attribute.CLASS: ObjectClass.CERTIFICATE})
        if (raw := _attribute(found, Attribute.VALUE)) and _readable(raw)
    ]
    own = [raw for its, raw in all_certificates if identifier and its == identifier]
    try:
        kind = key.key_type
    except ValueError:
        message = f"{session.name}: a key of a kind of the vendor's own"
        raise UnusableKeyError(message) from None
    # RSA private keys have their public numbers with them; the others need the public key or a certificate.
    for found in (*same, key):
        if spki := _spki(found, kind):
            break
    else:
        if not own:
            message = f"{session.name}: neither the public key nor a certificate with the private key's CKA_ID is on it"
            raise UnusableKeyError(message)
        spki = x509.certificate(own[0]).spki
    return spki, own_first(_chain(own, [raw for _, raw in all_certificates]), spki)


def _chain(own: list[bytes], others: list[bytes]) -> list[bytes]:
    """Follow the names upwards, as far as the token has the certificates and without the root."""
    found = list(own)
    for raw in found:
        issuer = x509.certificate(raw).issuer
        for other in others:
            candidate = x509.certificate(other)
            if candidate.subject == issuer and not candidate.self_issued and other not in found:
                found.append(other)
    return found


def _readable(raw: bytes) -> bool:
    try:
        x509.certificate(raw)
    except MalformedError:
        return False
    return True


def _attribute(found: pkcs11.Object, name: pkcs11.Attribute) -> Any:  # noqa: ANN401 - bytes, int or str by attribute
    """An attribute, or None where the token does not have it or does not tell."""
    from pkcs11 import AttributeSensitive, AttributeTypeInvalid, FunctionFailed

    try:
        return found[name]
    except (AttributeTypeInvalid, AttributeSensitive, FunctionFailed):
        return None


def _spki(found: pkcs11.Object, kind: pkcs11.KeyType) -> bytes | None:
    """The public key that an object tells of, None when it does not. Raises UnusableKeyError."""
    from pkcs11 import Attribute, KeyType

    if kind == KeyType.RSA:
        modulus, exponent = _attribute(found, Attribute.MODULUS), _attribute(found, Attribute.PUBLIC_EXPONENT)
        return rsa_spki(modulus, exponent) if modulus and exponent else None
    if kind not in (KeyType.EC, KeyType.EC_EDWARDS):
        message = f"a key of a kind that chopmark does not sign with: {getattr(kind, 'name', kind)}"
        raise UnusableKeyError(message)
    parameters, point = _attribute(found, Attribute.EC_PARAMS), _attribute(found, Attribute.EC_POINT)
    if not parameters or not point:
        return None
    return ec_spki(parameters, point) if kind == KeyType.EC else ed25519_spki(parameters, point)


def rsa_spki(modulus: bytes, exponent: bytes) -> bytes:
    """SubjectPublicKeyInfo from CKA_MODULUS and CKA_PUBLIC_EXPONENT. Raises UnusableKeyError."""
    made = spki.rsa_key(int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big"))
    try:
        public_keys.load(made)
    except algorithms.UnsupportedError:
        message = "the token's RSA public key is not one"
        raise UnusableKeyError(message) from None
    return made


def ec_spki(parameters: bytes, point: bytes) -> bytes:
    """SubjectPublicKeyInfo from CKA_EC_PARAMS and CKA_EC_POINT. Raises UnusableKeyError."""
    try:
        node = der.parse(parameters)
        curve = _CURVES.get(node.oid()) if node.tag == der.OBJECT_IDENTIFIER else None
    except MalformedError:
        curve = None
    if curve is None:
        message = "a key on a curve that chopmark does not sign on, or spelt out; P-256, P-384 and P-521 are"
        raise UnusableKeyError(message)
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(
            curve, _unwrapped(point, 1 + 2 * ((curve.key_size + 7) // 8))
        )
    except ValueError:
        message = "the token's public key is not a point of its curve"
        raise UnusableKeyError(message) from None
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def ed25519_spki(parameters: bytes, point: bytes) -> bytes:
    """SubjectPublicKeyInfo of an Edwards key; the curve is given by name or by identifier. Raises UnusableKeyError."""
    try:
        node = der.parse(parameters)
        named = node.tag == _PRINTABLE_STRING and node.value == b"edwards25519"
        known = named or (node.tag == der.OBJECT_IDENTIFIER and node.oid() in (algorithms.ED25519, _OLD_ED25519))
    except MalformedError:
        known = False
    octets = _unwrapped(point, _ED25519_SIZE)
    if not known or len(octets) != _ED25519_SIZE:
        message = "an Edwards-curve key other than Ed25519"
        raise UnusableKeyError(message)
    key = ed25519.Ed25519PublicKey.from_public_bytes(octets)
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


_OLD_ED25519 = "1.3.6.1.4.1.11591.15.1"
"""What GnuPG called it before RFC 8410; still in tokens."""


def _unwrapped(point: bytes, size: int) -> bytes:
    """CKA_EC_POINT is an OCTET STRING around the point; some tokens leave that off, some write a BIT STRING."""
    if len(point) == size:
        return point
    try:
        node = der.parse(point)
        return node.bit_string() if node.tag == der.BIT_STRING else node.expect(der.OCTET_STRING).octets()
    except MalformedError:
        return point
