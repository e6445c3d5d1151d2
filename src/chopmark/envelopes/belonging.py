"""That a certificate, a key and a signature belong together: asked before anything is signed or enveloped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError, RefusedError
from chopmark.envelopes import signatures, x509

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.contracts import Signer
    from chopmark.envelopes.algorithms import SignatureAlgorithm


def first(certificates: Sequence[bytes]) -> x509.Certificate:
    """The signer's certificate, the first of those that are given (DER). Raises RefusedError when there is none."""
    if not certificates:
        raise RefusedError("a signature needs the signer's certificate")
    return x509.certificate(certificates[0])


def certificate_of(signer: Signer, certificates: Sequence[bytes]) -> x509.Certificate:
    """The first certificate, which is the signer's. Raises RefusedError when it is for another key."""
    certificate = first(certificates)
    if certificate.spki != signer.public_key:
        raise RefusedError(f"the certificate of {certificate.subject_text} is for another key")
    return certificate


def confirm(
    certificate: x509.Certificate, algorithm: SignatureAlgorithm, signature: bytes, message: bytes, digest: str
) -> None:
    """Raises RefusedError when a signature over `message`, with this digest, is not by the key of `certificate`."""
    try:
        signatures.verify(certificate.spki, algorithm, signature, message, digest)
    except MalformedError as error:
        problem = f"the signature does not fit the certificate of {certificate.subject_text}: {error}"
        raise RefusedError(problem) from None
