"""`ssh-agent:SHA256:FINGERPRINT` or `ssh-agent:comment=TEXT`: a key that an ssh agent holds, also a forwarded one.

Parameter: `socket`, where it is not SSH_AUTH_SOCK. The agent makes the digest itself, and ssh fixes which: SHA-256 or
SHA-512 for RSA (PKCS #1 v1.5), that of the curve for ECDSA. There is no PSS.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.core import digest, limits
from chopmark.core.errors import MalformedError, RefusedError, UnavailableError, UsageError
from chopmark.keys.errors import UnusableKeyError
from chopmark.keys.receiving import exactly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.keys import Listed
    from chopmark.keys.passphrase import Passphrase
    from chopmark.keys.ssh_wire import Identity
    from chopmark.keys.uri import KeyUri

_ENDED = "ssh-agent: the agent ended the connection without an answer"
_RSA_DIGESTS = {"sha256": (2, b"rsa-sha2-256"), "sha512": (4, b"rsa-sha2-512")}
"""The flag that asks for it and the name it comes back under (RFC 8332 clause 3)."""


def open_key(uri: KeyUri, passphrase: Passphrase) -> AgentSigner:  # noqa: ARG001 - an agent's keys are open
    """The one key that the URI names. Raises UsageError (UnusableKeyError), UnavailableError."""
    path = _socket(uri)
    return AgentSigner(path, _chosen(uri, _identities(path)))


def list_keys(uri: KeyUri, passphrase: Passphrase) -> Iterator[Listed]:  # noqa: ARG001 - same
    """Every key that the agent has; those that do not sign here have no public key. Raises UnavailableError."""
    from chopmark.keys import Listed, ssh_wire

    for identity in _identities(_socket(uri)):
        try:
            public: bytes | None = ssh_wire.spki(identity.blob)
        except MalformedError:
            public = None
        yield Listed(f"ssh-agent:{identity.fingerprint}", f"{identity.kind} {identity.comment}".strip(), public)


class AgentSigner:
    """A key in an ssh agent as a Signer (core.contracts).

    Each request has a connection of its own, so that it works in forked processes and after the agent was restarted.
    `digests` are those that ssh has for the key.
    """

    certificates: tuple[bytes, ...] = ()

    def __init__(self, path: str, identity: Identity) -> None:
        """Read the public key. Raises UnusableKeyError for kinds that do not sign here."""
        from chopmark.envelopes import public_keys
        from chopmark.keys import ssh_wire

        self._socket = path
        self._identity = identity
        try:
            self.public_key = ssh_wire.spki(identity.blob)
            self.algorithm = public_keys.kind(self.public_key)
            bits = public_keys.size(self.public_key)
            self.digests = self._digests(identity)
        except MalformedError as error:
            message = f"{identity.fingerprint}: {error}; RSA, P-256, P-384, P-521 and Ed25519 sign here"
            raise UnusableKeyError(message) from None
        if self.algorithm == "rsa" and bits < limits.RSA_BITS_MIN:
            message = f"{identity.fingerprint}: RSA with {bits} bits; signatures need at least {limits.RSA_BITS_MIN}"
            raise UnusableKeyError(message)

    def sign(self, data: bytes, digest_algorithm: str) -> bytes:
        """The signature over `data`, ECDSA in DER.

        Raises RefusedError for a digest that ssh does not use with this key, or when the agent says no;
        UnavailableError when it does not answer.
        """
        from chopmark.keys import ssh_wire

        flags, algorithm = self._way(digest_algorithm)
        wire = ssh_wire.string
        request = bytes([ssh_wire.SIGN_REQUEST]) + wire(self._identity.blob) + wire(data) + flags.to_bytes(4, "big")
        kind, body = _asked(self._socket, request)
        if kind != ssh_wire.SIGN_RESPONSE:
            message = (
                f"the ssh agent did not sign with {self._identity.fingerprint}: it is locked, the key was removed, or "
                "whoever was asked for confirmation declined"
            )
            raise RefusedError(message)
        try:
            return ssh_wire.signature(body, algorithm)
        except MalformedError as error:
            raise UnavailableError(str(error)) from None

    def _way(self, name: str) -> tuple[int, bytes]:
        """The flags and the algorithm of a signature with this digest. Raises RefusedError."""
        if name not in digest.SIGNING_ALGORITHMS:
            message = f"new signatures use {', '.join(digest.SIGNING_ALGORITHMS)}, not {name}"
            raise RefusedError(message)
        if name not in self.digests:
            clause = "RFC 8332" if self.algorithm == "rsa" else "RFC 5656 clause 6.2.1"
            fitting = " or ".join(self.digests)
            message = f"an ssh agent signs with a key of {self._identity.kind} over {fitting} ({clause}), not {name}"
            raise RefusedError(message)
        return _RSA_DIGESTS[name] if self.algorithm == "rsa" else (0, self._identity.kind.encode())

    def _digests(self, identity: Identity) -> tuple[str, ...]:
        from chopmark.keys import ssh_wire

        if self.algorithm == "ed25519":
            return digest.SIGNING_ALGORITHMS  # which it does not use
        if self.algorithm == "rsa":
            return tuple(_RSA_DIGESTS)
        return (ssh_wire.CURVES[identity.kind.removeprefix("ecdsa-sha2-")][1],)


def _socket(uri: KeyUri) -> str:
    uri.only("socket")
    path = uri.parameters.get("socket") or os.environ.get("SSH_AUTH_SOCK", "")
    if not path:
        message = "ssh-agent: there is no agent (SSH_AUTH_SOCK is not set; ?socket=PATH names one)"
        raise UnavailableError(message)
    return path


def _identities(path: str) -> list[Identity]:
    from chopmark.keys import ssh_wire

    kind, body = _asked(path, bytes([ssh_wire.REQUEST_IDENTITIES]))
    if kind != ssh_wire.IDENTITIES_ANSWER:
        message = "ssh-agent: the agent does not say which keys it has"
        raise UnavailableError(message)
    try:
        return ssh_wire.identities(body)
    except MalformedError as error:
        raise UnavailableError(str(error)) from None


def _chosen(uri: KeyUri, held: list[Identity]) -> Identity:
    name, equals, value = uri.path.partition("=")
    if uri.path.startswith("SHA256:"):
        found = [identity for identity in held if identity.fingerprint == uri.path.rstrip("=")]
    elif equals and name == "comment":
        found = [identity for identity in held if identity.comment == value]
    else:
        message = "ssh-agent: name the key as ssh-agent:SHA256:FINGERPRINT (ssh-add -l) or ssh-agent:comment=TEXT"
        raise UsageError(message)
    if len(found) == 1:
        return found[0]
    there = "; ".join(f"{identity.fingerprint} {identity.comment}" for identity in found or held)
    if found:
        message = f"ssh-agent: {len(found)} keys match; name one by its fingerprint: {there}"
    else:
        message = f"ssh-agent: the key is not there (those that are: {there or 'none, or it is locked'})"
    raise UnusableKeyError(message)


def _asked(path: str, request: bytes) -> tuple[int, bytes]:
    """One request and its answer: the type and the rest. Raises UnavailableError."""
    from socket import AF_UNIX, SOCK_STREAM, socket

    try:
        with socket(AF_UNIX, SOCK_STREAM) as connection:
            # Somebody may be asked to confirm, or to touch a key.
            connection.settimeout(limits.AGENT_SECONDS)
            connection.connect(path)
            connection.sendall(len(request).to_bytes(4, "big") + request)
            size = int.from_bytes(exactly(connection.recv, 4, _ENDED), "big")
            if not 0 < size <= limits.AGENT_MESSAGE_MAX:
                message = f"ssh-agent: an answer of {size} bytes"
                raise UnavailableError(message)
            answer = exactly(connection.recv, size, _ENDED)
    except TimeoutError:
        message = f"ssh-agent: no answer within {limits.AGENT_SECONDS:.0f} seconds"
        raise UnavailableError(message) from None
    except OSError as error:
        message = f"ssh-agent: the agent at {path} cannot be reached ({os.strerror(error.errno or 0)})"
        raise UnavailableError(message) from None
    return answer[0], answer[1:]
