"""Blocklists: what is never to be trusted, whoever signed it; and how old that knowledge is.

A list names certificates (by fingerprint, by issuer and serial number, by the digest of what was signed in them), keys,
and files (by digest, flat or as their format digests them); Microsoft's lists of drivers also name signers and files
by conditions (app_control). What is named anywhere on a path is refused, at any time and with any time stamp: a
blocklist is not about when a key was lost, but about whose signatures nobody here wants.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
from typing import TYPE_CHECKING

from chopmark.core import clock, limits, places
from chopmark.core.artifact import read_small
from chopmark.core.errors import InputError, MalformedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.trust.blocklists import reasons

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from chopmark.core.finding import Finding
    from chopmark.core.reasons import Reason
    from chopmark.core.signer import SignerId
    from chopmark.envelopes import x509
    from chopmark.trust.blocklists.app_control import Policy

CERTIFICATE, KEY, TBS, SERIAL, FILE, IMAGE = "certificate", "key", "tbs", "issuer-serial", "file", "image"
KINDS = (CERTIFICATE, KEY, TBS, SERIAL, FILE, IMAGE)
_REASONS = {
    CERTIFICATE: reasons.BLOCKED_CERTIFICATE,
    KEY: reasons.BLOCKED_KEY,
    TBS: reasons.BLOCKED_CERTIFICATE,
    SERIAL: reasons.BLOCKED_CERTIFICATE,
    FILE: reasons.BLOCKED_FILE,
    IMAGE: reasons.BLOCKED_FILE,
}
SUFFIXES = (".txt", ".xml")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Named(NamedTuple):
    """What a list names: its kind, the digest algorithm (none for issuer and serial number), the value.

    The value is the digest, or the octets of the serial number without leading zeros; `issuer` is the issuer as people
    are shown it, case folded.
    """

    kind: str
    algorithm: str
    value: bytes
    issuer: str = ""


class Blocklist(NamedTuple):
    """One list: its name, its file, from when it is, what it names and why, and its conditions, if it has some."""

    name: str
    where: str
    as_of: dt.datetime | None
    named: dict[Named, str]
    policy: Policy | None = None

    @property
    def size(self) -> int:
        """How many things it names."""
        return len(self.named) + (self.policy.size if self.policy else 0)

    @property
    def shown(self) -> str:
        """The list for people, with its date."""
        return f"list {self.name} of {clock.show(self.as_of)}" if self.as_of else f"list {self.name}"

    def algorithms(self, kind: str) -> frozenset[str]:
        """The digest algorithms in which it names things of a kind."""
        found = {each.algorithm for each in self.named if each.kind == kind}
        if self.policy is not None and kind in (FILE, IMAGE):
            found |= self.policy.algorithms
        return frozenset(found)

    def stale(self, at: dt.datetime) -> Finding | None:
        """A finding when the list is so old at that time that newer ones have to be expected."""
        if self.as_of is not None and at - self.as_of <= limits.BLOCKLIST_FRESH:
            return None
        age = f"{(at - self.as_of).days} days old" if self.as_of else "of unknown age"
        return reasons.BLOCKLIST_STALE.found(f"{self.shown}, {age}", subject=self.name)


def certificate_findings(lists: Sequence[Blocklist], certificates: Iterable[x509.Certificate]) -> list[Finding]:
    """A finding for every certificate that a list names."""
    found = []
    every = list(certificates) if lists else []
    for each in lists:
        algorithms, whole = each.algorithms(TBS), bool(each.algorithms(CERTIFICATE))
        for certificate in every:
            names = [*_names(certificate, algorithms), *(_twins(certificate) if whole else ())]
            found += [_finding(each, named, certificate.subject_text) for named in names if named in each.named]
    return found


def key_findings(lists: Sequence[Blocklist], signer: SignerId | None) -> list[Finding]:
    """A finding for every list that names the key of a signer who has no certificate."""
    if signer is None or signer.kind == "x509" or not signer.fingerprint:
        return []
    named = Named(KEY, "sha256", bytes.fromhex(signer.fingerprint))
    return [_finding(each, named, signer.subject) for each in lists if named in each.named]


def _names(certificate: x509.Certificate, algorithms: Iterable[str]) -> Iterator[Named]:
    """All that a certificate could be named by."""
    yield Named(CERTIFICATE, "sha256", bytes.fromhex(certificate.sha256))
    yield Named(KEY, "sha256", bytes.fromhex(certificate.key_sha256))
    yield Named(SERIAL, "", magnitude(certificate.serial_octets), certificate.issuer_text.casefold())
    for algorithm in algorithms:
        yield Named(TBS, algorithm, tbs_digest(certificate, algorithm))


def _twins(certificate: x509.Certificate) -> Iterator[Named]:
    """What names it as well, because anybody could have made this certificate of that one, or the other way round."""
    from chopmark.trust.blocklists import twins  # few lists name certificates

    yield from (Named(CERTIFICATE, "sha256", each) for each in twins.fingerprints(certificate.raw))


def name_of(certificate: x509.Certificate, kind: str) -> Named:
    """How a list names a certificate, by one of the kinds that name certificates."""
    return next(each for each in _names(certificate, ("sha256",)) if each.kind == kind)


def tbs_digest(certificate: x509.Certificate, algorithm: str) -> bytes:
    """The digest of TBSCertificate, as Microsoft's lists name certificates."""
    return hashlib.new(algorithm, certificate.tbs, usedforsecurity=False).digest()


def magnitude(serial: bytes) -> bytes:
    """A serial number without leading zeros."""
    return serial.lstrip(b"\0") or b"\0"


def file_findings(lists: Sequence[Blocklist], digests: Iterable[Named]) -> list[Finding]:
    """A finding for every digest of a file (of kind FILE or IMAGE) that a list names."""
    found = []
    for named in digests:
        for each in lists:
            if named in each.named:
                found.append(_finding(each, named, named.kind))
            elif each.policy is not None and (remark := each.policy.hashes.get((named.algorithm, named.value))):
                detail = f"{each.shown}: {remark}, {named.algorithm} {named.value.hex()}"
                found.append(reasons.BLOCKED_FILE.found(detail, subject=named.kind))
    return found


def _finding(each: Blocklist, named: Named, subject: str) -> Finding:
    reason: Reason = _REASONS[named.kind]
    remark = each.named[named]
    what = f"{named.kind} {named.algorithm}{':' if named.algorithm else ''}{named.value.hex()}"
    return reason.found(f"{each.shown}: {what}{f' ({remark})' if remark else ''}", subject=subject)


# Lists in files


def installed() -> list[str]:
    """The files of the lists that always count, sorted. Raises UsageError when the folder cannot be read."""
    try:
        with os.scandir(places.blocklists()) as found:
            paths = sorted(item.path for item in found if item.name.endswith(SUFFIXES))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"{places.blocklists()}: {os.strerror(error.errno or 0)}") from None
    if len(paths) > limits.BLOCKLISTS_MAX:
        raise UsageError(f"{places.blocklists()}: more than {limits.BLOCKLISTS_MAX} lists")
    return paths


def load(files: Sequence[str] = ()) -> tuple[Blocklist, ...]:
    """The installed lists and those in `files`. Raises UsageError when one cannot be read: nothing passes unchecked."""
    paths = dict.fromkeys((*installed(), *files))
    return tuple(read(path) for path in paths)


def read(path: str) -> Blocklist:
    """One list, of whichever format. Raises UsageError."""
    try:
        data = read_small(path, limits.BLOCKLIST_MAX)
        changed = dt.datetime.fromtimestamp(int(os.stat(path).st_mtime), dt.UTC)
    except InputError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{path}: {os.strerror(error.errno or 0)}") from None
    try:
        return parse(data, path, changed)
    except MalformedError as error:
        raise UsageError(f"{path}: no blocklist that can be used: {error if data else 'it is empty'}") from None


def parse(data: bytes, path: str, changed: dt.datetime | None = None) -> Blocklist:
    """A list in its bytes; `changed` is its date if it has none of its own. Raises MalformedError."""
    name = os.path.splitext(os.path.basename(path))[0]
    if data.startswith(b"chopmark-blocklist"):
        from chopmark.trust.blocklists import plain

        return plain.parse(data, name, path)
    from chopmark.envelopes.efi import variables

    if variables.recognised(data):
        from chopmark.trust.blocklists import dbx

        return dbx.parse(data, name, path, changed)
    from chopmark.trust.blocklists import app_control

    policy = app_control.parse(data)
    return Blocklist(name, path, changed, {}, policy)
