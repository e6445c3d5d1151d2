"""A judgement on a file by whoever trusts one signer, at the time of the test world and with no revocation data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.engine import check
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.support import pki

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.core.verdict import Verdict


def judged(path: Path, entity: pki.Entity) -> Verdict:
    file = path.with_name("store.pem")
    file.write_bytes(entity.pem)
    court = contexts.Context(store.load([str(file)]), pki.NOW, contexts.OFF, origins.CrlSource(cache=str(path.parent)))
    return check.check_path(str(path), court)
