"""The packages of dpkg's, for `catalog create --from dpkg`."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chopmark.core.errors import UsageError
from chopmark.core.finding import Outcome
from chopmark.supply.apt import chain, memory
from chopmark.supply.dpkg import opening

if TYPE_CHECKING:
    import datetime as dt
    from argparse import Namespace
    from collections.abc import Iterator

    from chopmark.core.finding import Finding
    from chopmark.engine.catalog.importing import Packages


def _of_release(finding: Finding) -> Finding:
    """What is missing of a release, or is only old, leaves files out; that is told, and not held against the host."""
    missing = finding.outcome is Outcome.UNKNOWN or finding.code in chain.STALE
    return finding._replace(outcome=Outcome.INFO) if missing else finding


@contextmanager
def opened(args: Namespace, at: dt.datetime) -> Iterator[tuple[Packages, list[Finding]]]:
    """The packages, with those fetched that were not at hand, and what was found on the way to them."""
    if args.download and os.path.realpath(args.root) != "/":
        raise UsageError("--download fetches for this very host (/); for an image, name the folder with --packages")
    with tempfile.TemporaryDirectory(prefix="chopmark-") as folder:
        folders = [*(args.packages or ()), *([folder] if args.download else [])]
        wish = opening.Wish(args.root, at, folders, args.lists, tuple(args.keyring or ()), memory.Memory())
        found = opening.opened(wish)
        findings = [_of_release(each) for judged in found.repository.judged for each in judged.findings
                    if each.outcome is not Outcome.OK]  # fmt: skip
        if args.download:
            findings += opening.fetch(found.packages.missing(), folder)
        yield found.packages, findings
