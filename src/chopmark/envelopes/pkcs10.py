"""Certification requests (PKCS #10, RFC 2986): a public key, a name, and proof of having the private key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.envelopes import algorithms, der, pem, signatures

if TYPE_CHECKING:
    from chopmark.core.contracts import Signer

LABELS = ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")


class CertificationRequest:
    """A request as read: `subject` and `spki` are original DER. Nothing is believed before `verify`.

    What else it asks for (extensions among its attributes) is not looked at: an authority's profile decides that.
    """

    def __init__(self, raw: bytes) -> None:
        """Read a request in DER. Raises DerError."""
        outer = der.parse(raw).fields()
        information = outer.take(der.SEQUENCE)
        self._algorithm = outer.take(der.SEQUENCE)
        self._signature = outer.take().bit_string()
        outer.done()
        fields = information.fields()
        if fields.take(der.INTEGER).integer() != 0:
            raise der.DerError("not version 1 of a certification request")
        self.raw = raw
        self.subject = fields.take(der.SEQUENCE).raw
        self.spki = fields.take(der.SEQUENCE).raw
        fields.optional(der.context(0))  # real requests leave the empty attributes out, against the grammar
        fields.done()
        self._information = information.raw

    def verify(self) -> None:
        """Check that the request is signed by its own key. Raises BadSignatureError, UnsupportedError."""
        algorithm = algorithms.signature_algorithm(self._algorithm)
        signatures.verify(self.spki, algorithm, self._signature, self._information)


def read(data: bytes) -> CertificationRequest:
    """A request in DER or PEM. Raises MalformedError."""
    return CertificationRequest(pem.single(data, *LABELS))


def build(subject: bytes, signer: Signer, digest: str = "sha256") -> bytes:
    """The DER of a request for `subject` (the DER of a Name), signed by the key it is for."""
    information = der.sequence(der.integer(0), subject, signer.public_key, der.explicit(0))
    signature = signer.sign(information, digest)
    return der.sequence(information, algorithms.signature_identifier(signer, digest), der.bit_string(signature))
