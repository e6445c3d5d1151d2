"""Tar files with a few of their fields changed: what is accepted here is unpacked as just that by GNU tar and dpkg."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from chopmark.formats._tar import tarball
from tests.fuzz import fields
from tests.fuzz.repairs import tar
from tests.support import debs, wheels
from tests.support.debs import File

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark.formats._tar.tarball import Entry

pytestmark = pytest.mark.interop

CONTROL = b"Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: x\n"
FILES = [
    File("./d/", kind=b"5"),
    File("./d/a", b"content"),
    File("./d/" + "x" * 110, b"y"),
    File("./l", kind=b"2", target="d/a"),
    File("./h", kind=b"1", target="./d/a"),
    File("./p", kind=b"6"),
]
MUTATOR = fields.Mutator(tar.fields, tar.VALUES, tar.parts)


def accepted(count: int, seed: int, *, extended: bool) -> Iterator[tuple[bytes, list[Entry]]]:
    """So many tar files with changed fields and fitting checksums that are accepted here."""
    seeds = [debs.tar(FILES)]
    if extended:
        long = wheels.Entry("d/" + "\u00e4" * 80, b"x")
        seeds.append(wheels.tarred([wheels.PKG_INFO, wheels.PROJECT, long]))

    def changed(chance: random.Random) -> bytes:
        return wheels.with_checksums(MUTATOR.by_fields(chance.choice(seeds), chance))

    return fields.accepted(count, seed, changed, lambda data: list(tarball.entries([data], extended=extended)))


def expected(found: list[Entry]) -> dict[bytes, tuple[object, ...]]:
    """What is to lie there, by path; folders also where only their files were named."""
    wanted: dict[bytes, tuple[object, ...]] = {}
    for entry in found:
        mode = entry.mode & 0o7777
        wanted[entry.path] = {b"f": (b"f", mode, entry.content), b"l": (b"l", entry.content)}.get(
            entry.kind, (entry.kind,)
        )
        parent = entry.path
        while b"/" in parent:
            parent = parent.rpartition(b"/")[0]
            wanted.setdefault(parent, (b"d",))
    wanted.pop(b"", None)
    return wanted


def lying(root: Path) -> dict[bytes, tuple[object, ...]]:
    """What does lie there."""
    told: dict[bytes, tuple[object, ...]] = {}
    for path in root.rglob("*"):
        name, mode = os.fsencode(path.relative_to(root)), path.lstat().st_mode
        if stat.S_ISLNK(mode):
            told[name] = b"l", os.fsencode(path.readlink())
        elif stat.S_ISREG(mode):
            told[name] = b"f", stat.S_IMODE(mode), hashlib.sha256(path.read_bytes()).digest()
        else:
            told[name] = (b"d" if stat.S_ISDIR(mode) else b"p",)
    return told


def run(*command: str | Path, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    return subprocess.run(command, input=data, env=environment, capture_output=True, check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="modes are to be kept")
@pytest.mark.parametrize("extended", [False, True])
def test_gnu_tar_unpacks_what_is_accepted(tmp_path: Path, extended: bool) -> None:  # noqa: FBT001 - a parameter
    for number, (data, found) in enumerate(accepted(100, 1, extended=extended)):
        into = tmp_path / str(number)
        into.mkdir()
        done = run("tar", "-xpf", "-", "--no-same-owner", "-C", into, data=data)
        assert (done.returncode, lying(into)) == (0, expected(found)), done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="dpkg asks for root")
def test_dpkg_unpacks_what_is_accepted(tmp_path: Path) -> None:
    """Its own reader, not tar's; a package of which it misses folders it refuses."""
    control, unpacked = debs.tar([File("./control", CONTROL)]), 0
    for number, (data, found) in enumerate(accepted(40, 2, extended=False)):
        root = tmp_path / str(number)
        for folder in ("info", "updates"):
            (root / "var/lib/dpkg" / folder).mkdir(parents=True)
        (root / "var/lib/dpkg/status").touch()
        before = lying(root)
        file = tmp_path / "x.deb"
        file.write_bytes(debs.assembled(("debian-binary", b"2.0\n"), ("control.tar", control), ("data.tar", data)))
        done = run("dpkg", "--force-all", f"--root={root}", "--log=/dev/null", "--unpack", file)
        if b"No such file or directory" in done.stderr:
            continue
        now = {path: what for path, what in lying(root).items() if path not in before and b"var/lib/dpkg" not in path}
        assert (done.returncode, now) == (0, expected(found)), done.stderr
        unpacked += 1
    assert unpacked > 20
