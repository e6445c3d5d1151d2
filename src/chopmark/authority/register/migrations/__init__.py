"""How the schema of an authority's database came to be: one numbered revision for each change (Alembic).

A revision is a file `versions/NNNN_what.py` with `revision = "NNNN"`, `down_revision` the number before it, and
`upgrade()`. There is no way down: the copy that is made before is the way back. Alembic itself is loaded only when a
database is upgraded; which revision is the last one the names of the files say.
"""

from __future__ import annotations

import functools
import os
import re

FOLDER = os.path.dirname(os.path.abspath(__file__))
BASELINE = "0001"
"""The schema as it was before there were revisions."""
EARLIER = "1"
"""What a database at the baseline says that was made before there were revisions."""

_FILE = re.compile(r"([0-9]{4})_[a-z0-9_]+\.py")


@functools.cache
def revisions() -> tuple[str, ...]:
    """The numbers of all revisions, in order."""
    names = os.listdir(os.path.join(FOLDER, "versions"))
    return tuple(sorted(match[1] for match in map(_FILE.fullmatch, names) if match))


def known(revision: str) -> bool:
    """Whether a database that says this can be upgraded."""
    return revision == EARLIER or revision in revisions()


def head() -> str:
    """The revision that this version of chopmark writes."""
    return revisions()[-1]
