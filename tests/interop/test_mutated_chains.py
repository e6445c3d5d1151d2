"""Certificates mutated along their structure and signed again: whom we trust OpenSSL trusts, or it is known why not."""

from __future__ import annotations

import subprocess
from random import Random
from typing import TYPE_CHECKING

import pytest

from chopmark.envelopes import pem, x509
from chopmark.envelopes.der import DerError
from chopmark.trust.moment import Moment
from chopmark.trust.paths import path
from chopmark.trust.stores import store
from tests.support import certifying, der_trees, pki, probing
from tests.unit.trust.material import CODE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.interop

COUNT = 4000
SEEDS = [
    pki.world().signer.der,
    certifying.elaborate().der + certifying.constrained().der,
    certifying.elaborate().der + pki.world().issuing.der,
]
UNREADABLE = ("Could not read", "x509v3_cache_extensions")
"""Values of unusual types, and texts that are not in their own encoding: here no strings, but octets."""
ROOT_OF_NAMES = "error 47"
"""A permitted domain that ends in the dot of DNS's root, which is the same domain here."""
NO_ISSUER = "error 20"


def known(chain: Sequence[bytes], said: str) -> bool:
    """Whether it is known why OpenSSL does not trust a chain."""
    if any(each in said for each in (*UNREADABLE, ROOT_OF_NAMES)):
        return True
    leaf, above, root = (x509.certificate(raw) for raw in (*chain, pki.world().root.der))
    pairs = ((leaf, above), (above, root))
    # It compares key identifiers, which clause 6.1 does not look at, and folds names in another way.
    other = any(
        low.authority_key_id not in (None, high.subject_key_id) or low.issuer != high.subject for low, high in pairs
    )
    return NO_ISSUER in said and other


def trusted_mutants(trusted: store.Store) -> Iterator[Sequence[bytes]]:
    """Chains with something odd in them for which there is a trusted path."""
    seen = set()
    for number in range(COUNT):
        chance = Random(number)  # noqa: S311 - inputs, not keys
        seed = chance.choice(SEEDS)
        made = der_trees.mutate(seed, chance, SEEDS)
        chain = certifying.chain(probing.values(made or b"", 2))
        if len(chain) != 2 or tuple(chain) in seen:
            continue
        seen.add(tuple(chain))
        try:
            leaf = x509.certificate(chain[0])
        except DerError:
            continue
        if path.find(leaf, CODE, Moment(pki.NOW), path.Material(trusted, chain[1:])).trusted:
            yield chain


def refused_by_openssl(folder: Path, chain: Sequence[bytes]) -> str:
    """Why OpenSSL does not trust a chain; empty if it does."""
    for name, raw in zip(("leaf.pem", "others.pem"), chain, strict=True):
        (folder / name).write_bytes(pem.encode("CERTIFICATE", raw))
    command = (
        *("openssl", "verify", "-no-CApath", "-no-CAstore"),
        *("-attime", f"{pki.NOW.timestamp():.0f}", "-CAfile", folder / "root.pem"),
        *("-untrusted", folder / "others.pem", folder / "leaf.pem"),
    )
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, errors="replace", check=False)
    return "" if done.returncode == 0 else done.stderr + done.stdout


def test_what_is_trusted_openssl_trusts_or_it_is_known_why_not(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(pki.world().root.pem)
    trusted = store.load([str(tmp_path / "root.pem")])
    agreed, unexplained = 0, []
    for chain in trusted_mutants(trusted):
        said = refused_by_openssl(tmp_path, chain)
        agreed += not said
        if said and not known(chain, said):
            unexplained.append(said)
        assert not certifying.faults(chain)
    assert unexplained == []
    assert agreed > 200
