"""Public keys and signature algorithm identifiers from whoever made the certificate."""

from collections.abc import Iterable

from chopmark.envelopes import algorithms, der, public_keys, signatures, spki
from tests.support import der_trees, dsa_keys, pki, probing

_KINDS = ("p256", "p384", "p521", "ed25519", "rsa1024", "ml-dsa-44", "ml-dsa-65")
_SIGNED = {kind: pki.world(kind).signer.sign(b"data", "sha256") for kind in _KINDS}
_USED = [
    algorithms.SignatureAlgorithm(*parts)
    for parts in (
        ("rsa", "sha256"),
        ("rsa-pss", "sha256", "sha256", 32),
        ("ecdsa", "sha256"),
        ("dsa", "sha256"),
        ("ed25519", None),
        ("ml-dsa-44", None),
    )
]


def seeds() -> Iterable[bytes]:
    for kind in _KINDS:
        yield pki.world(kind).signer.public_key
    yield spki.of(dsa_keys.private_key(1024).public_key())
    restricted = algorithms.identifiers_for("rsa", "sha256")[1]
    yield der.sequence(restricted, der.parse(pki.world("rsa1024").signer.public_key).children()[1].raw)
    for digest in ("sha256", "sha512"):
        for kind in ("p256", "ed25519", "rsa1024", "ml-dsa-87"):
            yield from algorithms.identifiers_for(public_keys.kind(pki.world(kind).signer.public_key), digest)


mutate = der_trees.mutate


def run(data: bytes) -> None:
    probing.clearly(lambda: public_keys.load(data))
    probing.clearly(lambda: public_keys.size(data))
    probing.clearly(lambda: algorithms.digest_name(der.parse(data)))
    probing.clearly(lambda: verified(data))
    for algorithm in _USED:
        for made in _SIGNED.values():
            probing.clearly(lambda made=made, algorithm=algorithm: by_this_key(data, algorithm, made))  # type: ignore[misc]


def verified(data: bytes) -> None:
    algorithm = algorithms.signature_algorithm(der.parse(data))
    for kind in ("p256", "ed25519", "rsa1024", "ml-dsa-44"):
        key = pki.world(kind).signer.public_key
        probing.clearly(lambda key=key: signatures.verify(key, algorithm, data, data, "sha256"))  # type: ignore[misc]


def by_this_key(data: bytes, algorithm: algorithms.SignatureAlgorithm, made: bytes) -> None:
    """No other key's signature is good, and no signature is good for other data."""
    signatures.verify(data, algorithm, made, b"other")
    raise AssertionError("a signature over other data is good")
