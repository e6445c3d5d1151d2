"""Any file, signed by minisign in the file beside it (FILE.minisig). See docs/reference/formats/minisign.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.formats._beside.signed_beside import SignedBeside

if TYPE_CHECKING:
    from chopmark.core.contracts import Format

FORMAT: Format = SignedBeside(
    "minisign",
    "file signed with minisign",
    ".minisig",
    "minisign",
    digest_algorithm="blake2b",
    options=("description",),
)
