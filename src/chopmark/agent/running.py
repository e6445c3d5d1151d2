"""What runs already: the code that processes have mapped, each file as it is, whatever its name leads to by now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.agent import overlays, processes
from chopmark.core.errors import ChopmarkError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from chopmark.agent.events import Stream

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class Running(NamedTuple):
    """A file that a process has mapped as code, open; `key` is its device and inode."""

    process: int
    path: str
    key: tuple[int, int]
    descriptor: int


def look(protected: Collection[int], judge: Callable[[Running], None], stream: Stream) -> None:
    """Have everything judged that runs from file systems (by device) that are protected, but for ourselves.

    Also what runs from overlays over them: whoever opens a file there is judged by that of the layer.
    What has no name any more is told of (`running-replaced`), and so is what cannot be found out (`running-unknown`):
    whatever `judge` raises of OSError and ChopmarkError.
    """
    own = {os.getpid(), os.getppid()}
    seen = overlays.Seen()
    for process in processes.running():
        if process in own:
            continue
        for (device, inode), code in processes.code(process).items():
            mapped = f"/proc/{process}/map_files/{code.memory}"
            try:
                overlay = None if device in protected else seen.mapped(process, device)
                behind = overlay.behind(os.readlink(mapped), inode) if overlay is not None else ()
                if device in protected or any(each in protected for each, _ in behind):
                    _look_at(process, mapped, judge, stream)
            except (ChopmarkError, OSError) as error:
                if os.path.exists(f"/proc/{process}"):
                    stream.say("running-unknown", process=process, detail=f"{code.path}: {error}")


def _look_at(process: int, mapped: str, judge: Callable[[Running], None], stream: Stream) -> None:
    """Through the mapping itself: an overlay shows other numbers in mappings, and a path is somebody's own view."""
    path, descriptor = os.readlink(mapped), os.open(mapped, _FLAGS)
    try:
        state = os.fstat(descriptor)
        if state.st_nlink:
            judge(Running(process, path, (state.st_dev, state.st_ino), descriptor))
        else:
            stream.say("running-replaced", process=process, detail=path)
    finally:
        os.close(descriptor)
