"""Folders: made for what is about to be written, and gone again where it is not; of others, why they cannot be read."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from chopmark.core.errors import InputError, WriteError

if TYPE_CHECKING:
    from collections.abc import Iterator


_WORDS = {errno.ENOENT: "there is no such folder", errno.ENOTDIR: "this is not a folder"}


def unreadable(folder: str, error: OSError | ValueError) -> InputError:
    """The error for a folder that cannot be looked into, in the words in which files are told of."""
    number = error.errno if isinstance(error, OSError) else errno.ENOENT  # a name with a NUL, which nothing has
    return InputError(f"{folder}: {_WORDS.get(number or 0) or os.strerror(number or 0)}")


@contextlib.contextmanager
def made(folder: str, mode: int = 0o777) -> Iterator[None]:
    """Have a folder there while something is put into it; what of it was made is gone when that fails.

    Raises WriteError for what cannot be made.
    """
    missing = _missing(folder)
    try:
        try:
            os.makedirs(folder or ".", mode, exist_ok=True)
        except OSError as error:
            message = f"{folder}: not made ({os.strerror(error.errno or 0)})"
            raise WriteError(message) from None
        yield
    except BaseException:
        for each in missing:
            with contextlib.suppress(OSError):  # somebody else has put something there, which is not ours
                os.rmdir(each)
        raise


def _missing(folder: str) -> list[str]:
    """The folders on the way that are not there, the innermost first."""
    found = []
    while folder and not os.path.lexists(folder):
        found.append(folder)
        folder = os.path.dirname(folder.rstrip("/"))
    return found
