"""Where peers listen: a port that nobody else is given meanwhile; and whether somebody does at a path already."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def held() -> Iterator[int]:
    """A free port, bound until the end by a socket that does not listen.

    Whoever asks for any port gets another one. Who names it can listen there with SO_REUSEADDR (socket(7)), as servers
    do.
    """
    with socket.socket() as holding:
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holding.bind(("127.0.0.1", 0))
        port: int = holding.getsockname()[1]
        yield port


_LISTENS = 1 << 16
"""__SO_ACCEPTCON (proc(5), unix(7)): the flags of a socket that listens."""


def listens(path: Path) -> bool:
    """Whether somebody listens at a socket's path, which is there a moment before. Nobody is connected to."""
    found = [line.split(maxsplit=7) for line in Path("/proc/net/unix").read_text(errors="replace").splitlines()[1:]]
    return any(fields[-1] == str(path) and int(fields[3], 16) & _LISTENS for fields in found if len(fields) == 8)
