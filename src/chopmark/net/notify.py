"""What systemd and its likes are told, and the sockets that they hand over: sd_notify(3) and sd_listen_fds(3)."""

from __future__ import annotations

import contextlib
import os
import socket
import time

_FIRST = 3
"""The first descriptor that is handed over."""


def notify(*lines: str) -> None:
    """Tell the service manager, if there is one that wants to know."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
        to.settimeout(1)
        to.sendto("\n".join(lines).encode(), "\0" + address[1:] if address.startswith("@") else address)


def ready(status: str) -> None:
    """Everything is there."""
    notify("READY=1", f"STATUS={status}", f"MAINPID={os.getpid()}")


def reloading() -> None:
    """New settings are being taken over; `ready` ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def stopping() -> None:
    """No more requests are taken."""
    notify("STOPPING=1")


def watchdog_seconds() -> float:
    """How often the manager wants a sign of life; 0 when it does not."""
    wanted, whom = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not wanted.isdigit() or (whom and whom != str(os.getpid())):
        return 0.0
    return int(wanted) / 1_000_000 / 2


def handed_over() -> list[tuple[str, socket.socket]]:
    """The listening sockets that were opened before this process was started, with their names; once."""
    count, whom = os.environ.pop("LISTEN_FDS", ""), os.environ.pop("LISTEN_PID", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if not count.isdigit() or whom != str(os.getpid()):
        return []
    found = []
    for number in range(int(count)):
        os.set_inheritable(_FIRST + number, False)  # noqa: FBT003 - the only way to call it
        name = names[number] if number < len(names) else ""
        found.append((name, socket.socket(fileno=_FIRST + number)))
    return found


def store(name: str, descriptor: int) -> None:
    """Have the manager hold a descriptor, and hand it over at the next start (sd_pid_notify_with_fds(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    to_whom = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
        to.connect(to_whom)
        socket.send_fds(to, [f"FDSTORE=1\nFDNAME={name}".encode()], [descriptor])
