"""Certificates as Fulcio issues them: for who somebody was to an issuer of identities, for ten minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from chopmark.envelopes import der
from tests.support import pki

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ARC = "1.3.6.1.4.1.57264.1"
ISSUER = "https://token.actions.githubusercontent.com"
SUBJECT = "https://github.com/mint/coins/.github/workflows/release.yml@refs/heads/main"
USER_NAME = x509.ObjectIdentifier(f"{ARC}.7")


def extension(number: int, value: bytes) -> pki.Extension:
    """One of Fulcio's, with a value as it is."""
    return pki.Extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{ARC}.{number}"), value))


def said(claims: Mapping[int, str]) -> list[pki.Extension]:
    """Claims by their numbers; the old form of the issuer has no string type."""
    return [extension(number, text.encode() if number == 1 else der.utf8(text)) for number, text in claims.items()]


def names(*values: x509.GeneralName) -> list[pki.Extension]:
    return [pki.Extension(x509.SubjectAlternativeName(values), critical=True)]


def leaf(issuer: pki.Entity, more: Sequence[pki.Extension]) -> pki.Entity:
    """A certificate without a subject but its alternative names."""
    profile = [
        pki.Extension(pki.key_usage("digital_signature"), critical=True),
        pki.Extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])),
        *more,
    ]
    return pki.issue(x509.Name([]), pki.key("p256", "keyless"), issuer, profile)


def workflow(issuer: pki.Entity) -> pki.Entity:
    """A pipeline's certificate."""
    claims = {1: ISSUER, 8: ISSUER, 11: "github-hosted", 12: "https://github.com/mint/coins", 14: "refs/heads/main"}
    return leaf(issuer, [*said(claims), *names(x509.UniformResourceIdentifier(SUBJECT))])
