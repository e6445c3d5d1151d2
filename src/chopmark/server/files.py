"""Published files: small ones from memory, large ones straight from the disk, each as it is at that moment."""

from __future__ import annotations

import os
import re
import stat
from http import HTTPStatus
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.server.message import Reply, Request, Route, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping


class OpenFile:
    """A file that stays open, and so the same, while somebody is being sent it; whatever replaces it meanwhile."""

    __slots__ = ("descriptor", "size")

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = descriptor
        self.size = size

    def __del__(self) -> None:
        """Close it with the last answer that needs it."""
        os.close(self.descriptor)


class FileReply:
    """The answer that a file is. Files are replaced as a whole, so an unchanged identity is an unchanged content."""

    def __init__(self, path: str, content_type: str, max_age: int) -> None:
        self._path = path
        self._content_type = content_type
        self._headers = (("Cache-Control", f"max-age={max_age}"),)
        self._identity: tuple[int, ...] = ()
        self._reply: Reply | None = None

    def now(self) -> Reply | None:
        """The answer, None when there is no such file."""
        try:
            known = os.stat(self._path)
            identity = (known.st_dev, known.st_ino, known.st_size, known.st_mtime_ns)
            if self._reply is None or identity != self._identity:
                self._reply = self._open()
        except OSError:
            self._reply = None
        return self._reply

    def _open(self) -> Reply | None:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        file = OpenFile(descriptor, 0)
        known = os.fstat(descriptor)
        if not stat.S_ISREG(known.st_mode):
            return None
        file.size = known.st_size
        self._identity = (known.st_dev, known.st_ino, known.st_size, known.st_mtime_ns)
        etag = f'"{known.st_size:x}-{known.st_mtime_ns:x}"'
        small = file.size <= limits.SERVER_FILE_READ_MAX
        content = os.read(descriptor, file.size) if small else b""
        return Reply(
            content,
            self._content_type,
            headers=self._headers,
            etag=etag,
            modified=int(known.st_mtime),
            file=None if small else file,
        )


def only_get(request: Request) -> Reply | None:
    """The refusal of whatever is not a GET; a HEAD arrives as one."""
    if request.method == "GET":
        return None
    return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "only GET", ("Allow", "GET, HEAD"))


def file_handler(path: str, content_type: str, name: str = "other", *, max_age: int = 60) -> Route:
    """A route that answers with a file as it is at that moment."""
    reply = FileReply(os.fspath(path), content_type, max_age)

    def handle(request: Request) -> Reply:
        return only_get(request) or reply.now() or refusal(HTTPStatus.NOT_FOUND, "it is not published yet")

    return Route(handle, handle, name)


class Folder:
    """Routes to the files of a folder by their names, as they are at that moment; nothing outside of it."""

    def __init__(self, path: str, types: Mapping[str, str], default: str = "application/octet-stream") -> None:
        """`types` are content types by the end of a name."""
        self._path = os.path.abspath(path)
        self._types = types
        self._default = default
        self._known: dict[str, FileReply] = {}

    def route(self, prefix: str, name: str, *, max_age: int = 60) -> Route:
        """A route that answers below `prefix`, which ends with a slash."""

        def handle(request: Request) -> Reply:
            wrong = only_get(request)
            if wrong is not None:
                return wrong
            file = self._file(request.path.removeprefix(prefix), max_age)
            return (file.now() if file else None) or refusal(HTTPStatus.NOT_FOUND, "there is nothing here")

        return Route(handle, handle, name)

    def _file(self, name: str, max_age: int) -> FileReply | None:
        found = self._known.get(name)
        if found is None and len(name) <= limits.SERVER_FILE_NAME_MAX and _NAME.fullmatch(name):
            if len(self._known) >= limits.SERVER_FILES_KEPT_MAX:
                self._known.clear()
            kind = self._types.get(os.path.splitext(name)[1], self._default)
            found = FileReply(os.path.join(self._path, name), kind, max_age)
            if found.now() is not None:
                self._known[name] = found
        return found


_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
"""Names without hidden parts, and so without `..`; nothing that is published is called otherwise."""
