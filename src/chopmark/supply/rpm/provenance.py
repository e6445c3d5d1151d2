"""What each installed package must have put where, as the signed header in rpm's own database says."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.digest import STRONG
from chopmark.core.errors import MalformedError
from chopmark.core.finding import Outcome
from chopmark.core.seal import Claim, Payload, Recipe, Seal
from chopmark.core.verdict import Status, Verdict
from chopmark.engine import check
from chopmark.engine.catalog.importing import DATABASE, RELEASE, File, Looked
from chopmark.envelopes.openpgp import reasons as openpgp_reasons
from chopmark.formats.rpm import facts, files, header, signatures, tags
from chopmark.supply import rights
from chopmark.supply.placing import Places
from chopmark.supply.rpm import capabilities, reasons
from chopmark.supply.rpm.records import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.finding import Finding
    from chopmark.core.verdict import SealVerdict
    from chopmark.envelopes.openpgp import OpenPgpEnvelope
    from chopmark.formats.rpm.files import Listed
    from chopmark.formats.rpm.header import Header
    from chopmark.supply.rpm.database import Database
    from chopmark.trust.context import Context

_NOBODY = b"\0" * 32
"""In place of a SHA-256 where a file is not what its package has: no file has it."""
_KEYS = b"gpg-pubkey"
"""What rpm calls the records of imported keys, which are no packages."""
_ATTRIBUTE = "security.capability"


class RpmPackages:
    """The packages of a host or image, as a catalog asks for them (engine.catalog.importing.Packages)."""

    def __init__(self, database: Database, root: str, context: Context) -> None:
        """`context` has the keys that are believed, and the time of the check."""
        self._database = database
        self._root = os.fsencode(root)
        self._context = context
        self._places = Places(self._root)

    def names(self) -> list[str]:
        """All records, by number."""
        return [str(number) for number in self._database.numbers]

    def look(self, name: str) -> Looked:
        """The files of a package, proven where its header is signed by a key that is believed."""
        try:
            inside, added = header.stored(self._database.record(int(name)))
            said = facts.released(inside)
            architecture = inside.string(tags.ARCHITECTURE)
        except DatabaseError as error:
            return Looked(name.encode(), b"", (), (reasons.UNREADABLE.found(str(error), subject=name),))
        except MalformedError as error:
            return Looked(name.encode(), b"", (), (reasons.RECORD_BROKEN.found(str(error), subject=name),))
        if said is None or said.product.encode() == _KEYS:
            return Looked(name.encode(), b"")
        label = f"{said.product}.{(architecture or b'noarch').decode('utf-8', 'replace')}"
        findings: list[Finding] = []
        try:
            how, finding = self._how(inside, added)
            findings += [finding._replace(subject=label)] if finding else []
            algorithm = files.algorithm(inside)
            if how == RELEASE and algorithm not in STRONG:
                how = DATABASE
                findings.append(reasons.WEAK_FILES.found(algorithm, subject=label))
            found = tuple(self._files(files.listed(inside), algorithm, how, findings))
        except MalformedError as error:
            return Looked(
                label.encode(), said.version.encode(), (), (reasons.RECORD_BROKEN.found(str(error), subject=label),)
            )
        return Looked(label.encode(), said.version.encode(), found, tuple(findings))

    def _how(self, inside: Header, added: Header) -> tuple[bytes, Finding | None]:
        """Whether a signature over the header proves it, and what there is to say where none does."""
        seals = [self._judged(where, envelope, inside) for where, envelope in
                 signatures.found(added, signatures.HEADER)]  # fmt: skip
        status = Verdict("", "", tuple(seals), ()).status
        if seals and status is Status.TRUSTED:
            return RELEASE, None
        against = {finding.code for seal in seals for finding in seal.findings
                   if finding.outcome in (Outcome.NO, Outcome.UNKNOWN)}  # fmt: skip
        if openpgp_reasons.SIGNATURE_WRONG.code in against:
            return DATABASE, reasons.RECORD_CHANGED.found()
        return DATABASE, reasons.NOT_PROVEN.found(", ".join(sorted(against)) or "no signature over the header")

    def _judged(self, where: str, envelope: OpenPgpEnvelope, inside: Header) -> SealVerdict:
        over = (envelope.signature.salt, inside.signed, envelope.signature.trailer)
        recipe = Recipe(envelope.digest_algorithm, over)
        digest = hashlib.new(recipe.algorithm, b"".join(over), usedforsecurity=False).digest()
        seal = Seal(where, envelope, (Claim("header", recipe, None),))
        return check.judge_seal(seal, [Payload(recipe, digest, sum(map(len, over)))], self._context)

    def _files(self, listed: Sequence[Listed], algorithm: str, how: bytes, findings: list[Finding]) -> Iterator[File]:
        for each in listed:
            if each.is_ghost:
                continue
            place = self._places.real(each.path)
            if each.is_link:
                yield File(place, b"l", each.target, how)
            elif each.is_file and each.digest:
                content = self._content(place, each, algorithm)
                if content and how == RELEASE and (more := self._privileges(place, each)):
                    findings.append(reasons.PRIVILEGED.found(more, subject=place.decode("ascii", "backslashreplace")))
                    content = _NOBODY
                if content:
                    yield File(place, b"f", content, how, bool(each.flags & files.CONFIG))

    def _content(self, place: bytes, listed: Listed, algorithm: str) -> bytes:
        """The SHA-256 that the file must have; empty where it is of another kind and there is none to find out."""
        if algorithm == "sha256":
            return listed.digest
        try:
            other, strong = _digests(os.path.join(self._root, place), algorithm)
        except OSError:
            return b""
        return strong if other == listed.digest else _NOBODY

    def _privileges(self, place: bytes, listed: Listed) -> str:
        """What the file can do beyond what its package lets it; empty where that is nothing."""
        path = os.path.join(self._root, place)
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            return ""
        if not stat.S_ISREG(mode):
            return ""
        if rights.beyond(mode, listed.mode):
            return rights.told(mode, listed.mode)
        try:
            raw = os.getxattr(path, _ATTRIBUTE, follow_symlinks=False)
        except OSError:
            return ""  # it has none
        return "" if capabilities.within(raw, listed.capabilities) else "capabilities"


def _digests(path: bytes, algorithm: str) -> tuple[bytes, bytes]:
    """The digest of an installed file that its package has, and SHA-256. Raises OSError."""
    one, strong = hashlib.new(algorithm, usedforsecurity=False), hashlib.sha256(usedforsecurity=False)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        while data := os.read(descriptor, limits.READ_CHUNK):
            one.update(data)
            strong.update(data)
    finally:
        os.close(descriptor)
    return one.digest(), strong.digest()
