"""Where a file of a package really stands, when folders on the way are links (/bin on a system with a merged /usr)."""

from __future__ import annotations

import os

_LINKS_MAX = 40
"""Links followed on the way to one folder, as the kernel does."""


class Places:
    """Paths below a root, without links on the way; each folder is looked at once."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._real: dict[bytes, bytes] = {}

    def real(self, path: bytes) -> bytes:
        """Where a path ends up; the last name is not followed."""
        folder, _, name = path.rpartition(b"/")
        if not folder:
            return path
        real = self._real.get(folder)
        if real is None:
            real = self._real[folder] = self._resolved(folder)
        return real + b"/" + name if real else name

    def _resolved(self, folder: bytes) -> bytes:
        """A folder below the root without links on the way, as seen from the root; unchanged where that cannot be."""
        parts, links = folder.split(b"/"), 0
        real: list[bytes] = []
        while parts:
            part = parts.pop(0)
            if part in (b"", b"."):
                continue
            if part == b"..":
                real = real[:-1]
                continue
            try:
                target = os.readlink(os.path.join(self._root, *real, part))
            except OSError:
                real.append(part)
                continue
            links += 1
            if links > _LINKS_MAX:
                return folder
            if target.startswith(b"/"):
                real = []
            parts = target.split(b"/") + parts
        return b"/".join(real)
