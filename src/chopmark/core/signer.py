"""Who signed."""

from __future__ import annotations

from typing import NamedTuple


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
