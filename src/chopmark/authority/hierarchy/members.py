"""CA certificates of an authority before they are signed: a root, a CA below one, one CA certified by another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.authority.issuing import certificates, profiles
from chopmark.authority.issuing.certificates import Crossing, Place
from chopmark.authority.lint import linter
from chopmark.envelopes import names, public_keys, x509

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.authority.issuing.profiles import AuthorityProfile
    from chopmark.authority.register.records import Issuer
    from chopmark.core.contracts import Signer


def subject(organisation: str, title: str, country: str) -> bytes:
    """The Name of one of an organisation's CAs. Raises UsageError for what cannot stand in a certificate."""
    parts = [("O", organisation), ("CN", f"{organisation} {title}")]
    if country:
        parts.append(("C", country.upper()))
    return names.encode(names.ordered(parts))


def place(base: str, name: str) -> Place:
    """Where a CA's CRL and certificate are served."""
    return Place(f"{base}crl/{name}.crl", f"{base}aia/{name}.cer")


def member(
    profile: AuthorityProfile, name: bytes, spki: bytes, issuer: Issuer | None, above: Signer, since: dt.datetime
) -> certificates.Draft:
    """A CA's own certificate, which it signs itself when there is no `issuer`. Raises IssueRefusedError."""
    profile = profile.below(public_keys.kind(above.public_key))
    until = profiles.last_second(since, months=profile.months)
    draft = certificates.Draft(
        certificates.new_serial(),
        issuer.certificate.subject if issuer else name,
        name,
        spki,
        since,
        min(until, issuer.certificate.not_after) if issuer else until,
        certificates.authority_extensions(
            profile,
            spki,
            (issuer.certificate.subject_key_id if issuer else None) or x509.subject_key_identifier(above.public_key),
            issuer.place if issuer else Place("", ""),
        ),
    )
    linter.require(linter.authority(draft.unsigned(above), issuer.certificate if issuer else None, profile))
    return draft


@dataclass(frozen=True, slots=True)
class Certified:
    """Whose CA is to be certified by another: its name and key as they are, its key identifier, from when to when."""

    subject: bytes
    spki: bytes
    key_id: bytes
    not_before: dt.datetime
    not_after: dt.datetime
    granted: Crossing
    ours: bool


def cross(certified: Certified, issuer: Issuer, above: Signer) -> certificates.Draft:
    """A CA's certificate from another CA than the one above it. Raises IssueRefusedError.

    The subject's key identifier stays what it was: certificates that it has issued refer to it.
    """
    draft = certificates.Draft(
        certificates.new_serial(),
        issuer.certificate.subject,
        certified.subject,
        certified.spki,
        certified.not_before,
        min(certified.not_after, issuer.certificate.not_after),
        certificates.crossing_extensions(
            certified.granted, certified.key_id, issuer.certificate.subject_key_id or b"", issuer.place
        ),
    )
    linter.require(linter.crossed(draft.unsigned(above), issuer.certificate, ours=certified.ours))
    return draft
