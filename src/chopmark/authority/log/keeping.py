"""Who keeps an authority's log going: its key, opened when it can be, and what to say when it cannot."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark import keys
from chopmark.authority.log import journal, reasons
from chopmark.authority.log.integration import RegisterLog
from chopmark.authority.log.storage import LogForkError
from chopmark.core.errors import ChopmarkError, RefusedError, UsageError
from chopmark.core.finding import Outcome

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Mapping

    from chopmark.authority.log import logs
    from chopmark.authority.register.database import Database
    from chopmark.core.contracts import Signer
    from chopmark.core.finding import Finding

FOLDER_KEY = "folder:"
KEY_FILE = "log.pem"


class Remembered:
    """A source of passphrases that can give again what it gave last, without asking anybody."""

    def __init__(self, source: keys.Passphrase) -> None:
        self._source = source
        self._last: bytes | None = None

    def __call__(self, what: str) -> bytes | None:
        """Ask."""
        self._last = self._source(what)
        return self._last

    def again(self, what: str) -> bytes | None:  # noqa: ARG002 - the shape of every source
        """Do not ask."""
        return self._last


class Keeper:
    """Integrates an authority's log; `folder` is the authority's, `passphrase` that of its keys."""

    def __init__(
        self, folder: str, database: Database, passphrase: Remembered, clock: Callable[[], dt.datetime]
    ) -> None:
        self._folder = folder
        self._database = database
        self._passphrase = passphrase
        self._clock = clock
        self._signer: Signer | None = None

    def log(self) -> RegisterLog:
        """The log. Raises UsageError while it has no key."""
        found = RegisterLog.open(self._folder, self._database)
        if found is None:
            message = f"{self._folder}: the authority's log has no key yet (chopmark log init makes one)"
            raise UsageError(message)
        return found

    def begin(self, origin: str, uri: str, signer: Signer) -> logs.Signed:
        """Give the log its key, and publish its first checkpoint."""
        log = RegisterLog.make(self._folder, self._database, origin, uri, signer)
        self._signer = signer
        return log.integrate(signer, self._clock())

    def record(self, events: Iterable[tuple[str, str, Mapping[str, str | int]]]) -> list[int]:
        """Enter events of no CA: what was done, a few words, further facts; the numbers of their entries."""
        now = self._clock()
        with self._database.writing() as connection:
            return [
                journal.record(connection, now, action, None, "", detail, **facts) for action, detail, facts in events
            ]

    def integrate(self) -> logs.Signed:
        """Bring every entry under a published checkpoint; asks for the key's passphrase if need be."""
        return self._integrated(self._passphrase)

    def follow(self) -> Finding:
        """The same after something was done and entered, which stands whatever comes of this; asks nobody."""
        try:
            signed = self._integrated(self._passphrase.again)
        except LogForkError as error:
            return reasons.LOG_FORK.found(str(error))
        except ChopmarkError as error:
            return reasons.LOG_WAITING.found(str(error))
        return reasons.LOG_INTEGRATED.found(f"{signed.checkpoint.size} entries", outcome=Outcome.OK)

    def _integrated(self, passphrase: keys.Passphrase) -> logs.Signed:
        log = self.log()
        if self._signer is None:
            self._signer = keys.open_key(located(self._folder, log.uri), passphrase)
        if self._signer.public_key != log.key.spki:
            message = f"{log.uri}: this is not the key of the log {log.origin}"
            raise RefusedError(message)
        return log.integrate(self._signer, self._clock())


def located(folder: str, uri: str) -> str:
    """A key URI, or the path of the file in the authority's own folder of keys that it means."""
    if uri.startswith(FOLDER_KEY):
        return os.path.join(os.path.abspath(folder), "keys", uri.removeprefix(FOLDER_KEY))
    return uri


def origin(url: str) -> str:
    """The name of the log of an authority that is served under a URL: where it is, without the scheme."""
    return url.partition("://")[2].rstrip("/").replace("+", "%2B") + "/log"
