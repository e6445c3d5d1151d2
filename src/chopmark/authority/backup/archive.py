"""The archive: a tar file with the tables, every other file of the folder, and a manifest with all their digests."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from typing import IO, TYPE_CHECKING, Any, cast

import rfc8785

from chopmark.core import limits
from chopmark.core.artifact import Artifact
from chopmark.core.errors import MalformedError, RefusedError, UsageError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = 1
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
TABLES = "tables/"
FILES = "files/"
_NAME_MAX = 4096


class Member(NamedTuple):
    """One thing in an archive: its name, size, SHA-256, and the permissions of a file."""

    name: str
    size: int
    sha256: str
    mode: int


class Writer:
    """Puts members into a new archive, counting and digesting what is really written."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._tar = tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by close
        self.members: list[Member] = []

    def add(self, name: str, stream: IO[bytes], size: int, mode: int = 0o600) -> None:
        """Add `size` bytes of a stream. Raises RefusedError when it has fewer."""
        if len(self.members) >= limits.BACKUP_FILES_MAX:
            message = f"more than {limits.BACKUP_FILES_MAX} files in the authority's folder"
            raise RefusedError(message)
        digesting = _Digesting(stream)
        header = tarfile.TarInfo(name)
        header.size, header.mode = size, mode
        try:
            self._tar.addfile(header, cast("IO[bytes]", digesting))  # it reads, and no more is asked
        except OSError as error:
            if digesting.count == size:
                raise
            message = f"{name}: it became shorter while it was read ({error})"
            raise RefusedError(message) from None
        self.members.append(Member(name, size, digesting.digest.hexdigest(), mode))

    def finish(self, facts: dict[str, Any]) -> bytes:
        """Add the manifest; its bytes."""
        members = [each._asdict() for each in self.members]
        manifest = rfc8785.dumps({"backup": VERSION, **facts, "members": members})
        self.plain(MANIFEST, manifest)
        return manifest

    def plain(self, name: str, data: bytes) -> None:
        """Add a member that the manifest does not name."""
        header = tarfile.TarInfo(name)
        header.size, header.mode = len(data), 0o600
        self._tar.addfile(header, io.BytesIO(data))

    def close(self) -> None:
        """Write the end of the archive."""
        self._tar.close()


class _Digesting:
    """A stream that digests what is read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.digest.update(data)
        self.count += len(data)
        return data


class Reader:
    """An archive, looked at before anything is believed. Raises MalformedError, InputError, UsageError."""

    def __init__(self, path: str) -> None:
        """Read the manifest, and check every member against it: digests, sizes, names, no more and no less."""
        try:
            with Artifact.open(path):  # what is no file is refused in its words, and no FIFO is waited for
                self._tar = tarfile.open(path, "r:")  # noqa: SIM115 - closed by close
        except OSError as error:
            message = f"{path}: not read ({os.strerror(error.errno or 0)})"
            raise UsageError(message) from None
        except tarfile.TarError as error:
            message = f"{path}: not a backup ({error})"
            raise MalformedError(message) from None
        self._path = path
        try:
            self._headers = self._listed()
            self.manifest_raw = self._small(MANIFEST)
            self.signature = self._small(SIGNATURE) if SIGNATURE in self._headers else None
            self.manifest, self.members = self._read_manifest()
            self._verify()
        except (OSError, tarfile.TarError, EOFError) as error:
            self.close()
            raise self._wrong(f"cut off or damaged ({error})") from None
        except BaseException:
            self.close()
            raise

    def _wrong(self, what: str) -> MalformedError:
        return MalformedError(f"{self._path}: not a sound backup: {what}")

    def _listed(self) -> dict[str, tarfile.TarInfo]:
        headers: dict[str, tarfile.TarInfo] = {}
        for header in self._tar:
            plain = header.isreg() and not os.path.isabs(header.name) and ".." not in header.name.split("/")
            if not plain or header.name in headers or len(header.name) > _NAME_MAX:
                raise self._wrong(f"a member that does not belong there: {header.name[:100]!r}")
            headers[header.name] = header
            if len(headers) > limits.BACKUP_FILES_MAX + len((MANIFEST, SIGNATURE)):
                raise self._wrong("too many members")
        return headers

    def _small(self, name: str) -> bytes:
        header = self._headers.get(name)
        if header is None or header.size > limits.BACKUP_LINE_MAX:
            raise self._wrong(f"it has no {name}, or an enormous one")
        with self.open(name) as stream:
            return stream.read()

    def _read_manifest(self) -> tuple[dict[str, Any], list[Member]]:
        try:
            manifest = json.loads(self.manifest_raw)
            if manifest["backup"] != VERSION:
                raise self._wrong(f"version {manifest['backup']!r}, and this chopmark reads {VERSION}")
            members = [
                Member(str(each["name"]), int(each["size"]), str(each["sha256"]), int(each["mode"]) & 0o777)
                for each in manifest["members"]
            ]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._wrong(f"its manifest cannot be read ({error!r})") from None
        return manifest, members

    def _verify(self) -> None:
        named = {each.name for each in self.members}
        stray = sorted(set(self._headers) - named - {MANIFEST, SIGNATURE})
        if stray or len(named) != len(self.members):
            raise self._wrong(f"members that the manifest does not name: {', '.join(stray)[:200]}")
        for member in self.members:
            if member.name not in self._headers:
                raise self._wrong(f"{member.name} is missing")
            digest = hashlib.sha256()
            with self.open(member.name) as stream:
                while data := stream.read(limits.READ_CHUNK):
                    digest.update(data)
            if digest.hexdigest() != member.sha256 or self._headers[member.name].size != member.size:
                raise self._wrong(f"{member.name} was changed")

    def open(self, name: str) -> IO[bytes]:
        """The content of a member."""
        stream = self._tar.extractfile(self._headers[name])
        if stream is None:
            raise self._wrong(f"{name} has no content")
        return stream

    def named(self, prefix: str) -> Iterator[tuple[str, Member]]:
        """The members below a folder, with what their names are there."""
        for member in self.members:
            if member.name.startswith(prefix):
                yield member.name.removeprefix(prefix), member

    def close(self) -> None:
        """Close the file."""
        self._tar.close()


def stays_inside(name: str, target: str) -> bool:
    """Whether a link of this name in a folder leads to somewhere in the same folder."""
    led = os.path.normpath(os.path.join(os.path.dirname(name), target))
    return not os.path.isabs(target) and not os.path.isabs(name) and not led.startswith("..") and ".." not in name
