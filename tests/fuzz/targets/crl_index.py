"""Indexes of revocation lists: the entries of a list, and an index on disk that is not what was kept."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from chopmark.core import limits
from chopmark.envelopes import der, x509
from chopmark.trust.crl import lookup, origins, stored
from tests.support import pki, probing

_FOLDER = tempfile.TemporaryDirectory()
_LIST = Path(_FOLDER.name) / "list.crl"
_SIGNER = x509.certificate(pki.world().signer.der)
_ISSUER = x509.certificate(pki.world().issuing.der)


@contextmanager
def _at_home() -> Iterator[None]:
    """With a home of its own, and indexes for lists of any size; both only while it lasts."""
    with (
        mock.patch.dict(os.environ, {"CHOPMARK_HOME": _FOLDER.name}),
        mock.patch.object(limits, "CRL_INDEX_MIN", 1),
    ):
        yield


def _index() -> Path:
    """The index of a list that names the signer, made if it is not there."""
    if not _LIST.exists():
        _LIST.write_bytes(pki.crl(pki.world().issuing, [pki.Revoked(_SIGNER.serial, pki.NOW)]))
        _judged()
    [path] = (Path(_FOLDER.name) / "cache" / "indexes").glob("*")
    return path


def _judged() -> None:
    [found] = origins.CrlSource([str(_LIST)], cache=str(Path(_FOLDER.name) / "cache")).by_issuer(
        x509.name_key(_SIGNER.issuer)
    )
    found.check_signature(_ISSUER)
    assert found.find(_SIGNER) is not None
    assert found.find(_ISSUER) is None


def seeds() -> Iterable[bytes]:
    with _at_home():
        kept = _index().read_bytes()
    yield kept
    yield der.parse(pki.crl(pki.world().issuing, [pki.Revoked(5, pki.NOW)])).raw
    yield hashlib.sha256(b"").digest()


def run(data: bytes) -> None:
    with _at_home():
        _run(data)


def _run(data: bytes) -> None:
    path = _index()
    path.write_bytes(data)
    _judged()
    for indirect in (False, True):
        block = der.parse(der.sequence(data))
        found = lookup.index(block, indirect=indirect, extensible=True)
        for offset in found.offsets(b"\x05"):
            probing.clearly(lambda offset=offset: lookup.serial_of(lookup.entry_at(block, offset)))  # type: ignore[misc]  # noqa: B023
    stored.Indexes(_FOLDER.name).open(str(path))
