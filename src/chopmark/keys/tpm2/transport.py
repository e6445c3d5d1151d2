"""The way to a TPM: the kernel's device, or the socket of a simulator on this machine."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, TypeVar

from chopmark.core import limits
from chopmark.core.errors import UnavailableError, UsageError
from chopmark.keys.receiving import exactly

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Self

VARIABLE = "CHOPMARK_TCTI"
_ENDED = "tpm2: the TPM ended the connection without a response"
_DEVICES = ("/dev/tpmrm0", "/dev/tpm0")
Result = TypeVar("Result")

_HEADER = 10
"""Octets before the parameters: tag, size, code."""


class Channel:
    """An open way to a TPM: a command goes in, a response comes out. Use it as a context manager."""

    def __init__(self, way: str) -> None:
        """Open it; `way` is as `chosen` gives it. Raises UsageError, UnavailableError."""
        kind, _, rest = way.partition(":")
        if kind not in ("device", "swtpm"):
            message = f"tpm2: unknown way to a TPM {way!r}: device:/dev/tpmrm0, swtpm:path=SOCKET or swtpm:port=N"
            raise UsageError(message)
        self._device = -1
        self._socket: socket.socket | None = None
        try:
            if kind == "device":
                self._device = _device(rest)
            else:
                self._socket = _connected(rest)
        except OSError as error:
            said = os.strerror(error.errno) if error.errno else str(error)
            message = f"tpm2: the TPM at {way} cannot be opened ({said})"
            raise UnavailableError(message) from None

    def exchange(self, command: bytes) -> bytes:
        """Send a command, receive its response. Raises UnavailableError."""
        try:
            if self._socket is None:
                os.write(self._device, command)
                return os.read(self._device, limits.TPM_MESSAGE_MAX)
            self._socket.sendall(command)
            head = exactly(self._socket.recv, _HEADER, _ENDED)
            size = int.from_bytes(head[2:6], "big")
            if not _HEADER <= size <= limits.TPM_MESSAGE_MAX:
                message = f"tpm2: a response of {size} bytes"
                raise UnavailableError(message)
            return head + exactly(self._socket.recv, size - _HEADER, _ENDED)
        except TimeoutError:
            message = f"tpm2: no response within {limits.TPM_SECONDS:.0f} seconds"
            raise UnavailableError(message) from None
        except OSError as error:
            message = f"tpm2: the TPM went away ({os.strerror(error.errno or 0)})"
            raise UnavailableError(message) from None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it: the kernel then flushes what was loaded through it."""
        if self._device >= 0:
            os.close(self._device)
        if self._socket is not None:
            self._socket.close()


def chosen(parameter: str | None) -> str:
    """The way that a URI's `tcti` names, else CHOPMARK_TCTI, else the device there is. Raises UnavailableError."""
    if named := parameter or os.environ.get(VARIABLE, ""):
        return named
    for device in _DEVICES:
        if os.path.exists(device):
            return f"device:{device}"
    message = f"tpm2: this machine has no TPM ({' or '.join(_DEVICES)}); ?tcti= or {VARIABLE} names another way to one"
    raise UnavailableError(message)


def _device(path: str) -> int:
    """The descriptor. Raises OSError."""
    return _patiently(lambda: os.open(path or _DEVICES[0], os.O_RDWR | os.O_CLOEXEC))


def _connected(rest: str) -> socket.socket:
    """A simulator's socket, on this machine alone: a TPM that is reached over a network is none. Raises OSError."""
    from socket import AF_INET, AF_UNIX, SOCK_STREAM, socket

    pairs = dict(part.partition("=")[::2] for part in filter(None, rest.split(",")))
    if set(pairs) - {"path", "host", "port"} or ("path" in pairs) == ("port" in pairs):
        message = f"tpm2: swtpm:path=SOCKET or swtpm:port=N, not swtpm:{rest}"
        raise UsageError(message)
    if pairs.get("host", "127.0.0.1") not in ("127.0.0.1", "localhost"):
        message = "tpm2: a simulator is reached on this machine alone (host=127.0.0.1)"
        raise UsageError(message)
    port = pairs.get("port", "0")
    if not (port.isascii() and port.isdigit() and int(port[:6]) < 1 << 16):
        message = f"tpm2: not a port: {port[:16]!r}"
        raise UsageError(message)
    connection = socket(AF_UNIX if "path" in pairs else AF_INET, SOCK_STREAM)
    try:
        connection.settimeout(limits.TPM_SECONDS)
        target = pairs["path"] if "path" in pairs else ("127.0.0.1", int(port))
        _patiently(lambda: connection.connect(target))
    except BaseException:
        connection.close()
        raise
    return connection


def _patiently(attempt: Callable[[], Result]) -> Result:
    """Try until it is our turn: /dev/tpm0 and simulators serve one at a time, and say that they are busy."""
    import errno

    deadline = time.monotonic() + limits.TPM_SECONDS
    while True:
        try:
            return attempt()
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EAGAIN) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
