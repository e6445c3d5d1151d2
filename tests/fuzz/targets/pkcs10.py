"""Certification requests, and the names in them."""

from collections.abc import Iterable

from chopmark.envelopes import names, pkcs10
from tests.support import der_trees, pki, probing

SUBJECT = names.encode([("O", "Example Mint"), ("CN", "Signer")])


def seeds() -> Iterable[bytes]:
    for kind in ("p256", "ed25519", "rsa1024"):
        yield pkcs10.build(SUBJECT, pki.world(kind).signer)
    yield SUBJECT
    yield b"CN=Example\\, Ltd, O=Example Ltd, C=GB"


mutate = der_trees.mutate


def run(data: bytes) -> None:
    probing.clearly(lambda: pkcs10.read(data).verify())
    probing.clearly(lambda: names.faults(names.parts(data)))
    probing.clearly(lambda: names.encode(names.ordered(names.parse(data.decode("latin-1")))))
