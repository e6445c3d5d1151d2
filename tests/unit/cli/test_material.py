"""What files are judged with: one that is empty, or is nothing of its kind, is a wrong call that names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark.core.errors import MalformedError
from chopmark.envelopes import cms, der, pem

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.desk import Desk

CALLS = [
    "verify {file} --store {bad}",
    "verify {file} --crl {bad}",
    "verify {file} --ocsp {bad}",
    "verify {file} --blocklist {bad}",
    "verify {file} --catalogs {bad}",
    "verify {file} --policy {bad}",
    "verify {file} --log-key {bad}",
    "sign {file} --key {bad}",
    "sign {file} --key {key} --cert {bad}",
    "ca lint {cert} --issuer {bad}",
    "ca ceremony run {bad}",
    "ca ceremony approve {bad} --key {key}",
    "ocsp query {cert} --issuer {bad}",
    "ocsp inspect {bad}",
    "tsa show {bad}",
    "tsa stamp {file} --key {key} --cert {bad}",
    "secureboot check {file} --db {bad}",
    "secureboot create -o {bad}.out --cert {bad}",
    "policy show {bad}",
    "blocklist add {bad}",
]


@pytest.mark.parametrize("call", CALLS)
def test_an_empty_file_and_one_of_another_kind_are_named(
    desk: Desk, call: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    file = desk.sample("detached")
    for content in (b"", b"hello, this is no such thing\n"):
        bad = desk.write("bad.file", content)
        words = call.format(file=file, bad=bad, key=desk.key, cert=desk.cert).split(" ")
        assert desk.run(*words) == 2
        assert desk.err.count("\n") == 1
        assert bad in desk.err
    assert sorted(path.name for path in desk.folder.glob("bad.*")) == ["bad.file"]


@pytest.mark.parametrize("companion", [".p7s", ".minisig", ".asc"])
def test_an_empty_signature_is_refused_for_being_empty(desk: Desk, companion: str) -> None:
    file = desk.sample("detached")
    desk.write(file.name + companion, b"")
    assert desk.verify(file) == 1
    assert "empty" in desk.out


@pytest.mark.parametrize("read", [der.parse, pem.certificates, pem.single, pem.several, cms.read])
def test_readers_tell_what_is_empty(read: object) -> None:
    with pytest.raises(MalformedError, match=der.EMPTY):
        read(b"")  # type: ignore[operator]
