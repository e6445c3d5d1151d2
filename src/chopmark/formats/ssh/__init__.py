"""Any file, signed with an SSH key in the file beside it (FILE.sig). See docs/reference/formats/ssh.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.formats._beside.signed_beside import SignedBeside

if TYPE_CHECKING:
    from chopmark.core.contracts import Format

FORMAT: Format = SignedBeside(
    "ssh",
    "file signed with an SSH key",
    ".sig",
    "ssh",
    digest_algorithm="sha512",
    mark=b"-----BEGIN SSH SIGNATURE-----",
)
