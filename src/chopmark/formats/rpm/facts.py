"""What a package shows beside its signatures, and which release it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.counting import counted
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.versions import RPM, Release
from chopmark.formats.rpm import claims, contents, files, package, tags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import Artifact
    from chopmark.formats.rpm.header import Header
    from chopmark.formats.rpm.package import Package


def release(artifact: Artifact) -> Release | None:
    """Name and version in the header. Raises BrokenError."""
    return released(package.read(artifact.view).header)


def released(header: Header) -> Release | None:
    """Name, and `epoch:version-release`, of which rpm orders packages; None where one is missing."""
    name, *rest = (header.string(tag) for tag in (tags.NAME, tags.VERSION, tags.RELEASE))
    if not name or None in rest:
        return None
    epoch = header.number(tags.EPOCH)
    version = b"-".join(each for each in rest if each is not None).decode("utf-8", "replace")
    return Release(name.decode("utf-8", "replace"), f"{epoch}:{version}" if epoch else version, RPM)


def shown(artifact: Artifact) -> list[tuple[str, str]]:
    """For people. Raises BrokenError."""
    found = package.read(artifact.view)
    return list(_shown(artifact, found))


def _shown(artifact: Artifact, found: Package) -> Iterator[tuple[str, str]]:
    said = released(found.header)
    architecture = (found.header.string(tags.ARCHITECTURE) or b"").decode("utf-8", "replace")
    source = "" if tags.SOURCE_RPM in found.header.entries else "source of "
    yield "package", f"{source}{said.product if said else ''} {said.version if said else ''} ({architecture})"
    yield "format", str(found.version)
    beside = [each.recipe.algorithm for each in claims.beside(found)]
    yield "digests", ", ".join(dict.fromkeys(beside)) or "none"
    yield "payload", ", ".join(each.algorithm for each in claims.stated(found.header)) or "no digest in the header"
    yield "file digests", files.algorithm(found.header)
    try:
        yield "files", _files(artifact, found)
    except BrokenError as error:
        yield "files", f"{error} [{error.reason.code}]"
    except MalformedError as error:
        yield "files", str(error)
    signatures = found.signatures.strings(tags.FILE_SIGNATURES)
    if signatures:
        keys = ", ".join(_keys(signatures)) or "unknown"
        yield "IMA", f"signed: {counted(sum(map(bool, signatures)), 'file')}, keys {keys}"
    verity = found.signatures.strings(tags.VERITY_SIGNATURES)
    if verity:
        yield "fs-verity", f"signed: {counted(sum(map(bool, verity)), 'file')}"


def _files(artifact: Artifact, found: Package) -> str:
    compared = contents.compare(artifact.view, found)
    if not compared.differing:
        return f"{compared.files}, each as the header says"
    return f"{compared.files}, of which {len(compared.differing)} differ: {', '.join(compared.differing[:3])}"


_KEY = slice(6, 14)
"""Where the four octets that name a key stand, in hex, in a signature of IMA's (envelopes/ima)."""


def _keys(signatures: list[bytes]) -> list[str]:
    return sorted({each[_KEY].decode("ascii", "replace").upper() for each in signatures if each.startswith(b"0302")})
