"""`chopmark apt`, `verify --apt` and `catalog create --from dpkg` as they are typed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from chopmark.cli import main
from chopmark.core import places
from tests.support import debs
from tests.support.debs import File

if TYPE_CHECKING:
    from pathlib import Path

TOOL = debs.deb([File("./usr/bin/tool", b"tool")])
AT = ("--at", "2026-07-02T00:00:00Z")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> debs.Host:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    host = debs.Host(tmp_path / "host")
    host.configure()
    host.installed("tool", {"usr/bin/tool": b"tool"})
    host.write("usr/bin/other", b"other")
    host.write("var/cache/apt/archives/tool_1%3a2.0-1_amd64.deb", TOOL)
    debs.lists(host.root / "var/lib/apt/lists", {"tool_1:2.0-1_amd64": TOOL})
    return host


def apt(host: debs.Host, *words: str) -> int:
    return main(["apt", "verify", "--root", str(host.root), *AT, "-j", "1", *words])


def test_lists_are_judged_and_their_dates_remembered(host: debs.Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert apt(host) == 0
    assert "Example example" in capsys.readouterr().out
    debs.lists(host.root / "var/lib/apt/lists", {}, debs.NOW.replace(day=1, hour=1))
    assert apt(host, "--json") == 1
    [told] = map(json.loads, capsys.readouterr().out.splitlines())
    assert told["status"] == "rejected"
    assert "apt.rollback" in {finding["code"] for finding in told["findings"]}
    assert (places.data() + "/apt-dates.json").startswith(str(host.root.parent / "home"))


def test_packages_are_looked_up_and_into(host: debs.Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, evil = tmp_path / "good.deb", tmp_path / "evil.deb"
    good.write_bytes(TOOL)
    evil.write_bytes(debs.deb([File("../../etc/passwd", b"x")]))
    assert apt(host, str(good)) == 0
    assert "of a release signed by" in " ".join(capsys.readouterr().out.split())
    assert apt(host, str(good), str(evil), "--json") == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["status"] for each in told] == ["trusted", "rejected"]
    assert {"apt.package_unlisted", "tar.path"} <= {finding["code"] for finding in told[1]["findings"]}
    assert apt(host, str(tmp_path / "nothing.deb"), "-q") == 3


def test_installed_files_are_compared(host: debs.Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert apt(host, "--installed") == 0
    assert "1 file proven" in capsys.readouterr().out
    host.write("usr/bin/tool", b"evil")
    assert apt(host, "--installed") == 1
    assert "catalog.altered" in capsys.readouterr().out
    (host.root / "var/cache/apt/archives/tool_1%3a2.0-1_amd64.deb").unlink()
    host.write("usr/bin/tool", b"tool")
    assert apt(host, "--installed", "--json") == 3
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (facts["proven"], facts["known"]) == (0, 1)


def test_a_package_is_verified_beside_its_repository(host: debs.Host, tmp_path: Path) -> None:
    path = tmp_path / "tool.deb"
    path.write_bytes(TOOL)
    lists = str(host.root / "var/lib/apt/lists")
    words = ["verify", str(path), "--store", debs.keyring(), *AT, "-q"]
    assert main(words) == 1
    assert main([*words, "--apt", lists, "--apt-keyring", debs.keyring()]) == 0
    assert main([*words, "--apt", str(tmp_path / "none"), "--apt-keyring", debs.keyring()]) == 2


def test_releases_that_are_not_believed_are_named(
    host: debs.Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tool.deb"
    path.write_bytes(TOOL)
    folder = host.root / "var/lib/apt/lists"
    for each in folder.glob("*InRelease"):
        each.write_bytes(each.read_bytes().replace(b"\nDate: ", b"\nDate:  "))
    lists, ring = str(folder), debs.keyring()
    assert main(["verify", str(path), *AT, "--apt", lists, "--apt-keyring", ring]) == 2
    assert "is believed" in capsys.readouterr().err
    assert main(["apt", "verify", str(path), *AT, "--lists", lists, "--keyring", ring]) == 1
    shown = capsys.readouterr().out
    assert "apt.package_unlisted" in shown
    assert "apt.release_untrusted" in shown


def test_a_baseline_from_dpkg(host: debs.Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = str(tmp_path / "host.catalog")
    words = ["catalog", "create", str(host.root), "-o", target, "--from", "dpkg", *AT, "-j", "1"]
    assert main(words) == 0
    capsys.readouterr()
    assert main(["catalog", "show", target, "--json"]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["path"] for each in shown] == [".", "usr", "usr/bin", "usr/bin/tool"]
    assert shown[-1]["origin"] == {"how": "release", "package": "tool:amd64", "version": "1:2.0-1"}
    assert main([*words, "--accept", "none"]) == 0
    assert main(["catalog", "show", target]) == 0
    assert "packages alone" in capsys.readouterr().out
    host.write("usr/bin/tool", b"evil")
    assert main(words) == 1
    (host.root / "var/lib/apt/lists" / f"{debs.PREFIX}InRelease").unlink()
    host.write("usr/bin/tool", b"tool")
    assert main(words) == 3


def test_options_about_packages_go_with_a_database(host: debs.Host, tmp_path: Path) -> None:
    words = ["catalog", "create", str(host.root), "-o", str(tmp_path / "x.catalog")]
    assert main([*words, "--packages", str(tmp_path)]) == 2
    assert main([*words, "--from", "dpkg", "--download"]) == 2
    assert main([*words[:2], str(tmp_path), "-o", words[-1], "--from", "dpkg"]) == 2
