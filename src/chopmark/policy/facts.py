"""What a decision is about: a file as it was judged, and who makes which use of it.

File facts hold as long as the file is the same, so that what follows from them alone can be kept; who uses it is
another question each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.core.verdict import Status

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.core.signer import Authority
    from chopmark.core.versions import Release

EXEC, SCRIPT, LIBRARY, MODULE, SERVICE, PACKAGE = "exec", "script", "library", "module", "service", "package"
KINDS = (EXEC, SCRIPT, LIBRARY, MODULE, SERVICE, PACKAGE, "image", "ci-step")
"""Kinds of use: a program that is started, a script that is interpreted, a shared library that is mapped, a kernel
module that is loaded, a unit that is enabled, a package that is installed, an image that is run, a pipeline's step."""

GOOD, UNCHECKED, NOBODY = "good", "unchecked", "nobody"
"""What is known of revocation: asked and good, not asked or no answer, nobody who could revoke."""


class SealFacts(NamedTuple):
    """One seal, as rules look at it.

    `kind`, `subject`, `key` (SHA-256 in hex; empty when nobody knows it) and `claims` are those of the signer,
    `certificate` the SHA-256 of the certificate, `authorities` what stands above it (the root last), `purposes` its
    extended key usages, `store` the trust store that vouches. `catalog` is the list through which the file has this
    seal; empty for its own. `revocation` is GOOD, UNCHECKED or NOBODY.
    """

    scheme: str
    status: Status
    kind: str = ""
    subject: str = ""
    key: str = ""
    certificate: str = ""
    claims: tuple[tuple[str, str], ...] = ()
    authorities: tuple[Authority, ...] = ()
    purposes: tuple[str, ...] = ()
    store: str = ""
    catalog: str = ""
    signed_at: dt.datetime | None = None
    revocation: str = UNCHECKED

    @property
    def root(self) -> str:
        """The key that trust in it begins with: that of the root, else its own."""
        return self.authorities[-1].key_sha256 if self.authorities else self.key


class FileFacts(NamedTuple):
    """A file, as rules look at it.

    `path` is absolute, links followed, empty where nobody knows it; `sha256` is in hex, empty when the file could not
    be read: then nothing else is known. `release` is what it says of itself, `release_readable` False when that could
    not be read. `writable` says whether anybody but the administrator may change what lies at the path (None: not
    looked at). `blocked` is what a blocklist says against it; `logged` whether a trusted log has its signature (None:
    not asked); `newest` the latest version of this product by this signer that is remembered.
    """

    path: str
    sha256: str
    format: str = ""
    status: Status = Status.UNSIGNED
    seals: tuple[SealFacts, ...] = ()
    release: Release | None = None
    release_readable: bool = True
    writable: bool | None = None
    blocked: str = ""
    logged: bool | None = None
    newest: str = ""


class Process(NamedTuple):
    """Who uses a file: the user, the program that asks for it, and the program that started that one.

    For an execution the program is the one that executes (a shell), for a script its interpreter, for a library the
    program that maps it. A user without a name is called by the number, in digits. Empty or None is what is not known,
    and no condition about it ever holds.
    """

    uid: int | None = None
    user: str = ""
    program: str = ""
    parent: str = ""


NOBODY_KNOWN = Process()
