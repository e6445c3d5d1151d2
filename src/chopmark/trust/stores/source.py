"""Certificates in files and folders as a source of trust anchors and intermediates."""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING

from chopmark.core import clock, limits
from chopmark.core.artifact import read_small
from chopmark.core.errors import InputError, MalformedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import pem, x509
from chopmark.trust.stores.anchors import UNCONSTRAINED, Anchor, Constraints, purpose_name, purpose_oid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

CERTIFICATE_SUFFIXES = (".pem", ".crt", ".cer", ".der", ".esl", ".auth")
CRL_SUFFIX = ".crl"
_MARK = "# chopmark:"
"""Begins the comment above a certificate that says how far it is trusted."""


_IDENTITIES = "vouches-for=identities"
_NAME_WORDS = _PERMIT, _EXCLUDE = "permit", "exclude"

_LOWER = bytes(range(256)).lower()
_NO_WORD = bytes(octet for octet in range(256) if not (chr(octet).isascii() and chr(octet).isalnum()))


class Entry(NamedTuple):
    """A certificate as a file has it: DER, and what the comment above it says (word: value)."""

    raw: bytes
    remarks: dict[str, str]


class FileSource:
    """A store whose certificates are in files.

    A certificate that its subject issued itself (a root) is an anchor, any other an intermediate that has to lead to
    one; the remark `trust=anchor` makes any certificate an anchor. `tolerant` passes over what cannot be read, as a
    system's bundle may hold what nobody here needs.
    """

    def __init__(self, name: str, files: Iterable[str], *, tolerant: bool = False) -> None:
        """Read the files. Raises UsageError when one cannot be read or holds no certificates."""
        self.name = name
        self.files = tuple(files)
        self._tolerant = tolerant
        self.as_of = changed(self.files)
        seen: dict[bytes, Entry] = {}
        for path in self.files:
            for entry in _read(path, tolerant=tolerant):
                if seen.setdefault(entry.raw, entry).remarks != entry.remarks:
                    raise UsageError(f"store {name}: {path}: the same certificate stands elsewhere with other remarks")
        self._entries = list(seen.values())
        self._known: dict[bytes, Anchor | None] = {}
        if not tolerant:
            for entry in self._entries:
                self._anchor(entry)

    def __len__(self) -> int:
        """How many certificates there are."""
        return len(self._entries)

    def named(self, name: bytes) -> list[Anchor]:
        """The anchors with exactly this name (DER)."""
        anchors = self._anchors(name)
        return [each for each in anchors if each.certificate.subject == name] if anchors else anchors

    def keyed(self, key_id: bytes) -> list[Anchor]:
        """The anchors whose key has this identifier."""
        anchors = self._anchors(key_id)
        return [each for each in anchors if each.certificate.subject_key_id == key_id] if anchors else anchors

    def every(self) -> Iterator[Anchor]:
        """All anchors."""
        return iter(self._anchors(b""))

    def intermediates(self, name: bytes) -> list[x509.Certificate]:
        """The certificates with this name (DER; empty: all) that are no anchors."""
        found = []
        for entry in self._entries:
            if name in entry.raw and self._anchor(entry) is None:
                certificate = _certificate(entry.raw)
                if certificate is not None and name in (b"", certificate.subject):
                    found.append(certificate)
        return found

    def resembling(self, text: bytes) -> list[Anchor]:
        """The anchors in which this squeezed text stands somewhere."""
        anchors = (self._anchor(entry) for entry in self._entries if text in squeezed(entry.raw))
        return [anchor for anchor in anchors if anchor is not None]

    def _anchors(self, octets: bytes) -> list[Anchor]:
        """Those in which some octets stand somewhere; the others need not be read."""
        anchors = [self._anchor(entry) for entry in self._entries if octets in entry.raw]
        return [anchor for anchor in anchors if anchor is not None] if anchors else []

    def _anchor(self, entry: Entry) -> Anchor | None:
        if entry.raw not in self._known:
            self._known[entry.raw] = self._read_anchor(entry)
        return self._known[entry.raw]

    def _read_anchor(self, entry: Entry) -> Anchor | None:
        try:
            certificate = x509.certificate(entry.raw)
            if not (certificate.self_issued or entry.remarks.get("trust") == "anchor"):
                return None
            constraints = _constraints(entry.remarks)
        except (MalformedError, UsageError) as error:
            if self._tolerant:
                return None
            raise UsageError(f"store {self.name}: {error}") from None
        return Anchor(certificate, constraints, self.name, certificate.common_name, self.as_of)


def squeezed(data: bytes) -> bytes:
    """The ASCII letters and digits in some bytes, in lower case: the same for a text in whatever type of string."""
    return data.translate(_LOWER, _NO_WORD)


def folder(path: str) -> list[str]:
    """The files with certificates in a folder, sorted. Raises UsageError when it cannot be read."""
    return listed(path, CERTIFICATE_SUFFIXES)


def alone(path: str) -> bytes | None:
    """The certificate (DER) that is the only one in a file."""
    found = _read(path, tolerant=True)
    return found[0].raw if len(found) == 1 else None


def crl_files(path: str) -> list[str]:
    """The CRL files in a folder, sorted."""
    return listed(path, (CRL_SUFFIX,))


def named(path: str, suffixes: tuple[str, ...]) -> list[str]:
    """A file that was asked for by name, or those in such a folder; raises UsageError when it holds none."""
    if not os.path.isdir(path):
        return [path]
    found = listed(path, suffixes)
    if not found:
        raise UsageError(f"{path}: no files {' or '.join(f'*{each}' for each in suffixes)} in it")
    return found


def remark(
    purposes: Iterable[str] = (),
    disallowed_after: dt.datetime | None = None,
    *,
    anchor: bool = False,
    permitted: Sequence[str] = (),
    excluded: Sequence[str] = (),
    identities: bool = False,
) -> str:
    """The comment that says how far the certificate below it is trusted; empty when there is nothing to say.

    Raises UsageError for an unknown purpose or form of name.
    """
    words = ["trust=anchor"] if anchor else []
    words += [_IDENTITIES] if identities else []
    names = [purpose_name(purpose_oid(purpose)) for purpose in purposes]
    if names:
        words.append("purposes=" + ",".join(names))
    if disallowed_after is not None:
        words.append("disallowed-after=" + clock.show(disallowed_after))
    if permitted or excluded:
        from chopmark.trust.paths import name_limits  # likewise

        name_limits.subtrees(tuple(permitted), tuple(excluded))
        found = zip(_NAME_WORDS, (permitted, excluded), strict=True)
        words += [f"{word}={name_limits.join(each)}" for word, each in found if each]
    return f"{_MARK} {' '.join(words)}\n" if words else ""


def entries(data: bytes) -> list[Entry]:
    """The certificates in PEM or DER, with their remarks, or in signature lists of UEFI, whose are for firmware alone.

    Raises MalformedError when there is none.
    """
    if not data.startswith(b"\x30") and b"-----BEGIN " not in data and (found := _firmware(data)):
        return found
    remarks = _remarks(data)
    if not remarks:
        return [Entry(raw, {}) for raw in _all(data)]
    found = []
    position = 0
    for block in pem.blocks(data):
        position = data.find(block.text.rstrip(), position)
        if block.label in pem.CERTIFICATE:
            found.append(Entry(block.der, remarks.pop(position, {})))
        position += 1
    if remarks:
        raise MalformedError("a remark that stands above no certificate")
    return found


def is_firmware(data: bytes) -> bool:
    """Whether it is a file of signature lists, as UEFI has them."""
    from chopmark.envelopes.efi import variables  # hardly any store has some

    return variables.recognised(data)


def _firmware(data: bytes) -> list[Entry]:
    """The certificates in signature lists: each is trusted as firmware does, also where it leads to no root."""
    if not is_firmware(data):
        return []
    from chopmark.envelopes.efi import lists, variables

    remarks = {"trust": "anchor", "purposes": "secure-boot"}
    found = [each.data for each in lists.read(variables.read(data).value) if each.kind.name == "x509"]
    return [Entry(raw, remarks) for raw in dict.fromkeys(found)]


def _all(data: bytes) -> list[bytes]:
    """Every certificate, however many there are."""
    if b"-----BEGIN " not in data:
        return pem.certificates(data)
    found = [block.der for block in pem.blocks(data) if block.label in pem.CERTIFICATE and block.der]
    return found or pem.certificates(data)


def _remarks(data: bytes) -> dict[int, dict[str, str]]:
    """What the marked comments say, by the place of the certificate below them."""
    found: dict[int, dict[str, str]] = {}
    mark = _MARK.encode()
    position = data.find(mark)
    while position >= 0:
        end = data.find(b"\n", position)
        if position and data[position - 1 : position] != b"\n":  # inside of other words, such as a name
            position = data.find(mark, position + 1)
            continue
        line = data[position + len(mark) : end if end >= 0 else len(data)].decode("ascii", "replace")
        words = dict(word.partition("=")[::2] for word in line.split())
        below = data.find(b"-----BEGIN ", position)
        found.setdefault(below, {}).update(words)
        position = data.find(mark, position + 1)
    return found


def _constraints(remarks: dict[str, str]) -> Constraints:
    """Raises UsageError for a word that is not known: what somebody wrote to limit trust must not be passed over."""
    purposes = disallowed = None
    identities = False
    permitted: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    for word, value in remarks.items():
        if word == "purposes":
            purposes = frozenset(purpose_oid(name) for name in value.split(","))
        elif word == "disallowed-after":
            disallowed = clock.parse(value)
        elif word in _NAME_WORDS:
            from chopmark.trust.paths import name_limits  # hardly any store has such limits

            limits_of = name_limits.split(value)
            permitted, excluded = (limits_of, excluded) if word == _PERMIT else (permitted, limits_of)
            name_limits.subtrees(permitted, excluded)
        elif f"{word}={value}" == _IDENTITIES:
            identities = True
        elif word != "trust" or value != "anchor":
            raise UsageError(f"a remark that is not understood: {word}={value}")
    if remarks.keys() <= {"trust"}:
        return UNCONSTRAINED
    return Constraints(
        purposes=purposes,
        disallowed_after=disallowed,
        permitted_names=permitted,
        excluded_names=excluded,
        identities=identities,
    )


def _certificate(raw: bytes) -> x509.Certificate | None:
    try:
        return x509.certificate(raw)
    except MalformedError:
        return None


def _read(path: str, *, tolerant: bool) -> list[Entry]:
    try:
        return entries(read_small(path, limits.STORE_FILE_MAX))
    except InputError as error:
        problem = str(error)
    except MalformedError as error:
        problem = f"{path}: {error}"
    if tolerant:
        return []
    raise UsageError(problem)


def listed(path: str, suffixes: tuple[str, ...]) -> list[str]:
    """The files in a folder whose names end so, sorted. Raises UsageError when it cannot be read."""
    try:
        with os.scandir(path) as found:
            names = [item.path for item in found if item.name.lower().endswith(suffixes) and item.is_file()]
    except OSError as error:
        raise UsageError(f"{path}: {os.strerror(error.errno or 0)}") from None
    if len(names) > limits.STORE_FILES_MAX:
        raise UsageError(f"{path}: more than {limits.STORE_FILES_MAX} files")
    return sorted(names)


def changed(files: Iterable[str]) -> dt.datetime | None:
    """When the newest of the files was changed."""
    times = []
    for path in files:
        try:
            times.append(os.stat(path).st_mtime)
        except OSError:
            continue
    return dt.datetime.fromtimestamp(max(times), dt.UTC).replace(microsecond=0) if times else None
