"""Signed packages in one call, beside debsig-verify one at a time; installed files beside dpkg --verify."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import time
from pathlib import Path

from bench.measure import CHOPMARK, Row, process, row, side_by_side
from chopmark.formats.deb import ar
from tests.support import debs

BATCHES = {"200 kB": (100, 200_000), "1 kB": (200, 1_000)}
"""Sizes of packages, and how many there are."""
PACKAGES, FILES, FILE_SIZE = 200, 100, 10_000
INSTALLED, DPKG = f"chopmark apt verify --installed, {PACKAGES * FILES} files", "dpkg --verify"
POLICY = """<?xml version="1.0"?>
<!DOCTYPE Policy SYSTEM "https://www.debian.org/debsig/1.0/policy.dtd">
<Policy xmlns="https://www.debian.org/debsig/1.0/">
  <Origin Name="bench" id="{key}" Description="bench"/>
  <Selection><Required Type="origin" File="ring.gpg" id="{key}"/></Selection>
  <Verification MinOptional="0"><Required Type="origin" File="ring.gpg" id="{key}"/></Verification>
</Policy>
"""


def run(folder: Path, rounds: int) -> list[Row]:
    """Packages that do not compress, signed with RSA of 3072 bits; each tool with its own store of keys."""
    public, key, secret = _keys(folder)
    (folder / "policies" / key).mkdir(parents=True)
    (folder / "policies" / key / "bench.pol").write_text(POLICY.format(key=key))
    (folder / "keyrings" / key).mkdir(parents=True)
    shutil.copy(public, folder / "keyrings" / key / "ring.gpg")
    rows = []
    for name, (count, size) in BATCHES.items():
        files = _packages(folder / name.replace(" ", ""), count, size)
        rows.append(_by_debsigs(folder, name, files, (public, secret), rounds))
    files = _packages(folder / "sums", *BATCHES["1 kB"])
    return [*rows, _by_sums(folder, files, public, rounds), _installed(folder / "root", rounds)]


def _by_debsigs(folder: Path, name: str, files: list[str], keys: tuple[Path, Path], rounds: int) -> Row:
    """Signed over the three members (_gpgorigin)."""
    public, secret = keys
    for start in range(0, len(files), 50):
        sign = [CHOPMARK, "sign", *files[start : start + 50], "--format", "deb", "--key", f"openpgp:{secret}"]
        process([*sign, "--digest", "sha512"])
    options = ["--policies-dir", str(folder / "policies"), "--keyrings-dir", str(folder / "keyrings"), "-q"]
    ours, theirs = f"chopmark verify {len(files)} -j 1, debsigs, {name}", "debsig-verify per file"

    def one_by_one() -> float:
        began = time.perf_counter()
        for file in files:
            process(["debsig-verify", *options, file])
        return time.perf_counter() - began

    mine = [CHOPMARK, "verify", *files, "--store", str(public), "-j", "1"]
    return row(side_by_side({ours: lambda: process(mine), theirs: one_by_one}, rounds), ours, theirs, bound="<= 1")


def _by_sums(folder: Path, files: list[str], public: Path, rounds: int) -> Row:
    """Signed in the open over MD5 and SHA-1 of the members (_gpgbuilder), which chopmark verifies and calls weak.

    gpgv is given the texts alone, taken out before; nothing holds the members against them.
    """
    texts = []
    for file in map(Path, files):
        text = file.with_suffix(".txt")
        text.write_text(debs.sums(file.read_bytes()))
        _gpg(folder / "home", "--digest-algo", "sha512", "--clearsign", str(text))
        texts.append(f"{text}.asc")
        with file.open("ab") as package:
            package.write(ar.written("_gpgbuilder", Path(texts[-1]).read_bytes()))
    subprocess.run(("gpgconf", "--homedir", str(folder / "home"), "--kill", "all"), check=True)
    ours, theirs = f"chopmark verify {len(files)} -j 1, dpkg-sig, 1 kB", "gpgv per text"

    def one_by_one() -> float:
        began = time.perf_counter()
        for text in texts:
            process(["gpgv", "-q", "--keyring", str(public), text])
        return time.perf_counter() - began

    mine = [CHOPMARK, "verify", *files, "--store", str(public), "-j", "1"]
    measured = side_by_side({ours: lambda: process(mine, expect=(1,)), theirs: one_by_one}, rounds)
    return row(measured, ours, theirs, bound="<= 1")


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


def _gpg(home: Path, *arguments: str) -> str:
    quiet = ("gpg", "-q", "--homedir", str(home), "--batch", "--passphrase", "", "--pinentry-mode", "loopback")
    return subprocess.run((*quiet, *arguments), check=True, capture_output=True).stdout.decode()


def _keys(folder: Path) -> tuple[Path, str, Path]:
    home, public, secret = folder / "home", folder / "public.gpg", folder / "secret.gpg"
    home.mkdir(mode=0o700)
    _gpg(home, "--quick-generate-key", "bench <bench@example.org>", "rsa3072", "sign", "never")
    _gpg(home, "-o", str(public), "--export")
    _gpg(home, "-o", str(secret), "--export-secret-keys")
    secret.chmod(0o600)
    listed = _gpg(home, "--with-colons", "--list-keys").splitlines()
    key = next(line.split(":")[9] for line in listed if line.startswith("fpr"))[-16:]
    subprocess.run(("gpgconf", "--homedir", str(home), "--kill", "all"), check=True)
    return public, key, secret


def _packages(folder: Path, count: int, size: int) -> list[str]:
    """No two alike."""
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: bench\nVersion: 1\nArchitecture: all\nMaintainer: B <b@example.org>\nDescription: bench\n"
    )
    numbers = random.Random(1)
    files = [str(folder / f"{number}.deb") for number in range(count)]
    for file in files:
        (tree / "data").write_bytes(numbers.randbytes(size))
        process(["dpkg-deb", "--root-owner-group", "-Znone", "-b", str(tree), file])
    return files
