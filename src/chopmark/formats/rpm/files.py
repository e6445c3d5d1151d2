"""The list of files in a header: what each must be once it is installed."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.digest import ALGORITHMS
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.envelopes.openpgp import mathematics
from chopmark.formats.rpm import reasons, tags

if TYPE_CHECKING:
    from chopmark.formats.rpm.header import Header

_MD5 = 1
CONFIG, GHOST = 1 << 0, 1 << 6
"""Flags of files (rpmfiles.h): settings, which people may change; those that are not in the package."""


class Listed(NamedTuple):
    """A file: its path as the header has it, without the slash before it, and what it must be.

    `digest` is empty for what has none (links, folders, files that the package only owns); `links` tells hard links of
    one file from each other: files with the same are one.
    """

    path: bytes
    mode: int
    size: int
    digest: bytes
    target: bytes
    flags: int
    capabilities: bytes
    links: tuple[int, int]

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)

    @property
    def is_ghost(self) -> bool:
        """Whether the package only owns it: it is not in the payload."""
        return bool(self.flags & GHOST)


def algorithm(header: Header) -> str:
    """The digest of the files; MD5 where the header does not say. Raises BrokenError for an unknown one."""
    number = header.number(tags.FILE_DIGEST_ALGORITHM)
    name = mathematics.DIGESTS.get(_MD5 if number is None else number)
    if name is None:
        raise BrokenError(reasons.FILE_LIST, f"a digest {number}")
    return name


def listed(header: Header) -> list[Listed]:
    """Every file in the order of the header. Raises BrokenError where the list contradicts itself."""
    paths = _paths(header)
    count, size = len(paths), ALGORITHMS[algorithm(header)].size
    sizes = header.numbers(tags.LONG_FILE_SIZES) or header.numbers(tags.FILE_SIZES)
    devices, inodes = header.numbers(tags.FILE_DEVICES), header.numbers(tags.FILE_INODES)
    columns = (
        header.numbers(tags.FILE_MODES),
        sizes,
        [_digest(text, size) for text in header.strings(tags.FILE_DIGESTS)],
        header.strings(tags.FILE_LINKS),
        header.numbers(tags.FILE_FLAGS),
        header.strings(tags.FILE_CAPABILITIES) or [b""] * count,
        list(zip(devices, inodes, strict=False)) if devices else [(0, number) for number in range(count)],
    )
    if any(len(column) != count for column in columns) or len(devices) != len(inodes):
        raise BrokenError(reasons.FILE_LIST, "more of one than of another")
    return [Listed(path, *rest) for path, *rest in zip(paths, *columns, strict=True)]


def _paths(header: Header) -> list[bytes]:
    bases, folders = header.strings(tags.BASE_NAMES), header.strings(tags.DIRECTORIES)
    indexes = header.numbers(tags.DIRECTORY_INDEXES)
    whole = header.strings(tags.OLD_FILE_NAMES)
    if len(bases) != len(indexes) or max(indexes, default=-1) >= len(folders) or (whole and bases):
        raise BrokenError(reasons.FILE_LIST, "names without folders")
    whole = whole or [folders[index] + base for index, base in zip(indexes, bases, strict=True)]
    if len(whole) > limits.RPM_FILES_MAX:
        raise BrokenError(reasons.FILE_LIST, f"more than {limits.RPM_FILES_MAX} files")
    if tags.SOURCE_RPM in header.entries and not all(path.startswith(b"/") for path in whole):
        raise BrokenError(reasons.FILE_LIST, "a path that begins nowhere")
    paths = [path.removeprefix(b"/") for path in whole]
    for path in paths:
        if b"//" in path or (any(part in (b"", b".", b"..") for part in path.split(b"/")) and path):
            raise BrokenError(reasons.FILE_LIST, f"the path {path[:200].decode('ascii', 'backslashreplace')}")
    if len(set(paths)) != len(paths):
        raise BrokenError(reasons.FILE_LIST, "a path twice")
    return paths


def _digest(text: bytes, size: int) -> bytes:
    if not text:
        return b""
    try:
        value = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        value = b""
    if len(value) != size or len(text) != 2 * size:
        raise BrokenError(reasons.FILE_LIST, "a digest that is none")
    return value
