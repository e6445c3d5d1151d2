"""Patches: a change to a file as a value, and the one place where files are replaced."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from chopmark.core.artifact import ATTRIBUTE, FileView, kind
from chopmark.core.artifact import pieces as pieces_of
from chopmark.core.errors import MisplacedError, WriteError
from chopmark.core.named import NamedTuple
from chopmark.core.replacement import Group, Replacement, unwritten, writing
from chopmark.core.seal import Range

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chopmark.core.artifact import Artifact

__all__ = ["Group", "Patch", "WriteError", "apply", "settle", "write_file"]


class Patch(NamedTuple):
    """What a file shall become: ranges of the artifact and new bytes, in order.

    `companion` names the file beside the artifact that is meant instead of the artifact itself (a suffix such as
    ".p7s"), or an extended attribute of it (ATTRIBUTE and its name); `pieces` is None when that companion is to be
    removed.
    """

    pieces: tuple[Range | bytes, ...] | None
    companion: str = ""

    @property
    def attribute(self) -> str:
        """The extended attribute that is meant; empty when it is a file."""
        return self.companion.removeprefix(ATTRIBUTE) if self.companion.startswith(ATTRIBUTE) else ""

    def render(self, artifact: Artifact) -> bytes:
        """The new content in memory, for small artifacts and tests; empty for a removal."""
        return b"".join(_rendered(artifact, self.pieces or ()))


def apply(
    patch: Patch, artifact: Artifact, target: str | None = None, *, settled: bool = True, group: Group | None = None
) -> str:
    """Carry out a patch atomically and return the path that was written (or removed), as it was named.

    The new content is written beside the target, flushed to the medium and renamed over it, so that the target is at
    every moment the old file or the new one. Mode, owner and extended attributes are kept. A symbolic link is followed:
    the file it points to is replaced, not the link. `target` writes to another path and leaves the artifact alone; the
    new file has the artifact's permissions without set-user-id, a companion those without execution too.

    The new content has no name until it is whole; a kill between naming it and renaming it (microseconds) leaves a
    whole `.NAME.chopmark`, which the next patch of that file takes away. Only where the file system has no nameless
    files (O_TMPFILE) does a kill leave an unfinished `.NAME.XXXX.chopmark` behind.

    An extended attribute is set (or removed) on the open file itself, by one system call: it has the old value or the
    new one, and the file stays the same one. With a `target` the attribute goes to a copy of the artifact.

    A power failure right afterwards may bring the old file back until its folder is flushed too; who writes many files
    into one folder says `settled=False` and calls `settle` once at the end, which is ten times faster. With a `group`
    a small file that replaces the artifact, or stands beside it, takes its name only when the group is committed.

    Raises WriteError (nothing changed; MisplacedError where there can be no file), InputError when the artifact changed
    since it was opened, or its path came to mean another file.
    """
    named = target if target is not None else artifact.name + ("" if patch.attribute else patch.companion)
    path = _followed(named) if patch.attribute and target is None else _place(named)
    with writing(named):
        if patch.attribute and target is None:
            _set_attribute(patch, artifact)
            return named
        if patch.attribute:
            _copy_with_attribute(path, patch, artifact)
            return named
        if patch.pieces is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return named
        _replace(path, named, patch, artifact, None if target is not None else group)
    if settled:
        settle([named])
    return named


def _set_attribute(patch: Patch, artifact: Artifact) -> None:
    """On the file that was opened, whatever its path means by now. Raises OSError, WriteError."""
    if not isinstance(artifact.view, FileView):
        message = f"{artifact.name}: bytes in memory have no extended attributes"
        raise WriteError(message)
    if patch.pieces is not None:
        artifact.confirm_unchanged()
    _change_attribute(artifact.view.descriptor, patch, artifact)
    os.fsync(artifact.view.descriptor)


def _change_attribute(descriptor: int, patch: Patch, artifact: Artifact) -> None:
    try:
        if patch.pieces is None:
            os.removexattr(descriptor, patch.attribute)
        else:
            os.setxattr(descriptor, patch.attribute, patch.render(artifact))
    except OSError as error:
        if error.errno == errno.ENODATA and patch.pieces is None:
            return
        why = os.strerror(error.errno or 0)
        message = f"{artifact.name}: the extended attribute {patch.attribute} was not changed ({why})"
        if error.errno == errno.EPERM:
            message += ": only root may"
        elif error.errno == errno.ENOTSUP:
            message += ": its file system keeps none"
        raise WriteError(message) from error


def _copy_with_attribute(path: str, patch: Patch, artifact: Artifact) -> None:
    with Replacement(path, artifact.confirm_unchanged) as replacement:
        replacement.write(_rendered(artifact, (Range(0, artifact.view.size),)))
        _adopt(path, replacement.descriptor, artifact, 0o777)
        _change_attribute(replacement.descriptor, patch, artifact)
        replacement.commit()


def settle(paths: Iterable[str]) -> None:
    """Flush the folders of files that were replaced: from then on the new names survive a power failure too."""
    named = {os.path.dirname(_followed(path)) for path in paths}
    for folder in {os.path.realpath(folder) for folder in named}:
        # The files are replaced, whatever happens here; not every folder may be opened or flushed.
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def write_file(path: str, data: bytes | Iterable[bytes], mode: int = 0o644, *, fresh: bool = False) -> None:
    """Create or replace a file atomically, with bytes or with pieces as they come.

    When it is to be `fresh` nothing is replaced: FileExistsError where something has that name, a link to nowhere too.

    Raises WriteError (MisplacedError where there can be no file), and whatever the pieces raise; then nothing changed.
    """
    path = path if fresh else _place(path)
    try:
        with Replacement(path) as replacement:
            os.fchmod(replacement.descriptor, mode)
            replacement.write([data] if isinstance(data, bytes) else data)
            replacement.commit(fresh=fresh)
    except OSError as error:
        if fresh and isinstance(error, FileExistsError):
            raise
        raise unwritten(path, error) from error
    settle([path])


def _replace(path: str, named: str, patch: Patch, artifact: Artifact, group: Group | None) -> None:
    """Write the new file; it takes its name at once, or with its group."""
    grouped = group is not None and isinstance(artifact.view, FileView)
    in_place = named == artifact.name and artifact.identity is not None
    with contextlib.ExitStack() as held:
        confirm = artifact.confirm_unmoved if grouped or in_place else artifact.confirm_unchanged
        replacement = held.enter_context(Replacement(path, confirm))
        replacement.write(_rendered(artifact, patch.pieces or ()))
        _adopt(path, replacement.descriptor, artifact, 0o666 if patch.companion else 0o777)
        if group is not None and grouped and group.takes(replacement):
            held.pop_all()
            group.add(named, replacement)
        else:
            replacement.commit()


def _adopt(path: str, descriptor: int, artifact: Artifact, permissions: int) -> None:
    """Give a new file what the one that it replaces has; if it replaces none, the artifact's permissions."""
    try:
        state = os.stat(path)
    except OSError:
        if isinstance(artifact.view, FileView):
            os.fchmod(descriptor, os.fstat(artifact.view.descriptor).st_mode & permissions)
        return
    _copy_attributes(path, state, descriptor)


def _place(path: str) -> str:
    """Where a file of this name goes. Raises MisplacedError for a device, a FIFO and what else would be lost by it."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return _followed(path)  # whatever is wrong is said when it is written
    if not stat.S_ISREG(mode):
        message = f"{path}: not written: it is {kind(mode)}"
        raise MisplacedError(message)
    return _followed(path)


def _followed(path: str) -> str:
    """The file that a path means in the end: only the last name matters, the system follows links in folders itself."""
    return os.path.realpath(path) if os.path.islink(path) else path


def _rendered(artifact: Artifact, pieces: Iterable[Range | bytes]) -> Iterator[bytes | memoryview]:
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
        else:
            yield from pieces_of(artifact.view, piece.offset, min(piece.offset + piece.length, artifact.view.size))


def _copy_attributes(source: str, state: os.stat_result, descriptor: int) -> None:
    """Mode, owner and extended attributes; owner first, because changing it clears set-user-id."""
    mine = os.fstat(descriptor)
    if (state.st_uid, state.st_gid) != (mine.st_uid, mine.st_gid):
        os.fchown(descriptor, state.st_uid, state.st_gid)
    os.fchmod(descriptor, state.st_mode & 0o7777)
    if not hasattr(os, "listxattr"):
        return
    with contextlib.suppress(OSError):  # a file system without extended attributes has none to keep
        for name in os.listxattr(source):
            try:
                os.setxattr(descriptor, name, os.getxattr(source, name))
            except OSError as error:
                # The label of a security module is the kernel's to give; everything else must not get lost.
                if error.errno == errno.ENOTSUP or name.startswith(("security.selinux", "trusted.")):
                    continue
                message = f"{source}: extended attribute {name} cannot be kept ({os.strerror(error.errno or 0)})"
                raise WriteError(message) from error
