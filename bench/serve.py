"""An authority over HTTP: OCSP beside `openssl ocsp`, both with 1,000,000 certificates; tokens; a list of 40 MB.

The same client, in C, asks both, from two processes with eight connections each, in new connections and in kept ones.
`openssl ocsp` closes each connection, so its figure is the one for new connections both times; it signs each answer,
as it has no other way, in one process, as it does unless it is told otherwise, and in as many as there are processors
(`-multi`), as chopmark has them, whose answers are signed ahead. Both answer by SHA-1 CertIDs without a nonce, signed
with the same P-256 key. Questions are about any of the million, or about 10,000 again and again, as those who check the
same software ask. Seconds in the table are those for 10,000 answers; the notes have rates, delays, the server's
processor time for each answer, and how busy the machine was.

CHOPMARK_BENCH_AUTHORITY names a folder where what takes minutes to build is kept for the next run, and
CHOPMARK_BENCH_CERTIFICATES how many certificates there are; of fewer than a million nothing is promised.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
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
from chopmark.authority.ca import Authority
from chopmark.authority.hierarchy import founding
from chopmark.authority.ocsp import delegates
from chopmark.authority.ocsp.responder import Responder
from chopmark.authority.tsa import tsa
from chopmark.core import limits
from chopmark.envelopes import ocsp, pem, timestamp
from chopmark.keys import generate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 1.5
CLIENTS = 2
EACH = 8
CLIENT = "http_load"
WARM_UPS = 3
HOT = min(10_000, CERTIFICATES // 100)
ASKED = 200_000
PROCESSORS = len(os.sched_getaffinity(0))
PROMISED = 1_000_000
LIST_SIZE = 40 * limits.MIB
LISTS = 5
ANSWERS = 10_000
TOKENS = 1_000
OPENSSL = f"{ANSWERS} answers, openssl ocsp"
OPENSSL_MULTI = f"{ANSWERS} answers, openssl ocsp -multi {PROCESSORS}"
ANY = f"{ANSWERS} OCSP answers, any of {CERTIFICATES:,}"
ANY_NEW = f"{ANSWERS} OCSP answers, any of {CERTIFICATES:,}, new connections"
HOT_KEPT = f"{ANSWERS} OCSP answers, about {HOT:,} of {CERTIFICATES:,}"
STAMPS = f"{TOKENS} tokens over HTTP, P-256"
BARE = f"{TOKENS} bare P-256 signatures"
LISTED = f"{LISTS} lists of 40 MB over HTTP"
SENT = f"{LISTS} files of 40 MB by sendfile alone"


def run(folder: Path, rounds: int) -> list[Row]:
    """Rows for OCSP, tokens and a large list."""
    kept = Path(os.environ.get("CHOPMARK_BENCH_AUTHORITY", folder))
    place = kept / "ca"
    if not (kept / "built.json").exists():
        kept.mkdir(parents=True, exist_ok=True)
        (kept / "built.json").write_text(json.dumps(_built(kept)))
    built: dict[str, str] = json.loads((kept / "built.json").read_text())
    if built["certificates"] != str(CERTIFICATES):
        raise SystemExit(f"{kept} was built with {built['certificates']} certificates, not {CERTIFICATES}")
    with Authority.open(str(place)) as authority, Responder(authority) as signing:
        signing.presign()  # if it was built days ago
    _build(folder)
    loads = _Loads(folder, kept)
    with _ours(place) as (url, server), _openssl(kept, 0) as (peer, one), _openssl(kept, PROCESSORS) as (peers, many):
        ours = f"{url}ocsp"
        for _ in range(WARM_UPS):  # each process reads the table for the first time
            loads.load(ours, ocsp.REQUEST_TYPE, "hot", "keep", 2 * SECONDS)
            loads.load(ours, ocsp.REQUEST_TYPE, "any", "keep", 2 * SECONDS)

        def answers(what: str, where: str, process: int, bodies: str, mode: str) -> Callable[[], float]:
            return lambda: loads.measured(what, where, ocsp.REQUEST_TYPE, process, bodies, mode, ANSWERS)

        runs = {
            OPENSSL: answers(OPENSSL, peer, one, "any", "new"),
            OPENSSL_MULTI: answers(OPENSSL_MULTI, peers, many, "any", "new"),
            ANY: answers(ANY, ours, server, "any", "keep"),
            ANY_NEW: answers(ANY_NEW, ours, server, "any", "new"),
            HOT_KEPT: answers(HOT_KEPT, ours, server, "hot", "keep"),
            BARE: lambda: _bare(str(place / tsa.FILE)),
            STAMPS: lambda: loads.measured(STAMPS, f"{url}tsa", timestamp.QUERY_TYPE, server, "stamps", "keep", TOKENS),
            SENT: lambda: _sent(place / "public" / "crl" / "large.crl"),
            LISTED: lambda: _fetched(url),
        }
        taken = side_by_side(runs, rounds)
        memory = _memory(server)
    bound = "<= 0.2" if CERTIFICATES >= PROMISED else ""
    facts = f"{memory}; {built['took']}; load average {os.getloadavg()[0]:.1f}"
    return [
        row(taken, ANY, OPENSSL, bound=bound, note=f"{loads.note(ANY, OPENSSL)}; {facts}"),
        row(taken, ANY, OPENSSL_MULTI, note=loads.note(ANY, OPENSSL_MULTI)),
        row(taken, ANY_NEW, OPENSSL, note=loads.note(ANY_NEW, OPENSSL)),
        row(taken, ANY_NEW, OPENSSL_MULTI, note=loads.note(ANY_NEW, OPENSSL_MULTI)),
        row(taken, HOT_KEPT, OPENSSL, note=loads.note(HOT_KEPT, OPENSSL)),
        row(taken, HOT_KEPT, OPENSSL_MULTI, note=loads.note(HOT_KEPT, OPENSSL_MULTI)),
        row(taken, STAMPS, BARE, note=loads.note(STAMPS)),
        row(taken, LISTED, SENT, note=f"{LISTS * 40 / min(taken[LISTED]):,.0f} MB/s"),
    ]


def _built(folder: Path) -> dict[str, str]:
    """An authority with answers signed ahead about all its certificates, and what is asked about them."""
    place = folder / "ca"
    with founding.found(str(place), founding.Setup("Bench", "http://pki.example.com", "p256")) as authority:
        serials = filled(authority)
        delegate = delegates.Delegates(authority).create(authority.issuer("code-signing"))
        key = generate.new("p256")
        tsa.create(authority, tsa.usual_order(authority, key), key, None)
        pick = random.Random(7)
        _bodies(folder / "hot", requests(authority, pick.sample(serials, HOT)))
        _bodies(folder / "any", requests(authority, pick.sample(serials, min(ASKED, CERTIFICATES))))
        stamps = [timestamp.request(pick.randbytes(32), "sha256", nonce=n + 1) for n in range(1000)]
        _bodies(folder / "stamps", stamps)
        _index(folder, authority, serials)
    took = _presigned(place)
    (place / "public" / "crl" / "large.crl").write_bytes(os.urandom(limits.MIB) * 40)
    responder = place / delegates.FOLDER / f"code-signing.{delegate.serial}{delegates.SUFFIX}"
    return {"certificates": str(CERTIFICATES), "took": took, "responder": str(responder)}


def _presigned(place: Path) -> str:
    """Sign all answers ahead, as a command; what that took."""
    began = time.perf_counter()
    with subprocess.Popen(
        [CHOPMARK, "ocsp", "presign", "--ca", str(place)], stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        said = command.stdout.read().splitlines()[0]
        _, status, used = os.wait4(command.pid, 0)
        command.returncode = os.waitstatus_to_exitcode(status)
    assert not command.returncode
    took = f"{' '.join(said.split())} ahead in {time.perf_counter() - began:.0f} s"
    took += f", {used.ru_utime + used.ru_stime:.0f} s of a processor"
    return took + f", {used.ru_maxrss // 1024} MiB at the most, {used.ru_oublock // 2048} MiB written"


class _Loads:
    """Runs the client, and keeps what it said and what the server used meanwhile."""

    def __init__(self, program: Path, bodies: Path) -> None:
        self._program = program / CLIENT
        self._bodies = bodies
        self._told: dict[str, list[dict[str, float]]] = {}

    def load(self, url: str, kind: str, bodies: str, mode: str, seconds: float = SECONDS) -> dict[str, float]:
        parts = urlsplit(url)
        command = [str(self._program), str(parts.hostname), str(parts.port), parts.path, kind]
        command += [str(self._bodies / bodies), str(seconds), str(CLIENTS), str(EACH), mode]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found: dict[str, float] = json.loads(done.stdout)
        assert found["requests"], url
        return found

    def measured(self, what: str, url: str, kind: str, server: int, bodies: str, mode: str, count: int) -> float:
        """Seconds for so many answers, at the rate of this run."""
        before = _used(server)
        found = self.load(url, kind, bodies, mode)
        found["used_us"] = 1e6 * (_used(server) - before) / found["requests"]
        self._told.setdefault(what, []).append(found)
        return count / found["per_second"]

    def note(self, *names: str) -> str:
        """Rates, delays and processor time, each of the round in the middle; the first of them warmed up."""
        parts = []
        for name in names:
            found = sorted(self._told[name][1:], key=lambda one: one["per_second"])[len(self._told[name][1:]) // 2]
            assert found["failed"] <= found["requests"] / 1000
            least = min(one["used_us"] for one in self._told[name])
            rate = f"{found['per_second']:,.0f}/s, p50 {found['p50_ms']:.2f} ms, p99 {found['p99_ms']:.2f} ms, "
            rate += f"{found['used_us']:.0f} us of a processor each ({least:.0f} at the least)"
            parts.append(f"{name.partition(', ')[2]}: {rate}" if "openssl" in name else rate)
        return "; ".join(parts)


def _processes(first: int) -> list[int]:
    """A process and those that it started, and so on."""
    parents = {}
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(each.name)] = int((each / "stat").read_text().rpartition(")")[2].split()[1])
    found = [first]
    for number in found:
        found += [child for child, parent in parents.items() if parent == number]
    return found


def _used(server: int) -> float:
    """Seconds of a processor that a server has used with all its processes."""
    ticks = 0
    for each in _processes(server):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _bodies(path: Path, bodies: list[bytes]) -> None:
    path.write_bytes(b"".join(struct.pack(">I", len(body)) + body for body in bodies))


def _build(folder: Path) -> None:
    """Compile the client."""
    source = str(ROOT / "bench/peers/http_load.c")
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", str(folder / CLIENT), source], check=True)


def _memory(server: int) -> str:
    """What the processes that answer hold by themselves, and what they map together."""
    held = []
    for each in _processes(server)[1:]:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{each}/status").read_text().splitlines())
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
def _openssl(kept: Path, processes: int) -> Iterator[tuple[str, int]]:
    """`openssl ocsp` listens on all addresses; there is no other way to have it serve."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    responder = json.loads((kept / "built.json").read_text())["responder"]
    command = ["openssl", "ocsp", "-index", str(kept / "index.txt"), "-port", str(port), "-ndays", "4"]
    command += ["-rsigner", responder, "-rkey", responder, "-CA", str(kept / "issuer.pem"), "-ignore_err"]
    log = kept / f"openssl.{processes}.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, *(["-multi", str(processes)] if processes else [])], stdout=out, stderr=out
        )
    try:
        while "ACCEPT" not in log.read_text():
            assert server.poll() is None
            time.sleep(0.1)
        time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/", server.pid
    finally:
        for each in reversed(_processes(server.pid)):  # the one that started the others heeds no SIGTERM
            os.kill(each, signal.SIGKILL)
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
