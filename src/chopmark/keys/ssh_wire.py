"""The agent protocol of ssh, as far as signing needs it (draft-ietf-sshm-ssh-agent).

Strings and numbers are those of RFC 4251, public keys and signatures those of RFC 4253, 5656, 8332 and 8709.
"""

from __future__ import annotations

import base64
import hashlib
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chopmark.core import limits
from chopmark.core.errors import MalformedError

REQUEST_IDENTITIES, IDENTITIES_ANSWER = 11, 12
SIGN_REQUEST, SIGN_RESPONSE = 13, 14
FAILURE = 5
RSA_SHA2_256, RSA_SHA2_512 = 2, 4
"""Flags of a signing request (RFC 8332): without one the agent would use SHA-1."""

CURVES: dict[bytes, tuple[ec.EllipticCurve, str]] = {
    b"nistp256": (ec.SECP256R1(), "sha256"),
    b"nistp384": (ec.SECP384R1(), "sha384"),
    b"nistp521": (ec.SECP521R1(), "sha512"),
}
"""The curves of RFC 5656, and the digest that ssh fixes for each (clause 6.2.1)."""


class Reader:
    """Fields of a message, one after the other. Raises MalformedError past its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def take(self, count: int) -> bytes:
        """So many octets."""
        end = self._place + count
        if end > len(self._data):
            message = "the ssh agent's answer ends too early"
            raise MalformedError(message)
        taken, self._place = self._data[self._place : end], end
        return taken

    def number(self) -> int:
        """A uint32."""
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        """A string: its length, then itself."""
        return self.take(self.number())

    def mpint(self) -> int:
        """A number that is not negative."""
        octets = self.string()
        if octets[:1] > b"\x7f":
            message = "a negative number in a public key"
            raise MalformedError(message)
        return int.from_bytes(octets, "big")

    def done(self) -> None:
        """Refuse what is left over."""
        if self._place != len(self._data):
            message = "the ssh agent's answer goes on after its end"
            raise MalformedError(message)


def string(data: bytes) -> bytes:
    """A string as it is written."""
    return len(data).to_bytes(4, "big") + data


class Identity(NamedTuple):
    """A key that the agent has: its public half in ssh's form and the comment people gave it."""

    blob: bytes
    comment: str

    @property
    def kind(self) -> str:
        """The name of its type, such as ssh-ed25519; "?" when there is none."""
        try:
            return Reader(self.blob).string().decode("ascii", "replace")
        except MalformedError:
            return "?"

    @property
    def fingerprint(self) -> str:
        """As ssh-add -l prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")


def identities(body: bytes) -> list[Identity]:
    """The keys in an IDENTITIES_ANSWER (clause 3.5 of the draft). Raises MalformedError."""
    reader = Reader(body)
    count = reader.number()
    if count > limits.AGENT_KEYS_MAX:
        message = f"the ssh agent has {count} keys"
        raise MalformedError(message)
    found = [Identity(reader.string(), reader.string().decode("utf-8", "replace")) for _ in range(count)]
    reader.done()
    return found


def spki(blob: bytes) -> bytes:
    """SubjectPublicKeyInfo of a public key in ssh's form. Raises MalformedError for kinds that do not sign here."""
    reader = Reader(blob)
    kind = reader.string()
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
    try:
        if kind == b"ssh-rsa":
            exponent, modulus = reader.mpint(), reader.mpint()
            key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        elif kind == b"ssh-ed25519":
            key = ed25519.Ed25519PublicKey.from_public_bytes(reader.string())
        elif kind.startswith(b"ecdsa-sha2-") and kind[11:] in CURVES and reader.string() == kind[11:]:
            key = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[kind[11:]][0], reader.string())
        else:
            message = f"an ssh key of the type {kind.decode('ascii', 'replace')!r}"
            raise MalformedError(message)
    except (ValueError, OverflowError):
        message = "an ssh public key that is not one"
        raise MalformedError(message) from None
    reader.done()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signature(body: bytes, wanted: bytes) -> bytes:
    """The raw signature in a SIGN_RESPONSE, ECDSA in DER. Raises MalformedError unless its algorithm is `wanted`."""
    outer = Reader(body)
    inner = Reader(outer.string())
    outer.done()
    algorithm, value = inner.string(), inner.string()
    inner.done()
    if algorithm != wanted:
        said, hoped = (name.decode("ascii", "replace") for name in (algorithm, wanted))
        message = f"the ssh agent signed with {said!r} instead of {hoped}"
        raise MalformedError(message)
    if not wanted.startswith(b"ecdsa-"):
        return value
    numbers = Reader(value)
    first, second = numbers.mpint(), numbers.mpint()
    numbers.done()
    return utils.encode_dss_signature(first, second)
