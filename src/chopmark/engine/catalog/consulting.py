"""Files trusted through catalogs that list them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.contracts import Vouched
from chopmark.core.digest import hash_ranges
from chopmark.core.errors import UsageError
from chopmark.core.finding import Outcome
from chopmark.core.seal import Range, Recipe
from chopmark.core.verdict import SealVerdict, Status
from chopmark.engine.catalog import judging
from chopmark.formats.catalog import listing, reasons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Voucher
    from chopmark.core.finding import Finding
    from chopmark.engine.catalog.judging import Checked
    from chopmark.trust.context import Context


def consult(artifact: Artifact, vouchers: Sequence[Voucher]) -> tuple[list[SealVerdict], list[Finding]]:
    """Seals that stand for those of the catalogs that list this content, and findings. Raises UnreadableError."""
    whole = Recipe("sha256", (Range(0, artifact.view.size),))
    [payload] = hash_ranges(artifact.view, [whole])
    said = [voucher.vouch(artifact.name, payload.value) for voucher in vouchers]
    seals = [each.seal for each in said if each.seal is not None]
    against = [each.finding for each in said if each.finding is not None]
    trusted = [seal for seal in seals if seal.status is Status.TRUSTED]
    if not seals and not against:
        return [], [reasons.UNLISTED.found()]
    return trusted or seals, against


class Catalog:
    """A catalog in memory, as a Voucher: through it files are trusted as far as it is itself."""

    def __init__(self, checked: Checked) -> None:
        """Read the list; raises MalformedError."""
        self.name = checked.artifact.name
        self._real = os.path.realpath(self.name)
        self._verdict = checked.verdict
        self._root = checked.listing.header.root.rstrip(b"/") + b"/" if checked.listing.header.root else b""
        self._by_digest: dict[bytes, bytes] = {}
        self._by_path: dict[bytes, bytes] = {}
        for path, line in checked.listing.rows():
            if line[:1] == b"f":
                content = line.split(b" ", 6)[5]
                digest = bytes.fromhex(content.decode()) if len(content) > 1 else b""
                self._by_path[path] = digest
                if digest:
                    self._by_digest.setdefault(digest, path)
        if checked.artifact.view.changed():
            raise UsageError(f"{self.name}: it changed while it was being read")

    @property
    def status(self) -> Status:
        """Of the catalog's own signature."""
        return self._verdict.status

    def digests(self) -> frozenset[bytes]:
        """The contents that it lists, as SHA-256."""
        return frozenset(self._by_digest)

    def vouch(self, name: str, digest: bytes) -> Vouched:
        """A seal that stands for the catalog's own, if it lists this content; a finding, if another at this path."""
        path = self._by_digest.get(digest)
        if path is not None:
            return Vouched(self._seal(path))
        if self._root and self.status is Status.TRUSTED:
            real = os.fsencode(os.path.realpath(name))
            listed = self._by_path.get(real[len(self._root) :]) if real.startswith(self._root) else None
            if listed:
                return Vouched(finding=reasons.MISMATCH.found(f"{self.name}: {listed.hex()}"))
        return Vouched()

    def holds(self, path: bytes, digest: bytes) -> bool:
        """Whether the catalog is trusted, and lists this content at this absolute path."""
        root = self._root or b"/"
        return (
            self.status is Status.TRUSTED
            and path.startswith(root)
            and bool(digest)
            and self._by_path.get(path[len(root) :]) == digest
        )

    def _seal(self, path: bytes) -> SealVerdict:
        where = f"catalog {self.name}: {listing.escape(path).decode('ascii')}"
        trusted = [seal for seal in self._verdict.seals if seal.status is Status.TRUSTED]
        if self.status is Status.TRUSTED and trusted:
            best = trusted[0]
            findings = (reasons.LISTED.found(), *best.findings)
            return best._replace(where=where, scheme=judging.FORMAT, findings=findings, catalog=self._real)
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


def load(paths: Sequence[str], context: Context) -> tuple[Catalog, ...]:
    """Catalogs, or folders of them, each judged once. Raises UsageError, InputError and MalformedError."""
    found = []
    for path in paths:
        for file in _files(path):
            with judging.opened(file, context) as checked:
                found.append(Catalog(checked))
    return tuple(found)


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
