"""Ask an HTTP server all the time: `http_load.py URL TYPE FILE SECONDS CLIENTS keep|new`; prints JSON.

FILE holds bodies, each behind its length in four octets; each client, a process, sends them by POST in an order of its
own. `keep` keeps connections, `new` opens one for each request. It is not an asynchronous client, so that it costs
little beside what it measures: each client waits for its answer.
"""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit


def main() -> int:
    """Fork the clients, and add up what they tell."""
    url, kind, file, seconds, clients, mode = sys.argv[1:]
    parts = urlsplit(url)
    address = parts.hostname or "", parts.port or 80
    closing = mode == "new"
    head = (
        f"POST {parts.path or '/'} HTTP/1.{0 if closing else 1}\r\nHost: {parts.hostname}\r\nContent-Type: {kind}\r\n"
    )
    asked = [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies(Path(file).read_bytes())]
    pipes = []
    for number in range(int(clients)):
        read, write = os.pipe()
        if not os.fork():
            taken, failed = client(address, asked, number, float(seconds), closing=closing)
            os.write(write, struct.pack("=II", len(taken), failed))
            with os.fdopen(write, "wb") as out:
                out.write(struct.pack(f"={len(taken)}f", *taken))
            os._exit(0)
        os.close(write)
        pipes.append(read)
    every: list[float] = []
    wrong = 0
    for pipe in pipes:
        with os.fdopen(pipe, "rb") as stream:
            count, failed = struct.unpack("=II", stream.read(8))
            every += struct.unpack(f"={count}f", stream.read(4 * count))
            wrong += failed
    every.sort()
    told = {
        "requests": len(every),
        "per_second": len(every) / float(seconds),
        "p50_ms": 1000 * every[len(every) // 2],
        "p99_ms": 1000 * every[len(every) * 99 // 100],
        "failed": wrong,
    }
    print(json.dumps(told))
    return 0


def bodies(raw: bytes) -> list[bytes]:
    """What is in the file."""
    found = []
    at = 0
    while at < len(raw):
        [size] = struct.unpack_from(">I", raw, at)
        found.append(raw[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def client(
    address: tuple[str, int], asked: list[bytes], number: int, seconds: float, *, closing: bool
) -> tuple[list[float], int]:
    """Ask for so many seconds; how long each answer took, and how many there were not."""
    order = random.Random(number).sample(asked, len(asked))
    turn = 0
    taken: list[float] = []
    failed = 0
    connection: socket.socket | None = None
    now = time.perf_counter()
    end = now + seconds
    while now < end:
        request = order[turn % len(order)]
        turn += 1
        began = now
        try:
            if connection is None:
                connection = socket.create_connection(address, timeout=10)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(request)
            good = answer(connection)
        except OSError:
            good = False
        if closing or not good:
            if connection is not None:
                connection.close()
            connection = None
        now = time.perf_counter()
        if good:
            taken.append(now - began)
        else:
            failed += 1
    return taken, failed


def answer(connection: socket.socket) -> bool:
    """Read one answer; whether it was a good one."""
    data = connection.recv(65536)
    while (end := data.find(b"\r\n\r\n")) < 0:
        more = connection.recv(65536)
        if not more:
            return False
        data += more
    at = data.index(b"Content-Length: ") + 16
    size = int(data[at : data.index(b"\r\n", at)])
    while len(data) < end + 4 + size:
        more = connection.recv(65536)
        if not more:
            return False
        data += more
    return data.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200"))


if __name__ == "__main__":
    sys.exit(main())
