"""Evidence: certificates, revocation lists and OCSP answers in a folder, as material that nobody trusts.

What is in a folder is told by its content, never by its name. Certificates help to find ways and are no anchors; lists
and answers have to be signed by whoever may, and are asked last, like what comes with a signature: whoever made the
folder may have chosen old ones. The same kind of folder is written when a verification is collected.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from chopmark.core import folders, limits
from chopmark.core.artifact import read_small
from chopmark.core.errors import InputError, MalformedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import der, pem, x509
from chopmark.trust.crl.revocation_list import Crl

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    from chopmark.trust.crl.origins import CrlSource
    from chopmark.trust.stores.anchors import Anchor

CERTIFICATE, LIST, ANSWER = "certificate", "list", "answer"
_SUFFIXES = {CERTIFICATE: ".cer", LIST: ".crl", ANSWER: ".ors"}
_ANSWERS = ("OCSP RESPONSE",)


class Piece(NamedTuple):
    """One thing in a file: of which kind, its DER, and the list read if it is one."""

    kind: str
    raw: bytes
    crl: Crl | None = None


class Evidence:
    """What a folder holds. It is a source of certificates for a store (store.Source), none of them an anchor.

    `lists` are read, `answers` are DER of OCSPResponse; `ignored` are the names of files that are nothing of these.
    """

    name = "evidence"
    as_of: dt.datetime | None = None

    def __init__(self, pieces: Sequence[Piece], ignored: Sequence[str] = ()) -> None:
        self.ignored = tuple(ignored)
        self.lists = tuple(piece.crl for piece in pieces if piece.crl is not None)
        self.answers = tuple(dict.fromkeys(piece.raw for piece in pieces if piece.kind == ANSWER))
        self._named: dict[object, list[x509.Certificate]] = {}
        raws = dict.fromkeys(piece.raw for piece in pieces if piece.kind == CERTIFICATE)
        self._count = len(raws)
        for raw in raws:
            certificate = x509.certificate(raw)
            self._named.setdefault(certificate.subject_key, []).append(certificate)

    def __len__(self) -> int:
        """How many certificates there are."""
        return self._count

    def named(self, name: bytes) -> list[Anchor]:  # noqa: ARG002 - nobody here is an anchor
        """No anchor has any name."""
        return []

    def keyed(self, key_id: bytes) -> list[Anchor]:  # noqa: ARG002
        """No anchor has any key."""
        return []

    def resembling(self, text: bytes) -> list[Anchor]:  # noqa: ARG002
        """No anchor resembles anything."""
        return []

    def every(self) -> Iterator[Anchor]:
        """No anchors."""
        return iter(())

    def intermediates(self, name: bytes) -> list[x509.Certificate]:
        """The certificates with this name (DER; empty: all), at most EVIDENCE_ALIKE_MAX with one."""
        if not name:
            return [each for alike in self._named.values() for each in alike]
        try:
            return self._named.get(x509.name_key(name), [])[: limits.EVIDENCE_ALIKE_MAX]
        except MalformedError:
            return []


def read(folder: str, crls: CrlSource) -> Evidence:
    """Read a folder, without those inside of it; lists go through `crls`, which knows their indexes.

    Raises UsageError when the folder or a file in it cannot be read, there is too much, or nothing of use.
    """
    pieces: list[Piece] = []
    ignored: list[str] = []
    left = limits.EVIDENCE_SIZE_MAX
    for path in _files(folder):
        found = _contents(path, crls)
        left -= sum(len(piece.raw) for piece in found)
        if left < 0:
            raise UsageError(f"{folder}: more than {limits.EVIDENCE_SIZE_MAX} bytes of evidence")
        pieces += found
        if not found:
            ignored.append(os.path.basename(path))
    if not pieces:
        raise UsageError(f"{folder}: there is no certificate, revocation list or OCSP answer in it")
    return Evidence(pieces, ignored)


def _files(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as found:
            paths = [item.path for item in found if item.is_file()]
    except (OSError, ValueError) as error:
        where = getattr(error, "filename", None) or folder
        raise folders.unreadable(where, error) from None
    if len(paths) > limits.EVIDENCE_FILES_MAX:
        raise UsageError(f"{folder}: more than {limits.EVIDENCE_FILES_MAX} files")
    return sorted(paths)


def _contents(path: str, crls: CrlSource) -> list[Piece]:
    """What is in a file; nothing when it is of no kind known here. Raises UsageError when it cannot be read."""
    kept = crls.kept(path)
    if kept is not None:
        return [Piece(LIST, kept.raw, kept)]
    try:
        data = read_small(path, limits.CRL_MAX)
    except InputError as error:
        raise UsageError(str(error)) from None
    return recognised(data, crls)


def recognised(data: bytes, crls: CrlSource | None = None) -> list[Piece]:
    """The certificates, lists and answers in DER or PEM, or in a CMS bag of certificates; none when there are none."""
    if b"-----BEGIN " not in data:
        return _one(data, crls)
    found: list[Piece] = []
    for block in pem.blocks(data):
        if block.der and block.label in (*pem.CERTIFICATE, *pem.CRL, *pem.CMS, *_ANSWERS):
            found += _one(block.der, None)
    return found


def _one(raw: bytes, crls: CrlSource | None) -> list[Piece]:
    """What one DER value is, judged by its structure alone."""
    try:
        parts = der.parse(raw).expect(der.SEQUENCE).children()
        if not parts:
            return []
        if parts[0].tag == der.OBJECT_IDENTIFIER:
            return [_certificate(each) for each in pem.certificates(raw)]
        if parts[0].tag == der.ENUMERATED:
            return [Piece(ANSWER, raw)]
        inner = parts[0].expect(der.SEQUENCE).children()
        # A list has a time where a certificate has its validity; a certificate has six elements at least.
        if any(each.tag in (der.UTC_TIME, der.GENERALIZED_TIME) for each in inner[:4]):
            return [Piece(LIST, raw, Crl(raw) if crls is None else crls.read(raw))]
        return [_certificate(raw)]
    except MalformedError:
        return []


def _certificate(raw: bytes) -> Piece:
    """A certificate whose subject can be read: it will be looked for by that. Raises MalformedError."""
    x509.name_key(x509.certificate(raw).subject)
    return Piece(CERTIFICATE, raw)


class Collector:
    """Writes what a verification used into a folder, so that it can be repeated elsewhere and later.

    Names follow from content, so that nothing is written twice and no name comes from outside. Raises WriteError.
    """

    def __init__(self, folder: str) -> None:
        """Make the folder if need be. Raises UsageError."""
        self.folder = folder
        self.count = 0
        self._done: set[str] = set()
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: {os.strerror(error.errno or 0)}") from None

    def certificates(self, certificates: Sequence[x509.Certificate]) -> None:
        """Keep certificates; roots too, which are nobody's anchors there."""
        for certificate in certificates:
            self._keep(CERTIFICATE, certificate.raw)

    def list(self, crl: Crl) -> None:
        """Keep a revocation list."""
        self._keep(LIST, crl.raw[:])

    def answer(self, raw: bytes) -> None:
        """Keep an OCSP answer (DER of OCSPResponse)."""
        self._keep(ANSWER, raw)

    def _keep(self, kind: str, raw: bytes) -> None:
        from chopmark.core.patch import write_file  # only who collects writes

        name = f"{kind}-{hashlib.sha256(raw).hexdigest()[:32]}{_SUFFIXES[kind]}"
        if name not in self._done:
            self._done.add(name)
            path = os.path.join(self.folder, name)
            if not _holds(path, raw):
                write_file(path, raw)
            self.count += 1


def _holds(path: str, raw: bytes) -> bool:
    try:
        return read_small(path, len(raw)) == raw
    except InputError:
        return False
