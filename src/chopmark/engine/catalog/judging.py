"""Is a tree what a catalog says, and are two catalogs the same."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from chopmark.core import reasons as core_reasons
from chopmark.core.artifact import Artifact
from chopmark.core.errors import BrokenError
from chopmark.core.finding import Outcome
from chopmark.core.named import NamedTuple
from chopmark.engine import check
from chopmark.engine.catalog import comparing, walking
from chopmark.formats.catalog import listing, reasons, sealing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark.core.finding import Finding
    from chopmark.core.verdict import Verdict
    from chopmark.formats.catalog.listing import Listing
    from chopmark.trust.context import Context

FORMAT = "catalog"


_BROKEN = {each.code: each for each in (reasons.VERSION, reasons.FORM, reasons.ORDER, reasons.PATH, reasons.CUT)}
"""Why nothing in a list is believed."""


_FEW = 2
"""Files that may all have been taken away, or renamed; when more are gone, the tree is another one."""


class Checked(NamedTuple):
    """A catalog that was judged, and its list, to be read once."""

    artifact: Artifact
    verdict: Verdict
    listing: Listing


@contextmanager
def opened(path: str, context: Context) -> Iterator[Checked]:
    """A catalog, judged. Raises InputError, and MalformedError for what is none."""
    with Artifact.open(path) as artifact:
        found = sealing.read(artifact)
        verdict = check.check(artifact, context, FORMAT)  # reads the list to its end
        for finding in verdict.findings:
            if finding.code in _BROKEN:
                raise BrokenError(_BROKEN[finding.code], f"{path}: {finding.detail}".removesuffix(": "))
        yield Checked(artifact, verdict, listing.Listing(artifact.chunks(0, found.end)))


def verify(checked: Checked, root: str, jobs: int, tick: Callable[[int], None] = lambda _: None) -> Iterator[Finding]:
    """Compare a tree with a catalog; whether to believe the catalog is its own verdict. Raises InputError."""
    header = checked.listing.header
    if _elsewhere(checked.artifact, root):
        shown = listing.escape(header.root).decode() or "not told"
        yield reasons.ELSEWHERE.found(f"the catalog's own root: {shown}", subject=root)
        return
    with walking.walk_of(root, one_file_system=header.one_file_system, excluded=frozenset(header.excluded)) as walk:
        walked = walking.Walked(walk, jobs)
        same = True
        with closing(walked.blocks()) as blocks:
            found = comparing.lines_of(_ticked(blocks, walked, tick))
            for finding in comparing.differences(checked.listing.lines(), found, only_listed=header.only_listed):
                same = same and finding.outcome is Outcome.INFO
                yield finding
        for finding in sorted(walked.findings):
            same = same and finding.outcome is Outcome.INFO
            yield finding
    if header.excluded:
        yield reasons.EXCLUDED.found(" ".join(listing.escape(each).decode() for each in header.excluded)[:1000])
    if checked.artifact.view.changed():
        yield core_reasons.INPUT_CHANGED.found(subject=checked.artifact.name)
    elif same:
        yield reasons.SAME.found(f"{checked.listing.count} files")


def _elsewhere(artifact: Artifact, root: str) -> bool:
    """Whether nothing that a catalog lists, but for folders, is below a root: then it is about another one.

    In every other case this ends at the first file that is there.
    """
    below = os.path.join(os.fsencode(root), b"")
    gone = 0
    for path, line in listed(artifact).rows():
        if not line.startswith(b"d"):
            if os.path.lexists(below + path):
                return False
            gone += 1
    return gone > _FEW and os.path.isdir(below)


def _ticked(blocks: Iterator[bytes], walked: walking.Walked, tick: Callable[[int], None]) -> Iterator[bytes]:
    for block in blocks:
        tick(walked.count)
        yield block


def listed(artifact: Artifact) -> Listing:
    """What a catalog lists. Raises BrokenError, which names the file."""
    try:
        return listing.Listing(artifact.chunks(0, sealing.read(artifact).end))
    except BrokenError as error:
        raise BrokenError(error.reason, f"{artifact.name}: {error.detail}") from None


def diff(one: str, other: str) -> Iterator[Finding]:
    """How the second catalog differs from the first; judges no signature. Raises MalformedError, InputError."""
    with Artifact.open(one) as first, Artifact.open(other) as second:
        before, after = listed(first), listed(second)
        yield from comparing.headers(before.header, after.header)
        yield from comparing.differences(*((line for _, line in each.rows()) for each in (before, after)))
