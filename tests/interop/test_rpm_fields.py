"""Packages with a few fields changed and digests that fit: what is accepted here, rpm reads and unpacks the same."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from chopmark.core.artifact import Artifact
from chopmark.core.errors import MalformedError
from chopmark.formats.rpm import FORMAT, contents, files, package, tags
from tests.fuzz import fields
from tests.fuzz.repairs import rpm as repairs
from tests.support import rpms

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark.formats.rpm.package import Package

pytestmark = pytest.mark.interop

FILES = (
    rpms.File("/usr", mode=0o040755),
    rpms.File("/usr/a", b"content"),
    rpms.File("/usr/b", mode=rpms.LINK, target="a"),
    rpms.File("/usr/c", b"twice", inode=7),
    rpms.File("/usr/d", b"twice", inode=7),
    rpms.File("/var/g", flags=files.GHOST),
)
_OF_SYSTEM, _MODIFIED, _OWNER, _GROUP = 1021, 1034, 1039, 1040
"""Tags without which rpm installs nothing."""


def seed(how: str, *, stripped: bool) -> bytes:
    """A package that rpm installs."""
    archive = rpms.cpio(FILES, stripped=stripped)
    payload, count = rpms.PACK[how](archive), len(FILES)
    said = rpms.values(FILES, payload, packed=how or "none", unpacked=archive)
    more = (
        rpms.text(_OF_SYSTEM, "linux"),
        rpms.numbers(_MODIFIED, [0] * count),
        rpms.texts(_OWNER, ["root"] * count),
        rpms.texts(_GROUP, ["root"] * count),
    )
    return rpms.packed(sorted((*said.values(), *more), key=lambda each: each.tag), payload)


SEEDS = [seed("", stripped=False), seed("gzip", stripped=False), seed("xz", stripped=True)]
MUTATOR = fields.Mutator(repairs.fields, repairs.VALUES)
ASKED = (
    r"%{NAME}\t%|EPOCH?{%{EPOCH}:}:{0:}|\t%{VERSION}\t%{RELEASE}\n"
    r"[%{FILENAMES}\t%{FILEMODES}\t%{LONGFILESIZES}\t%{FILEDIGESTS}\t%{FILELINKTOS}\t%{FILEFLAGS}\n]"
)


def accepted(count: int, seed: int) -> Iterator[tuple[bytes, Package]]:
    """So many packages that are accepted here, each another one."""
    return fields.accepted(count, seed, changed, read)


def changed(chance: random.Random) -> bytes:
    return repairs.repaired(MUTATOR.by_fields(chance.choice(SEEDS), chance))


def read(data: bytes) -> Package:
    artifact = Artifact.from_bytes(data, "x.rpm")
    found = package.read(artifact.view)
    list(FORMAT.extract(artifact))
    if contents.compare(artifact.view, found).differing:
        raise MalformedError("its files are others than it says")
    return found


def told(found: Package) -> list[tuple[bytes, ...]]:
    """What a package says of itself, in the words of ASKED."""
    head = found.header
    epoch = head.number(tags.EPOCH) or 0
    names = [head.string(each) or b"" for each in (tags.NAME, tags.VERSION, tags.RELEASE)]
    lines: list[tuple[bytes, ...]] = [(names[0], b"%d:" % epoch, *names[1:])]
    for each in files.listed(found.header):
        numbers = (b"%d" % number for number in (each.mode, each.size))
        path = each.path if each.path.startswith(b"/") else b"/" + each.path
        lines.append((path, *numbers, each.digest.hex().encode(), each.target, b"%d" % each.flags))
    return lines


def rpm(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    return subprocess.run(("rpm", *arguments), env=environment, capture_output=True, check=False)


def unpacked(root: Path) -> dict[bytes, tuple[object, ...]]:
    """What lies there: kind and mode, and what a file holds or a link points to."""
    found: dict[bytes, tuple[object, ...]] = {}
    for path in root.rglob("*"):
        name, mode = b"/" + os.fsencode(path.relative_to(root)), path.lstat().st_mode
        if stat.S_ISLNK(mode):
            found[name] = stat.S_IFLNK, os.fsencode(path.readlink())
        elif stat.S_ISREG(mode):
            found[name] = mode, hashlib.sha256(path.read_bytes()).digest()
        else:
            found[name] = (mode,)
    return found


def expected(found: Package) -> dict[bytes, tuple[object, ...]]:
    """What is to lie there."""
    wanted: dict[bytes, tuple[object, ...]] = {}
    for each in files.listed(found.header):
        if not each.is_ghost:
            path = each.path if each.path.startswith(b"/") else b"/" + each.path
            more = (each.digest,) if each.is_file else (each.target,) if each.is_link else ()
            wanted[path] = (stat.S_IFLNK if each.is_link else each.mode, *more)
    return wanted


def test_rpm_reads_what_is_accepted_the_same(tmp_path: Path) -> None:
    """What it refuses is none of ours to judge: tags that nobody looks at have a type there."""
    agreed = 0
    for number, (data, found) in enumerate(accepted(150, 1)):
        package_ = tmp_path / f"{number}.rpm"
        package_.write_bytes(data)
        done = rpm("-qp", "--nosignature", "--qf", ASKED, package_)
        if done.returncode == 0:
            lines = [line.split(b"\t") for line in done.stdout.splitlines()]
            for line in lines[1:]:
                line[3] = line[3].lower()
            assert [tuple(line) for line in lines] == told(found), data.hex()
            agreed += 1
    assert agreed > 100


@pytest.mark.skipif(os.geteuid() != 0, reason="rpm installs below another root as root alone")
def test_rpm_unpacks_what_is_accepted(tmp_path: Path) -> None:
    """Below a root of its own, with nothing run in there; it makes the folders above files itself."""
    quiet = ("--nodeps", "--nosignature", "--noscripts", "--notriggers", "--noplugins", "--ignorearch", "--ignoreos")
    agreed = 0
    for number, (data, found) in enumerate(accepted(60, 2)):
        root, package_ = tmp_path / str(number), tmp_path / f"{number}.rpm"
        root.mkdir()
        package_.write_bytes(data)
        if rpm("-i", "--root", root, "--dbpath", "/db", *quiet, package_).returncode == 0:
            wanted = expected(found)
            lying = {
                path: what
                for path, what in unpacked(root).items()
                if not path.startswith(b"/db") and not (path not in wanted and stat.S_ISDIR(int(str(what[0]))))
            }
            assert lying == wanted, data.hex()
            agreed += 1
    assert agreed > 30
