"""Writing a CRL of 1,000,000 entries from the register, beside bare hashing and signing, and beside `openssl ca`."""

from __future__ import annotations

import datetime as dt
import random
import re
import sqlite3
import subprocess
from typing import TYPE_CHECKING

from bench.measure import PYTHON, ROOT, Row, process, row, side_by_side
from chopmark.authority.hierarchy import founding
from chopmark.authority.register.configuration import DATABASE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENTRIES = 1_000_000
PEER_ENTRIES = 100_000
"""openssl reads its whole index into memory and needs minutes for a million."""
SECONDS, MEMORY = 10.0, 300
OURS = f"chopmark publishes a CRL of {ENTRIES:,} entries"
LIMIT = "10 s, 300 MB"
BARE = "hash, sign and verify as many bytes"
PEER = f"openssl ca -gencrl, {PEER_ENTRIES:,} entries"
PROGRAM = ROOT / "bench" / "peers" / "publish_crl.py"
_DAY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def run(folder: Path, rounds: int) -> list[Row]:
    """Rows for the time, the memory, and each neighbour; the certificates of the CA are of a P-384 key."""
    authority = _filled(folder)
    index = _index(folder)
    peak: list[int] = []

    def ours() -> float:
        done = subprocess.run([PYTHON, PROGRAM, authority], capture_output=True, text=True, check=True)
        seconds, size, kilobytes = re.findall(r"[\d.]+", done.stdout)
        assert int(size) > 40 * ENTRIES
        peak.append(int(kilobytes))
        return float(seconds)

    def bare() -> float:
        done = subprocess.run([PYTHON, PROGRAM, authority, "bare"], capture_output=True, text=True, check=True)
        return float(done.stdout)

    taken = side_by_side({OURS: ours, BARE: bare, PEER: lambda: process(index)}, min(rounds, 3))
    taken[LIMIT] = [SECONDS] * len(taken[OURS])
    memory = max(peak) / 1024
    note = f"from opening the register to the list in its place; at most {memory:.0f} MB in the whole process"
    scale = PEER_ENTRIES / ENTRIES
    return [
        row(taken, OURS, LIMIT, bound="<= 1", note=note),
        Row(
            "memory of that process", memory, f"{MEMORY} MB", MEMORY, memory / MEMORY, "<= 1", "megabytes, not seconds"
        ),
        row(taken, OURS, BARE),
        row(taken, OURS, PEER, bound="<= 1", scale=scale, note="the ratio is for the same number of entries"),
    ]


def _rows(issuer: int) -> Iterator[tuple[object, ...]]:
    luck = random.Random(1045)
    then, later = "2025-01-01 00:00:00.000000", "2030-01-01 00:00:00.000000"
    for number in range(1, ENTRIES + 1):
        serial = f"{luck.getrandbits(126) | 1 << 126:032x}"
        since = str(_DAY.replace(tzinfo=None) + dt.timedelta(seconds=luck.randrange(20_000_000))) + ".000000"
        reason = luck.choice((0, 0, 1, 4, 5))
        revoked = (since, reason, since if reason == 1 else None)
        yield number + 10, issuer, serial, *revoked, "internal", "CN=x", "00", then, later, then, bytes(900), since, 1


def _filled(folder: Path) -> Path:
    """An authority whose register has ENTRIES revoked certificates."""
    place = folder / "ca"
    founding.found(str(place), founding.Setup("Example Ltd", "http://pki.example.com", "p384")).close()
    connection = sqlite3.connect(place / DATABASE)
    [(issuer,)] = connection.execute("SELECT id FROM issuers WHERE name = 'code-signing'").fetchall()
    columns = (
        "id, issuer, serial, revoked, reason, invalidity, profile, subject, key_sha256, not_before, not_after, "
        "reserved, certificate, recorded, changed"
    )
    marks = ", ".join("?" * len(columns.split(", ")))
    with connection:
        connection.executemany(f"INSERT INTO certificates ({columns}) VALUES ({marks})", _rows(issuer))  # noqa: S608
    connection.close()
    return place


def _index(folder: Path) -> list[str]:
    """What makes openssl write a CRL from an index of its own."""
    key, certificate = folder / "openssl.key", folder / "openssl.pem"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-noenc")
    subject = ("-subj", "/CN=Example CA", "-days", "3650")
    subprocess.run(
        ["openssl", "req", "-x509", *curve, *subject, "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    luck = random.Random(1045)
    with (folder / "index.txt").open("w") as index:
        for _ in range(PEER_ENTRIES):
            since = _DAY + dt.timedelta(seconds=luck.randrange(20_000_000))
            serial = f"{luck.getrandbits(126) | 1 << 126:032X}"
            index.write(f"R\t300101000000Z\t{since:%y%m%d%H%M%SZ},superseded\t{serial}\tunknown\t/CN=x\n")
    (folder / "number").write_text("01\n")
    (folder / "openssl.cnf").write_text(
        f"[ca]\ndefault_ca = own\n[own]\ndatabase = {folder}/index.txt\ncrlnumber = {folder}/number\n"
        f"certificate = {certificate}\nprivate_key = {key}\ndefault_md = sha384\ndefault_crl_days = 7\n"
    )
    return ["openssl", "ca", "-gencrl", "-config", str(folder / "openssl.cnf"), "-out", str(folder / "openssl.crl")]
