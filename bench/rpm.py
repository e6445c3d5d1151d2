"""Signed RPM packages, beside rpmkeys: both are given all files in one call, each with its own store of keys."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

from bench.measure import CHOPMARK, Row, process, row, side_by_side

BATCHES = {"200 kB": (1000, 200_000), "2 MB": (100, 2_000_000)}
"""Sizes of packages, and how many there are."""
SMALL = 2000
"""Packages of a few kB, no two alike: what counts there is how long each takes whatever it holds."""
SPEC = """Name: bench
Version: 1
Release: 1
Summary: bench
License: MIT
BuildArch: noarch
%description
bench
%install
mkdir -p %{buildroot}/bench
cp %{_topdir}/data %{buildroot}/bench/data
%files
/bench/data
"""


def run(folder: Path, rounds: int) -> list[Row]:
    """Packages that do not compress, signed with RSA of 3072 bits."""
    public, secret = _keys(folder)
    database = folder / "db"
    process(["rpmkeys", "--dbpath", str(database), "--import", str(public)])
    rows, keys = [], (public, database)
    for name, (count, size) in BATCHES.items():
        files = _packages(folder / name.replace(" ", ""), count, size, secret)
        rows.append(_row(f"chopmark verify {count} -j 1, rpm of {name}", files, keys, rounds))
        for file in files:
            Path(file).unlink()
    files = _small(folder / "small", secret)
    rows.append(_row(f"chopmark verify {SMALL} -j 1, rpm of 6 kB", files, keys, rounds, bound=""))
    rows.append(_row(f"chopmark verify {SMALL}, rpm of 6 kB", files, keys, rounds, bound="", jobs=()))
    many = files * 5  # so many that starting does not count
    rows.append(_row(f"chopmark verify {len(many)}, rpm of 6 kB", many, keys, rounds, jobs=()))
    return rows


def _row(
    ours: str,
    files: list[str],
    keys: tuple[Path, Path],
    rounds: int,
    *,
    bound: str = "<= 1",
    jobs: tuple[str, ...] = ("-j", "1"),
) -> Row:
    """Of chopmark with one process, as rpmkeys is one, where nothing else is said."""
    theirs, (public, database) = "rpmkeys -K", keys
    mine = [CHOPMARK, "verify", *files, "--store", str(public), *jobs, "-q"]
    peer = ["rpmkeys", "--dbpath", str(database), "-K", *files]
    measured = side_by_side({ours: lambda: process(mine), theirs: lambda: process(peer)}, rounds)
    return row(measured, ours, theirs, bound=bound)


def _keys(folder: Path) -> tuple[Path, Path]:
    home, public, secret = folder / "home", folder / "public.asc", folder / "secret.gpg"
    home.mkdir(mode=0o700)

    def gpg(*arguments: str) -> None:
        quiet = ("gpg", "-q", "--homedir", str(home), "--batch", "--passphrase", "", "--pinentry-mode", "loopback")
        subprocess.run((*quiet, *arguments), check=True, capture_output=True)

    gpg("--quick-generate-key", "bench <bench@example.org>", "rsa3072", "sign", "never")
    gpg("-a", "-o", str(public), "--export")
    gpg("-o", str(secret), "--export-secret-keys")
    secret.chmod(0o600)
    subprocess.run(("gpgconf", "--homedir", str(home), "--kill", "all"), check=True)
    return public, secret


def _packages(folder: Path, count: int, size: int, secret: Path) -> list[str]:
    folder.mkdir()
    (folder / "data").write_bytes(random.Random(1).randbytes(size))
    (folder / "bench.spec").write_text(SPEC)
    process(["rpmbuild", "-bb", "--define", f"_topdir {folder}", "--define", "_binary_payload w.ufdio",
             str(folder / "bench.spec")])  # fmt: skip
    [built] = folder.glob("RPMS/noarch/*.rpm")
    process([CHOPMARK, "sign", str(built), "--format", "rpm", "--key", f"openpgp:{secret}"])
    files = []
    for number in range(count):
        files.append(str(folder / f"{number}.rpm"))
        shutil.copy(built, files[-1])
    return files


def _small(folder: Path, secret: Path) -> list[str]:
    """Packages that rpmbuild makes of one description, each with a file of its own."""
    folder.mkdir()
    head, _, _ = SPEC.partition("%install")
    lines = [head, "%install"]
    lines.append("mkdir -p %{buildroot} && cd %{buildroot}")
    lines.append(f"for each in $(seq {SMALL}); do mkdir $each && echo $each > $each/data; done")
    for number in range(1, SMALL + 1):
        name = f"p{number}"
        lines += [f"%package {name}", "Summary: bench", f"%description {name}", "bench"]
        lines += [f"%files {name}", f"/{number}/data"]
    (folder / "bench.spec").write_text("\n".join((*lines, "")))
    process(["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {folder}", str(folder / "bench.spec")])
    files = sorted(map(str, folder.glob("RPMS/noarch/*.rpm")))
    process([CHOPMARK, "sign", *files, "--format", "rpm", "--key", f"openpgp:{secret}"])
    return files
