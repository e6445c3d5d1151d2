"""Updates of Secure Boot's variables, mutated and signed again: OpenSSL verifies those that are accepted."""

from __future__ import annotations

import subprocess
from random import Random
from typing import TYPE_CHECKING

import pytest

from chopmark.core.errors import MalformedError
from tests.fuzz.targets import efi_updates
from tests.fuzz.targets.efi_updates import SIGNED_AGAIN, SIGNER, Input

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.interop

COUNT = 600
SEEDS = list(efi_updates.seeds())


def accepted() -> Iterator[Input]:
    """Odd updates that are accepted."""
    for number in range(COUNT):
        chance = Random(number)  # noqa: S311 - inputs, not keys
        made = efi_updates.mutate(chance.choice(SEEDS), chance, SEEDS)
        found = Input.read(made or b"")
        found = found._replace(head=found.head | SIGNED_AGAIN)
        try:
            if efi_updates.judged(found) and made not in SEEDS:
                yield found
        except MalformedError:
            continue


def test_what_is_accepted_openssl_verifies(tmp_path: Path) -> None:
    """As EDK II asks it: without time and purpose, any certificate of KEK as the only anchor."""
    (tmp_path / "KEK.pem").write_bytes(SIGNER.pem)
    agreed = 0
    for found in accepted():
        (tmp_path / "signature").write_bytes(found.update().content_info)
        (tmp_path / "message").write_bytes(found.message)
        command = (
            *("openssl", "smime", "-verify", "-binary", "-inform", "DER", "-in", tmp_path / "signature"),
            *("-content", tmp_path / "message", "-CAfile", tmp_path / "KEK.pem", "-purpose", "any"),
            *("-no_check_time", "-partial_chain", "-out", "/dev/null"),
        )
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stderr + found.write().hex()
        agreed += 1
    assert agreed > 20
