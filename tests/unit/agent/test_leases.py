"""Leases: who has one hears of writers, and of which file; where they tell of nobody, none is believed."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import struct
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from chopmark.agent import leases
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_SETOWN_EX, _THREAD = 15, 0
"""F_SETOWN_EX and F_OWNER_TID (fcntl(2)): other threads of a test run, which do not block the signal, get none."""


@pytest.fixture
def breaks() -> Iterator[leases.Breaks]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set())
    leases.block()
    found = leases.Breaks()
    yield found
    list(found.read())
    found.close()
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(found.descriptor)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.fixture
def descriptors(tmp_path: Path) -> Iterator[list[int]]:
    found = []
    for number in range(2):
        path = tmp_path / str(number)
        path.write_bytes(b"x")
        found.append(os.open(path, os.O_RDONLY))
    try:
        fcntl.fcntl(found[0], fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(found[0], fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        pytest.skip("no leases on this file system")
    for each in found:
        fcntl.fcntl(each, _SETOWN_EX, struct.pack("@2i", _THREAD, threading.get_native_id()))
    yield found
    for each in found:
        os.close(each)


def test_a_writer_is_heard_of_and_waits(tmp_path: Path, breaks: leases.Breaks, descriptors: list[int]) -> None:
    assert all(map(leases.take, descriptors))
    assert all(map(leases.held, descriptors))
    assert list(breaks.read()) == []
    writing = [threading.Thread(target=(tmp_path / str(number)).write_bytes, args=(b"y",)) for number in (1, 0)]

    def wanted(number: int) -> bool:
        return not leases.held(descriptors[number])

    for number, thread in zip((1, 0), writing, strict=True):
        thread.start()
        eventually(partial(wanted, number))
    assert list(breaks.read()) == [descriptors[1], descriptors[0]]
    assert list(breaks.read()) == []
    assert all(thread.is_alive() for thread in writing)
    for each in descriptors:
        leases.give_back(each)
    for thread in writing:
        thread.join(PATIENCE)
    assert (tmp_path / "0").read_bytes() == b"y"


def test_when_too_many_are_wanted_back_nobody_knows_which(breaks: leases.Breaks) -> None:
    signal.pthread_kill(threading.get_ident(), signal.SIGIO)
    assert list(breaks.read()) == [None]


def test_where_breaks_cannot_be_heard_of_nothing_is_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        ctypes.set_errno(errno.EMFILE)
        return -1

    monkeypatch.setattr(leases._libc, "signalfd", full)  # noqa: SLF001 - as the kernel answers
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        leases.Breaks()


def test_what_somebody_may_write_to_has_no_lease(tmp_path: Path, descriptors: list[int]) -> None:
    with (tmp_path / "0").open("ab"):
        with pytest.raises(leases.BeingWrittenError) as refused:
            leases.take(descriptors[0])
        assert refused.value.errno == errno.EAGAIN
        assert not leases.held(descriptors[0])
    assert leases.take(descriptors[0])
    leases.give_back(descriptors[0])
    assert not leases.held(descriptors[0])
    leases.give_back(descriptors[0])  # which is no trouble


def test_what_cannot_be_leased_is_not() -> None:
    reading, writing = os.pipe()
    assert not leases.take(reading)
    assert not leases.held(reading)
    os.close(reading)
    os.close(writing)
    assert not leases.held(reading)
    assert not leases.tells(reading), "nor does what is closed tell of anybody"


@pytest.mark.parametrize(
    ("kind", "tells"), [(0xEF53, True), (0x01021994, True), (0x794C7630, False), (0x65735546, False), (0xF15F, False)]
)
def test_leases_of_file_systems_above_others_do_not_tell(
    monkeypatch: pytest.MonkeyPatch, kind: int, *, tells: bool
) -> None:
    def fstatfs(_: int, state: object) -> int:
        leases._KIND.pack_into(state, 0, kind)  # type: ignore[arg-type]  # noqa: SLF001 - as the kernel fills it in
        return 0

    monkeypatch.setattr(leases, "_fstatfs", fstatfs)
    assert leases.tells(0) is tells
    monkeypatch.setattr(leases, "_fstatfs", lambda *_: -1)
    assert not leases.tells(0)
