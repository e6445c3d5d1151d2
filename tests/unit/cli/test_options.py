"""Options that would say nothing together are refused, before anything is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.desk import Desk


@pytest.mark.parametrize(
    "call",
    [
        "catalog create . -o out --cert {cert}",
        "catalog create . -o out --timestamp http://127.0.0.1:1/",
        "catalog create . -o out --at 2026-01-01",
        "sign {file} --key {key} --cert {cert} -o out --log-passphrase env:NONE",
        "tsa stamp {file} -o out --cert {cert}",
        "tsa stamp {file} -o out --url http://127.0.0.1:1/ --key {key}",
        "tsa init --force --due",
        "ocsp query {cert} --answer {file} --nonce",
        "ocsp query {cert} --answer {file} --url http://127.0.0.1:1/",
        "ca issue --public-key {cert} -o out --days 3 --not-after 2027-01-01",
        "help nothing",
    ],
)
def test_what_would_be_passed_over_is_refused(
    desk: Desk, call: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(desk.folder)
    words = call.format(file=desk.sample("detached"), key=desk.key, cert=desk.cert).split(" ")
    assert desk.run(*words) == 2
    assert desk.err.count("\n") == 1
    assert not (desk.folder / "out").exists()
