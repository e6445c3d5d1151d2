"""Authorities whose processes are killed at any moment, and what must hold afterwards."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from chopmark.authority.ca import Authority
from chopmark.authority.log.folder import FolderLog
from chopmark.envelopes import x509
from tests.support import log_verifier
from tests.unit.authority.conftest import order

if TYPE_CHECKING:
    import random


def work(folder: str, pipe: int, turn: int) -> None:
    """Issue, revoke, publish, log signatures, for ever; write each serial number into the pipe once it is in hand."""
    with Authority.open(folder) as authority:
        number = turn
        while True:
            issued = authority.issue(order("internal"))
            os.write(pipe, f"{issued.serial}\n".encode())
            if number % 3 == 0:
                authority.revoke(issued.serial, "superseded")
            if number % 3 == 1:
                authority.log.record([("sign", "somebody", {"file_sha256": issued.serial * 2})])
                authority.log.integrate()
            if number % 5 == 2:
                authority.publish("code-signing")
            number += 1


def kill(folder: str, rounds: int, luck: random.Random, *, longest: float, processes: int = 2) -> list[str]:
    """Let processes work and kill them, again and again; the serial numbers that they gave out."""
    context = multiprocessing.get_context("fork")
    handed_out: list[str] = []
    for round_ in range(rounds):
        reading, writing = os.pipe()
        workers = [context.Process(target=work, args=(folder, writing, luck.randrange(15))) for _ in range(processes)]
        for worker in workers:
            worker.start()
        os.close(writing)
        with os.fdopen(reading) as told:
            first = told.readline() if round_ % 4 else ""  # else they are killed before they have done anything
            time.sleep(luck.uniform(0.0, longest))
            for worker in workers:
                os.kill(worker.pid or 0, signal.SIGKILL)
                worker.join()
            lines = (first + told.read()).splitlines(keepends=True)
        handed_out += [line.strip() for line in lines if line.endswith("\n")]
    return handed_out


def check(folder: str, handed_out: list[str]) -> None:
    """Nothing is lost, no number was used twice, and no certificate exists without its entry in a log that verifies."""
    with Authority.open(folder) as authority:
        log = authority.log.log()
        authority.log.integrate()
        entries = log_verifier.verify(Path(folder) / "public" / "log", str(log.key))
        assert log.waiting() == 0
        events = [json.loads(entry) for entry in entries]
        issued = {event["serial"]: event["certificate_sha256"] for event in events if event["action"] == "issue"}
        done = Counter((event["action"], event.get("serial")) for event in events)
        records = {record.serial: record for record in authority.register.search(authority.clock(), profile="internal")}
        assert len(handed_out) == len(set(handed_out))
        assert set(handed_out) <= set(records)
        for serial, record in records.items():
            if record.certificate is None:
                assert serial not in handed_out
                assert serial not in issued
                continue
            assert issued[serial] == x509.Certificate(record.certificate).sha256
            assert done["issue", serial] == 1
            assert done["revoke", serial] == (record.revoked is not None)
        published = authority.publish("code-signing")
        assert published.entries == sum(record.revoked is not None for record in records.values())
        numbers = [
            event["number"] for event in events if event["action"] == "crl" and event["issuer"] == "code-signing"
        ]
        assert numbers == sorted(set(numbers))
        assert published.number > max(numbers)
        assert authority.issue(order("internal")).serial not in records


def _append(folder: str, name: int, pipe: int) -> None:
    log = FolderLog.open(folder)
    for number in itertools.count():
        batch = [b"%d %d %d" % (name, number, part) for part in range(1 + number % 7)]
        log.append(batch)
        os.write(pipe, batch[-1] + b"\n")


def kill_appending(folder: str, rounds: int, luck: random.Random) -> list[bytes]:
    """Kill two processes that append to a log in a folder, again and again; the entries that were acknowledged."""
    told: list[bytes] = []
    context = multiprocessing.get_context("fork")
    for round_ in range(rounds):
        reading, writing = os.pipe()
        workers = [context.Process(target=_append, args=(folder, 2 * round_ + which, writing)) for which in (0, 1)]
        for worker in workers:
            worker.start()
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            first = pipe.readline()
            time.sleep(luck.uniform(0.0, 0.03))
            for worker in workers:
                os.kill(worker.pid or 0, signal.SIGKILL)
                worker.join()
            told += [line.strip() for line in (first + pipe.read()).splitlines(keepends=True) if line.endswith(b"\n")]
    return told


def check_appended(folder: str, told: list[bytes]) -> None:
    """What was acknowledged is in the log, once; and the next process just goes on."""
    log = FolderLog.open(folder)
    log.recover()
    found = log_verifier.verify(Path(log.storage.folder), str(log.key))
    assert len(found) == len(set(found))
    assert told
    assert set(told) <= set(found)
    log.append([b"after"])
    assert log_verifier.verify(Path(log.storage.folder), str(log.key)) == [*found, b"after"]
