"""What no guard in Python can do without: hear of each event, allow it and close; where told to, look at what is run.

    bare_guard.py FOLDER [KEY]

With a PEM key it leases a file that is executed, reads and hashes it, checks one signature, and leaves the file to the
kernel. It decides nothing, and is no guard.
"""

from __future__ import annotations

import gc
import hashlib
import os
import sys
from pathlib import Path
from select import POLLIN, poll

from bench.material import Keys
from chopmark.agent import fanotify, leases
from chopmark.core import limits

MASK = fanotify.OPEN_PERM | fanotify.OPEN_EXEC_PERM


def main(folder: str, key: str = "") -> None:
    """Until it is killed."""
    check = Keys(Path(key), Path(), Path()).check() if key else None
    own = os.getpid()
    leases.block()
    os.setpriority(os.PRIO_PROCESS, 0, limits.GUARD_NICE)
    group = fanotify.Group()
    waiting = poll()
    waiting.register(group.descriptor, POLLIN)
    group.protect(folder, Path(folder).stat().st_dev, MASK)
    gc.collect()
    gc.freeze()
    print("guard ready", flush=True)
    while True:
        waiting.poll()
        for descriptor, mask, thread in group.read(limits.GUARD_EVENTS_AT_ONCE):
            looks = check is not None and thread != own and mask & fanotify.OPEN_EXEC_PERM
            if looks and check is not None:
                leases.take(descriptor)
                hashlib.sha256(os.pread(descriptor, os.fstat(descriptor).st_size, 0)).digest()
                check()
                group.ignore(descriptor, MASK)
            group.answer(descriptor, allow=True)
            if not looks:
                os.close(descriptor)


main(*sys.argv[1:])
