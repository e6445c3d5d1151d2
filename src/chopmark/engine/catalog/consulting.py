"""Files trusted through catalogs that list them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.contracts import Vouched
from chopmark.core.digest import whole
from chopmark.core.errors import MalformedError, UsageError
from chopmark.core.finding import Outcome
from chopmark.core.verdict import SealVerdict, Status
from chopmark.engine.catalog import judging
from chopmark.engine.catalog.contents import Contents, Listed
from chopmark.formats.catalog import listing, reasons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Voucher
    from chopmark.core.finding import Finding
    from chopmark.engine.catalog.judging import Checked
    from chopmark.trust.context import Context


_NOT_LISTED = Vouched()


def consult(artifact: Artifact, vouchers: Sequence[Voucher]) -> tuple[list[SealVerdict], list[Finding]]:
    """Seals that stand for those of the catalogs that list this content, and findings. Raises UnreadableError."""
    digest = whole(artifact.view, "sha256")
    said = [voucher.vouch(artifact.name, digest) for voucher in vouchers]
    seals = [each.seal for each in said if each.seal is not None]
    against = [each.finding for each in said if each.finding is not None]
    trusted = [seal for seal in seals if seal.status is Status.TRUSTED]
    if not seals and not against:
        return [], [reasons.UNLISTED.found()]
    return (trusted, []) if trusted else (seals, against)


class Catalog:
    """A catalog in memory, as a Voucher: through it files are trusted as far as it is itself."""

    def __init__(self, checked: Checked) -> None:
        """Read the list; raises MalformedError. `status` is that of the catalog's own signature."""
        self.name = checked.artifact.name
        self._real = os.path.realpath(self.name)
        self._verdict = checked.verdict
        self.status = checked.verdict.status
        self._root = checked.listing.header.root.rstrip(b"/") + b"/" if checked.listing.header.root else b""
        self._contents = Contents(
            (path, _content(line)) for path, line in checked.listing.rows() if line.startswith(b"f")
        )
        if checked.artifact.view.changed():
            raise UsageError(f"{self.name}: it changed while it was being read")
        self._best = self._trusted()
        self._anywhere = Vouched(self._seal(b""))

    @property
    def listed(self) -> Listed:
        """The contents that it lists, and in whose name."""
        signer = self._verdict.seals[0].signer if self._verdict.seals else None
        return Listed(self.name, f"{self.status} {signer.fingerprint if signer else ''}", self._contents)

    def vouch(self, name: str, digest: bytes) -> Vouched:
        """A seal that stands for the catalog's own, if it lists this content; a finding, if another at this path."""
        path = self._contents.first(digest)
        if path is not None:
            return Vouched(self._seal(path))
        listed = self.instead(os.fsencode(os.path.realpath(name)), digest)
        return Vouched(finding=reasons.MISMATCH.found(f"{self.name}: {listed.hex()}") if listed else None)

    def vouch_for(self, digest: bytes) -> Vouched:
        """A seal that stands for the catalog's own, if it lists this content, wherever; the same one for each."""
        return self._anywhere if digest in self._contents else _NOT_LISTED

    def instead(self, path: bytes, digest: bytes) -> bytes:
        """The content that a trusted catalog lists at an absolute path in place of this one; empty for none."""
        if not self._root or self.status is not Status.TRUSTED or not path.startswith(self._root):
            return b""
        listed = self._contents.at(path[len(self._root) :])
        return listed if listed and listed != digest else b""

    @property
    def has_places(self) -> bool:
        """Whether `instead` may ever find something."""
        return bool(self._root) and self.status is Status.TRUSTED

    def holds(self, path: bytes, digest: bytes) -> bool:
        """Whether the catalog is trusted, and lists this content at this absolute path."""
        root = self._root or b"/"
        return (
            self.status is Status.TRUSTED
            and path.startswith(root)
            and bool(digest)
            and self._contents.at(path[len(root) :]) == digest
        )

    def _trusted(self) -> SealVerdict | None:
        """What a file gets that a trusted catalog lists, but for where."""
        trusted = [seal for seal in self._verdict.seals if seal.status is Status.TRUSTED]
        if self.status is not Status.TRUSTED or not trusted:
            return None
        findings = (reasons.LISTED.found(), *trusted[0].findings)
        return trusted[0]._replace(scheme=judging.FORMAT, findings=findings, catalog=self._real)

    def _seal(self, path: bytes) -> SealVerdict:
        where = f"catalog {self.name}" + (f": {listing.escape(path).decode('ascii')}" if path else "")
        if self._best is not None:
            return self._best._replace(where=where)
        outcome = Outcome.UNKNOWN if self.status is Status.UNDECIDED else Outcome.NO
        finding = reasons.UNTRUSTED.found(f"it is {self.status}", outcome=outcome)
        signer = self._verdict.seals[0].signer if self._verdict.seals else None
        return SealVerdict(
            where=where,
            scheme=judging.FORMAT,
            intact=False,
            digest_algorithm="sha256",
            signer=signer,
            signed_at=None,
            nested=0,
            findings=(finding,),
            catalog=self._real,
        )


class ByContent:
    """A catalog that is asked about contents alone, by who keeps the answer for wherever the content lies."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def vouch(self, name: str, digest: bytes) -> Vouched:  # noqa: ARG002 - the contract
        """A seal, if it lists this content."""
        return self._catalog.vouch_for(digest)

    def holds(self, path: bytes, digest: bytes) -> bool:
        """As the catalog says."""
        return self._catalog.holds(path, digest)


def _content(line: bytes) -> bytes:
    content = line.split(b" ", 6)[5]
    return bytes.fromhex(content.decode()) if len(content) > 1 else b""


def load(paths: Sequence[str], context: Context) -> tuple[Catalog, ...]:
    """Catalogs, or folders of them, each judged once. Raises UsageError, also for what is no catalog, and InputError.

    Files are judged with them, they are not what is judged: so one that cannot be used is a wrong call.
    """
    return tuple(_judged(file, context) for path in paths for file in _files(path))


def _judged(file: str, context: Context) -> Catalog:
    try:
        with judging.opened(file, context) as checked:
            return Catalog(checked)
    except MalformedError as error:
        raise UsageError(f"no catalog that can be used: {error}") from None


def _files(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    suffix = ".catalog"
    try:
        files = sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith(suffix))
    except OSError as error:
        raise UsageError(f"{path}: {os.strerror(error.errno or 0)}") from None
    if not files or len(files) > limits.CATALOG_FILES_MAX:
        raise UsageError(f"{path}: {len(files) or 'no'} files *{suffix}; from 1 to {limits.CATALOG_FILES_MAX} are used")
    return files
