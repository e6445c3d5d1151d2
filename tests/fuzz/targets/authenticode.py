"""Authenticode signatures, page hashes and nested ones among them."""

from collections.abc import Iterable

from chopmark.core.contracts import SealOptions
from chopmark.core.digest import of
from chopmark.envelopes import authenticode
from tests.support import der_trees, probing

DIGEST = of(b"image", "sha256")


def seeds() -> Iterable[bytes]:
    options = SealOptions(description="A tool", url="https://example.org/")
    pages = b"".join(number.to_bytes(4, "little") + of(b"page", "sha256") for number in range(3))
    plain = probing.envelope(authenticode.pe_content("sha256", DIGEST, page_hashes=None, options=options))
    yield plain
    yield probing.envelope(
        authenticode.pe_content("sha256", DIGEST, page_hashes=("sha256", pages), options=SealOptions())
    )
    yield authenticode.nest(plain, authenticode.nest(plain, plain))


mutate = der_trees.mutate


def run(data: bytes) -> None:
    probing.clearly(lambda: examine(data))
    probing.clearly(lambda: authenticode.nest(data, data))


def examine(data: bytes) -> None:
    for envelope in authenticode.read(data):
        probing.look_at(envelope)
        probing.look_at(envelope.check(()))
