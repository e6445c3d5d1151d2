"""Which keys are trusted for which repository: apt's sources and folders of keys (sources.list(5), apt-secure(8))."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import read_small
from chopmark.core.errors import InputError, MalformedError
from chopmark.core.named import NamedTuple
from chopmark.formats.deb import deb822
from chopmark.supply import keyrings
from chopmark.trust.stores import keyring
from chopmark.trust.stores.keyring import Keyring, KnownKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CONFIGURED = "etc/apt"
_KEYS = (".gpg", ".asc")
_ONE_LINE = re.compile(r"\s*deb(?:-src)?\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)").match
_SCHEME = re.compile(r"[a-z0-9+]+:(?://)?(?:[^@/]*@)?", re.IGNORECASE).match
_QUOTED = re.compile(r'[\\|{}\[\]<>"^~_=!@#$%&*\x00-\x20\x7f-\uffff]')
_FINGERPRINT = re.compile(r"[0-9A-Fa-f]{40}!?|[0-9A-Fa-f]{64}!?").fullmatch


class Source(NamedTuple):
    """A source that is configured: what the names of its lists begin with, and by what keys it must be signed."""

    prefix: str
    signed_by: tuple[str, ...]
    inline: bytes = b""


def configured(root: str) -> list[Source]:
    """The sources of a host or image. Those that cannot be read are passed over: they bring no key."""
    folder = os.path.join(root, _CONFIGURED)
    parts = os.path.join(folder, "sources.list.d")
    paths = [os.path.join(folder, "sources.list"), *(os.path.join(parts, name) for name in _listed(parts))]
    found: list[Source] = []
    for path in paths:
        try:
            data = read_small(path, limits.RELEASE_MAX)
        except InputError:
            continue
        if path.endswith(".sources"):
            found += _paragraphs(data)
        elif path.endswith(".list"):
            found += _one_line(data)
    return found


def keys_for(prefix: str, sources: Sequence[Source], root: str) -> Keyring:
    """The keys that are trusted for the repository whose lists begin so. Raises UsageError for keys that are none."""
    fitting = [source for source in sources if source.prefix == prefix]
    known: list[KnownKey] = []
    for source in fitting:
        known += _of(source, root)
    if not fitting or not any(source.signed_by or source.inline for source in fitting):
        known += _default(root)
    return Keyring(dict.fromkeys(known))


def _of(source: Source, root: str) -> Iterator[KnownKey]:
    if source.inline:
        yield from keyring.load("Signed-By", source.inline, "Signed-By", None) or ()
    wanted = {each.rstrip("!").lower() for each in source.signed_by if _FINGERPRINT(each)}
    for path in source.signed_by:
        if not _FINGERPRINT(path):
            yield from keyrings.read(os.path.join(root, path.lstrip("/")))
    if wanted:
        yield from (each for each in _default(root) if each.key.holder.lower() in wanted)


def _default(root: str) -> list[KnownKey]:
    """What is trusted for every source that names no key."""
    folder = os.path.join(root, _CONFIGURED)
    parts = os.path.join(folder, "trusted.gpg.d")
    paths = [os.path.join(parts, name) for name in _listed(parts) if name.endswith(_KEYS)]
    single = os.path.join(folder, "trusted.gpg")
    return [key for path in [*paths, *([single] if os.path.exists(single) else [])] for key in keyrings.read(path)]


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _paragraphs(data: bytes) -> Iterator[Source]:
    bare = b"\n".join(line for line in data.split(b"\n") if not line.startswith(b"#"))
    for paragraph in deb822.paragraphs([bare]):
        try:
            said = deb822.fields(paragraph)
        except MalformedError:
            continue
        signed_by, inline = said.get(b"signed-by", b""), b""
        if b"-----BEGIN" in signed_by:
            lines = [line.strip() for line in signed_by.strip().split(b"\n")]
            inline, signed_by = b"\n".join(b"" if line == b"." else line for line in lines) + b"\n", b""
        names = tuple(signed_by.decode("utf-8", "replace").replace(",", " ").split())
        for uri in said.get(b"uris", b"").decode("utf-8", "replace").split():
            for suite in said.get(b"suites", b"").decode("utf-8", "replace").split():
                yield Source(prefix_of(uri, suite), names, inline)


def _one_line(data: bytes) -> Iterator[Source]:
    for line in data.decode("utf-8", "replace").split("\n"):
        match = _ONE_LINE(line.partition("#")[0])
        if match:
            options = dict(each.partition("=")[::2] for each in (match[1] or "").split())
            names = tuple(options.get("signed-by", "").replace(",", " ").split())
            yield Source(prefix_of(match[2], match[3]), names)


def prefix_of(uri: str, suite: str) -> str:
    """How apt's names of the lists of this repository begin (URItoFileName in apt's strutl.cc)."""
    match = _SCHEME(uri)
    bare = (uri[match.end() :] if match else uri).rstrip("/")
    whole = f"{bare}/{suite.rstrip('/')}/" if suite.endswith("/") else f"{bare}/dists/{suite}/"
    return _QUOTED.sub(lambda found: "".join(f"%{octet:02x}" for octet in found[0].encode()), whole).replace("/", "_")
