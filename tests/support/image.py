"""A small Linux system in a folder: files by their paths, programs, links."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from chopmark.engine.services import gathering
from chopmark.engine.services.host import Host
from chopmark.engine.services.rooted import Root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark.engine.services.entry import Entry


class Image:
    """`folder` is the root; paths begin with a slash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def path(self, name: str) -> Path:
        """Where it is from outside."""
        return self.folder / name.lstrip("/")

    def write(self, name: str, text: str | bytes = "", mode: int = 0o644) -> str:
        """A file; its name."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return name

    def program(self, name: str, text: str | bytes = b"\x7fELF a program\n") -> str:
        """A file that may be executed."""
        return self.write(name, text, 0o755)

    def link(self, name: str, target: str) -> str:
        """A symbolic link."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        return name

    def unit(self, name: str, text: str = "[Service]\nExecStart=/usr/bin/daemon\n") -> str:
        """A unit as a package brings it."""
        return self.write(f"/usr/lib/systemd/system/{name}", text)

    @contextmanager
    def root(self) -> Iterator[Root]:
        """Opened as a root."""
        with Root(str(self.folder)) as root:
            yield root

    def entries(self, kind: str = "") -> list[Entry]:
        """What starts by itself in it."""
        with self.root() as root:
            return [each for each in gathering.entries(Host(root)) if kind in ("", each.kind)]

    def entry(self, kind: str, name: str = "") -> Entry:
        """The one entry of a kind, or of a name."""
        [found] = [each for each in self.entries(kind) if name in ("", each.name)]
        return found
