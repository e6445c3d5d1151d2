"""An authority over HTTP: OCSP beside `openssl ocsp`, both with 1,000,000 certificates; tokens; a list of 40 MB.

The same client, in C, asks both, four of it at a time, in new connections and in kept ones; `openssl ocsp` closes each,
so its figure is the one for new connections both times. Both answer by SHA-1 CertIDs without a nonce, signed with the
same P-256 key; chopmark with as many processes as there are processors, answers signed ahead, `openssl ocsp` with one
process that signs each, as it has no other way. Questions are about any of the million, or about 10,000 again and
again, as those who check the same software ask. Seconds in the table are those for 10,000 answers.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench.measure import CHOPMARK, ROOT, Row, row, side_by_side
from bench.ocsp_answers import CERTIFICATES, filled, requests
from chopmark import keys
from chopmark.authority.hierarchy import founding
from chopmark.authority.ocsp import delegates
from chopmark.authority.ocsp.responder import Responder
from chopmark.authority.tsa import tsa
from chopmark.core import limits
from chopmark.envelopes import ocsp, pem, timestamp
from chopmark.keys import generate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.authority.ca import Authority

SECONDS = 1.5
CLIENTS = 4
CLIENT = "http_load"
WARM_UPS = 3
HOT = 10_000
LIST_SIZE = 40 * limits.MIB
LISTS = 5
ANSWERS = 10_000
TOKENS = 1_000
OPENSSL = f"{ANSWERS} answers, openssl ocsp"
ANY = f"{ANSWERS} OCSP answers, any of {CERTIFICATES:,}"
ANY_NEW = f"{ANSWERS} OCSP answers, any, new connections"
HOT_KEPT = f"{ANSWERS} OCSP answers, about {HOT:,}"
STAMPS = f"{TOKENS} tokens over HTTP, P-256"
BARE = f"{TOKENS} bare P-256 signatures"
LISTED = f"{LISTS} lists of 40 MB over HTTP"
SENT = f"{LISTS} files of 40 MB by sendfile alone"


def run(folder: Path, rounds: int) -> list[Row]:
    """Rows for OCSP, tokens and a large list."""
    place = folder / "ca"
    with founding.found(str(place), founding.Setup("Bench", "http://pki.example.com", "p256")) as authority:
        serials = filled(authority)
        delegate = delegates.Delegates(authority).create(authority.issuer("code-signing"))
        key = generate.new("p256")
        tsa.create(authority, tsa.usual_order(authority, key), key, None)
        pick = random.Random(7)
        _bodies(folder / "hot", requests(authority, pick.sample(serials, HOT)))
        _bodies(folder / "any", requests(authority, pick.sample(serials, 20 * HOT)))
        with Responder(authority) as signing:
            signing.presign()
        _bodies(folder / "stamps", [timestamp.request(pick.randbytes(32), "sha256", nonce=n + 1) for n in range(1000)])
        _index(folder, authority, serials)
        responder = place / delegates.FOLDER / f"code-signing.{delegate.serial}{delegates.SUFFIX}"
    (place / "public" / "crl" / "large.crl").write_bytes(os.urandom(limits.MIB) * 40)
    told: dict[str, list[dict[str, float]]] = {}
    _build(folder)
    with _ours(place) as (url, server), _openssl(folder, responder) as peer:
        stamp = str(place / tsa.FILE)
        for _ in range(WARM_UPS):  # each process signs its own answers, and keeps them
            _load(f"{url}ocsp", ocsp.REQUEST_TYPE, folder / "hot", "keep", 2 * SECONDS)
            _load(f"{url}ocsp", ocsp.REQUEST_TYPE, folder / "any", "keep", 2 * SECONDS)

        def load(what: str, where: str, kind: str, bodies: str, mode: str, count: int) -> float:
            found = _load(where, kind, folder / bodies, mode)
            told.setdefault(what, []).append(found)
            return count / found["per_second"]

        runs = {
            OPENSSL: lambda: load(OPENSSL, peer, ocsp.REQUEST_TYPE, "any", "new", ANSWERS),
            ANY: lambda: load(ANY, f"{url}ocsp", ocsp.REQUEST_TYPE, "any", "keep", ANSWERS),
            ANY_NEW: lambda: load(ANY_NEW, f"{url}ocsp", ocsp.REQUEST_TYPE, "any", "new", ANSWERS),
            HOT_KEPT: lambda: load(HOT_KEPT, f"{url}ocsp", ocsp.REQUEST_TYPE, "hot", "keep", ANSWERS),
            BARE: lambda: _bare(stamp),
            STAMPS: lambda: load(STAMPS, f"{url}tsa", timestamp.QUERY_TYPE, "stamps", "keep", TOKENS),
            SENT: lambda: _sent(place / "public" / "crl" / "large.crl"),
            LISTED: lambda: _fetched(url),
        }
        taken = side_by_side(runs, rounds)
        memory = _memory(server)
    return [
        row(taken, ANY, OPENSSL, bound="<= 0.2", note=f"{_note(told, ANY, OPENSSL)}; {memory}"),
        row(taken, ANY_NEW, OPENSSL, note=_note(told, ANY_NEW, OPENSSL)),
        row(taken, HOT_KEPT, OPENSSL, note=_note(told, HOT_KEPT, OPENSSL)),
        row(taken, STAMPS, BARE, note=_note(told, STAMPS)),
        row(taken, LISTED, SENT, note=f"{LISTS * 40 / min(taken[LISTED]):,.0f} MB/s"),
    ]


def _note(told: dict[str, list[dict[str, float]]], *names: str) -> str:
    """Rates and delays, each the middle one of the rounds; the first of them warmed up."""
    parts = []
    for name in names:
        found = sorted(told[name][1:], key=lambda one: one["per_second"])[len(told[name][1:]) // 2]
        assert found["failed"] <= found["requests"] / 1000
        rate = f"{found['per_second']:,.0f}/s, p50 {found['p50_ms']:.2f} ms, p99 {found['p99_ms']:.2f} ms"
        parts.append(rate if len(names) == 1 or name != OPENSSL else f"openssl {rate}")
    return "; ".join(parts)


def _bodies(path: Path, bodies: list[bytes]) -> None:
    path.write_bytes(b"".join(struct.pack(">I", len(body)) + body for body in bodies))


def _build(folder: Path) -> None:
    """Compile the client."""
    source = str(ROOT / "bench/peers/http_load.c")
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", str(folder / CLIENT), source], check=True)


def _load(url: str, kind: str, bodies: Path, mode: str, seconds: float = SECONDS) -> dict[str, float]:
    parts = urlsplit(url)
    command = [str(bodies.parent / CLIENT), str(parts.hostname), str(parts.port), parts.path, kind, str(bodies)]
    command += [str(seconds), str(CLIENTS), mode]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _memory(server: int) -> str:
    """What the processes that answer hold by themselves, and what they map together."""
    held = []
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            status = dict(line.split(":", 1) for line in (each / "status").read_text().splitlines())
            if int(status["PPid"]) == server:
                held.append((int(status["RssAnon"].split()[0]), int(status["RssFile"].split()[0])))
    own, mapped = max(held)
    return f"{own // 1024} MiB in a process, {mapped // 1024} MiB of files mapped by all"


@contextlib.contextmanager
def _ours(place: Path) -> Iterator[tuple[str, int]]:
    command = [CHOPMARK, "ca", "serve", "--ca", str(place), "--listen", "127.0.0.1:0", "--admin", "none", "--no-due"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().split()[-1], server.pid
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def _openssl(folder: Path, responder: Path) -> Iterator[str]:
    """`openssl ocsp` listens on all addresses; there is no other way to have it serve."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["openssl", "ocsp", "-index", str(folder / "index.txt"), "-port", str(port), "-ndays", "4"]
    command += ["-rsigner", str(responder), "-rkey", str(responder), "-CA", str(folder / "issuer.pem"), "-ignore_err"]
    with (folder / "openssl.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        while "waiting for OCSP client" not in (folder / "openssl.log").read_text():
            assert server.poll() is None
            time.sleep(0.1)
        time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()


def _index(folder: Path, authority: Authority, serials: list[int]) -> None:
    """The same register in the form that `openssl ca` keeps."""
    with (folder / "index.txt").open("w") as out:
        out.writelines(f"V\t401231235959Z\t\t{serial:032X}\tunknown\t/CN=x{serial:x}\n" for serial in serials)
    certificate = authority.issuer("code-signing").certificate.raw
    (folder / "issuer.pem").write_bytes(pem.encode("CERTIFICATE", certificate))


def _bare(path: str) -> float:
    signer = keys.open_key(path)
    began = time.perf_counter()
    for number in range(TOKENS):
        signer.sign(b"%200d" % number, "sha256")
    return time.perf_counter() - began


def _fetched(url: str) -> float:
    host, port = url.removeprefix("http://").rstrip("/").rsplit(":", 1)
    began = time.perf_counter()
    with socket.create_connection((host, int(port))) as connection:
        for _ in range(LISTS):
            connection.sendall(b"GET /crl/large.crl HTTP/1.1\r\nHost: x\r\n\r\n")
            head = connection.recv(4096, socket.MSG_PEEK)
            _drained(connection, head.index(b"\r\n\r\n") + 4 + LIST_SIZE)
    return time.perf_counter() - began


def _sent(path: Path) -> float:
    """A forked process that sends a file, and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as listener, path.open("rb") as content:
        child = os.fork()
        if not child:
            connection, _ = listener.accept()
            for _ in range(LISTS):
                content.seek(0)
                connection.sendfile(content)
            os._exit(0)
        began = time.perf_counter()
        with socket.create_connection(listener.getsockname()) as connection:
            _drained(connection, LISTS * LIST_SIZE)
        took = time.perf_counter() - began
        os.waitpid(child, 0)
    return took


def _drained(connection: socket.socket, size: int) -> None:
    room = memoryview(bytearray(limits.MIB))
    while size:
        got = connection.recv_into(room, min(size, limits.MIB))
        assert got
        size -= got
