"""The signature file of `ssh-keygen -Y sign`, to the byte (PROTOCOL.sshsig)."""

from __future__ import annotations

import binascii

from chopmark.core import limits
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import algorithms
from chopmark.envelopes.ssh import keys, reasons, wire

KIND = "ssh"
"""PublicKey.kind."""
BEGIN, END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"
MAGIC = b"SSHSIG"
DIGESTS = ("sha256", "sha512")
_VERSION = 1
_WIDTHS = (70, 76)
"""Of a line: ssh-keygen's own, and that of base64 elsewhere."""


class Signature(NamedTuple):
    """A signature: whose (the key travels along), for which use, over which digest, and the signature itself."""

    raw: bytes
    key: keys.Key
    namespace: str
    digest_algorithm: str
    reserved: bytes
    value: bytes

    def covered(self, digest: bytes) -> bytes:
        """What was signed, given the digest of the content."""
        fields = (self.namespace.encode(), self.reserved, self.digest_algorithm.encode(), digest)
        return MAGIC + b"".join(map(wire.string, fields))


def read(data: bytes) -> Signature:
    """Read an armoured signature. Raises BrokenError (a MalformedError) for anything else, and for more than that."""
    reader = wire.Reader(_unarmoured(data))
    try:
        if reader.take(len(MAGIC)) != MAGIC or reader.number() != _VERSION:
            raise BrokenError(reasons.FORM, "not version 1 of an SSH signature")
        blob, namespace, reserved, algorithm = reader.string(), reader.string(), reader.string(), reader.text()
        value = reader.string()
        reader.done()
        key = keys.read(blob)
        use = namespace.decode("ascii")
    except algorithms.UnsupportedError as error:
        raise BrokenError(reasons.ALGORITHM, str(error)) from None
    except UnicodeDecodeError:
        raise BrokenError(reasons.FORM, "a namespace that is not ASCII") from None
    except BrokenError:
        raise
    except MalformedError as error:
        raise BrokenError(reasons.FORM, str(error)) from None
    if algorithm not in DIGESTS:
        raise BrokenError(reasons.ALGORITHM, f"a digest {algorithm[:64]!r}")
    if not use or not use.isprintable():
        raise BrokenError(reasons.FORM, "no namespace")
    return Signature(data, key, use, algorithm, reserved, value)


def armoured(raw: bytes) -> bytes:
    """The file as ssh-keygen writes it."""
    text = binascii.b2a_base64(raw, newline=False)
    width = _WIDTHS[0]
    return BEGIN + b"".join(text[at : at + width] + b"\n" for at in range(0, len(text), width)) + END


def _unarmoured(data: bytes) -> bytes:
    """One block and nothing else, in lines of one width, so that no byte of it can be another."""
    if len(data) > limits.SSH_SIGNATURE_MAX:
        raise BrokenError(reasons.FORM, f"{len(data)} bytes")
    if not (data.startswith(BEGIN) and data.endswith(b"\n" + END)) or b"\r" in data or len(data) <= len(BEGIN + END):
        raise BrokenError(reasons.FORM, "not one block between its two lines")
    lines = data[len(BEGIN) : -len(END)].split(b"\n")[:-1]
    text = b"".join(lines)
    width = len(lines[0])
    regular = (len(lines) == 1 or width in _WIDTHS) and all(len(line) == width for line in lines[:-1])
    try:
        raw = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise BrokenError(reasons.FORM, "not base64") from None
    if not regular or not 0 < len(lines[-1]) <= width or binascii.b2a_base64(raw, newline=False) != text:
        raise BrokenError(reasons.FORM, "not as it is written")
    return raw
