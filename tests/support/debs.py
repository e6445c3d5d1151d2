"""Packages, repositories and hosts to look at, made of nothing but the standard library and chopmark's own signing."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import hashlib
import io
import lzma
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from chopmark.core.artifact import Artifact, BytesView
from chopmark.core.contracts import SealOptions
from chopmark.engine import sign
from chopmark.formats.deb import ar, package
from tests.support import bare_keys
from tests.support.packed import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gz": lambda data: gzip.compress(data, mtime=0),
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zst": zstd,
}


class File(NamedTuple):
    """A file to go into a tar: a kind of tarfile's, a target for links."""

    name: str
    content: bytes = b""
    kind: bytes = tarfile.REGTYPE
    target: str = ""


def tar(files: Sequence[File], form: int = tarfile.GNU_FORMAT) -> bytes:
    """As dpkg-deb writes it: names begin with `./`."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form) as archive:
        for file in files:
            info = tarfile.TarInfo(file.name)
            info.type, info.linkname, info.mode = file.kind, file.target, 0o755
            info.size = len(file.content)
            archive.addfile(info, io.BytesIO(file.content))
    return raw.getvalue()


def deb(
    files: Sequence[File],
    name: str = "tool",
    version: str = "1:2.0-1",
    architecture: str = "amd64",
    *,
    settings: Sequence[str] = (),
    packed: str = "gz",
) -> bytes:
    """A package with these files."""
    said = f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nDescription: for tests\n more\n"
    control = [File("./", kind=tarfile.DIRTYPE), File("./control", said.encode())]
    if settings:
        control.append(File("./conffiles", "".join(f"/{each}\n" for each in settings).encode()))
    suffix = f".{packed}" if packed else ""
    return assembled(
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", PACK["gz"](tar(control))),
        (f"data.tar{suffix}", PACK[packed](tar(files))),
    )


def sums(data: bytes) -> str:
    """What dpkg-sig has signed of a package: MD5 and SHA-1 of its members."""
    lines = []
    for part in package.read(BytesView(data)).parts:
        raw = data[part.offset : part.offset + part.size]
        md5, sha1 = (hashlib.new(name, raw, usedforsecurity=False).hexdigest() for name in ("md5", "sha1"))
        lines.append(f"\t{md5} {sha1} {part.size} {part.name}\n")
    head = "Version: 4\nSigner: Nobody <nobody@example.org>\nDate: Wed Jul 1 12:00:00 2026\nRole: builder\nFiles: \n"
    return head + "".join(lines)


def assembled(*members: tuple[str, bytes]) -> bytes:
    """An archive of these members."""
    return ar.MAGIC + b"".join(ar.written(name, data) for name, data in members)


def clearsigned(text: bytes, at: dt.datetime = NOW) -> bytes:
    """A text signed by the test key."""
    artifact = Artifact.from_bytes(text, "InRelease")
    request = sign.SignRequest(
        bare_keys.signer("clearsigned"), (), at, SealOptions(digest_algorithm="sha512"), format_name="clearsigned"
    )
    return sign.sign(artifact, request).patch.render(artifact)


def detached(data: bytes, at: dt.datetime = NOW) -> bytes:
    """A signature beside a file, by the same kind of key."""
    artifact = Artifact.from_bytes(data, "Release")
    request = sign.SignRequest(
        bare_keys.signer("openpgp"), (), at, SealOptions(digest_algorithm="sha512"), format_name="openpgp"
    )
    return sign.sign(artifact, request).patch.render(artifact)


def packages(debs: Mapping[str, bytes]) -> bytes:
    """A list of packages, which are named NAME_VERSION_ARCHITECTURE."""
    said = []
    for label, data in debs.items():
        name, version, architecture = label.split("_")
        said.append(
            f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nFilename: pool/{name}.deb\n"
            f"Size: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\nDescription: for tests\n more\n"
        )
    return "\n".join(said).encode()


def release(files: Mapping[str, bytes], date: dt.datetime = NOW, **fields: str) -> bytes:
    """A release that names these files by SHA-256."""
    said = {"Origin": "Example", "Label": "Example", "Suite": "stable", "Codename": "example", **fields}
    lines = [f"{name}: {value}" for name, value in said.items() if value]
    lines.append(date.strftime("Date: %a, %d %b %Y %H:%M:%S UTC"))
    lines.append("SHA256:")
    lines += [f" {hashlib.sha256(data).hexdigest()} {len(data):8} {name}" for name, data in files.items()]
    return "\n".join(lines).encode() + b"\n"


INDEX = "main/binary-amd64/Packages"
PREFIX = "deb.example.org_debian_dists_example_"


def lists(folder: Path, debs: Mapping[str, bytes], date: dt.datetime = NOW, **fields: str) -> Path:
    """A folder of lists as apt has it: one repository with these packages."""
    folder.mkdir(parents=True, exist_ok=True)
    index = packages(debs)
    (folder / f"{PREFIX}InRelease").write_bytes(clearsigned(release({INDEX: index}, date, **fields)))
    (folder / f"{PREFIX}{INDEX.replace('/', '_')}").write_bytes(index)
    return folder


def keyring() -> str:
    """The path of the key that signs releases here."""
    return bare_keys.public("clearsigned")


class Host(NamedTuple):
    """A tree that looks like a host with packages of dpkg's."""

    root: Path

    def write(self, path: str, data: bytes | str) -> Path:
        """A file of the host's."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data.encode() if isinstance(data, str) else data)
        return target

    def configure(self) -> None:
        """A source with its key, as apt has them."""
        self.write("usr/share/keyrings/example.asc", Path(keyring()).read_bytes())
        self.write(
            "etc/apt/sources.list.d/example.sources",
            "# a comment\nTypes: deb\nURIs: http://deb.example.org/debian/\nSuites: example\nComponents: main\n"
            "Signed-By: /usr/share/keyrings/example.asc\n",
        )

    def installed(self, name: str, files: Mapping[str, bytes], *, version: str = "1:2.0-1", architecture: str = "amd64",
                  settings: Mapping[str, bytes] | None = None) -> None:  # fmt: skip
        """Put a package into dpkg's records, and its files in their places (those that are not there yet)."""
        everything = {**files, **(settings or {})}
        said = f"Package: {name}\nStatus: install ok installed\nArchitecture: {architecture}\nVersion: {version}\n"
        if settings:
            said += "Conffiles:\n" + "".join(f" /{path} {_md5(data)}\n" for path, data in settings.items())
        status = self.root / "var/lib/dpkg/status"
        before = status.read_text() if status.exists() else ""
        self.write("var/lib/dpkg/status", f"{before}{said}\n")
        self.write(f"var/lib/dpkg/info/{name}.list", "/.\n" + "".join(f"/{path}\n" for path in everything))
        self.write(
            f"var/lib/dpkg/info/{name}.md5sums", "".join(f"{_md5(each)}  {path}\n" for path, each in files.items())
        )
        for path, data in everything.items():
            if not (self.root / path).exists():
                self.write(path, data)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
