"""Folders for what is about to be written: those that are not there are made, and go again where it is not written."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from chopmark.core.errors import WriteError

if TYPE_CHECKING:
    from collections.abc import Iterator


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
