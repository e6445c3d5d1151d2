"""Debian's fapolicyd, unpacked and never installed, where it finds nothing to watch but a test's own tmpfs.

It marks what /proc/mounts shows of the kinds in `watch_fs`. So its namespace has a root of its own, in which one mount
is a tmpfs; its first start is permissive and only shows which mounts it marks; and who watches it kills it when one of
them is not the test's.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import subprocess
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support.guarding import why_not as why_no_guard
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

UNPACKED = Path(__file__).resolve().parents[2] / "build" / "peers" / "fapolicyd"
"""Where tools/peers.sh unpacks it."""
WORK = "/work"
"""The tmpfs, as whoever is in the namespace sees it."""
RULES = ("10-languages", "21-updaters", "30-patterns", "40-bad-elf", "41-shared-obj", "42-trusted-elf",
         "70-trusted-lang", "72-shell", "90-deny-execute", "95-allow-open")  # fmt: skip
"""The set "known-libs" of README-rules, without what lets root alone run anything from /var/tmp."""
_CONFIGURATION = """\
permissive = 0
nice_val = 0
q_size = 2048
uid = 0
gid = 0
do_stat_report = 0
detailed_report = 0
db_max_size = 20
subj_cache_size = 1549
obj_cache_size = 8191
watch_fs = tmpfs
trust = file
integrity = {integrity}
syslog_format = rule,dec,perm,auid,pid,exe,:,path,ftype,trust
rpm_sha256_only = 0
allow_filesystem_mark = 0
"""
_ENTER = """
set -e
R=$1
mount --bind "$R" "$R"
for each in bin sbin lib lib64; do mount --bind "/usr/$each" "$R/usr/$each"; done
mount --bind /dev "$R/dev"
mount -t proc proc "$R/proc"
mount -t tmpfs -o mode=755 chopmark-test "$R/work"
cd "$R"
pivot_root . old
umount -l /old
echo entered
exec sleep 600
"""


@cache
def why_not() -> str:
    """Why it cannot be tried here; empty when it can."""
    if not (UNPACKED / "usr" / "sbin" / "fapolicyd").exists():
        return "fapolicyd is not unpacked (tools/peers.sh)"
    return why_no_guard()


class Fapolicyd:
    """A namespace with a tmpfs, and fapolicyd watching it. `trusted` are contents by name, written there before."""

    def __init__(self, folder: Path, trusted: Mapping[str, bytes], integrity: str = "sha256", rules: str = "") -> None:
        """With `rules` these are what it goes by, and not those that it comes with."""
        self._rules = rules
        self._root = folder / "root"
        self._trusted = trusted
        self._integrity = integrity
        self._held: subprocess.Popen[bytes] | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()
        self.strayed = ""

    def __enter__(self) -> Self:
        self._make_root()
        self._held = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, "sh", str(self._root)],
            stdout=subprocess.PIPE,
        )
        try:
            assert self._held.stdout is not None
            assert self._held.stdout.readline() == b"entered\n"
            self._check_namespace()
            for name, content in self._trusted.items():
                self.place(name, content)
            self.start(permissive=True)
            self.stop()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _make_root(self) -> None:
        for name in ("etc", "proc", "dev", "run/fapolicyd", "tmp", "var/lib/fapolicyd", "old", "work", "fapolicyd"):
            (self._root / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (self._root / "usr" / name).mkdir(parents=True)
            (self._root / name).symlink_to(f"usr/{name}")
        (self._root / "var/run").symlink_to("/run")
        for name in ("passwd", "group", "ld.so.cache"):
            shutil.copy(f"/etc/{name}", self._root / "etc")
        own = self._root / "fapolicyd"
        shutil.copytree(UNPACKED / "usr" / "sbin", own, dirs_exist_ok=True)
        for each in UNPACKED.rglob("*.so.*"):
            shutil.copy(each, own)
        shutil.copytree(UNPACKED / "usr" / "share" / "fapolicyd", self._root / "usr" / "share" / "fapolicyd")
        (self._root / "usr" / "share" / "misc").mkdir()
        shutil.copy(UNPACKED / "usr" / "lib" / "file" / "magic.mgc", self._root / "usr" / "share" / "misc")
        etc = self._root / "etc" / "fapolicyd"
        (etc / "trust.d").mkdir(parents=True)
        (etc / "fapolicyd.conf").write_text(_CONFIGURATION.format(integrity=self._integrity))
        rules = UNPACKED / "usr/share/fapolicyd/sample-rules"
        usual = "".join((rules / f"{each}.rules").read_text() for each in RULES)
        (etc / "fapolicyd.rules").write_text(self._rules or usual)
        listed = [f"{WORK}/{name} {len(content)} {hashlib.sha256(content).hexdigest()}\n"
                  for name, content in self._trusted.items()]  # fmt: skip
        (etc / "fapolicyd.trust").write_text("".join(listed))

    def _check_namespace(self) -> None:
        """That one mount alone is of a kind that it will watch."""
        kinds = [line.split()[2] for line in Path(f"/proc/{self.holder}/mounts").read_text().splitlines()]
        assert kinds.count("tmpfs") == 1, kinds

    @property
    def holder(self) -> int:
        """The process that keeps the namespace."""
        assert self._held is not None
        return self._held.pid

    @property
    def folder(self) -> Path:
        """The tmpfs, for who is outside: it is the same mount, so that fapolicyd is asked."""
        return Path(f"/proc/{self.holder}/root{WORK}")

    def place(self, name: str, content: bytes, mode: int = 0o755) -> str:
        """Write a file there; its path within."""
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(mode)
        return f"{WORK}/{name}"

    def within(self, *command: str) -> list[str]:
        """A command as it is started in the namespace."""
        return ["nsenter", f"--target={self.holder}", "--mount", "--root", "--wd=/", *command]

    def start(self, *, permissive: bool = False) -> None:
        """Start it and wait until it has marked the tmpfs; whoever watches it goes on."""
        options = ["--debug", *(["--permissive"] if permissive else [])]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": "/fapolicyd"}
        with (self._root.parent / "said").open("ab") as said:
            self.process = subprocess.Popen(
                self.within("/fapolicyd/fapolicyd", *options),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=environment,
            )
        process = self.process
        eventually(lambda: process.poll() is not None or bool(self.marked()), despite=(OSError,))
        assert process.poll() is None, self.said()
        self._stopped = threading.Event()
        threading.Thread(target=self._watch, args=(self.process, self._stopped), daemon=True).start()

    def marked(self) -> list[int]:
        """The mounts that it asks about, by their numbers; kills it when one is not ours."""
        assert self.process is not None
        mounts = {line.split()[0]: line for line in Path(f"/proc/{self.holder}/mountinfo").read_text().splitlines()}
        found = []
        for each in Path(f"/proc/{self.process.pid}/fdinfo").iterdir():
            with contextlib.suppress(OSError):
                for line in each.read_text().splitlines():
                    if not line.startswith("fanotify ") or "flags:" in line.split()[1]:
                        continue
                    mount = re.search(r"\bmnt_id:([0-9a-f]+)", line)
                    if mount is None or " - tmpfs chopmark-test " not in mounts.get(str(int(mount[1], 16)), ""):
                        self.process.kill()
                        self.strayed = line
                        raise AssertionError(line)
                    found.append(int(mount[1], 16))
        return found

    def _watch(self, process: subprocess.Popen[bytes], stopped: threading.Event) -> None:
        while not stopped.wait(0.05) and process.poll() is None:
            with contextlib.suppress(OSError):
                self.marked()

    def said(self) -> str:
        """What it printed."""
        return (self._root.parent / "said").read_text(errors="replace")

    def stop(self) -> None:
        """End it."""
        self._stopped.set()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(PATIENCE)

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._held is not None:
            self._held.kill()
            self._held.wait(PATIENCE)
            assert self._held.stdout is not None
            self._held.stdout.close()
