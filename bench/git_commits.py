"""Verifying 1,000 signed commits of a packed repository, beside git itself, which runs gpg or ssh-keygen for each."""

from __future__ import annotations

import datetime as dt
import subprocess
from functools import partial
from typing import TYPE_CHECKING

from bench.measure import CHOPMARK, Row, process, row, side_by_side
from chopmark.core.artifact import Artifact
from chopmark.core.contracts import SealOptions
from chopmark.engine import keyring, sign
from chopmark.formats.git.database.objects import Stored
from chopmark.formats.git.database.repository import discover

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 1000
WHO = "bench <bench@example.org>"
ROUNDS_MAX = 2
"""gpg takes its time."""


def run(folder: Path, rounds: int) -> list[Row]:
    """One row for OpenPGP with RSA of 3072 bits, one for SSH with Ed25519."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    gpg = ("gpg", "-q", "--homedir", str(home), "--batch", "--yes", "--passphrase", "", "--pinentry-mode", "loopback")
    subprocess.run((*gpg, "--quick-generate-key", WHO, "rsa3072", "sign", "never"), check=True, capture_output=True)
    subprocess.run((*gpg, "-o", str(folder / "public.gpg"), "--export"), check=True)
    subprocess.run((*gpg, "-o", str(folder / "secret.gpg"), "--export-secret-keys"), check=True)
    (folder / "secret.gpg").chmod(0o600)
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")), check=True)
    (folder / "allowed").write_text(f"bench@example.org {(folder / 'key.pub').read_text()}")
    rows = []
    for kind, key, store in (("OpenPGP", "openpgp:secret.gpg", "public.gpg"), ("SSH", "ssh:key", "allowed")):
        scheme, _, name = key.partition(":")
        repository = _history(folder / kind, f"{scheme}:{folder / name}")
        mine = [CHOPMARK, "git", "verify", "first..main", "-C", str(repository), "--store", str(folder / store), "-q"]
        allowed = f"gpg.ssh.allowedSignersFile={folder / 'allowed'}"
        theirs = ["env", f"GNUPGHOME={home}", "git", "-C", str(repository), "-c", allowed]
        theirs += ["log", "--format=%G?", "first..main"]
        told = subprocess.run(theirs, capture_output=True, check=True).stdout.split()
        assert len(told) == COUNT
        assert set(told) <= {b"G", b"U"}
        ours = f"chopmark git verify, {COUNT} commits, {kind}"
        peer = f"git log --format=%G?, {kind}"
        times = side_by_side({ours: partial(process, mine), peer: partial(process, theirs)}, min(rounds, ROUNDS_MAX))
        rows.append(row(times, ours, peer, bound="<= 1"))
    subprocess.run(("gpgconf", "--homedir", str(home), "--kill", "all"), check=True)
    return rows


def _history(folder: Path, key: str) -> Path:
    """A repository with so many signed commits, one on the other, in one pack."""
    subprocess.run(("git", "init", "-q", "-b", "main", str(folder)), check=True)
    repository = discover(str(folder))
    signer = keyring.open_key(key)
    now = dt.datetime.now(dt.UTC)
    request = sign.SignRequest(signer, (), now, SealOptions("sha512"), format_name="git")
    parent = commit = ""
    for number in range(COUNT + 1):
        blob = bytes.fromhex(repository.write(Stored("blob", f"{number}\n".encode())))
        tree = repository.write(Stored("tree", b"100644 file\0" + blob))
        when = f"bench <bench@example.org> {int(now.timestamp()) + number} +0000\n"
        data = f"tree {tree}\n{parent}author {when}committer {when}\nChange {number}\n".encode()
        artifact = Artifact.from_bytes(data)
        commit = repository.write(Stored("commit", sign.sign(artifact, request).patch.render(artifact)))
        parent = f"parent {commit}\n"
        if number == 0:
            subprocess.run(("git", "-C", str(folder), "update-ref", "refs/heads/first", commit), check=True)
    subprocess.run(("git", "-C", str(folder), "update-ref", "refs/heads/main", commit), check=True)
    subprocess.run(("git", "-C", str(folder), "gc", "-q"), check=True)
    return folder
