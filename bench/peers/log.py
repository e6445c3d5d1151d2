"""What a log of many entries costs, each part by itself, beside bare hashes and signatures.

`python bench/peers/log.py PART FOLDER COUNT`: prints seconds, and the most memory that it took in MiB. The log is made
by `make`, which the other parts need.
"""

from __future__ import annotations

import hashlib
import os
import random
import resource
import shutil
import sys
import time
from pathlib import Path

from chopmark.authority.log import entry
from chopmark.authority.log.folder import FolderLog
from chopmark.authority.log.logs import Prover
from chopmark.core import clock
from chopmark.keys import generate
from chopmark.keys.software import SoftwareSigner
from chopmark.trust.log import auditing, keys, sources

BARE = b"x" * 200


def make(folder: Path, count: int) -> float:
    """Append entries like those of an authority, with one checkpoint for each batch of 65,536."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    generate.store(str(folder / "log.pem"), generate.encode(generate.new("ed25519"), None))
    log = FolderLog.make(str(folder), "example.com/log", "folder:log.pem")
    template = entry.encode("issue", clock.now(), {"certificate_sha256": "0" * 64, "serial": "0" * 32, "issuer": "ca"})
    began = time.perf_counter()
    log.append(template.replace(b"0" * 32, b"%032d" % number, 1) for number in range(count))
    return time.perf_counter() - began


def hashes(_folder: Path, count: int) -> float:
    """The hashes that a tree of so many entries is made of, and nothing else."""
    pair = bytes(65)
    began = time.perf_counter()
    for _ in range(count):
        hashlib.sha256(BARE).digest()
        hashlib.sha256(pair).digest()
    return time.perf_counter() - began


def appends(folder: Path, count: int) -> float:
    """Single entries, each under a checkpoint of its own, on disk."""
    log = FolderLog.open(str(folder))
    began = time.perf_counter()
    for number in range(count):
        log.append([BARE + b"%d" % number])
    return time.perf_counter() - began


def signatures(folder: Path, count: int) -> float:
    """As many bare signatures, each written to a file and flushed."""
    signer = SoftwareSigner(generate.new("ed25519"))
    began = time.perf_counter()
    with (folder / "bare").open("wb", buffering=0) as file:
        for _ in range(count):
            file.write(signer.sign(BARE, "sha512"))
            os.fsync(file.fileno())
    return time.perf_counter() - began


def proofs(folder: Path, count: int) -> float:
    """Proofs of entries anywhere in the log, each checked."""
    log = FolderLog.open(str(folder))
    size = log.latest().checkpoint.size
    luck = random.Random(1)
    began = time.perf_counter()
    prover = Prover(log)
    for _ in range(count):
        prover.prove(luck.randrange(size))
    return time.perf_counter() - began


def paths(_folder: Path, count: int) -> float:
    """The hashes that as many checks of a proof take at 1,000,000 entries."""
    pair = bytes(65)
    began = time.perf_counter()
    for _ in range(count * 21):
        hashlib.sha256(pair).digest()
    return time.perf_counter() - began


def audit(folder: Path, _: int) -> float:
    """The whole log, every entry and every hash."""
    log = FolderLog.open(str(folder))
    began = time.perf_counter()
    found = auditing.audit(sources.FolderSource(log.storage.folder), keys.Trusted((log.key,)))
    assert found.findings[-1].code == "log.complete", found.findings
    return time.perf_counter() - began


PARTS = {each.__name__: each for each in (make, hashes, appends, signatures, proofs, paths, audit)}

if __name__ == "__main__":
    seconds = PARTS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
    print(f"{seconds:.6f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")
