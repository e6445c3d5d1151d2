"""Answers of time servers."""

from collections.abc import Iterable

from chopmark.net import sntp
from tests.support import probing
from tests.support.sntp import NOW, packet


def seeds() -> Iterable[bytes]:
    yield packet()
    yield packet(offset=-3.0, dispersion=2.0)
    yield packet(stratum=0)


def run(data: bytes) -> None:
    cookie = int.from_bytes(data[24:32], "big")
    probing.clearly(lambda: sntp.parse(data, cookie, NOW, NOW + 1_000_000))
