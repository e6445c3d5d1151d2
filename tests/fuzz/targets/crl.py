"""Revocation lists: from files, from the network, from whoever signed."""

from collections.abc import Iterable

from cryptography import x509 as oracle

from chopmark.envelopes import pem, x509
from chopmark.trust.crl import origins, revocation_list
from tests.support import der_trees, pki, probing


def seeds() -> Iterable[bytes]:
    world = pki.world()
    serial = world.signer.certificate.serial_number
    plain = pki.crl(world.issuing)
    yield plain
    yield pem.encode("X509 CRL", plain) * 2
    revoked = pki.Revoked(serial, pki.NOW, oracle.ReasonFlags.key_compromise, pki.SINCE)
    point = pki.issuing_point(
        full_name=[oracle.UniformResourceIdentifier("http://a/b.crl")], only_contains_user_certs=True
    )
    more = (pki.Extension(point, critical=True),)
    yield pki.crl(world.issuing, [pki.Revoked(serial + 1, pki.NOW), revoked, pki.Revoked(5, pki.NOW)], more=more)


mutate = der_trees.mutate


def run(data: bytes) -> None:
    probing.clearly(lambda: examine(origins.parse(data)))


def examine(lists: Iterable[revocation_list.Crl]) -> None:
    for each in lists:
        probing.look_at(each)
        ask(each)


def ask(revocations: revocation_list.Crl) -> None:
    world = pki.world()
    for entity in (world.signer, world.issuing):
        certificate = x509.certificate(entity.der)
        probing.clearly(lambda certificate=certificate: revocations.check_signature(certificate))  # type: ignore[misc]
        probing.clearly(lambda certificate=certificate: revocations.coverage(certificate))  # type: ignore[misc]
        probing.clearly(lambda certificate=certificate: revocations.find(certificate))  # type: ignore[misc]
        probing.clearly(lambda certificate=certificate: revocations.missing(certificate, pki.NOW))  # type: ignore[misc]
