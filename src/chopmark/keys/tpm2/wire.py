"""Octets of the TPM 2.0 commands and structures that signing needs (TPM 2.0 Library, parts 2 and 3)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple

NULL, RSA, ECC, AES, CFB = 0x0010, 0x0001, 0x0023, 0x0006, 0x0043
RSASSA, RSAES, RSAPSS, OAEP, ECDSA, ECDAA = 0x0014, 0x0015, 0x0016, 0x0017, 0x0018, 0x001A
HASHES = {0x000B: "sha256", 0x000C: "sha384", 0x000D: "sha512"}
"""TPM_ALG_ID of the digests that new signatures use."""
HASH_IDS = {name: number for number, name in HASHES.items()}
CURVES: dict[int, ec.EllipticCurve] = {0x0003: ec.SECP256R1(), 0x0004: ec.SECP384R1(), 0x0005: ec.SECP521R1()}
"""TPM_ECC_CURVE of the curves that sign here."""

FIXED_TPM, FIXED_PARENT, SENSITIVE_DATA_ORIGIN = 0x2, 0x10, 0x20
USER_WITH_AUTH, NO_DA, RESTRICTED, DECRYPT, SIGN = 0x40, 0x400, 0x10000, 0x20000, 0x40000
"""TPMA_OBJECT (part 2, 8.3)."""


class Reader:
    """Fields of a structure, one after the other. Raises MalformedError past its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def take(self, count: int) -> bytes:
        """So many octets."""
        end = self._place + count
        if end > len(self._data):
            message = "a TPM structure that ends too early"
            raise MalformedError(message)
        taken, self._place = self._data[self._place : end], end
        return taken

    def number(self, octets: int) -> int:
        """An unsigned number."""
        return int.from_bytes(self.take(octets), "big")

    def sized(self) -> bytes:
        """A TPM2B: two octets of length, then itself."""
        return self.take(self.number(2))

    def rest(self) -> bytes:
        """What is left."""
        return self.take(len(self._data) - self._place)

    def done(self) -> None:
        """Refuse what is left over."""
        if self._place != len(self._data):
            message = "a TPM structure that goes on after its end"
            raise MalformedError(message)


def u16(number: int) -> bytes:
    """A UINT16."""
    return number.to_bytes(2, "big")


def u32(number: int) -> bytes:
    """A UINT32."""
    return number.to_bytes(4, "big")


def sized(data: bytes) -> bytes:
    """A TPM2B."""
    return u16(len(data)) + data


class Public(NamedTuple):
    """A TPMT_PUBLIC (part 2, 12.2.4) of an RSA or ECC key.

    `scheme` and `hash` are what the key is bound to, NULL and "" where it is free; `spki` is DER.
    """

    kind: int
    name_algorithm: int
    attributes: int
    policy: bytes
    scheme: int
    hash: str
    spki: bytes


def public(raw: bytes) -> Public:
    """Read a TPMT_PUBLIC. Raises MalformedError, also for keys of other kinds."""
    reader = Reader(raw)
    kind, name_algorithm, attributes = reader.number(2), reader.number(2), reader.number(4)
    policy = reader.sized()
    if kind not in (RSA, ECC):
        message = f"a TPM object of the type {kind:#06x}, neither RSA nor ECC"
        raise MalformedError(message)
    if reader.number(2) != NULL:  # symmetric: of keys that protect others
        reader.take(4)
    scheme = reader.number(2)
    hashed = 0 if scheme in (NULL, RSAES) else reader.number(2)
    if scheme == ECDAA:
        reader.take(2)
    spki = _rsa(reader) if kind == RSA else _ecc(reader)
    reader.done()
    return Public(
        kind, name_algorithm, attributes, policy, scheme, HASHES.get(hashed, f"{hashed:#06x}" if hashed else ""), spki
    )


def _rsa(reader: Reader) -> bytes:
    reader.take(2)  # the size, which the modulus has
    exponent = reader.number(4) or 65537
    modulus = int.from_bytes(reader.sized(), "big")
    if modulus.bit_length() > limits.RSA_BITS_MAX:
        message = f"an RSA key of {modulus.bit_length()} bits"
        raise MalformedError(message)
    try:
        key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except (ValueError, OverflowError):
        message = "the TPM's RSA public key is not one"
        raise MalformedError(message) from None
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _ecc(reader: Reader) -> bytes:
    curve = CURVES.get(number := reader.number(2))
    if reader.number(2) != NULL:  # a key derivation
        reader.take(2)
    x, y = (int.from_bytes(reader.sized(), "big") for _ in range(2))
    if curve is None:
        message = f"a key on the TPM's curve {number:#06x}; P-256, P-384 and P-521 sign here"
        raise MalformedError(message)
    try:
        key = ec.EllipticCurvePublicNumbers(x, y, curve).public_key()
    except (ValueError, OverflowError):
        message = "the TPM's public key is not a point of its curve"
        raise MalformedError(message) from None
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signature(raw: bytes, scheme: int, hashed: int) -> tuple[bytes, ...]:
    """The parts of a TPMT_SIGNATURE (part 2, 11.3.4): one for RSA, r and s for ECDSA.

    Raises MalformedError when it is of another scheme or digest than asked for.
    """
    reader = Reader(raw)
    if (reader.number(2), reader.number(2)) != (scheme, hashed):
        message = "the TPM made a signature of another kind than it was asked for"
        raise MalformedError(message)
    parts = tuple(reader.sized() for _ in range(2 if scheme == ECDSA else 1))
    reader.done()
    return parts


def storage_key(*, use_rsa: bool) -> bytes:
    """The TPMT_PUBLIC of the primary key that TSS2 key files hang below (draft-bottomley-tpm2-keys clause 3.1.8).

    P-256 with AES-128-CFB, or RSA-2048 where a file says `rsaParent`; made from the same seed it is the same each time.
    """
    attributes = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | USER_WITH_AUTH | NO_DA | RESTRICTED | DECRYPT
    head = u16(RSA if use_rsa else ECC) + u16(HASH_IDS["sha256"]) + u32(attributes) + sized(b"")
    symmetric = u16(AES) + u16(128) + u16(CFB)
    if use_rsa:
        return head + symmetric + u16(NULL) + u16(2048) + u32(0) + sized(b"")
    return head + symmetric + u16(NULL) + u16(0x0003) + u16(NULL) + sized(b"") + sized(b"")


def signing_key(kind: str, *, protected: bool) -> bytes:
    """The TPMT_PUBLIC to make a signing key of a kind from; one that is protected counts wrong guesses."""
    attributes = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | USER_WITH_AUTH | SIGN | (0 if protected else NO_DA)
    size, curve = RSA_SIZES.get(kind, 0), CURVE_IDS.get(kind, 0)
    head = u16(RSA if size else ECC) + u16(HASH_IDS["sha256"]) + u32(attributes) + sized(b"") + u16(NULL) + u16(NULL)
    if size:
        return head + u16(size) + u32(0) + sized(b"")
    return head + u16(curve) + u16(NULL) + sized(b"") + sized(b"")


RSA_SIZES = {"rsa-2048": 2048, "rsa-3072": 3072, "rsa-4096": 4096}
CURVE_IDS = {"p256": 0x0003, "p384": 0x0004, "p521": 0x0005}
"""What keys can be made; not every TPM has all of them."""
