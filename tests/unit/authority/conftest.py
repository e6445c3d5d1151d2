"""Authorities to test with, on small keys and a clock that stands still."""

from __future__ import annotations

import datetime as dt
import shutil
from typing import TYPE_CHECKING

import pytest

from chopmark.authority.ca import Authority, Order
from chopmark.authority.hierarchy import founding
from tests.support import pki

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NOW = dt.datetime(2026, 11, 22, 12, 0, 0, tzinfo=dt.UTC)
SUBJECT = (("CN", "Example Ltd"), ("O", "Example Ltd"), ("L", "Leeds"), ("C", "GB"))
EV = (*SUBJECT, ("serialNumber", "1234567"), ("jurisdictionC", "GB"), ("businessCategory", "Private Organization"))


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        return self.now

    def advance(self, **period: float) -> None:
        self.now += dt.timedelta(**period)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new authority, closed: a folder that can be copied."""
    folder = tmp_path_factory.mktemp("founded") / "ca"
    setup = founding.Setup("Example Ltd", "http://pki.example.com", "p256", "GB")
    founding.found(str(folder), setup, clock=Clock()).close()
    return folder


@pytest.fixture
def authority(founded: Path, tmp_path: Path, clock: Clock) -> Iterator[Authority]:
    """An authority of the test's own."""
    shutil.copytree(founded, tmp_path / "ca", symlinks=True)
    with Authority.open(str(tmp_path / "ca"), clock=clock) as opened:
        yield opened


def spki(kind: str = "p256", label: str = "signer") -> bytes:
    """The public key of a test key."""
    key = pki.key(kind, label)
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def order(
    profile: str = "code-signing",
    subject: Sequence[tuple[str, str]] = SUBJECT,
    key: bytes = b"",
    days: int | None = None,
    **times: dt.datetime,
) -> Order:
    return Order(profile, subject, key or spki(), days, times.get("not_before"), times.get("not_after"))
