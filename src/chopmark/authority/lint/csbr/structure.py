"""Rules for every certificate: RFC 5280, and what the requirements say of keys, numbers and algorithms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.authority.lint import reasons, weak_keys
from chopmark.authority.lint.csbr import strictness
from chopmark.authority.lint.csbr.case import AUTHORITIES, BOUND, SIGNERS, Case, Kind, Rule, at
from chopmark.core.errors import MalformedError
from chopmark.envelopes import algorithms, der, public_keys, x509

if TYPE_CHECKING:
    import datetime as dt

_SERIAL_OCTETS_OWN, _SERIAL_OCTETS_MIN, _SERIAL_OCTETS_MAX = 9, 8, 20
_UTC_TIME_LAST = 2049
_CURVES = {"1.2.840.10045.3.1.7": "P-256", "1.3.132.0.34": "P-384", "1.3.132.0.35": "P-521"}
_NEED_NULL = ("rsa",)
_NEED_NOTHING = ("ecdsa", "ed25519", *algorithms.ML_DSA.values())
_STRONG = ("sha256", "sha384", "sha512")
_SHA1_CODE_END = at(2021, 6, 1)
_SHA1_TIME_END = at(2022, 5, 1)
_LARGER_KEYS = at(2021, 6, 1)
_CA_4096 = at(2022, 6, 29)
"""Version 3.0 says 4096 without a doubt; the table of dates in 1.2.2 says 3072 for CAs from 2021-06-01."""


def _version(subject: Case) -> str:
    if subject.certificate.version != 3:  # noqa: PLR2004 - version 3
        return f"version {subject.certificate.version}"
    tags = {node.tag for node in strictness.tbs_fields(subject.certificate)}
    unique = tags & {der.context(1, constructed=False), der.context(2, constructed=False)}
    return "it has unique identifiers" if unique else ""


def _serial(subject: Case) -> str:
    octets = subject.certificate.serial_octets
    shortest = _SERIAL_OCTETS_OWN if subject.own else 1
    if subject.certificate.serial <= 0 or not shortest <= len(octets) <= _SERIAL_OCTETS_MAX:
        return f"the serial number {octets[: _SERIAL_OCTETS_MAX + 1].hex()}"
    return ""


def _serial_length(subject: Case) -> str | None:
    """Whether 64 bits were drawn does not show; that fewer can have been, does: eight octets hold 63 and the sign."""
    octets = len(subject.certificate.serial_octets)
    return f"it has {octets} octets" if octets <= _SERIAL_OCTETS_MIN else ""


def _times(subject: Case) -> str:
    since, until = subject.certificate.not_before, subject.certificate.not_after
    if until <= since:
        return "it ends before it begins"
    fields = strictness.tbs_fields(subject.certificate)
    validity = fields[4 if fields[0].tag == der.context(0) else 3]
    for node, moment in zip(validity.children(), (since, until), strict=True):
        right = der.UTC_TIME if moment.year <= _UTC_TIME_LAST else der.GENERALIZED_TIME
        if node.tag != right or moment.microsecond:
            return f"the time {node.value.decode('latin-1')!r} is of the wrong type, or has a fraction"
    return ""


def _parameters(subject: Case) -> str:
    certificate = subject.certificate
    if certificate.signature_algorithm_raw != certificate.inner_algorithm_raw:
        return "the algorithm inside differs from the one outside"
    parts = der.parse(certificate.signature_algorithm_raw).children()
    kind = certificate.signature_algorithm.kind
    if kind in _NEED_NULL and (len(parts) == 1 or parts[1].tag != der.NULL):
        return "an RSA signature algorithm without NULL"
    return f"an {kind} signature algorithm with parameters" if kind in _NEED_NOTHING and len(parts) > 1 else ""


def _signature(subject: Case) -> str | None:
    """SHA-1 until 2021-06-01 (1.2.2), for time-stamp certificates until 2022-04-30 (7.1.3.2.1)."""
    if subject.kind is Kind.ROOT and not subject.own:
        return None  # nobody relies on how a root signs itself
    algorithm = subject.certificate.signature_algorithm
    if algorithm.digest == "sha1" and algorithm.kind == "rsa":
        end = _SHA1_TIME_END if subject.kind is Kind.TIME else _SHA1_CODE_END
        return "" if subject.since < end else f"SHA-1 after {end:%Y-%m-%d}"
    good = algorithm.kind in ("rsa", "rsa-pss", "ecdsa") and algorithm.digest in _STRONG
    return "" if good else f"signed with {algorithms.shown(algorithm)}"


def rsa_bits(kind: Kind, since: dt.datetime) -> int:
    """The smallest RSA modulus for a certificate of this kind issued then (CSBR 6.1.5, 1.2.2)."""
    if since < _LARGER_KEYS:
        return 2048
    return 4096 if kind in AUTHORITIES and since >= _CA_4096 else 3072


def key_text(spki: bytes) -> str:
    """What kind of key it is, for people. Raises UnsupportedError."""
    kind, size = public_keys.kind(spki), public_keys.size(spki)
    if kind == "rsa":
        return f"RSA with {size} bits"
    return _CURVES.get(curve(spki), f"the curve {curve(spki)}") if kind == "ec" else kind


def curve(spki: bytes) -> str:
    """The identifier of an elliptic-curve key's curve."""
    return der.parse(spki).children()[0].children()[-1].oid()


def _key_size(subject: Case) -> str:
    spki = subject.certificate.spki
    try:
        kind = public_keys.kind(spki)
    except algorithms.UnsupportedError as error:
        return str(error)
    if kind == "rsa":
        good = public_keys.size(spki) >= rsa_bits(subject.kind, subject.since)
    else:
        good = kind == "ec" and curve(spki) in _CURVES
    return "" if good else f"a key of {key_text(spki)}"


def _key_quality(subject: Case) -> str:
    return weak_keys.fault(subject.certificate.spki, usual=subject.own)


def _exponent(subject: Case) -> str | None:
    exponent = weak_keys.exponent(subject.certificate.spki)
    if exponent is None:
        return None
    return "" if 2**16 < exponent < 2**256 else f"the exponent is {exponent if exponent < 2**64 else 'enormous'}"


def _identifiers(subject: Case) -> str:
    certificate = subject.certificate
    own, above = (certificate.extensions.get(oid) for oid in (x509.SUBJECT_KEY_ID, x509.AUTHORITY_KEY_ID))
    if own is None and (subject.kind in AUTHORITIES or subject.own):
        return "the subject's key identifier is missing"
    if above is None and subject.kind is not Kind.ROOT:
        return "the issuer's key identifier is missing"
    if any(extension and extension.critical for extension in (own, above)):
        return "a key identifier is critical"
    if (
        subject.own
        and subject.kind in SIGNERS
        and certificate.subject_key_id != x509.subject_key_identifier(certificate.spki)
    ):
        return "the subject's key identifier is another key's"
    named, issuer = certificate.authority_key_id, subject.issuer
    if issuer is not None and named is not None and issuer.subject_key_id not in (None, named):
        return "the issuer's key identifier is another key's"
    return ""


def _chained(subject: Case) -> str | None:
    if subject.issuer is None:
        return None
    return "" if subject.certificate.issuer == subject.issuer.subject else "the issuer's name is not the CA's"


def nested(subject: Case) -> str | None:
    """Whether it ends before the CA above it does; nobody forbids it to others, but such a path ends early."""
    certificate, issuer = subject.certificate, subject.issuer
    if issuer is None:
        return None
    outlives = certificate.not_after > issuer.not_after
    return f"it outlives the CA that issues it, which ends {issuer.not_after:%Y-%m-%d}" if outlives else ""


def _signed(subject: Case) -> str | None:
    if subject.issuer is None or not subject.signed:
        return None
    try:
        subject.certificate.verify_signed_by(subject.issuer.spki)
    except algorithms.UnsupportedError:
        raise
    except MalformedError as error:
        return str(error)
    return ""


def _der(subject: Case) -> str:
    return strictness.fault(subject.certificate)


RULES = (
    Rule(reasons.DER, _der),
    Rule(reasons.VERSION, _version),
    Rule(reasons.SERIAL, _serial),
    Rule(reasons.SERIAL_LENGTH, _serial_length, BOUND, csbr=True),
    Rule(reasons.TIMES, _times),
    Rule(reasons.ALGORITHM_PARAMETERS, _parameters),
    Rule(reasons.SIGNATURE, _signature, BOUND, csbr=True),
    Rule(reasons.KEY_SIZE, _key_size, SIGNERS | AUTHORITIES, csbr=True),
    Rule(reasons.KEY_QUALITY, _key_quality),
    Rule(reasons.EXPONENT, _exponent),
    Rule(reasons.KEY_IDENTIFIERS, _identifiers),
    Rule(reasons.NAME_CHAINED, _chained),
    Rule(reasons.VALIDITY_NESTED, nested),
    Rule(reasons.SIGNED_BY, _signed),
)


def known_extensions(subject: Case) -> str:
    """Critical extensions that nothing here understands (RFC 5280 clause 4.2)."""
    unknown = [oid for oid, each in subject.certificate.extensions.items() if each.critical and oid not in _UNDERSTOOD]
    return f"critical and unknown: {', '.join(unknown)}" if unknown else ""


_UNDERSTOOD = frozenset(
    (
        x509.KEY_USAGE,
        x509.EXTENDED_KEY_USAGE,
        x509.BASIC_CONSTRAINTS,
        x509.NAME_CONSTRAINTS,
        x509.CERTIFICATE_POLICIES,
        x509.POLICY_MAPPINGS,
        x509.POLICY_CONSTRAINTS,
        x509.INHIBIT_ANY_POLICY,
        x509.SUBJECT_ALT_NAME,
        x509.SUBJECT_KEY_ID,
        x509.AUTHORITY_KEY_ID,
        x509.CRL_DISTRIBUTION_POINTS,
        x509.AUTHORITY_INFORMATION_ACCESS,
    )
)
