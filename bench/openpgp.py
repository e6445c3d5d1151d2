"""Verifying many files with OpenPGP signatures beside them in one call, beside gpgv, which takes one at a time."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from bench.measure import CHOPMARK, Row, process, row, side_by_side

COUNT = 200
SIZE = 100_000
OURS, THEIRS = f"chopmark verify {COUNT} -j 1, OpenPGP", "gpgv per file"


def run(folder: Path, rounds: int) -> list[Row]:
    """One row: RSA of 3072 bits, as distributions have it."""
    home, public = folder / "home", folder / "public.gpg"
    home.mkdir(mode=0o700)

    def gpg(*arguments: str) -> None:
        quiet = ("gpg", "-q", "--homedir", str(home), "--batch", "--passphrase", "", "--pinentry-mode", "loopback")
        subprocess.run((*quiet, *arguments), check=True, capture_output=True)

    gpg("--quick-generate-key", "bench <bench@example.org>", "rsa3072", "sign", "never")
    gpg("-o", str(public), "--export")
    files = [str(folder / f"file-{number}") for number in range(COUNT)]
    for number, file in enumerate(files):
        Path(file).write_bytes(number.to_bytes(4, "big") * (SIZE // 4))
        gpg("--detach-sign", file)
    subprocess.run(("gpgconf", "--homedir", str(home), "--kill", "all"), check=True)

    def one_by_one() -> float:
        began = time.perf_counter()
        for file in files:
            process(["gpgv", "-q", "--keyring", str(public), f"{file}.sig", file])
        return time.perf_counter() - began

    mine = [CHOPMARK, "verify", *files, "--store", str(public), "-j", "1"]
    return [row(side_by_side({OURS: lambda: process(mine), THEIRS: one_by_one}, rounds), OURS, THEIRS, bound="<= 1")]
