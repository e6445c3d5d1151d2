"""Which certificate the signer meant: SigningCertificate (RFC 2634 clause 5.4) and SigningCertificateV2 (RFC 5035)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from chopmark.core import digest, limits
from chopmark.envelopes import algorithms, der, x509
from chopmark.envelopes.cms import oids

if TYPE_CHECKING:
    from chopmark.envelopes.cms.reading import SignerInfo

_DIRECTORY_NAME = der.context(4)


def named_certificate(signer: SignerInfo, certificate: x509.Certificate) -> bool | None:
    """Whether the signed attributes name this certificate as the signer's; None when they name none.

    Both attributes must agree where both stand. Raises DerError or UnsupportedError when one is malformed.
    """
    answers = []
    for oid in (oids.SIGNING_CERTIFICATE, oids.SIGNING_CERTIFICATE_V2):
        if oid in signer.signed_attributes:
            node = signer.single(oid)
            if node is None:
                raise der.DerError(f"attribute {oid} stands twice or has several values")
            names = _names if node.end - node.start <= limits.EXTENSION_KEPT_MAX else _names.__wrapped__
            answers.append(names(node.raw, certificate, modern=oid == oids.SIGNING_CERTIFICATE_V2))
    return all(answers) if answers else None


@lru_cache(maxsize=64)  # all signatures by one signer say the same
def _names(raw: bytes, certificate: x509.Certificate, *, modern: bool) -> bool:
    """Compare the first identifier, which is the signer's; those after it limit the path and are trust's to use."""
    fields = der.parse(raw).fields()
    identifiers = fields.take(der.SEQUENCE).children()
    fields.optional(der.SEQUENCE)
    fields.done()
    if not identifiers:
        raise der.DerError("an empty list of signing certificates")
    parts = identifiers[0].fields()
    algorithm = "sha1"
    if modern:
        named = parts.optional(der.SEQUENCE)
        algorithm = algorithms.digest_name(named) if named else "sha256"
    expected = parts.take().octets()
    issuer_serial = parts.optional(der.SEQUENCE)
    parts.done()
    if digest.of(certificate.raw, algorithm) != expected:
        return False
    return issuer_serial is None or _same_issuer_and_serial(issuer_serial, certificate)


def _same_issuer_and_serial(node: der.Node, certificate: x509.Certificate) -> bool:
    fields = node.fields()
    names = fields.take(der.SEQUENCE).children()
    serial = fields.take(der.INTEGER).value
    fields.done()
    if serial != certificate.serial_octets:
        return False
    issuer = certificate.issuer_key
    return any(name.tag == _DIRECTORY_NAME and x509.name_key(name.only_child().raw) == issuer for name in names)


@lru_cache(maxsize=8)  # many files by one signer
def attribute(certificate: x509.Certificate, algorithm: str) -> bytes:
    """The value of a SigningCertificateV2 that names this certificate, with issuer and serial number."""
    identifier = () if algorithm == "sha256" else (der.sequence(der.oid(algorithms.OID_BY_DIGEST[algorithm])),)
    issuer_serial = der.sequence(
        der.sequence(der.explicit(4, certificate.issuer)), der.encode(der.INTEGER, certificate.serial_octets)
    )
    certificate_id = der.sequence(*identifier, der.octet_string(digest.of(certificate.raw, algorithm)), issuer_serial)
    return der.sequence(der.sequence(certificate_id))
