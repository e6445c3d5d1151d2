"""`chopmark catalog create --from rpm` as it is typed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from chopmark.cli import main
from tests.support import bare_keys, rpms
from tests.support.rpms import File

if TYPE_CHECKING:
    from pathlib import Path

FILES = [File("/usr/bin/tool", b"tool", mode=0o100755), File("/etc/tool.conf", b"x", flags=rpms.CONFIG)]
AT = ("--at", "2026-07-01T12:00:00Z", "-j", "1")


@pytest.fixture
def host(tmp_path: Path) -> rpms.Host:
    host = rpms.Host(tmp_path / "host")
    host.install(FILES, rpms.signed(rpms.rpm(FILES)))
    return host


def words(host: rpms.Host, *more: str) -> list[str]:
    return ["catalog", "create", str(host.root), "-o", f"{host.root}.catalog", "--from", "rpm", *AT, *more]


def keyring() -> tuple[str, str]:
    return "--keyring", bare_keys.public("rpm")


def test_a_proven_host_is_listed_and_compared(host: rpms.Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(host, *keyring(), "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert {each["code"] for each in told["findings"]} == {"catalog.proven", "catalog.unproven"}
    assert main(["catalog", "show", f"{host.root}.catalog", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    origins = {each["path"]: each["origin"] for each in listed if "origin" in each}
    assert origins["usr/bin/tool"] == {"how": "release", "package": "tool.noarch", "version": "1.0-1"}


def test_a_changed_host_is_told_by_the_status(host: rpms.Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.write("/usr/bin/tool", b"evil")
    assert main(words(host, *keyring())) == 1
    assert "catalog.altered" in capsys.readouterr().out


def test_without_a_key_that_fits_nothing_is_proven(
    host: rpms.Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(host, "--keyring", bare_keys.public("openpgp"))) == 0  # the tests share one key
    other = rpms.Host(tmp_path / "other")
    other.install(FILES, rpms.rpm(FILES))
    assert main(words(other, *keyring())) == 3
    assert "catalog.nothing_proven" in capsys.readouterr().out


@pytest.mark.parametrize(
    "more", [(), (*keyring(), "--download"), (*keyring(), "--lists", "x"), (*keyring(), "--packages", "x"),
             ("--keyring", "missing")], ids=range(5)
)  # fmt: skip
def test_what_cannot_be_asked(host: rpms.Host, more: tuple[str, ...]) -> None:
    assert main(words(host, *more)) == 2


def test_a_host_without_rpm(tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    assert main(words(rpms.Host(tmp_path / "host"), *keyring())) == 2
