"""Which repository is meant, and by which keys: what several commands have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from argparse import ArgumentParser
    from collections.abc import Sequence

    from chopmark.supply.apt.chain import Repository


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--lists", metavar="DIR", default="", help="apt's lists, or a mirror (default: those of the root)"
    )
    parser.add_argument(
        "--keyring", action="append", metavar="F", help="the repository's keys (default: as the sources say: Signed-By)"
    )
    parser.add_argument("--at", metavar="TIME", help="judge as of this time instead of now (ISO 8601)")


def voucher(lists: str, keyrings: Sequence[str] | None, at: dt.datetime) -> Repository:
    """The repository through which files are to be trusted. Raises UsageError, also where nothing in it is believed."""
    from chopmark.core.errors import UsageError
    from chopmark.core.finding import against
    from chopmark.core.reasons import CATALOG
    from chopmark.supply.apt import places

    if not places.find(lists):
        raise UsageError(f"{lists}: there is no release of a repository in it (apt's lists, or a folder with dists/)")
    found = repository("/", lists, keyrings, at)
    if not any(each.proves for each in found.judged):
        first = against(found.judged[0].findings)[0]
        why = f"{CATALOG[first.code].sentence} [{first.detail}]"
        raise UsageError(f"{lists}: no release in it is believed: {why} (chopmark apt verify --lists tells more)")
    return found


def repository(root: str, lists: str, keyrings: Sequence[str] | None, at: dt.datetime) -> Repository:
    """The repository, judged. Raises InputError and UsageError."""
    from chopmark.supply.apt import memory
    from chopmark.supply.dpkg import opening

    return opening.judged(opening.Wish(root, at, (), lists, tuple(keyrings or ()), memory.Memory()))
