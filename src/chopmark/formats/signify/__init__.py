"""Any file, signed by OpenBSD's signify in the file beside it (FILE.sig). See docs/reference/formats/minisign.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.formats._beside.signed_beside import SignedBeside

if TYPE_CHECKING:
    from chopmark.core.contracts import Format

FORMAT: Format = SignedBeside("signify", "file signed with signify", ".sig", "minisign", mark=b"untrusted comment: ")
