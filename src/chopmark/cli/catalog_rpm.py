"""The packages of rpm's, for `catalog create --from rpm`."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chopmark.core.errors import UsageError
from chopmark.supply import keyrings
from chopmark.supply.rpm.database import Database
from chopmark.supply.rpm.provenance import RpmPackages
from chopmark.trust.context import OFF, Context
from chopmark.trust.stores.store import Store

if TYPE_CHECKING:
    import datetime as dt
    from argparse import Namespace
    from collections.abc import Iterator

    from chopmark.core.finding import Finding
    from chopmark.engine.catalog.importing import Packages

_OF_APT = ("packages", "lists", "download")


@contextmanager
def opened(args: Namespace, at: dt.datetime) -> Iterator[tuple[Packages, list[Finding]]]:
    """The packages in a copy of the database, which proves itself with the keys that are given."""
    for name in _OF_APT:
        if getattr(args, name):
            raise UsageError(f"--{name} is for apt's repositories; rpm's own records hold the signatures")
    if not args.keyring:
        raise UsageError("--from rpm: name the keys that are believed with --keyring (those on the host prove nothing)")
    context = Context(Store((), (), keyrings.keys_in(args.keyring)), at, OFF)
    with tempfile.TemporaryDirectory(prefix="chopmark-") as folder:
        yield RpmPackages(Database(args.root, folder), args.root, context), []
