"""Processes that issue at the same time, and processes that are killed while they issue."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import time
from pathlib import Path

from chopmark.authority.ca import Authority
from chopmark.authority.crl.publisher import Wanted
from chopmark.authority.hierarchy import founding
from chopmark.authority.register.configuration import DATABASE
from chopmark.envelopes import x509
from chopmark.trust.crl.revocation_list import Crl
from tests.unit.authority.conftest import order

_ROUNDS = 24
_PUBLICATIONS = 12
"""Some; tests/interop/test_kills.py does it by hundreds."""


def made(tmp_path: Path) -> str:
    """An authority by the real clock, closed."""
    folder = str(tmp_path / "ca")
    founding.found(folder, founding.Setup("Example Ltd", "http://pki.example.com", "p256")).close()
    return folder


def issue_and_tell(folder: str, pipe: int, count: int) -> None:
    """Issue, and write each serial number into the pipe once the certificate is in hand."""
    with Authority.open(folder) as authority:
        for number in range(count):
            issued = authority.issue(order("internal"))
            os.write(pipe, f"{issued.serial}\n".encode())
            if number % 3 == 2:
                authority.revoke(issued.serial, "superseded")
                authority.publish("code-signing")


def test_two_processes_share_no_number(tmp_path: Path) -> None:
    folder = made(tmp_path)
    reading, writing = os.pipe()
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=issue_and_tell, args=(folder, writing, 30)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    os.close(writing)
    with os.fdopen(reading) as told:
        serials = told.read().split()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(serials) == len(set(serials)) == 60
    with Authority.open(folder) as authority:
        records = authority.register.search(authority.clock(), profile="internal")
        assert {record.serial for record in records} == set(serials)
        assert all(record.certificate for record in records)


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """What was handed out is in the register, no number comes twice, and the next process just goes on."""
    folder = made(tmp_path)
    luck = random.Random(1045)  # noqa: S311 - moments, not secrets
    handed_out: list[str] = []
    context = multiprocessing.get_context("fork")
    for round_ in range(_ROUNDS):
        reading, writing = os.pipe()
        worker = context.Process(target=issue_and_tell, args=(folder, writing, 10**6))
        worker.start()
        os.close(writing)
        with os.fdopen(reading) as told:
            first = told.readline() if round_ % 4 else ""  # else it is killed before it has done anything
            time.sleep(luck.uniform(0.0, 0.02))
            os.kill(worker.pid or 0, signal.SIGKILL)
            worker.join()
            lines = (first + told.read()).splitlines(keepends=True)
        handed_out += [line.strip() for line in lines if line.endswith("\n")]
    assert len(handed_out) >= _ROUNDS * 3 // 4
    check_register(folder, handed_out)


def check_register(folder: str, handed_out: list[str]) -> None:
    connection = sqlite3.connect(os.path.join(folder, DATABASE))  # noqa: PTH118
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    with Authority.open(folder) as authority:
        issuer = authority.issuer("code-signing").certificate
        records = {record.serial: record for record in authority.register.search(authority.clock(), profile="internal")}
        assert len(handed_out) == len(set(handed_out))
        assert set(handed_out) <= set(records)
        for serial, record in records.items():
            if record.certificate is None:
                assert serial not in handed_out
                continue
            certificate = x509.Certificate(record.certificate)
            certificate.verify_signed_by(issuer.spki)
            assert certificate.serial_octets.hex() == serial
            assert next(event.action for event in authority.register.history(serial)) == "issue"
        before = authority.register.latest_crl(authority.issuer("code-signing"))
        published = authority.publish("code-signing")
        assert before is None or published.number > before.number
        revoked = sum(record.revoked is not None for record in records.values())
        assert published.entries == revoked
        assert authority.issue(order("internal")).serial not in records
    leftovers = [name for name in os.listdir(folder) if name.endswith(".chopmark")]  # noqa: PTH208
    assert leftovers == []


def publish_and_tell(folder: str, pipe: int) -> None:
    """Revoke and publish for ever; write each number into the pipe once its lists are out."""
    with Authority.open(folder) as authority:
        while True:
            authority.revoke(authority.issue(order("internal")).serial, "superseded")
            published = authority.publish("code-signing")
            authority.revoke(authority.issue(order("internal")).serial, "superseded")
            delta = authority.publish("code-signing", Wanted(delta=True))
            os.write(pipe, f"{delta.number}\n".encode())
            assert delta.base is None or delta.base >= published.number


def test_killed_while_lists_are_published(tmp_path: Path) -> None:
    """What is out is whole, of one publication, never older than before; and no number comes twice."""
    folder = str(tmp_path / "ca")
    setup = founding.Setup("Example Ltd", "http://pki.example.com", "p256", shards=2, deltas=True)
    founding.found(folder, setup).close()
    luck = random.Random(590)  # noqa: S311 - moments, not secrets
    context = multiprocessing.get_context("fork")
    told: list[int] = []
    newest = 0
    for round_ in range(_PUBLICATIONS):
        reading, writing = os.pipe()
        workers = [context.Process(target=publish_and_tell, args=(folder, writing)) for _ in range(2)]
        for worker in workers:
            worker.start()
        os.close(writing)
        with os.fdopen(reading) as pipe:
            first = pipe.readline() if round_ % 4 else ""  # else they are killed before they have done anything
            time.sleep(luck.uniform(0.0, 0.05))
            for worker in workers:
                os.kill(worker.pid or 0, signal.SIGKILL)
                worker.join()
            lines = (first + pipe.read()).splitlines(keepends=True)
        told += [int(line) for line in lines if line.endswith("\n")]
        with Authority.open(folder) as authority:
            newest = check_lists(authority, newest)
    assert len(told) == len(set(told)) >= _PUBLICATIONS * 3 // 4
    assert newest >= max(told)
    check_register_and_lists(folder)


def check_lists(authority: Authority, before: int) -> int:
    """The number that is out."""
    lists = authority.published("code-signing")
    found = {(each.shard, each.delta): Crl(Path(each.path).read_bytes()) for each in lists}
    assert set(found) == {(shard, delta) for shard in range(3) for delta in (False, True)}
    issuer = authority.issuer("code-signing").certificate
    for crl in found.values():
        crl.check_signature(issuer)
    [complete] = {crl.number for (_, delta), crl in found.items() if not delta}
    [newest] = {crl.number for (_, delta), crl in found.items() if delta}
    assert complete is not None
    assert newest is not None
    assert max(complete, before) <= newest
    bases = {found[shard, True].base_number for shard in range(3)}
    assert all(base is not None and base <= complete for base in bases)
    return newest


def check_register_and_lists(folder: str) -> None:
    """Everything that the register calls revoked is on the next lists."""
    with Authority.open(folder) as authority:
        authority.publish("code-signing")
        revoked = authority.register.search(authority.clock(), status="revoked", profile="internal")
        lists = {
            each.shard: Crl(Path(each.path).read_bytes())
            for each in authority.published("code-signing")
            if not each.delta
        }
        assert len(revoked) >= _PUBLICATIONS
        for record in revoked:
            certificate = x509.Certificate(record.certificate or b"")
            assert lists[0].find(certificate)
            assert lists[certificate.serial % 2 + 1].find(certificate)
