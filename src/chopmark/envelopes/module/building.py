"""Making signatures of kernel modules, to the byte as the kernel's own scripts/sign-file makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import RefusedError
from chopmark.envelopes import algorithms, belonging, der, public_keys, x509
from chopmark.envelopes.cms import oids
from chopmark.envelopes.cms.building import enveloped

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from chopmark.core.contracts import Content, Signer

_KINDS = ("rsa", "ec")


class BareDraft:
    """A signature over the content itself that lacks nothing but the signature.

    `to_be_signed` is the content, which the key signs with `digest_algorithm`; `carried` are certificates (DER) that
    travel along, which modules have none of; `null` writes the digest's parameters out, as PKCS #7 1.5 does.
    """

    def __init__(
        self,
        to_be_signed: bytes,
        digest_algorithm: str,
        certificate: x509.Certificate,
        carried: Sequence[bytes] = (),
        *,
        null: bool = False,
    ) -> None:
        """Raises RefusedError for a key that the kernel does not know."""
        kind = public_keys.kind(certificate.spki)
        if kind not in _KINDS:
            raise RefusedError(f"the kernel knows RSA (PKCS #1 v1.5) and ECDSA keys, not {kind}")
        self.to_be_signed = to_be_signed
        self.digest_algorithm = digest_algorithm
        self._certificate = certificate
        self._carried = sorted(set(carried))
        self._parameters = der.null() if null else b""
        [self._identifier, *_] = algorithms.identifiers_for(public_keys.kind(certificate.spki), digest_algorithm)

    def finish(self, signature: bytes) -> bytes:
        """DER of the ContentInfo. Raises RefusedError when the signature is not the signer's over `to_be_signed`."""
        certificate, name = self._certificate, self.digest_algorithm
        algorithm = algorithms.signature_algorithm(der.parse(self._identifier))
        belonging.confirm(certificate, algorithm, signature, self.to_be_signed, name)
        digest_identifier = der.sequence(der.oid(algorithms.OID_BY_DIGEST[name]), self._parameters)
        signer_info = der.sequence(
            der.integer(1),
            der.sequence(certificate.issuer, der.encode(der.INTEGER, certificate.serial_octets)),
            digest_identifier,
            self._identifier,
            der.octet_string(signature),
        )
        return enveloped(der.sequence(der.oid(oids.DATA)), digest_identifier, signer_info, self._carried)


def draft(
    content: Content,
    signer: Signer,
    certificates: Sequence[bytes],
    *,
    signing_time: dt.datetime | None,  # noqa: ARG001 - there is no place for it
) -> BareDraft:
    """Prepare a signature over `content.message`. Raises RefusedError where certificate and key do not fit."""
    certificate = belonging.certificate_of(signer, certificates)
    if signer.algorithm not in _KINDS:
        raise RefusedError(f"the kernel knows RSA (PKCS #1 v1.5) and ECDSA keys, not {signer.algorithm}")
    return BareDraft(_message(content), content.digest_algorithm, certificate)


def resume(content: Content, to_be_signed: bytes, certificates: Sequence[bytes]) -> BareDraft:
    """Take up a draft whose `to_be_signed` was signed elsewhere. Raises RefusedError when that is another content."""
    if to_be_signed != _message(content):
        raise RefusedError("what was signed is for another content: the file was changed since, or it is another file")
    return BareDraft(to_be_signed, content.digest_algorithm, belonging.first(certificates))


def _message(content: Content) -> bytes:
    if content.message is None:
        raise RefusedError("a module's signature is over the module itself, and there is none")
    return content.message
