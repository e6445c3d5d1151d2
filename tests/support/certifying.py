"""Certificates that are odd in any way, signed all the same by the authorities of the test world."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509 as oracle
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from chopmark.core.digest import of
from chopmark.core.seal import DATA
from chopmark.envelopes import algorithms, der
from chopmark.envelopes.cms import oids
from tests.support import pki

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Kind = TypeVar("Kind", bound=oracle.ExtensionType)

_ECDSA_SHA256 = der.sequence(der.oid("1.2.840.10045.4.3.2"))
_KNOWN = frozenset(f"2.5.29.{number}" for number in (15, 17, 19, 30, 32, 33, 36, 37, 54))
"""Extensions that may be critical in a certificate that counts."""


def signed_again(raw: bytes, issuer: pki.Entity) -> bytes:
    """A certificate with the signature that its authority would make over what it holds now.

    If it is no such structure, or says that another algorithm was used, it stays as it is.
    """
    try:
        body, algorithm, _ = der.parse(raw).children()
    except (der.DerError, ValueError):
        return raw
    if algorithm.raw != _ECDSA_SHA256:
        return raw
    return der.sequence(body.raw, algorithm.raw, der.bit_string(issuer.sign(body.raw, "sha256")))


def chain(values: Sequence[bytes]) -> list[bytes]:
    """A signer's certificate and perhaps the issuing authority's, signed again; the world's own where there is none."""
    world = pki.world()
    above = [signed_again(raw, world.root) for raw in values[1:2]] or [world.issuing.der]
    return [*(signed_again(raw, world.issuing) for raw in values[:1]), *above]


def sealed(content: bytes, certificates: Sequence[bytes], signer: pki.Entity) -> bytes:
    """A CMS signature over content, whatever its certificates are; the first is named in it as far as it can be."""
    name = algorithms.usual_digest(signer)
    digest = algorithms.digest_identifier(name, signer.algorithm)
    attributes = sorted(
        der.sequence(der.oid(oid), der.set_of([value]))
        for oid, value in (
            (oids.CONTENT_TYPE, der.oid(DATA)),
            (oids.MESSAGE_DIGEST, der.octet_string(of(content, name))),
        )
    )
    made = signer.sign(der.encode(der.SET, *attributes), name)
    info = der.sequence(
        *(der.integer(1), named(certificates[0]), digest, der.explicit(0, *attributes)),
        *(algorithms.signing_identifier(signer, name), der.octet_string(made)),
    )
    body = der.sequence(
        *(der.integer(1), der.set_of([digest]), der.sequence(der.oid(DATA))),
        *(der.explicit(0, *sorted(certificates)), der.set_of([info])),
    )
    return der.sequence(der.oid(oids.SIGNED_DATA), der.explicit(0, body))


def named(certificate: bytes) -> bytes:
    """IssuerAndSerialNumber with the very octets of a certificate; of nobody if it cannot be found in there."""
    try:
        fields = der.parse(certificate).children()[0].children()
        first = 1 if fields[0].tag == der.context(0) else 0
        return der.sequence(fields[first + 2].raw, fields[first].raw)
    except (der.DerError, IndexError):
        return der.sequence(der.sequence(), der.integer(1))


def elaborate() -> pki.Entity:
    """A code signer with everything that certificates of code signers have."""
    reach = oracle.UniformResourceIdentifier
    access = (
        oracle.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, reach("http://a.example.org/b.crt")),
        oracle.AccessDescription(AuthorityInformationAccessOID.OCSP, reach("http://a.example.org/ocsp")),
    )
    statement = oracle.UserNotice(oracle.NoticeReference("Mint", [1, 2]), "a notice")
    more: Iterable[oracle.ExtensionType] = (
        oracle.CRLDistributionPoints(
            [oracle.DistributionPoint([reach("http://a.example.org/b.crl")], None, None, None)]
        ),
        oracle.AuthorityInformationAccess(access),
        oracle.CertificatePolicies(
            [oracle.PolicyInformation(oracle.ObjectIdentifier("2.23.140.1.4.1"), ["https://a.example.org/", statement])]
        ),
        oracle.SubjectAlternativeName(
            [oracle.RFC822Name("a@example.org"), oracle.DNSName("a.example.org"), oracle.DirectoryName(pki.name("x"))]
        ),
        oracle.BasicConstraints(ca=False, path_length=None),
    )
    return pki.leaf(constrained(), "Elaborate", more=[pki.Extension(each) for each in more])


def constrained() -> pki.Entity:
    """The issuing authority with a certificate that limits what it may issue."""
    names = oracle.NameConstraints(
        [oracle.DNSName("example.org"), oracle.RFC822Name("example.org"), oracle.DirectoryName(oracle.Name([]))],
        [oracle.DNSName("b.example.org")],
    )
    policies = oracle.CertificatePolicies([oracle.PolicyInformation(oracle.ObjectIdentifier("2.5.29.32.0"), None)])
    more = (
        pki.Extension(names, critical=True),
        pki.Extension(policies),
        pki.Extension(oracle.PolicyConstraints(5, None), critical=True),
        pki.Extension(oracle.InhibitAnyPolicy(5), critical=True),
        pki.Extension(oracle.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])),
    )
    return pki.authority("Example Issuing", issuer=pki.world().root, path_length=0, more=more)


def faults(chain: Sequence[bytes]) -> list[str]:
    """Why the signer with this chain must not be believed, as cryptography reads certificates: none for a good one.

    It reads what nothing rests on as well (qualifiers of policies) and compares names octet by octet. Whether it reads
    a chain at all is its own affair.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it may refuse one day is not what it refuses
        try:
            return _told(*(oracle.load_der_x509_certificate(raw) for raw in chain))
        except (ValueError, oracle.UnsupportedGeneralNameType):
            return []


def _told(signer: oracle.Certificate, issuing: oracle.Certificate) -> list[str]:
    said = [f"{name}: {fault}" for name, each in (("signer", signer), ("issuing", issuing)) for fault in _faults(each)]
    purposes = _value(signer, oracle.ExtendedKeyUsage)
    usage, limit = _value(signer, oracle.KeyUsage), _value(issuing, oracle.KeyUsage)
    basic = _value(issuing, oracle.BasicConstraints)
    holds = {
        "signer: for another purpose": purposes is not None and ExtendedKeyUsageOID.CODE_SIGNING in purposes,
        "signer: key usage": usage is None or usage.digital_signature or usage.content_commitment,
        "issuing: key usage": limit is None or limit.key_cert_sign,
        "issuing: no authority": basic is not None and basic.ca,
    }
    for certificate, above in ((signer, issuing), (issuing, pki.world().root.certificate)):
        certificate.verify_directly_issued_by(above)
    return said + [what for what, good in holds.items() if not good]


def _faults(certificate: oracle.Certificate) -> Iterator[str]:
    if certificate.version != oracle.Version.v3:
        yield "version"
    if not certificate.not_valid_before_utc <= pki.NOW <= certificate.not_valid_after_utc:
        yield "time"
    for extension in certificate.extensions:
        if extension.critical and extension.oid.dotted_string not in _KNOWN:
            yield f"critical {extension.oid.dotted_string}"


def _value(certificate: oracle.Certificate, kind: type[Kind]) -> Kind | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except oracle.ExtensionNotFound:
        return None
