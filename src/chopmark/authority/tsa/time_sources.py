"""Who says how far this machine's clock is off: plug-ins behind one interface.

A source is named on the command line: `machine` (nobody measures it), `kernel` (what the daemon that keeps the clock
told the kernel), or `ntp:HOST,HOST,...` (time servers, asked from here). Others join by an entry point in the group
`chopmark.time_sources`: a function of the text behind the colon that makes a TimeSource.
"""

from __future__ import annotations

import ctypes
import os
from importlib import metadata
from typing import TYPE_CHECKING, Protocol

from chopmark.core import limits
from chopmark.core.errors import UnavailableError, UsageError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.net.sntp import Reply

MACHINE, KERNEL, NTP = "machine", "kernel", "ntp"
_GROUP = "chopmark.time_sources"


class Measurement(NamedTuple):
    """How far the clock is off: add `offset` seconds to it, and be right within `uncertainty` seconds."""

    offset: float
    uncertainty: float

    @property
    def inaccuracy(self) -> float:
        """How wrong the clock may be, taken as it is."""
        return abs(self.offset) + self.uncertainty


class TimeSource(Protocol):
    """Measures the clock.

    `name` is for people. `is_measured` is False where the clock is believed without measuring; `is_cheap` says that
    measuring takes no time worth mentioning, so that it is done for every stamp.
    """

    name: str
    is_measured: bool
    is_cheap: bool

    def measure(self) -> Measurement:
        """Measure now. Raises UnavailableError."""


class MachineClock:
    """Believes the clock, as good as `accuracy` seconds, because somebody else sees to it."""

    name = MACHINE
    is_measured = False
    is_cheap = True

    def __init__(self, accuracy: float = limits.TSA_INACCURACY_MAX) -> None:
        self._accuracy = accuracy

    def measure(self) -> Measurement:
        """What is believed."""
        return Measurement(0.0, self._accuracy)


class _Timex(ctypes.Structure):
    """`struct timex` of Linux (adjtimex(2))."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("more", ctypes.c_char * 512),
    )


_STATE_LEAPING, _STATE_ERROR = 3, 5
_STATUS_UNSYNCHRONISED, _STATUS_NANOSECONDS = 0x40, 0x2000


class KernelState(NamedTuple):
    """What adjtimex(2) answers: its state, the status bits, the offset still to be corrected and errors (seconds)."""

    state: int
    status: int
    offset: float
    maximum_error: float


def kernel_state() -> KernelState:
    """Ask the kernel. Raises UnavailableError where it cannot say."""
    timex = _Timex()
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        message = "this system's kernel does not say how good its clock is"
        raise UnavailableError(message) from None
    state = adjtimex(ctypes.byref(timex))
    if state < 0:
        message = f"the kernel does not say how good its clock is ({os.strerror(ctypes.get_errno())})"
        raise UnavailableError(message)
    unit = 1e-9 if timex.status & _STATUS_NANOSECONDS else 1e-6
    return KernelState(state, timex.status, timex.offset * unit, timex.maxerror * 1e-6)


class KernelClock:
    """What the daemon that keeps the clock (chronyd, ntpd, systemd-timesyncd) has told the kernel about it."""

    name = KERNEL
    is_measured = True
    is_cheap = True

    def __init__(self, ask: Callable[[], KernelState] | None = None) -> None:
        self._ask = ask

    def measure(self) -> Measurement:
        """Raises UnavailableError when nobody keeps the clock, and during a leap second, which has no name in it."""
        state = (self._ask or kernel_state)()
        if state.state == _STATE_ERROR or state.status & _STATUS_UNSYNCHRONISED:
            message = "the kernel says that nothing synchronises this machine's clock"
            raise UnavailableError(message)
        if state.state == _STATE_LEAPING:
            message = "a leap second is being inserted"
            raise UnavailableError(message)
        return Measurement(state.offset, state.maximum_error)


class NtpServers:
    """Time servers of which most must agree."""

    name = NTP
    is_measured = True
    is_cheap = False

    def __init__(self, servers: Sequence[str], ask: Callable[[Sequence[str]], list[Reply]] | None = None) -> None:
        """Raises UsageError for none, or too many."""
        if not 0 < len(servers) <= limits.SNTP_SERVERS_MAX:
            message = f"time servers are given as ntp:HOST,HOST,... (1 to {limits.SNTP_SERVERS_MAX} of them)"
            raise UsageError(message)
        self._servers = tuple(servers)
        self._ask = ask

    def measure(self) -> Measurement:
        """Raises UnavailableError when not most of all servers answer and agree."""
        ask = self._ask
        if ask is None:
            from chopmark.net import sntp

            ask = sntp.ask
        replies = ask(self._servers)
        found = agreed([Measurement(*reply.answer) for reply in replies if reply.answer], len(self._servers))
        if found is None:
            said = "; ".join(f"{each.server}: {each.problem or _shown(each)}" for each in replies)
            message = f"the time servers do not tell the time: {said}"
            raise UnavailableError(message)
        return found


def _shown(reply: Reply) -> str:
    return f"{reply.answer.offset:+.3f} s within {reply.answer.uncertainty:.3f} s" if reply.answer else ""


def agreed(measurements: Sequence[Measurement], asked: int) -> Measurement | None:
    """What more than half of those who were asked agree on: the time that lies within all of their bounds.

    This is Marzullo's algorithm: of all intervals offset +- uncertainty, where most overlap. None when no majority
    does.
    """
    edges = sorted(
        edge
        for each in measurements
        for edge in ((each.offset - each.uncertainty, 0), (each.offset + each.uncertainty, 1))
    )
    best = count = 0
    low = high = 0.0
    for index, (place, closes) in enumerate(edges):
        if closes:
            count -= 1
            continue
        count += 1
        if count > best:
            best, low, high = count, place, edges[index + 1][0]
    if 2 * best <= asked:
        return None
    return Measurement((low + high) / 2, (high - low) / 2)


def named(text: str) -> TimeSource:
    """The source of this name. Raises UsageError."""
    name, _, rest = text.partition(":")
    if name == NTP:
        return NtpServers([server.strip() for server in rest.split(",") if server.strip()])
    if not rest and name == MACHINE:
        return MachineClock()
    if not rest and name == KERNEL:
        return KernelClock()
    for point in metadata.entry_points(group=_GROUP):
        if point.name == name:
            made: TimeSource = point.load()(rest)
            return made
    message = f"unknown time source {text!r}: machine, kernel or ntp:HOST,HOST,..."
    raise UsageError(message)


def usual() -> TimeSource:
    """The kernel where something keeps its clock; else the clock is believed as it is."""
    try:
        KernelClock().measure()
    except UnavailableError:
        return MachineClock()
    return KernelClock()
