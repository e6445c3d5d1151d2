"""Certificates as an authority writes them: fields, then the bytes to be signed, then the certificate."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.authority.issuing import extensions
from chopmark.authority.issuing.profiles import ROOT
from chopmark.core.errors import RefusedError
from chopmark.envelopes import algorithms, der, public_keys, signatures, x509

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.authority.issuing.profiles import AuthorityProfile, Profile
    from chopmark.core.contracts import Signer

SERIAL_OCTETS = 16
"""All but two bits of it random: CSBR 7.1 wants 64 from a CSPRNG, RFC 5280 clause 4.1.2.2 at most 20 octets."""


def new_serial() -> int:
    """A positive random serial number, always of the same length."""
    return secrets.randbits(8 * SERIAL_OCTETS - 2) | 1 << (8 * SERIAL_OCTETS - 2)


@dataclass(frozen=True, slots=True)
class Draft:
    """A certificate before it is signed. Names are DER, `extensions` encoded ones in order."""

    serial: int
    issuer: bytes
    subject: bytes
    spki: bytes
    not_before: dt.datetime
    not_after: dt.datetime
    extensions: tuple[bytes, ...]

    def to_be_signed(self, algorithm: bytes) -> bytes:
        """The TBSCertificate, version 3 (RFC 5280 clause 4.1.2)."""
        return der.sequence(
            der.explicit(0, der.integer(2)),
            der.integer(self.serial),
            algorithm,
            self.issuer,
            der.sequence(der.time(self.not_before), der.time(self.not_after)),
            self.subject,
            self.spki,
            der.explicit(3, der.sequence(*self.extensions)),
        )

    def unsigned(self, signer: Signer) -> x509.Certificate:
        """A view of the certificate as it will be, with an empty signature, for checking it before it exists."""
        algorithm = algorithms.signature_identifier(signer, digest_for(signer.public_key))
        return x509.Certificate(der.sequence(self.to_be_signed(algorithm), algorithm, der.bit_string(b"")))

    def sign(self, signer: Signer) -> bytes:
        """The certificate in DER. Raises RefusedError when the signature does not verify (a faulty key or machine)."""
        digest = digest_for(signer.public_key)
        algorithm = algorithms.signature_identifier(signer, digest)
        to_be_signed = self.to_be_signed(algorithm)
        signature = verified(signer, to_be_signed, digest)
        return der.sequence(to_be_signed, algorithm, der.bit_string(signature))


def digest_for(spki: bytes) -> str:
    """The digest that an authority's key signs with: as strong as the curve, SHA-256 for RSA."""
    return {384: "sha384", 521: "sha512"}.get(public_keys.size(spki), "sha256")


def verified(signer: Signer, data: bytes, digest: str) -> bytes:
    """A signature that was checked before anybody gets it: a wrong one can give an RSA key away."""
    signature = signer.sign(data, digest)
    algorithm = algorithms.signature_algorithm(der.parse(algorithms.signature_identifier(signer, digest)))
    try:
        signatures.verify(signer.public_key, algorithm, signature, data)
    except signatures.BadSignatureError:
        message = "the authority's key made a signature that does not verify; nothing was issued"
        raise RefusedError(message) from None
    return signature


@dataclass(frozen=True, slots=True)
class Place:
    """Where the issuer's CRL and certificate can be fetched, and who answers OCSP, as its certificates say.

    Empty where they do not. `delta_url` is that of the delta to the CRL.
    """

    crl_url: str
    certificate_url: str
    ocsp_url: str = ""
    delta_url: str = ""


def leaf_extensions(profile: Profile, spki: bytes, issuer_key_id: bytes, place: Place) -> tuple[bytes, ...]:
    """The extensions of CSBR 7.1.2.3, and none besides (7.1.2.4). No subject alternative name: nobody asks it."""
    return (
        extensions.authority_key_id(issuer_key_id),
        extensions.subject_key_id(spki),
        extensions.key_usage(profile.usage),
        extensions.extended_key_usage(profile.purposes, critical=profile.stamps),
        *((extensions.basic_constraints(ca=False),) if profile.constraints else ()),
        *((extensions.certificate_policies(profile.policies),) if profile.policies else ()),
        *_places(place),
        *(extensions.extension(oid, value) for oid, value in profile.more),
    )


def authority_extensions(
    profile: AuthorityProfile, spki: bytes, issuer_key_id: bytes, place: Place
) -> tuple[bytes, ...]:
    """Those of a root (CSBR 7.1.2.1: no purposes, no policies) or of a CA below it (7.1.2.2)."""
    if profile.role == ROOT:
        return crossing_extensions(Crossing(), x509.subject_key_identifier(spki), issuer_key_id, Place("", ""))
    granted = Crossing(profile.purposes, profile.policies, 0)
    return crossing_extensions(granted, x509.subject_key_identifier(spki), issuer_key_id, place)


@dataclass(frozen=True, slots=True)
class Crossing:
    """What one CA grants another: purposes and policies (none: every one), how many CAs below it, and which names.

    `permitted` and `excluded` are GeneralNames in DER (RFC 5280 clause 4.2.1.10).
    """

    purposes: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    path_length: int | None = None
    permitted: tuple[bytes, ...] = ()
    excluded: tuple[bytes, ...] = ()


def crossing_extensions(granted: Crossing, key_id: bytes, issuer_key_id: bytes, place: Place) -> tuple[bytes, ...]:
    """The extensions of a CA certificate with what is granted."""
    return (
        extensions.authority_key_id(issuer_key_id),
        extensions.key_id(key_id),
        extensions.key_usage((x509.KEY_CERT_SIGN, x509.CRL_SIGN)),
        extensions.basic_constraints(ca=True, path_length=granted.path_length),
        *((extensions.extended_key_usage(granted.purposes, critical=False),) if granted.purposes else ()),
        *((extensions.certificate_policies(granted.policies),) if granted.policies else ()),
        *((extensions.name_constraints(granted.permitted, granted.excluded),) if _constrained(granted) else ()),
        *_places(place),
    )


def _constrained(granted: Crossing) -> bool:
    return bool(granted.permitted or granted.excluded)


def _places(place: Place) -> tuple[bytes, ...]:
    crl = (extensions.crl_distribution_points(place.crl_url),) if place.crl_url else ()
    named = place.certificate_url or place.ocsp_url
    access = (extensions.authority_information_access(place.certificate_url, place.ocsp_url),) if named else ()
    delta = (extensions.freshest_crl(place.delta_url),) if place.delta_url else ()
    return (*crl, *access, *delta)


def responder_extensions(spki: bytes, issuer_key_id: bytes) -> tuple[bytes, ...]:
    """Those of a delegated OCSP responder (RFC 6960 clause 4.2.2.2): for that alone, and not itself asked about."""
    return (
        extensions.authority_key_id(issuer_key_id),
        extensions.subject_key_id(spki),
        extensions.key_usage((x509.DIGITAL_SIGNATURE,)),
        extensions.extended_key_usage((x509.EKU_OCSP_SIGNING,), critical=False),
        extensions.ocsp_no_check(),
    )
