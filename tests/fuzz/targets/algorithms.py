"""Public keys and signature algorithm identifiers from whoever made the certificate."""

from collections.abc import Iterable

from chopmark.envelopes import algorithms, der, public_keys, signatures
from tests.support import der_trees, pki, probing


def seeds() -> Iterable[bytes]:
    for kind in ("p256", "p384", "p521", "ed25519", "rsa1024", "ml-dsa-44", "ml-dsa-65"):
        yield pki.world(kind).signer.public_key
    for digest in ("sha256", "sha512"):
        for kind in ("p256", "ed25519", "rsa1024", "ml-dsa-87"):
            yield from algorithms.identifiers_for(public_keys.kind(pki.world(kind).signer.public_key), digest)


mutate = der_trees.mutate


def run(data: bytes) -> None:
    probing.clearly(lambda: public_keys.load(data))
    probing.clearly(lambda: public_keys.size(data))
    probing.clearly(lambda: algorithms.digest_name(der.parse(data)))
    probing.clearly(lambda: verified(data))


def verified(data: bytes) -> None:
    algorithm = algorithms.signature_algorithm(der.parse(data))
    for kind in ("p256", "ed25519", "rsa1024", "ml-dsa-44"):
        spki = pki.world(kind).signer.public_key
        probing.clearly(lambda spki=spki: signatures.verify(spki, algorithm, data, data, "sha256"))  # type: ignore[misc]
