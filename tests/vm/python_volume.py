"""A volume with this Python, what it needs and chopmark itself: the guests' kernels mount no folder of the host."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.vm import lab

_LEFT_OUT = shutil.ignore_patterns(
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "lib2to3",
    "config-*",
    "site-packages",
    "*.a",
    "*.pyc",
)
_PACKAGES = ("cryptography", "cffi", "_cffi_backend*", "pycparser", "lxml")
_SOURCES_AT, _PACKAGES_AT, _SCRIPTS_AT = (Path("/chopmark") / name for name in ("src", "packages", "scripts"))
_LIBRARY = re.compile(r"(/\S+) \(0x")
PLACE = "/python"
"""Where the guest mounts it."""
EXECUTABLE = str(Path(sys.executable).resolve())


def build(folder: Path) -> Path:
    """The image: ext4, Python at the path that it has here, and what it runs in a folder that no mount hides."""
    root = folder / "root"
    standard = Path(sysconfig.get_path("stdlib")).resolve()
    packages = Path(sysconfig.get_path("purelib"))
    _copy(Path(EXECUTABLE), root)
    shutil.copytree(standard, _below(root, standard), ignore=_LEFT_OUT, symlinks=True)
    for pattern in _PACKAGES:
        for each in packages.glob(pattern):
            _put(each, _below(root, _PACKAGES_AT) / each.name)
    for each, place in ((lab.ROOT / "src", _SOURCES_AT), (lab.GUEST, _SCRIPTS_AT)):
        shutil.copytree(each, _below(root, place), ignore=shutil.ignore_patterns("*.pyc", "*.c", "*.h"))
    for each in [Path(EXECUTABLE), *root.rglob("*.so"), *root.rglob("*.so.*")]:
        for library in _needed(each):
            if not _below(root, library).exists():
                _copy(library, root)
    for name in ("proc", "sys", "dev", "run", "tmp", "mnt", "opt"):
        (root / name).mkdir(exist_ok=True)
    command = [sys.executable, "-m", "compileall", "-q", "-s", str(root), "-p", "/", str(root)]
    subprocess.run(command, check=False, capture_output=True)
    return lab.ext4(folder / "python.img", root, size="384M")


def steps() -> dict[str, str]:
    """What the guest does first."""
    mounts = {"proc": "proc", "sys": "sysfs", "dev": "devtmpfs", "run": "tmpfs", "tmp": "tmpfs", "opt": "tmpfs"}
    mounts |= {"sys/fs/bpf": "bpf", "sys/kernel/security": "securityfs"}
    return {
        "python": f"mount|/dev/vda|{PLACE}|ext4|ro",
        **{f"python-{folder}": f"mount|{kind}|{PLACE}/{folder}|{kind}" for folder, kind in mounts.items()},
    }


def command(script: str, *words: str) -> str:
    """A step that runs a script of tests/vm/guest, with the volume as its root folder."""
    paths = [str(place) for place in (_SOURCES_AT, _PACKAGES_AT, _SCRIPTS_AT)]
    code = f"import sys; sys.path[:0] = {paths}; import {script}; {script}.main(sys.argv[1:])"
    return "|".join(["inside", PLACE, EXECUTABLE, "-I", "-B", "-c", code, *words])


def _below(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _copy(path: Path, root: Path) -> None:
    _put(path, _below(root, path))


def _put(path: Path, target: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, target, ignore=_LEFT_OUT)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)


def _needed(path: Path) -> list[Path]:
    """The libraries that the loader takes, and itself, by the names under which it looks for them."""
    listed = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False)
    return [Path(each) for each in _LIBRARY.findall(listed.stdout)]
