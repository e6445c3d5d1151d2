"""The agent protocol of ssh, as far as signing needs it (draft-ietf-sshm-ssh-agent)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import utils

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes.ssh import keys
from chopmark.envelopes.ssh.wire import Reader, string

__all__ = ["CURVES", "Identity", "identities", "signature", "spki", "string"]

REQUEST_IDENTITIES, IDENTITIES_ANSWER = 11, 12
SIGN_REQUEST, SIGN_RESPONSE = 13, 14
FAILURE = 5
CURVES = keys.CURVES


class Identity(NamedTuple):
    """A key that the agent has: its public half in ssh's form and the comment people gave it."""

    blob: bytes
    comment: str

    @property
    def kind(self) -> str:
        """The name of its type, such as ssh-ed25519; "?" when there is none."""
        try:
            return Reader(self.blob).text()
        except MalformedError:
            return "?"

    @property
    def fingerprint(self) -> str:
        """As ssh-add -l prints it."""
        return keys.shown(self.blob)


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
    key = keys.read(blob)
    if key.certificate is not None or key.application is not None:
        message = f"an ssh key of the type {Reader(blob).text()!r}"
        raise MalformedError(message)
    return key.spki


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
