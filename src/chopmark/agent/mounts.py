"""Which file systems there are (proc_pid_mountinfo(5)), and which of them can be protected."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, TextIO

from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_WITHOUT_FILES = frozenset(
    [
        "proc",
        "sysfs",
        "devpts",
        "devtmpfs",
        "cgroup",
        "cgroup2",
        "mqueue",
        "debugfs",
        "tracefs",
        "securityfs",
        "pstore",
        "bpf",
        "configfs",
        "fusectl",
        "binfmt_misc",
        "efivarfs",
        "hugetlbfs",
        "nsfs",
        "rpc_pipefs",
        "autofs",
        "selinuxfs",
    ]
)
"""What has no programs in it."""
_REMOTE = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "coda",
        "ocfs2",
        "gfs2",
        "lustre",
        "virtiofs",
        "glusterfs",
    ]
)
"""What others write to without our kernel knowing, and what may take for ever to answer."""
_UNLEASED = frozenset({"overlay", "fuse", "fuseblk", "ecryptfs"})
"""What the kernel gives no lease that tells of writes to the layer below, or asks a process for."""
_SUBVOLUMES = frozenset({"btrfs", "bcachefs"})
"""Where files say that they are on another device than their mount, and than the mappings of who runs them."""
_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One mounted file system: where, which device, its kind, and whether nothing on it is executed."""

    place: str
    device: int
    kind: str
    noexec: bool = False

    @property
    def remote(self) -> bool:
        """Whether it is on the network, or answered by a process."""
        return self.kind in _REMOTE or self.kind.startswith("fuse")

    @property
    def has_files(self) -> bool:
        """Whether programs can be in it."""
        return self.kind not in _WITHOUT_FILES

    @property
    def refused(self) -> str:
        """Why it cannot be protected; empty when it can be."""
        if self.remote:
            return "others write to it, or a process answers for it"
        if not self.has_files:
            return "there are no programs in it"
        return "who runs a file of a subvolume cannot be told" if self.kind in _SUBVOLUMES else ""

    @property
    def silent(self) -> bool:
        """Whether looking anything up on it may wait for somebody: a server, or a process."""
        return self.remote or self.kind == "autofs"

    @property
    def leased(self) -> bool:
        """Whether leases tell of every writer."""
        return not self.remote and self.kind not in _UNLEASED


def mounted() -> list[Mount]:
    """All of them, in the order in which they were mounted."""
    with _opened("self") as file:
        return [found for line in file if (found := _mount(line)) is not None]


def _opened(process: int | str) -> TextIO:
    """The mounts that a process sees. The kernel leaves a CR in a name as it is, and whoever mounts chooses names."""
    return open(f"/proc/{process}/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n")


def _mount(line: str) -> Mount | None:
    before, separator, after = line.partition(" - ")
    words, kind = before.split(" "), after.split(" ", 1)[0]
    if not separator or len(words) < 6:  # noqa: PLR2004 - the mount point is the fifth word, options the sixth
        return None
    major, _, minor = words[2].partition(":")
    place = _ESCAPE.sub(lambda found: chr(int(found[1], 8)), words[4])
    return Mount(place, os.makedev(int(major), int(minor)), kind, "noexec" in words[5].split(","))


def of(path: str, all_mounts: list[Mount] | None = None) -> Mount | None:
    """The mount that a path is on: the last one with the longest place above it."""
    real = os.path.realpath(path)
    found = None
    for mount in mounted() if all_mounts is None else all_mounts:
        if _is_in(real, mount.place) and (found is None or len(mount.place) >= len(found.place)):
            found = mount
    return found


def below(folders: Sequence[str], all_mounts: list[Mount]) -> list[Mount]:
    """What is mounted on folders and below them; not what they themselves are on."""
    real = [os.path.realpath(folder) for folder in folders]
    return [each for each in all_mounts if any(_is_in(each.place, folder) for folder in real)]


def above(path: str) -> list[tuple[int, Mount]]:
    """What is mounted on the way to a path that has no links in it, or at its end, with its number; the nearest last.

    Asks no file system. Raises OSError.
    """
    found = []
    with _opened("self") as file:
        for line in file:
            mount = _mount(line)
            if mount is not None and _is_in(path, mount.place):
                found.append((int(line.split(" ", 1)[0]), mount))
    return sorted(found, key=lambda each: len(each[1].place))  # stable: what was mounted over others stays behind them


def _is_in(path: str, folder: str) -> bool:
    return folder in ("/", path) or path.startswith(folder + "/")


def overlays(process: int) -> list[tuple[int, int, str, tuple[str, ...]]]:
    """The overlays that a process sees: number and device of the mount, where it is, and the folders that it shows.

    The folder that hides others comes first. Raises OSError.
    """
    found = []
    with _opened(process) as file:
        for line in file:
            mount = _mount(line)
            if mount is not None and mount.kind == "overlay":
                options = line.rstrip("\n").rpartition(" ")[2]
                found.append((int(line.split(" ", 1)[0]), mount.device, mount.place, _folders(options)))
    return found


def _folders(options: str) -> tuple[str, ...]:
    """Of the options of an overlay (overlayfs, "Multiple lower layers"): its upper folder, then the lower ones."""
    upper: list[str] = []
    lower: list[str] = []
    for each in options.split(","):
        name, _, value = _ESCAPE.sub(lambda found: chr(int(found[1], 8)), each).partition("=")
        if name == "upperdir":
            upper.append(value)
        elif name in ("lowerdir", "lowerdir+"):
            lower += [part.replace("\\:", ":") for part in re.split(r"(?<!\\):+", value)]
    return (*upper, *lower)
