"""Catalogs of what packages brought: `catalog create ROOT --from dpkg`, `--from rpm`.

A kind of database is a module of its own beside this one, `catalog_<kind>`, with `opened(args, at)`, which yields its
packages (engine.catalog.importing.Packages) and what is to be said beforehand.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from chopmark.cli.parsing import need
from chopmark.core import clock

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterator

    from chopmark.core.finding import Finding
    from chopmark.engine.catalog.importing import Provenance

KINDS = ("dpkg", "rpm")
ACCEPTED = ("package", "database", "generated", "none")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `catalog create` that are about packages."""
    group = parser.add_argument_group("files of packages alone (--from)")
    group.add_argument("--from", dest="source", choices=KINDS, help="list only files that are proven to be a package's")
    group.add_argument(
        "--accept", action="append", choices=ACCEPTED, default=[],
        help="list these too: of a package that no release leads to, known to the database alone, generated, of none",
    )  # fmt: skip
    group.add_argument("--packages", action="append", metavar="DIR", help="more packages at hand, besides apt's cache")
    group.add_argument("--lists", metavar="DIR", default="", help="the repository's lists (default: those of ROOT)")
    group.add_argument(
        "--keyring", action="append", metavar="F", help="the publisher's keys (dpkg: else as ROOT's sources say)"
    )
    group.add_argument("--download", action="store_true", help="fetch packages that are not at hand, with apt-get")
    group.add_argument("--at", metavar="TIME", help="judge signatures as of this time (ISO 8601; default now)")


def summary(provenance: Provenance | None) -> list[Finding]:
    """What was proven, and what was left out."""
    if provenance is None:
        return []
    from chopmark.engine.catalog import importing

    return importing.summary(provenance)


@contextmanager
def gathered(args: Namespace, jobs: int, tick: Callable[[int], None]) -> Iterator[Provenance | None]:
    """What the packages tell of the tree; None where nobody asked. Raises UsageError and InputError."""
    if args.source is None:
        need(args, "source", "accept", "packages", "lists", "keyring", "download", "at", called="from")
        yield None
        return
    from chopmark.engine.catalog import importing

    at = clock.parse(args.at) if args.at else clock.now()
    provenance = importing.Provenance(importing.TRUSTED | {name.encode() for name in args.accept})
    with import_module(f"chopmark.cli.catalog_{args.source}").opened(args, at) as (packages, findings):
        provenance.findings += findings
        importing.gather(packages, provenance, jobs, tick)
    yield provenance
