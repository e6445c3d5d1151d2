"""Asking time servers how far this machine's clock is off (SNTP, RFC 4330; the fields are those of RFC 5905).

Several are asked at once. What they answer is not authenticated: an answer must carry the random number that it was
asked with, and whoever uses it asks enough servers that one alone decides nothing.
"""

from __future__ import annotations

import contextlib
import secrets
import selectors
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError, UsageError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PORT = 123
_PACKET = struct.Struct(">BBbbiI4sQQQQ")
_QUESTION = 0x23
"""Version 4, mode 3: a client."""
_CLIENT, _SERVER = 3, 4
_UNSYNCHRONISED = 3
_STRATUM_MAX = 15
_SINCE_1900 = 2_208_988_800
_SECOND = 1 << 32
_SHORT = 1 << 16
_PORT_MAX = 65535
_DRIFT = 15e-6
"""How fast a clock may run away while an answer is under way (RFC 5905 clause 7.1, PHI)."""


class Answer(NamedTuple):
    """What a server says: add `offset` seconds to this machine's clock, right within `uncertainty` seconds."""

    offset: float
    uncertainty: float


@dataclass(frozen=True, slots=True)
class Reply:
    """From which server, and its answer; None with what went wrong."""

    server: str
    answer: Answer | None
    problem: str = ""


def parse(packet: bytes, cookie: int, sent: int, received: int) -> Answer:
    """Read an answer to a question with this random number.

    `sent` and `received` are this machine's clock in nanoseconds since 1970. Only differences of times count, so that
    the end of the era in 2036 does not matter. Raises MalformedError for what is no sound answer to it.
    """
    if len(packet) < _PACKET.size:
        raise MalformedError(f"{len(packet)} bytes are no answer of a time server")
    first, stratum, _, _, root_delay, dispersion, identifier, _, origin, arrived, left = _PACKET.unpack_from(packet)
    if first & 7 != _SERVER:
        raise MalformedError("not an answer of a time server")
    if origin != cookie:
        raise MalformedError("an answer to another question")
    if stratum == 0:
        raise MalformedError(f"the server declines ({identifier.decode('latin-1').strip()!r})")
    if first >> 6 == _UNSYNCHRONISED or stratum > _STRATUM_MAX or not arrived or not left:
        raise MalformedError("the server does not know the time itself")
    there, back = _signed(arrived - _ntp(sent)), _signed(left - _ntp(received))
    round_trip = max(there - back, 0.0)
    distance = max(root_delay, 0) / _SHORT / 2 + dispersion / _SHORT
    elapsed = max(received - sent, 0) / 1e9
    return Answer((there + back) / 2, round_trip / 2 + distance + elapsed * _DRIFT)


def ask(
    servers: Sequence[str], timeout: float = limits.SNTP_TIMEOUT, clock: Callable[[], int] = time.time_ns
) -> list[Reply]:
    """Ask every server (HOST, HOST:PORT or [ADDRESS]:PORT) once; what each says, in the same order.

    Raises UsageError for what is no server's address.
    """
    places = [_place(server) for server in servers]
    replies: dict[int, Reply] = {}
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for number, (server, place) in enumerate(zip(servers, places, strict=True)):
            cookie = secrets.randbits(64) | 1
            try:
                channel = stack.enter_context(_connected(place))
                sent = clock()
                channel.send(_PACKET.pack(_QUESTION, 0, 0, 0, 0, 0, b"", 0, 0, 0, cookie))
            except OSError as error:
                replies[number] = Reply(server, None, error.strerror or str(error))
                continue
            selector.register(channel, selectors.EVENT_READ, (number, cookie, sent))
        deadline = time.monotonic() + timeout
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                number, cookie, sent = key.data
                reply = _received(servers[number], key.fileobj, cookie, sent, clock)  # type: ignore[arg-type]
                if reply is not None:
                    replies[number] = reply
                    selector.unregister(key.fileobj)
    return [replies.get(number, Reply(server, None, "no answer in time")) for number, server in enumerate(servers)]


def _received(server: str, channel: socket.socket, cookie: int, sent: int, clock: Callable[[], int]) -> Reply | None:
    """None for an answer to another question: anybody can send one, and the right one may still come."""
    try:
        packet = channel.recv(limits.SNTP_ANSWER_MAX)
        received = clock()
    except OSError as error:
        return Reply(server, None, error.strerror or str(error))
    if len(packet) >= _PACKET.size and _PACKET.unpack_from(packet)[8] != cookie:
        return None
    try:
        return Reply(server, parse(packet, cookie, sent, received))
    except MalformedError as error:
        return Reply(server, None, str(error))


def _connected(place: tuple[str, int]) -> socket.socket:
    """A UDP socket that takes packets from this server alone."""
    problem: OSError = OSError("no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(*place, type=socket.SOCK_DGRAM):
        channel = socket.socket(family, kind, protocol)
        try:
            channel.settimeout(0)
            channel.connect(address)
        except OSError as error:
            channel.close()
            problem = error
        else:
            return channel
    raise problem


def _place(server: str) -> tuple[str, int]:
    host, port = server, str(PORT)
    if server.startswith("["):
        host, _, rest = server[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif server.count(":") == 1:
        host, _, port = server.partition(":")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port[:6]) <= _PORT_MAX:
        message = f"not a time server: {server!r} (HOST or HOST:PORT)"
        raise UsageError(message)
    return host, int(port)


def _ntp(nanoseconds: int) -> int:
    return (nanoseconds + _SINCE_1900 * 10**9) * _SECOND // 10**9


def _signed(difference: int) -> float:
    """Seconds of a difference of NTP time stamps, which wrap around every 136 years."""
    wrapped = (difference + (1 << 63)) % (1 << 64) - (1 << 63)
    return wrapped / _SECOND
