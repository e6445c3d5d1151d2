"""Time servers on loopback: honest, lying, silent, and answering what nobody asked."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core.errors import MalformedError, UsageError
from chopmark.net import sntp
from tests.support.patience import PATIENCE
from tests.support.sntp import ERA, NOW, PACKET, packet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def server(answer: Callable[[bytes], list[bytes]]) -> Iterator[str]:
    """A time server that sends what `answer` makes of a question."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(2 * PATIENCE)

        def run() -> None:
            with contextlib.suppress(OSError):
                question, asker = listening.recvfrom(1024)
                for reply in answer(question):
                    listening.sendto(reply, asker)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waking:
                waking.sendto(b"", listening.getsockname())
            thread.join()


def cookie_of(question: bytes) -> int:
    first, *_, sent = PACKET.unpack(question)
    assert first == 0x23
    assert PACKET.unpack(question)[1:-1] == (0, 0, 0, 0, 0, bytes(4), 0, 0, 0)  # nothing about this machine
    return int(sent)


@pytest.mark.parametrize("offset", [0.0, 2.5, -2.5, 3600.0])
def test_how_far_the_clock_is_off(offset: float) -> None:
    answer = sntp.parse(packet(offset=offset), 7, NOW, NOW + 21_000_000)
    assert answer.offset == pytest.approx(offset, abs=1e-5)
    assert answer.uncertainty == pytest.approx(0.01 + 0.005 + 0.001, abs=1e-4)


def test_across_the_end_of_the_era() -> None:
    """In February 2036 the seconds since 1900 no longer fit into 32 bits."""
    end = (ERA - 2_208_988_800) * 10**9
    answer = sntp.parse(packet(offset=1.0, at=end - 500_000_000), 7, end - 500_000_000, end - 479_000_000)
    assert answer.offset == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        packet()[:47],
        packet(8),
        packet(first=0x23),
        packet(first=0xE4),
        packet(stratum=0),
        packet(stratum=16),
        packet()[:40] + bytes(8),
        packet()[:32] + bytes(8) + packet()[40:],
    ],
    ids=[
        "empty",
        "short",
        "replayed",
        "a question",
        "unsynchronised",
        "declines",
        "stratum 16",
        "no time",
        "not arrived",
    ],
)
def test_no_answers(wrong: bytes) -> None:
    with pytest.raises(MalformedError):
        sntp.parse(wrong, 7, NOW, NOW + 1)


@given(st.binary(min_size=40, max_size=80))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        answer = sntp.parse(data, int.from_bytes(data[24:32], "big"), NOW, NOW + 1)
        assert answer.uncertainty >= 0


def test_several_at_once() -> None:
    def honest(question: bytes) -> list[bytes]:
        return [packet(cookie_of(question), at=time.time_ns())]

    def spoofed(question: bytes) -> list[bytes]:
        """Somebody else answers first."""
        return [packet(cookie_of(question) ^ 1, offset=99.0), packet(cookie_of(question), at=time.time_ns())]

    def declining(question: bytes) -> list[bytes]:
        return [packet(cookie_of(question), stratum=0)]

    with server(honest) as one, server(spoofed) as two, server(declining) as three:
        replies = sntp.ask([one, two, three, "localhost.invalid"], timeout=PATIENCE)
    assert [reply.server for reply in replies] == [one, two, three, "localhost.invalid"]
    assert [reply.answer is not None for reply in replies] == [True, True, False, False]
    for reply in replies[:2]:
        assert reply.answer is not None
        assert abs(reply.answer.offset) <= reply.answer.uncertainty + 0.02  # more, if the answer took longer
    assert "declines" in replies[2].problem
    assert replies[3].problem


def test_who_says_nothing_is_not_waited_for() -> None:
    with server(lambda _: []) as silent:
        [reply] = sntp.ask([silent], timeout=0.1)
    assert reply.answer is None
    assert "no answer in time" in reply.problem


def test_nobody_listens() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    [reply] = sntp.ask([f"127.0.0.1:{port}"], timeout=1.0)
    assert reply.answer is None
    assert reply.problem


@pytest.mark.parametrize("address", ["", ":123", "host:", "host:0", "host:x", "host:65536", "[::1]:x", "[]"])
def test_no_addresses(address: str) -> None:
    with pytest.raises(UsageError):
        sntp.ask([address])
