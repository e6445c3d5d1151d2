"""Folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from typing import TYPE_CHECKING

from chopmark.core.errors import UsageError
from chopmark.core.patch import WriteError

if TYPE_CHECKING:
    from collections.abc import Iterator


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

    Raises WriteError for what cannot be written.
    """
    temporary = os.path.join(os.path.dirname(folder), f".{os.path.basename(folder)}.{secrets.token_hex(6)}.chopmark")
    try:
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        os.mkdir(temporary, 0o700)
        yield temporary
    except OSError as error:
        raise _not_made(folder, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def appear(temporary: str, folder: str) -> None:
    """Put what was prepared in the place of an empty folder, or of none. Raises WriteError."""
    try:
        os.rename(temporary, folder)
    except OSError as error:
        raise _not_made(folder, error) from None


def _not_made(folder: str, error: OSError) -> WriteError:
    return WriteError(f"{folder}: not made ({os.strerror(error.errno or 0)})")
