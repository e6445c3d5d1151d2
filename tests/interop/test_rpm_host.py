"""Hosts that rpm itself installed packages into: its database proves them, and what was changed since is told."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from chopmark.cli import main
from chopmark.formats.rpm import facts, header, tags
from tests.interop.test_rpm import Peer, keys, peer, run
from tests.support import rpm_databases, rpms

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["keys", "peer"]

pytestmark = [pytest.mark.interop, pytest.mark.skipif(os.geteuid() != 0, reason="rpm changes its root as root alone")]
PLACES = ("var/lib/rpm", "usr/lib/sysimage/rpm")


@pytest.fixture
def host(peer: Peer, tmp_path: Path) -> Path:
    """A tree with one signed package."""
    built = peer.build(tmp_path)
    peer.sign(built)
    root = tmp_path / "host"
    root.mkdir()
    install(peer, root, built)
    return root


def install(peer: Peer, root: Path, built: Path) -> None:
    """With rpm 6 below the root as it is, since its own libraries are elsewhere (so nothing runs in there)."""
    quiet = ("--nodeps", "--noscripts", "--notriggers", "--nosignature", "-i")
    run(*peer.program, "rpm", "--root", root, "--dbpath", "/var/lib/rpm", *quiet, built)


def made(
    peer: Peer, root: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[int, set[str], dict[str, str]]:
    """Status, codes that were told, and which files are listed and how they are known."""
    target = f"{root}.catalog"
    capsys.readouterr()
    words = ["catalog", "create", str(root), "-o", target, "--from", "rpm", "--keyring", str(peer.public), "--json"]
    status = main([*words, "-j", "2", *more])
    codes = {each["code"] for each in json.loads(capsys.readouterr().out)["findings"]}
    assert main(["catalog", "show", target, "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return status, codes, {each["path"]: each["origin"]["how"] for each in listed if "origin" in each}


@pytest.mark.parametrize("tag", [tags.NAME, tags.VERSION, tags.RELEASE])
def test_rpm_installs_no_package_that_does_not_say_which_it_is(tag: int, tmp_path: Path) -> None:
    said = {each.tag: each for each in (*rpms.values().values(), rpms.text(1021, "linux"))}
    for left_out, installed in ((0, True), (tag, False)):
        package = tmp_path / "tool.rpm"
        values = [said[each] for each in sorted(said) if each != left_out]
        package.write_bytes(rpms.packed(values, b""))
        quiet = ("--justdb", "--nodeps", "--ignoreos", "--ignorearch")
        done = run("rpm", "--root", tmp_path, "--dbpath", "/db", "-i", *quiet, package, check=False)
        assert (done.returncode == 0) is installed, done.stderr


def test_what_rpm_installed_is_proven(peer: Peer, host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, codes, origins = made(peer, host, capsys)
    assert (status, codes) == (0, {"catalog.proven", "catalog.unproven"})
    assert origins == dict.fromkeys(
        ("etc/tool.conf", "usr/bin/empty", "usr/bin/hard", "usr/bin/link", "usr/bin/tool"), "release"
    )


def test_what_rpm_says_was_changed_is_not_listed(peer: Peer, host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (host / "usr/bin/tool").write_text("evil")  # and its hard link
    (host / "usr/bin/empty").chmod(0o4755)
    changed = run(
        *peer.program, "rpm", "--root", host, "--dbpath", "/var/lib/rpm", "-V", "--nodeps", "tool", check=False
    )
    assert {line.split()[-1] for line in changed.stdout.decode().splitlines() if not line.startswith("missing")} == {
        "/usr/bin/tool", "/usr/bin/hard", "/usr/bin/empty"
    }  # fmt: skip
    status, codes, origins = made(peer, host, capsys)
    assert (status, codes) == (1, {"catalog.proven", "catalog.unproven", "catalog.altered", "rpm_host.privileged"})
    assert sorted(origins) == ["etc/tool.conf", "usr/bin/link"]


def test_a_record_that_was_changed_proves_nothing(peer: Peer, host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every byte of the signed region; rpm -V without signatures believes the digests in it."""
    [path] = [host / place / "rpmdb.sqlite" for place in PLACES if (host / place / "rpmdb.sqlite").exists()]
    with closing(sqlite3.connect(path)) as connection, connection:
        [(number, blob)] = connection.execute("SELECT hnum, blob FROM Packages").fetchall()
        said = facts.released(header.stored(blob)[0])
        assert said is not None
        assert (said.product, said.version) == ("tool", "2:1.0-1")
        place = blob.index(b"/usr/bin/")
        connection.execute(
            "UPDATE Packages SET blob = ? WHERE hnum = ?", (blob[:place] + b"/usr/sin/" + blob[place + 9 :], number)
        )
    status, codes, origins = made(peer, host, capsys)
    assert (status, origins) == (1, {})
    assert "rpm_host.record_changed" in codes


def test_an_unsigned_package_proves_nothing(peer: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "host"
    root.mkdir()
    install(peer, root, peer.build(tmp_path))
    status, codes, origins = made(peer, root, capsys)
    assert (status, origins) == (3, {})
    assert "rpm_host.not_proven" in codes
    status, _, origins = made(peer, root, capsys, "--accept", "database")
    assert (status, origins["usr/bin/tool"]) == (0, "database")


@pytest.mark.parametrize("order", ["1234", "4321"], ids=["little-endian", "big-endian"])
def test_records_that_berkeley_db_keeps_are_proven(
    order: str, peer: Peer, host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they were on hosts before SQLite; written by Berkeley DB's own tool, read by rpm's reader and by ours."""
    records, folder = taken(host)
    form = "<I" if order == "1234" else ">I"
    entries = {struct.pack(form, number): record for number, record in {0: b"\1\0\0\0", **records}.items()}
    dump = "".join(f" {key.hex()}\n {record.hex()}\n" for key, record in entries.items())
    load(folder / "Packages", order, f"VERSION=3\nformat=bytevalue\ntype=hash\nHEADER=END\n{dump}DATA=END\n")
    assert listed(peer, host) == ["tool"]
    status, codes, origins = made(peer, host, capsys)
    assert (status, codes) == (0, {"catalog.proven", "catalog.unproven"})
    assert set(origins.values()) == {"release"}
    assert len(origins) == 5


def test_rpm_reads_the_tables_that_our_tests_are_made_of(peer: Peer, host: Path) -> None:
    records, folder = taken(host)
    rpm_databases.write(folder, records, rpm_databases.BERKELEY)
    assert listed(peer, host) == ["tool"]


def test_records_of_ndb_are_proven(peer: Peer, host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No rpm of Debian's writes or reads ndb; the layout is that of its source."""
    records, folder = taken(host)
    rpm_databases.write(folder, records, rpm_databases.NDB)
    status, codes, origins = made(peer, host, capsys)
    assert (status, codes) == (0, {"catalog.proven", "catalog.unproven"})
    assert set(origins.values()) == {"release"}


def taken(host: Path) -> tuple[dict[int, bytes], Path]:
    """The records of the host's database, which is removed, and where it was."""
    [path] = [host / place / "rpmdb.sqlite" for place in PLACES if (host / place / "rpmdb.sqlite").exists()]
    with closing(sqlite3.connect(path)) as connection:
        records = dict(connection.execute("SELECT hnum, blob FROM Packages"))
    for each in path.parent.glob("rpmdb.sqlite*"):
        each.unlink()
    return records, path.parent


def load(path: Path, order: str, dump: str) -> None:
    subprocess.run(["db5.3_load", "-c", f"db_lorder={order}", "-t", "hash", path], input=dump, text=True, check=True)


def listed(peer: Peer, host: Path) -> list[str]:
    """The packages that rpm's own reader of Berkeley DB finds."""
    asked = ("--root", host, "--dbpath", "/var/lib/rpm", "--define", "_db_backend bdb_ro", "-qa", "--qf", "%{NAME}\n")
    return run(*peer.program, "rpm", *asked).stdout.decode().split()
