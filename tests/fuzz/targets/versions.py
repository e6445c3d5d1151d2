"""Versions in every numbering: two of them, compared both ways."""

from collections.abc import Iterable

from chopmark.core import versions
from tests.support import probing


def seeds() -> Iterable[bytes]:
    yield from (b"1.0\n1.0.1", b"1:2.0~rc1-3+b1\n2.0-3", b"1.0^git1-2.el9\n1.0-1", b"1.0.0-rc.1+x\nv1.0.0")


def run(data: bytes) -> None:
    one, _, other = data.decode("utf-8", "replace").partition("\n")
    for scheme in versions.SCHEMES:
        probing.clearly(lambda scheme=scheme: compare(scheme, one, other))  # type: ignore[misc]


def compare(scheme: str, one: str, other: str) -> None:
    assert versions.compare(scheme, one, other) == -versions.compare(scheme, other, one)
