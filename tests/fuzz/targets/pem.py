"""PEM: blocks, certificates in any wrapping, single objects."""

from collections.abc import Iterable

from chopmark.envelopes import pem
from tests.fuzz.targets.cms import sample
from tests.support import der_trees, pki, probing


def seeds() -> Iterable[bytes]:
    world = pki.world()
    yield world.root.pem + b"between\n" + world.signer.pem
    yield world.root.der + world.signer.der
    yield sample()
    yield pem.encode("PKCS7", sample())
    yield b"-----BEGIN A-----\n-----BEGIN B-----\n-----END A-----\n-----END B-----\n"


mutate = der_trees.mutate


def run(data: bytes) -> None:
    for block in pem.blocks(data):
        assert block.text.rstrip(b"\n") in data
    probing.clearly(lambda: pem.certificates(data))
    probing.clearly(lambda: pem.cms(data))
    probing.clearly(lambda: pem.single(data, "X509 CRL"))
