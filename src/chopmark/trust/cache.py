"""What was fetched, kept on disk: it is checked like anything from outside each time it is read."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from typing import TYPE_CHECKING

from chopmark.core.errors import ChopmarkError, UnavailableError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from chopmark.core.contracts import Fetcher


class FetchCache:
    """Fetched bodies by URL in a folder.

    Nobody is believed because something lies here: CRLs and certificates are signed. What could not be fetched is not
    tried again by this object. A folder that cannot be written is no error.
    """

    def __init__(self, folder: str, fetcher: Fetcher | None, limit: int) -> None:
        """`limit` is the size in bytes of one body."""
        self._folder = folder
        self._fetcher = fetcher
        self._limit = limit
        self._failed: dict[str, str] = {}

    def nothing(self, url: str) -> str:
        """Why nothing is to be had for a URL, whatever it is: nobody fetches, and nothing was ever kept; else empty."""
        return "" if self._fetcher is not None or os.path.isdir(self._folder) else _offline(url)

    def kept(self, url: str, younger: dt.timedelta | None = None) -> bytes | None:
        """What is on disk for a URL; `younger` passes over what was fetched longer ago."""
        try:
            with open(self.path(url), "rb") as file:
                age = time.time() - os.fstat(file.fileno()).st_mtime
                if younger is not None and age > younger.total_seconds():
                    return None
                data = file.read(self._limit + 1)
        except OSError:
            return None
        return data if len(data) <= self._limit else None

    def fetch(self, url: str, accept: Callable[[bytes], bool], ask: Callable[[Fetcher], bytes] | None = None) -> bytes:
        """Fetch a URL and keep the body if `accept` says so. Raises UnavailableError.

        `ask` fetches in another way than by GET what is kept under this URL.
        """
        if self._fetcher is None:
            raise UnavailableError(_offline(url))
        if url in self._failed:
            raise UnavailableError(self._failed[url])
        try:
            body = ask(self._fetcher) if ask is not None else self._fetcher.get(url, self._limit)
        except UnavailableError as error:
            self._failed[url] = str(error)
            raise
        if not accept(body):
            self._failed[url] = f"{url}: what came is not what it should be"
            raise UnavailableError(self._failed[url])
        from chopmark.core.patch import write_file  # only who fetches has something to keep

        with contextlib.suppress(OSError, ChopmarkError):
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            write_file(self.path(url), body, 0o600)
        return body

    def path(self, url: str) -> str:
        """The file for a URL, whether it is there or not."""
        return os.path.join(self._folder, hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest())


def _offline(url: str) -> str:
    return f"{url}: offline"
