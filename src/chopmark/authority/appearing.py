"""Folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import secrets
import shutil
import time
from typing import TYPE_CHECKING

from chopmark.core.errors import UsageError
from chopmark.core.patch import WriteError

if TYPE_CHECKING:
    from collections.abc import Iterator


_SUFFIX = ".chopmark"
_FRESH = 60
"""Seconds within which a folder that was made has got its lock."""


def new(folder: str, purpose: str) -> str:
    """The absolute path of a folder that does not exist or is empty; `purpose` says why. Raises UsageError."""
    folder = os.path.abspath(folder)
    if os.path.lexists(folder) and not (os.path.isdir(folder) and not os.listdir(folder)):
        message = f"{folder}: there is something already; {purpose}"
        raise UsageError(message)
    return folder


@contextlib.contextmanager
def prepared(folder: str) -> Iterator[str]:
    """A folder beside `folder`, to be filled and then given to `appear`; what did not appear is removed.

    What others who were killed left there is removed, too: it may have keys in it. Raises WriteError for what cannot be
    written.
    """
    stem = os.path.join(os.path.dirname(folder), f".{os.path.basename(folder)}.")
    temporary = f"{stem}{secrets.token_hex(6)}{_SUFFIX}"
    held = -1
    try:
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        _clear(stem)
        os.mkdir(temporary, 0o700)
        held = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(held, fcntl.LOCK_EX)
        yield temporary
    except OSError as error:
        raise _not_made(folder, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if held >= 0:
            os.close(held)


def _clear(stem: str) -> None:
    """Remove folders in preparation that nobody prepares any more: whoever does has them locked."""
    for left in glob.glob(f"{glob.escape(stem)}{'[0-9a-f]' * 12}{_SUFFIX}"):
        try:
            descriptor = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if os.fstat(descriptor).st_uid == os.geteuid() and time.time() - os.fstat(descriptor).st_ctime > _FRESH:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)


def appear(temporary: str, folder: str) -> None:
    """Put what was prepared in the place of an empty folder, or of none. Raises WriteError."""
    try:
        os.rename(temporary, folder)
    except OSError as error:
        raise _not_made(folder, error) from None


def _not_made(folder: str, error: OSError) -> WriteError:
    return WriteError(f"{folder}: not made ({os.strerror(error.errno or 0)})")
