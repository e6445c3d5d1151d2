"""Signed packages in one call, beside debsig-verify one at a time; installed files beside dpkg --verify."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

from bench.measure import CHOPMARK, Row, process, row, side_by_side

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 100
SIZE = 200_000
PACKAGES, FILES, FILE_SIZE = 200, 100, 10_000
INSTALLED, DPKG = f"chopmark apt verify --installed, {PACKAGES * FILES} files", "dpkg --verify"
OURS, THEIRS = f"chopmark verify {COUNT} -j 1, debsigs", "debsig-verify per file"
POLICY = """<?xml version="1.0"?>
<!DOCTYPE Policy SYSTEM "https://www.debian.org/debsig/1.0/policy.dtd">
<Policy xmlns="https://www.debian.org/debsig/1.0/">
  <Origin Name="bench" id="{key}" Description="bench"/>
  <Selection><Required Type="origin" File="ring.gpg" id="{key}"/></Selection>
  <Verification MinOptional="0"><Required Type="origin" File="ring.gpg" id="{key}"/></Verification>
</Policy>
"""


def run(folder: Path, rounds: int) -> list[Row]:
    """Packages of 200 kB that do not compress, signed with RSA of 3072 bits; each tool with its own store of keys."""
    public, key, secret = _keys(folder)
    files = _packages(folder)
    for start in range(0, COUNT, 50):
        sign = [CHOPMARK, "sign", *files[start : start + 50], "--format", "deb", "--key", f"openpgp:{secret}"]
        process([*sign, "--digest", "sha512"])
    options = ["--policies-dir", str(folder / "policies"), "--keyrings-dir", str(folder / "keyrings"), "-q"]
    (folder / "policies" / key).mkdir(parents=True)
    (folder / "policies" / key / "bench.pol").write_text(POLICY.format(key=key))
    (folder / "keyrings" / key).mkdir(parents=True)
    shutil.copy(public, folder / "keyrings" / key / "ring.gpg")

    def one_by_one() -> float:
        began = time.perf_counter()
        for file in files:
            process(["debsig-verify", *options, file])
        return time.perf_counter() - began

    mine = [CHOPMARK, "verify", *files, "--store", str(public), "-j", "1"]
    first = row(side_by_side({OURS: lambda: process(mine), THEIRS: one_by_one}, rounds), OURS, THEIRS, bound="<= 1")
    return [first, _installed(folder / "root", rounds)]


def _installed(root: Path, rounds: int) -> Row:
    """A host without its packages at hand: both hold files against dpkg's sums; chopmark takes SHA-256 besides."""
    info = root / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (root / "var/lib/dpkg/updates").mkdir()
    (root / "var/lib/apt/lists").mkdir(parents=True)
    numbers = random.Random(2)
    status = []
    for package in range(PACKAGES):
        sums = []
        folder = root / f"usr/lib/p{package}"
        folder.mkdir(parents=True)
        for file in range(FILES):
            data = numbers.randbytes(FILE_SIZE)
            (folder / str(file)).write_bytes(data)
            sums.append(f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}  usr/lib/p{package}/{file}\n")
        (info / f"p{package}.md5sums").write_text("".join(sums))
        paths = [
            "/.",
            "/usr",
            "/usr/lib",
            f"/usr/lib/p{package}",
            *("/" + each.split("  ")[1].strip() for each in sums),
        ]
        (info / f"p{package}.list").write_text("\n".join(paths) + "\n")
        status.append(
            f"Package: p{package}\nStatus: install ok installed\nMaintainer: B <b@example.org>\nArchitecture: all\n"
            "Version: 1\nDescription: bench\n"
        )
    (root / "var/lib/dpkg/status").write_text("\n".join(status))
    mine = [CHOPMARK, "apt", "verify", "--root", str(root), "--installed", "-q"]
    theirs = ["dpkg", f"--root={root}", "--verify"]
    measured = side_by_side({INSTALLED: lambda: process(mine, expect=(3,)), DPKG: lambda: process(theirs)}, rounds)
    return row(measured, INSTALLED, DPKG, bound="<= 1")


def _keys(folder: Path) -> tuple[Path, str, Path]:
    home, public, secret = folder / "home", folder / "public.gpg", folder / "secret.gpg"
    home.mkdir(mode=0o700)

    def gpg(*arguments: str) -> str:
        quiet = ("gpg", "-q", "--homedir", str(home), "--batch", "--passphrase", "", "--pinentry-mode", "loopback")
        return subprocess.run((*quiet, *arguments), check=True, capture_output=True).stdout.decode()

    gpg("--quick-generate-key", "bench <bench@example.org>", "rsa3072", "sign", "never")
    gpg("-o", str(public), "--export")
    gpg("-o", str(secret), "--export-secret-keys")
    secret.chmod(0o600)
    listed = gpg("--with-colons", "--list-keys").splitlines()
    key = next(line.split(":")[9] for line in listed if line.startswith("fpr"))[-16:]
    subprocess.run(("gpgconf", "--homedir", str(home), "--kill", "all"), check=True)
    return public, key, secret


def _packages(folder: Path) -> list[str]:
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: bench\nVersion: 1\nArchitecture: all\nMaintainer: B <b@example.org>\nDescription: bench\n"
    )
    (tree / "data").write_bytes(random.Random(1).randbytes(SIZE))
    first = folder / "0.deb"
    process(["dpkg-deb", "--root-owner-group", "-Znone", "-b", str(tree), str(first)])
    files = [str(first)]
    for number in range(1, COUNT):
        files.append(str(folder / f"{number}.deb"))
        shutil.copy(first, files[-1])
    return files
