"""Looking up one certificate among 1,000,000, beside `openssl ca -status` with an index of as many lines."""

from __future__ import annotations

import hashlib
import subprocess
import time
from typing import TYPE_CHECKING

from bench.measure import CHOPMARK, Row, process, row, side_by_side
from chopmark.authority.ca import Authority
from chopmark.authority.hierarchy import founding
from chopmark.authority.register.search import Query
from chopmark.core import clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNT = 1_000_000
OPENSSL = f"openssl ca -status among {COUNT:,}"
FIND = f"chopmark ca list --serial among {COUNT:,}"


def run(folder: Path, rounds: int) -> list[Row]:
    """Whole processes by serial number, and every kind of search within one."""
    where = str(folder / "ca")
    founding.found(where, founding.Setup("Example Ltd", "http://x/", "p256")).close()
    _fill(folder / "ca" / "authority.sqlite3")
    serial = _serial(COUNT // 2)
    config = _index(folder)
    taken = side_by_side(
        {
            OPENSSL: lambda: process(["openssl", "ca", "-config", config, "-status", serial], expect=(0, 1)),
            FIND: lambda: process([CHOPMARK, "ca", "list", "--ca", where, "--serial", serial[:12]]),
        },
        rounds,
    )
    with Authority.open(where) as authority:
        told = ", ".join(f"{what} {_timed(authority, query):.0f} ms" for what, query in _QUERIES.items())
    return [row(taken, FIND, OPENSSL, bound="<= 1", note=f"within a process: {told}")]


_QUERIES = {
    "serial": Query(serial="40000"),
    "key": Query(key_sha256=hashlib.sha256(b"7").hexdigest()),
    "subject": Query(subject="number 777777"),
    "page of revoked": Query(status="revoked", limit=100),
    "last page": Query(profile="code-signing", after=COUNT - 100, limit=100),
}


def _timed(authority: Authority, query: Query) -> float:
    def once() -> float:
        began = time.perf_counter()
        authority.finder.search(query, clock.now())
        return 1000 * (time.perf_counter() - began)

    return min(_repeated(once))


def _repeated(once: Callable[[], float]) -> list[float]:
    return [once() for _ in range(3)]


def _serial(number: int) -> str:
    return "4" + hashlib.sha256(str(number).encode()).hexdigest()[:31]


def _fill(path: Path) -> None:
    """Rows of the size of real ones, put in directly."""
    import sqlite3

    body = bytes(700)
    with sqlite3.connect(path) as connection:
        issuer = connection.execute("SELECT id FROM issuers WHERE name = 'code-signing'").fetchone()[0]
        rows = (
            (
                issuer,
                _serial(number),
                "code-signing",
                f"CN=Example number {number}, O=Example Ltd, L=Leeds, C=GB",
                hashlib.sha256(str(number).encode()).hexdigest(),
                "2026-01-01 00:00:00.000000",
                "2040-01-01 00:00:00.000000",
                "2026-01-01 00:00:00.000000",
                "2026-01-01 00:00:00.000000",
                number.to_bytes(4, "big") + body,
                "2026-02-01 00:00:00.000000" if number % 100 == 0 else None,
                1 if number % 100 == 0 else None,
                0,
            )
            for number in range(COUNT)
        )
        connection.executemany(
            "INSERT INTO certificates (issuer, serial, profile, subject, key_sha256, not_before, not_after, reserved,"
            " issued, certificate, revoked, reason, shard) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
    connection.close()


def _index(folder: Path) -> str:
    with (folder / "index.txt").open("w") as file:
        for number in range(COUNT):
            name = f"/C=GB/L=Leeds/O=Example Ltd/CN=Example number {number}"
            file.write(f"V\t20400101000000Z\t\t{_serial(number).upper()}\tunknown\t{name}\n")
    (folder / "index.txt.attr").write_text("unique_subject = no\n")
    key, certificate = folder / "key.pem", folder / "crt.pem"
    make = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x")
    subprocess.run((*make, "-keyout", str(key), "-out", str(certificate)), check=True, capture_output=True)
    config = folder / "openssl.cnf"
    database = f"database={folder}/index.txt\ncertificate={certificate}\nprivate_key={key}\n"
    config.write_text(f"[ca]\ndefault_ca=d\n[d]\n{database}")
    return str(config)
