"""Making signatures of IMA and EVM, to the byte as evmctl makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import RefusedError
from chopmark.envelopes import algorithms, belonging, public_keys, x509
from chopmark.envelopes.ima.envelope import KINDS
from chopmark.envelopes.ima.header import CONTENT, NUMBERS, write

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from chopmark.core.contracts import Content, Signer

_KIND = {name: kind for kind, name in CONTENT.items()}


class ImaDraft:
    """A signature that lacks nothing but the signature; the key signs `to_be_signed` with `digest_algorithm`."""

    def __init__(self, content: Content, certificate: x509.Certificate) -> None:
        """Raises RefusedError for a key or digest that the kernel does not know."""
        if content.message is None or content.content_type not in _KIND:
            raise RefusedError("a signature of IMA's is over a file, its fs-verity digest or its metadata")
        if (kind := public_keys.kind(certificate.spki)) not in KINDS:
            raise RefusedError(f"IMA knows RSA and ECDSA keys, not {kind}")
        if content.digest_algorithm not in NUMBERS:
            raise RefusedError(f"IMA does not know {content.digest_algorithm}")
        self.to_be_signed = content.message
        self.digest_algorithm = content.digest_algorithm
        self._kind = _KIND[content.content_type]
        self._certificate = certificate

    def finish(self, signature: bytes) -> bytes:
        """Header and signature. Raises RefusedError when it is not the signer's over `to_be_signed`."""
        certificate, name = self._certificate, self.digest_algorithm
        by_key = algorithms.SignatureAlgorithm("by-key", None)
        belonging.confirm(certificate, by_key, signature, self.to_be_signed, name)
        return write(self._kind, name, certificate.short_key_id, signature)


def draft(
    content: Content,
    signer: Signer,
    certificates: Sequence[bytes],
    *,
    signing_time: dt.datetime | None,  # noqa: ARG001 - there is no place for it
) -> ImaDraft:
    """Prepare a signature over `content.message`. Raises RefusedError where certificate and key do not fit."""
    certificate = belonging.certificate_of(signer, certificates)
    if signer.algorithm not in KINDS:
        raise RefusedError(f"IMA knows RSA (PKCS #1 v1.5) and ECDSA keys, not {signer.algorithm}")
    return ImaDraft(content, certificate)


def resume(content: Content, to_be_signed: bytes, certificates: Sequence[bytes]) -> ImaDraft:
    """Take up a draft whose `to_be_signed` was signed elsewhere. Raises RefusedError when that is another content."""
    if to_be_signed != content.message:
        raise RefusedError("what was signed is for another content: the file was changed since, or it is another file")
    return ImaDraft(content, belonging.first(certificates))
