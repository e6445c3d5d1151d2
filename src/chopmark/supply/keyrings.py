"""Keys of publishers, in files of a host or that somebody named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import UnreadableError, read_small
from chopmark.core.errors import UsageError
from chopmark.trust.stores import keyring
from chopmark.trust.stores.keyring import Keyring
from chopmark.trust.stores.source import changed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.trust.stores.keyring import KnownKey


def keys_in(paths: Sequence[str]) -> Keyring:
    """The keys in files that somebody named. Raises UsageError."""
    return Keyring([key for path in paths for key in read(path)])


def read(path: str) -> list[KnownKey]:
    """The keys in a file. Raises UsageError for one that cannot be read, or has none."""
    try:
        data = read_small(path, limits.STORE_FILE_MAX)
    except UnreadableError as error:
        raise UsageError(str(error)) from None
    found = keyring.load(path, data, os.path.basename(path), changed([path]))
    if found is None:
        raise UsageError(f"{path}: no keys of OpenPGP's")
    return found
