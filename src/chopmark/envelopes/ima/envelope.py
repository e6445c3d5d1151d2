"""A signature of IMA's or EVM's, checked with the certificates whose key identifier ends as it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import digest as digests
from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.proof import Proof
from chopmark.core.signer import SignerId
from chopmark.envelopes import algorithms, public_keys, signatures, x509
from chopmark.envelopes.cms import reasons as cms_reasons
from chopmark.envelopes.ima import reasons
from chopmark.envelopes.ima.header import CONTENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.contracts import KeySource
    from chopmark.core.finding import Finding
    from chopmark.core.seal import Payload
    from chopmark.envelopes.ima.header import Header

_BY_KEY = algorithms.SignatureAlgorithm("by-key", None)
"""RSA with PKCS #1 v1.5, or ECDSA: the key says which (Linux, security/integrity/digsig_asymmetric.c)."""
KINDS = ("rsa", "ec")


class ImaEnvelope:
    """One signature: parsed, not verified. Its first claim is the digest that is signed.

    `below` is a digest algorithm that what is signed rests on in turn: a digest of the file among its metadata.
    """

    scheme = "ima"

    def __init__(self, header: Header, below: str = "") -> None:
        self.header = header
        self._weakest = digests.weakest([header.digest_algorithm, *([below] if below else [])])

    @property
    def raw(self) -> bytes:
        """Header and signature as found."""
        return self.header.raw

    @property
    def digest_algorithm(self) -> str:
        """Of what is signed."""
        return self.header.digest_algorithm

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What kind of signature it is, and whom it names, for people."""
        return (("kind", CONTENT[self.header.kind]), ("key identifier", "..." + self.header.key_id.hex()))

    def check(self, payloads: Sequence[Payload]) -> Proof:  # noqa: ARG002 - the contract
        """What can be said without the certificates of a store."""
        return self._unknown([])

    def check_with(self, payloads: Sequence[Payload], keys: KeySource) -> Proof:
        """Verify with the certificates that may be meant; never raises for what it finds."""
        findings: list[Finding] = []
        against: list[tuple[x509.Certificate, Finding]] = []
        for raw in keys.certificates(b"", b"", self.header.key_id)[: limits.IMA_SIGNERS_MAX]:
            try:
                certificate = x509.certificate(raw)
                if certificate.short_key_id != self.header.key_id:
                    continue
                _ = certificate.signer_id  # its names are read here, because they may be malformed
            except MalformedError as error:
                findings.append(cms_reasons.CERTIFICATE_UNREADABLE.found(str(error)))
                continue
            finding = self._tried(certificate, payloads[0].value)
            if finding.code == reasons.SIGNATURE.code:
                return self._proof(certificate, [*findings, finding])
            against.append((certificate, finding))
        if not against:
            return self._unknown(findings)
        certificate, finding = against[0]
        return self._proof(certificate, [*findings, finding])

    def _tried(self, certificate: x509.Certificate, digest: bytes) -> Finding:
        name = self.digest_algorithm
        try:
            if (kind := public_keys.kind(certificate.spki)) not in KINDS:
                return reasons.KEY_KIND.found(kind)
            signatures.verify(certificate.spki, _BY_KEY, self.header.signature, digest, name, digested=True)
        except signatures.BadSignatureError:
            return reasons.SIGNATURE_WRONG.found(certificate.subject_text)
        except public_keys.ForbiddenKeyError as error:
            return cms_reasons.KEY_FORBIDDEN.found(str(error))
        except MalformedError as error:
            return cms_reasons.SIGNATURE_UNSUPPORTED.found(str(error))
        return reasons.SIGNATURE.found(f"{kind} with {name}, {certificate.subject_text}")

    def _unknown(self, findings: list[Finding]) -> Proof:
        name = f"key identifier ...{self.header.key_id.hex()}"
        unknown = reasons.SIGNER_UNKNOWN.found(name)
        return Proof(SignerId("x509", name, ""), self._weakest, (*findings, unknown))

    def _proof(self, certificate: x509.Certificate, findings: list[Finding]) -> Proof:
        return Proof(certificate.signer_id, self._weakest, tuple(findings), (certificate.raw,))
