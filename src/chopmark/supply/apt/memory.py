"""The newest date that was seen of each release: an older one is a roll-back."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from chopmark.core import clock, limits, places
from chopmark.core import patch as patches
from chopmark.core.artifact import read_small
from chopmark.core.errors import InputError, UsageError

if TYPE_CHECKING:
    import datetime as dt

_FILE = "apt-dates.json"


class Memory:
    """What is noted, for the user who asks; of all hosts and images that he looks at."""

    def __init__(self, path: str = "") -> None:
        """Read it. Raises UsageError for a file that is damaged: forgetting would be what an attacker wants."""
        self.path = path or os.path.join(places.data(), _FILE)
        self._dates: dict[str, str] = {}
        if os.path.lexists(self.path):
            try:
                found = json.loads(read_small(self.path, limits.SETTINGS_MAX))
                self._dates = {str(name): clock.show(clock.parse(date)) for name, date in found.items()}
            except (InputError, ValueError, AttributeError, TypeError, UsageError) as error:
                raise UsageError(f"{self.path}: not the dates of releases ({error}); remove it to begin anew") from None

    def newest(self, name: str) -> dt.datetime | None:
        """The newest date of a release; None where none was seen."""
        found = self._dates.get(name)
        return clock.parse(found) if found else None

    def note(self, name: str, date: dt.datetime) -> None:
        """Remember a date, if it is newer. Raises WriteError."""
        before = self.newest(name)
        if before is not None and date <= before:
            return
        self._dates[name] = clock.show(date)
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
        except OSError as error:
            raise patches.WriteError(f"{self.path}: {os.strerror(error.errno or 0)}") from None
        patches.write_file(self.path, json.dumps(self._dates, indent=1, sort_keys=True).encode() + b"\n")
