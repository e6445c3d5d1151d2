"""Signing as `ssh-keygen -Y sign` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils

from chopmark.core.errors import RefusedError
from chopmark.envelopes import public_keys
from chopmark.envelopes.ssh import keys, wire
from chopmark.envelopes.ssh.envelope import FILE
from chopmark.envelopes.ssh.sshsig import MAGIC, Signature, armoured

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.core.contracts import Content, SealOptions, Signer


def seal(
    content: Content,
    signer: Signer,
    signing_time: dt.datetime,  # noqa: ARG001 - the shape of all envelopes
    options: SealOptions,  # noqa: ARG001 - likewise
    *,
    namespace: str = FILE,
) -> bytes:
    """A signature file over the digest of content, for the use that `namespace` names.

    Raises RefusedError for keys that SSH does not have.
    """
    blob = public_blob(signer)
    key = keys.read(blob)
    unsigned = Signature(b"", key, namespace, content.digest_algorithm, b"", b"")
    fields = (blob, namespace.encode(), b"", content.digest_algorithm.encode())
    value = _signature(signer, key, unsigned.covered(content.digest))
    head = MAGIC + (1).to_bytes(4, "big")
    return armoured(head + b"".join(map(wire.string, fields)) + wire.string(value))


def public_blob(signer: Signer) -> bytes:
    """The public key in SSH's form. Raises RefusedError."""
    key = public_keys.load(signer.public_key)
    if isinstance(key, rsa.RSAPublicKey) and signer.algorithm == "rsa":
        numbers = key.public_numbers()
        return wire.string(b"ssh-rsa") + wire.mpint(numbers.e) + wire.mpint(numbers.n)
    if isinstance(key, ec.EllipticCurvePublicKey):
        curve = next(name for name, (known, _) in keys.CURVES.items() if known.name == key.curve.name)
        size = (key.key_size + 7) // 8
        point = key.public_numbers()
        octets = b"\x04" + point.x.to_bytes(size, "big") + point.y.to_bytes(size, "big")
        return b"".join(map(wire.string, (f"ecdsa-sha2-{curve}".encode(), curve.encode(), octets)))
    if signer.algorithm == "ed25519":
        return wire.string(b"ssh-ed25519") + wire.string(signer.public_key[-32:])
    message = f"SSH signs with RSA (PKCS #1 v1.5), ECDSA and Ed25519 keys, not {signer.algorithm}"
    raise RefusedError(message)


def _signature(signer: Signer, key: keys.Key, data: bytes) -> bytes:
    if key.kind == "ssh-rsa":
        return wire.string(b"rsa-sha2-512") + wire.string(signer.sign(data, "sha512"))
    value = signer.sign(data, "sha512" if key.kind == "ssh-ed25519" else keys.CURVES[key.kind[11:]][1])
    if key.kind != "ssh-ed25519":
        value = b"".join(map(wire.mpint, utils.decode_dss_signature(value)))
    return wire.string(key.kind.encode()) + wire.string(value)
