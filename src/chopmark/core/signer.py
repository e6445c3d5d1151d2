"""Who signed."""

from __future__ import annotations

import hashlib
from typing import NamedTuple


class PublicKey(NamedTuple):
    """A public key that people trust as it is, without a certificate.

    `kind` says whose signatures it is for (minisign, ...); `identifier` is what these name it by; `spki` is the key as
    DER SubjectPublicKeyInfo; `name` is for people.
    """

    kind: str
    identifier: bytes
    spki: bytes
    name: str = ""

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the SubjectPublicKeyInfo, in hex: what a signer is recognised by."""
        return hashlib.sha256(self.spki).hexdigest()


class SignerId(NamedTuple):
    """A signer as the envelope shows them; whether to believe it is trust's business.

    `kind` is x509, openpgp, ssh, oidc or key; `subject` is a name for people (never matched on alone); `fingerprint` is
    the SHA-256 of the public key (SubjectPublicKeyInfo for x509), in hex; `claims` are further facts in order, such as
    ("issuer", ...), ("serial", ...), ("certificate_sha256", ...).
    """

    kind: str
    subject: str
    fingerprint: str
    claims: tuple[tuple[str, str], ...] = ()
