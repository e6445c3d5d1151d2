"""A signature made with an SSH key. The key travels along, so that integrity can be checked; trust is the store's."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from chopmark.core import clock
from chopmark.core import digest as digests
from chopmark.core.errors import MalformedError
from chopmark.core.proof import Proof
from chopmark.core.signer import SignerId
from chopmark.envelopes.ssh import keys, reasons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.finding import Finding
    from chopmark.core.seal import Payload
    from chopmark.envelopes.ssh.sshsig import Signature

FILE = "file"
"""The namespace of signed files."""


class SshEnvelope:
    """One signature file: parsed, not verified."""

    scheme = "ssh"
    over_digest = True

    def __init__(self, signature: Signature, namespace: str = FILE) -> None:
        """`namespace` is what the signature must have been made for."""
        self.signature = signature
        self._namespace = namespace

    @property
    def raw(self) -> bytes:
        """The file as found."""
        return self.signature.raw

    @property
    def digest_algorithm(self) -> str:
        """The digest of the content that is signed."""
        return self.signature.digest_algorithm

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What the signature says of itself, for people."""
        return (
            ("namespace", self.signature.namespace),
            ("key", f"{self.signature.key.kind} {self.signature.key.shown}"),
        )

    def check(self, payloads: Sequence[Payload]) -> Proof:
        """Verify the signature with the key in it, and that key's certificate."""
        signature = self.signature
        try:
            answer = keys.verify(signature.key, signature.value, signature.covered(payloads[0].value))
        except MalformedError as error:
            return Proof(None, self.digest_algorithm, (reasons.ALGORITHM.found(str(error)),))
        findings = [reasons.SIGNATURE.found() if answer.holds else reasons.SIGNATURE_WRONG.found()]
        if signature.namespace != self._namespace:
            findings.append(reasons.NAMESPACE.found(f"{signature.namespace!r} instead of {self._namespace!r}"))
        if answer.flags is not None and not answer.flags & keys.USER_PRESENT:
            findings.append(reasons.UNTOUCHED.found())
        findings += self._certificate()
        weakest = digests.weakest((self.digest_algorithm, answer.digest_algorithm))
        return Proof(self._signer(), weakest, tuple(findings))

    def _certificate(self) -> list[Finding]:
        certificate = self.signature.key.certificate
        if certificate is None:
            return []
        fault = ""
        if not certificate.signed:
            fault = "not signed by the key that it names"
        elif not certificate.user:
            fault = "not for a user"
        elif certificate.critical:  # they limit log-ins; none is known for signatures, so none may be passed over
            fault = f"the critical options {', '.join(certificate.critical)}"
        elif any("," in name for name in certificate.principals):
            fault = "a name with a comma in it, which looks like two"
        elif any("\ufffd" in name for name in certificate.principals):
            fault = "a name that is not UTF-8, which could pass for another"
        return [reasons.CERTIFICATE_WRONG.found(fault) if fault else reasons.CERTIFICATE.found(certificate.key_id)]

    def _signer(self) -> SignerId:
        key = self.signature.key
        claims = [("namespace", self.signature.namespace), ("fingerprint", key.shown)]
        subject = f"{key.kind} {key.shown}"
        if key.certificate is not None:
            held = key.certificate
            subject = f"{held.key_id} ({key.shown})"
            claims += [
                ("authority", hashlib.sha256(held.authority).hexdigest()),
                ("valid_after", clock.show(held.valid_after)),
                ("valid_before", clock.show(held.valid_before)),
                ("principals", ",".join(held.principals)),
            ]
        return SignerId("ssh", subject, hashlib.sha256(key.blob).hexdigest(), tuple(claims))
