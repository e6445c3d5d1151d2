"""Evidence: what one file in a folder is taken for."""

from collections.abc import Iterable

from chopmark.envelopes import der, pem
from chopmark.trust import evidence
from tests.support import der_trees, pki, probing


def seeds() -> Iterable[bytes]:
    world = pki.world()
    yield world.signer.der
    yield pki.crl(world.issuing, [pki.Revoked(5, pki.NOW)])
    yield world.signer.pem + pem.encode("X509 CRL", pki.crl(world.root))
    yield der.sequence(der.encode(der.ENUMERATED, b"\0"), der.explicit(0, der.sequence()))
    yield der.sequence(
        der.oid("1.2.840.113549.1.7.2"),
        der.explicit(0, der.sequence(der.integer(1), der.encode(der.SET), der.encode(der.context(0), world.root.der))),
    )


mutate = der_trees.mutate


def run(data: bytes) -> None:
    pieces = evidence.recognised(data)
    held = evidence.Evidence(pieces)
    assert len(held.lists) + len(held.answers) + len(held) <= len(pieces)
    for certificate in held.intermediates(b""):
        assert certificate in held.intermediates(certificate.subject) or len(pieces) > 1
        assert held.named(certificate.subject) == []
    for each in held.lists:
        probing.look_at(each)
