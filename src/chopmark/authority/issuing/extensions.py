"""Extensions of certificates, CRLs and CRL entries (RFC 5280), written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.envelopes import der, x509

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence


def extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    """An Extension; DEFAULT FALSE is not written."""
    flag = (der.boolean(critical),) if critical else ()
    return der.sequence(der.oid(oid), *flag, der.octet_string(value))


def basic_constraints(*, ca: bool, path_length: int | None = None) -> bytes:
    """BasicConstraints, critical for a CA (clause 4.2.1.9)."""
    parts = (der.boolean(ca),) if ca else ()
    length = () if path_length is None else (der.integer(path_length),)
    return extension(x509.BASIC_CONSTRAINTS, der.sequence(*parts, *length), critical=ca)


def key_usage(bits: Iterable[int]) -> bytes:
    """KeyUsage, critical; the numbers of the bits (clause 4.2.1.3). Trailing zero bits are not written."""
    numbers = sorted(bits)
    octets = bytearray(numbers[-1] // 8 + 1)
    for number in numbers:
        octets[number // 8] |= 0x80 >> number % 8
    value = der.encode(der.BIT_STRING, bytes((7 - numbers[-1] % 8,)), bytes(octets))
    return extension(x509.KEY_USAGE, value, critical=True)


def extended_key_usage(purposes: Sequence[str], *, critical: bool) -> bytes:
    """ExtendedKeyUsage (clause 4.2.1.12)."""
    return extension(x509.EXTENDED_KEY_USAGE, der.sequence(*map(der.oid, purposes)), critical=critical)


def subject_key_id(spki: bytes) -> bytes:
    """SubjectKeyIdentifier by method 1 of clause 4.2.1.2."""
    return key_id(x509.subject_key_identifier(spki))


def key_id(identifier: bytes) -> bytes:
    """SubjectKeyIdentifier with a value that is known already."""
    return extension(x509.SUBJECT_KEY_ID, der.octet_string(identifier))


def authority_key_id(issuer: bytes) -> bytes:
    """AuthorityKeyIdentifier with the key identifier alone (clause 4.2.1.1)."""
    return extension(x509.AUTHORITY_KEY_ID, der.sequence(der.implicit(0, issuer)))


def crl_distribution_points(url: str) -> bytes:
    """One distribution point with one URL (clause 4.2.1.13)."""
    return extension(x509.CRL_DISTRIBUTION_POINTS, _points(url))


def freshest_crl(url: str) -> bytes:
    """Where the delta of a list is, in a certificate (clause 4.2.1.15) or in the list itself (clause 5.2.6)."""
    return extension(x509.FRESHEST_CRL, _points(url))


def authority_information_access(issuer_url: str, ocsp_url: str = "") -> bytes:
    """Where the issuer's certificate is, and who answers about its certificates (clause 4.2.2.1)."""
    places = ((x509.ACCESS_OCSP, ocsp_url), (x509.ACCESS_CA_ISSUERS, issuer_url))
    descriptions = [der.sequence(der.oid(method), _uri(url)) for method, url in places if url]
    return extension(x509.AUTHORITY_INFORMATION_ACCESS, der.sequence(*descriptions))


def ocsp_no_check() -> bytes:
    """Nobody need ask whether this responder's certificate was revoked (RFC 6960 clause 4.2.2.2.1)."""
    return extension(x509.OCSP_NO_CHECK, der.null())


def certificate_policies(policies: Sequence[str]) -> bytes:
    """Policies without qualifiers (clause 4.2.1.4)."""
    return extension(x509.CERTIFICATE_POLICIES, der.sequence(*(der.sequence(der.oid(oid)) for oid in policies)))


def name_constraints(permitted: Sequence[bytes], excluded: Sequence[bytes] = ()) -> bytes:
    """NameConstraints, critical, over GeneralNames (clause 4.2.1.10)."""
    parts = [
        der.explicit(number, *(der.sequence(name) for name in names))
        for number, names in enumerate((permitted, excluded))
        if names
    ]
    return extension(x509.NAME_CONSTRAINTS, der.sequence(*parts), critical=True)


def directory_name(name: bytes) -> bytes:
    """A GeneralName that is a Name (DER)."""
    return der.explicit(4, name)


def text_name(number: int, text: str) -> bytes:
    """A GeneralName that is text: 1 e-mail, 2 DNS, 6 URI."""
    return der.implicit(number, text.encode("ascii"))


def crl_number(number: int) -> bytes:
    """CRLNumber (clause 5.2.3)."""
    return extension(x509.CRL_NUMBER, der.integer(number))


def delta_crl_indicator(base: int) -> bytes:
    """DeltaCRLIndicator, critical: the number of the complete list that the delta is added to (clause 5.2.4)."""
    return extension(x509.DELTA_CRL_INDICATOR, der.integer(base), critical=True)


def issuing_distribution_point(url: str) -> bytes:
    """IssuingDistributionPoint, critical, of a list about the user certificates that name this URL (clause 5.2.5)."""
    point = der.explicit(0, der.explicit(0, _uri(url)))
    return extension(x509.ISSUING_DISTRIBUTION_POINT, der.sequence(point, der.implicit(1, b"\xff")), critical=True)


def reason_code(reason: int) -> bytes:
    """ReasonCode of a CRL entry (clause 5.3.1)."""
    return extension(x509.CRL_REASON, der.encode(der.ENUMERATED, bytes((reason,))))


def invalidity_date(moment: dt.datetime) -> bytes:
    """InvalidityDate of a CRL entry (clause 5.3.2), whole seconds."""
    return extension(x509.INVALIDITY_DATE, der.generalized_time(moment.replace(microsecond=0)))


def _points(url: str) -> bytes:
    """CRLDistributionPoints: one point with one URL."""
    return der.sequence(der.sequence(der.explicit(0, der.explicit(0, _uri(url)))))


def _uri(url: str) -> bytes:
    """A GeneralName that is a URI."""
    return der.implicit(6, url.encode("ascii"))
