"""What an authority's folder says about itself: where its register is."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Self

from chopmark.authority.register.database import is_url, postgresql_url
from chopmark.core import limits, patch, toml
from chopmark.core.artifact import read_small
from chopmark.core.errors import UsageError

DATABASE = "authority.sqlite3"
"""The register, unless the configuration names another one."""
FILE = "authority.toml"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings of one authority. `database` is the URL of its register, empty for DATABASE in its folder."""

    database: str = ""

    @classmethod
    def read(cls, folder: str) -> Self:
        """The settings in a folder; all as usual when it has no such file. Raises UsageError for one that is wrong."""
        path = os.path.join(folder, FILE)
        if not os.path.lexists(path):
            return cls()
        try:
            database = toml.loads(read_small(path, limits.SETTINGS_MAX)).get("database", "")
        except ValueError as error:  # not TOML, not UTF-8
            message = f"{path}: {error}"
            raise UsageError(message) from None
        if not isinstance(database, str) or (database and not is_url(database)):
            message = f"{path}: `database` must be a URL in quotes (postgresql://USER@HOST/NAME)"
            raise UsageError(message)
        if database:
            postgresql_url(database)
        return cls(database)

    def write(self, folder: str) -> None:
        """Keep the settings in a folder; nothing is written when all is as usual."""
        if self.database:
            text = f"# Where the register of this authority is.\ndatabase = {json.dumps(self.database)}\n"
            patch.write_file(os.path.join(folder, FILE), text.encode())

    def place(self, folder: str) -> str:
        """The path or URL of the register."""
        return self.database or os.path.join(folder, DATABASE)


def exists(folder: str) -> bool:
    """Whether there is an authority in a folder. Raises UsageError when its configuration is wrong."""
    return bool(Configuration.read(folder).database) or os.path.isfile(os.path.join(folder, DATABASE))


def require(folder: str) -> Configuration:
    """The settings of the authority in a folder. Raises UsageError when there is none."""
    if not exists(folder):
        message = f"{folder}: there is no authority (chopmark ca init makes one)"
        raise UsageError(message)
    return Configuration.read(folder)
