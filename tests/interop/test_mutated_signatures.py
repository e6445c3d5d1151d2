"""Signatures mutated along their structure and signed again: those that we trust, OpenSSL accepts."""

from __future__ import annotations

import subprocess
from random import Random
from typing import TYPE_CHECKING

import pytest

from chopmark.core.verdict import Status
from chopmark.engine import check
from tests.fuzz.repairs import cms as repairs
from tests.fuzz.targets import enveloped
from tests.support import der_trees, pki

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.interop

COUNT = 1200
[(FILE, MESSAGE)] = [
    (file, message)
    for file, message in zip(enveloped.FILES, enveloped.MESSAGES, strict=True)
    if file.format == "detached"
]
SEEDS = [file.signature for file in (FILE, *enveloped.STAMPED) if file.format == "detached"]


def trusted() -> Iterator[bytes]:
    """Odd signatures that are trusted."""
    for number in range(COUNT):
        chance = Random(number)  # noqa: S311 - inputs, not keys
        made = der_trees.mutate(chance.choice(SEEDS), chance, SEEDS)
        again = repairs.signed_again(made or b"", pki.world().signer, MESSAGE)
        state = FILE.with_signature(again)
        if again not in SEEDS and check.check(state.artifact(), enveloped.COURTS[False]).status is Status.TRUSTED:
            yield again


def test_what_is_trusted_openssl_accepts(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(pki.world().root.pem)
    (tmp_path / "content").write_bytes(FILE.state.data)
    agreed = 0
    for signature in trusted():
        (tmp_path / "signature").write_bytes(signature)
        command = (
            *("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", tmp_path / "signature"),
            *("-content", tmp_path / "content", "-CAfile", tmp_path / "root.pem", "-purpose", "any"),
            *("-attime", f"{pki.NOW.timestamp():.0f}", "-out", "/dev/null"),
        )
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stderr + signature.hex()
        agreed += 1
    assert agreed > 20
