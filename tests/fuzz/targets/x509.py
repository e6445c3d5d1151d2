"""Certificates: reading one, and everything that can be asked of it."""

from collections.abc import Iterable

from cryptography import x509 as oracle
from cryptography.x509.oid import AuthorityInformationAccessOID

from chopmark.envelopes import public_keys, x509
from chopmark.trust import identities
from tests.support import der_trees, fulcio, pki, probing


def seeds() -> Iterable[bytes]:
    for kind in ("p256", "ed25519", "rsa1024"):
        yield pki.world(kind).signer.der
    points = [oracle.DistributionPoint([oracle.UniformResourceIdentifier("http://a/b.crl")], None, None, None)]
    access = oracle.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS, oracle.UniformResourceIdentifier("http://a/b.crt")
    )
    more = (
        pki.Extension(oracle.CRLDistributionPoints(points)),
        pki.Extension(oracle.AuthorityInformationAccess([access])),
    )
    yield pki.leaf(pki.world().root, "Points", more=more).der
    yield pki.world().issuing.der
    yield fulcio.workflow(pki.world().issuing).der


mutate = der_trees.mutate


def run(data: bytes) -> None:
    probing.clearly(lambda: examine(x509.Certificate(data)))


def examine(certificate: x509.Certificate) -> None:
    probing.look_at(certificate)
    for method in (x509.ACCESS_CA_ISSUERS, x509.ACCESS_OCSP):
        probing.clearly(lambda method=method: certificate.access_urls(method))  # type: ignore[misc]
    probing.clearly(lambda: certificate.verify_signed_by(certificate.spki))
    probing.clearly(lambda: certificate.verify_signed_by(pki.world().issuing.public_key))
    probing.clearly(lambda: public_keys.size(certificate.spki))
    probing.clearly(lambda: identities.identity(certificate))
    probing.clearly(lambda: x509.subject_key_identifier(certificate.spki))
