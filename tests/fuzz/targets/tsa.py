"""Requests to the time-stamp authority: whatever comes, a response goes back."""

from collections.abc import Iterable

from chopmark.authority.tsa.tsa import TimeStampAuthority
from chopmark.core.digest import of
from chopmark.envelopes import der, timestamp
from tests.support import der_trees, pki

TSA = TimeStampAuthority(pki.world().tsa, pki.world().tsa.certificates, clock=lambda: pki.NOW)


def seeds() -> Iterable[bytes]:
    for algorithm in ("sha1", "sha256", "sha512"):
        yield timestamp.request(of(b"x", algorithm), algorithm, nonce=1234567890, policy="2.23.140.1.4.2")
    yield timestamp.request(of(b"x", "sha256"), "sha256", nonce=None, certificates=False)


mutate = der_trees.mutate


def run(data: bytes) -> None:
    status = der.parse(TSA.respond(data)).children()[0].children()[0].integer()
    assert status in (timestamp.GRANTED, timestamp.REJECTION)
