"""OCSP answers, about any of 1,000,000 certificates: from memory, signed ahead, signed now; beside the bare signature.

HTTP is not in it: the server's own measurement has that.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import resource
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import Row, row, side_by_side
from chopmark.authority.hierarchy import founding
from chopmark.authority.ocsp.responder import Responder
from chopmark.core import clock
from chopmark.envelopes import ocsp
from chopmark.envelopes.ocsp import certid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.authority.ca import Authority
    from chopmark.authority.ocsp.delegates import Delegate

CERTIFICATES = int(os.environ.get("CHOPMARK_BENCH_CERTIFICATES", "1000000"))
SAMPLE = 5_000
BARE = f"{SAMPLE} bare P-256 signatures"
MEMORY = f"{SAMPLE} answers from memory"
AHEAD = f"{SAMPLE} answers signed ahead"
FRESH = f"{SAMPLE} answers signed now"


def run(folder: Path, rounds: int) -> list[Row]:
    """Three rows: how the answers compare with the signature alone."""
    setup = founding.Setup("Bench", "http://pki.example.com", "p256")
    with founding.found(str(folder / "ca"), setup) as authority, contextlib.ExitStack() as stack:
        serials = filled(authority)
        responder = stack.enter_context(Responder(authority))
        responder.delegates.create(authority.issuer("code-signing"))
        began = time.perf_counter()
        signed = responder.presign().signed
        took = time.perf_counter() - began
        [delegate] = [each for each in responder.delegates.all() if each.issuer == authority.issuer("code-signing").id]
        pick = random.Random(1)

        def sample() -> list[bytes]:
            return requests(authority, pick.sample(serials, SAMPLE))

        hot = sample()
        for request in hot:
            responder.respond(request)
        # Named by SHA-256, no answer was signed ahead.
        strange: Iterator[list[bytes]] = (
            requests(authority, pick.sample(serials, SAMPLE), "sha256") for _ in itertools.count()
        )
        runs = {
            BARE: lambda: bare(delegate),
            MEMORY: lambda: asked(responder, hot),
            AHEAD: lambda: asked(responder, sample()),
            FRESH: lambda: asked(responder, next(strange)),
        }
        taken = side_by_side(runs, rounds)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    note = (
        f"{signed} signed ahead in {took:.0f} s; {memory} MiB at the most, {CERTIFICATES} certificates in the register"
    )
    return [
        row(taken, MEMORY, BARE, bound="<= 1.0", note=note),
        row(taken, AHEAD, BARE),
        row(taken, FRESH, BARE, note="a look-up and a check of the signature included"),
    ]


def filled(authority: Authority) -> list[int]:
    """Enter all certificates, as a CA of years would have them; their serial numbers."""
    pick = random.Random(0)
    serials = [pick.getrandbits(126) | 1 << 126 for _ in range(CERTIFICATES)]
    now, later = clock.now().replace(tzinfo=None), clock.now().replace(tzinfo=None, year=clock.now().year + 1)
    issuer = authority.issuer("code-signing").id
    names = "issuer, serial, profile, subject, key_sha256, not_before, not_after, reserved, certificate, issued"
    with contextlib.closing(sqlite3.connect(Path(authority.folder, "authority.sqlite3"))) as connection, connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA cache_size = -500000")  # the indexes: otherwise most of the time goes into them
        connection.executemany(
            f"INSERT INTO certificates ({names}) VALUES (?, ?, 'internal', 'CN=x', ?, ?, ?, ?, x'3000', ?)",  # noqa: S608 - fixed names
            (
                (
                    issuer,
                    f"{serial:032x}",
                    f"{serial:064x}",
                    f"{now}.000000",
                    f"{later}.000000",
                    f"{now}.000000",
                    f"{now}.000000",
                )
                for serial in serials
            ),
        )
    return serials


def requests(authority: Authority, serials: Sequence[int], algorithm: str = "sha1") -> list[bytes]:
    """A request for each serial number."""
    certificate = authority.issuer("code-signing").certificate
    hashes = certid.issuer_hashes(certificate.subject, certificate.spki, algorithm)
    return [ocsp.request([ocsp.CertId(algorithm, *hashes, serial.to_bytes(16, "big"))]) for serial in serials]


def asked(responder: Responder, wanted: Sequence[bytes]) -> float:
    """Seconds for the HTTP answers to requests."""
    began = time.perf_counter()
    replies = [responder.respond_http("POST", "", request) for request in wanted]
    took = time.perf_counter() - began
    assert all(ocsp.read_response(each.body).basic.singles[0].status == ocsp.GOOD for each in replies)  # type: ignore[union-attr]
    return took


def bare(delegate: Delegate) -> float:
    """Seconds for as many signatures over as many bytes."""
    data = b"x" * 200
    began = time.perf_counter()
    for _ in range(SAMPLE):
        delegate.signer.sign(data, delegate.digest)
    return time.perf_counter() - began
