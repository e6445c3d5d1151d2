"""Units with drop-ins found, merged and judged with the programs that they start, beside `systemd-analyze verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import material
from bench.measure import CHOPMARK, Row, process, row, side_by_side

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 500
"""Units; a Debian host has about 250."""
LIST = "chopmark services list"
CHECK = "chopmark services check"
PEER = "systemd-analyze verify"
_UNIT = (
    "[Unit]\nDescription=%d\nDefaultDependencies=no\n"
    "[Service]\nType=oneshot\nExecStartPre=-/usr/bin/env true\nExecStart=%s -x\n"
)


def run(folder: Path, rounds: int) -> list[Row]:
    """Two rows. systemd merges and looks whether programs are there; it judges no signature and hashes nothing."""
    image, keys = folder / "image", material.keys(folder)
    units = make(image)
    catalog = str(folder / "image.catalog")
    signing = ["--key", str(keys.key), "--cert", str(keys.certificates), "--as", "/"]
    process([CHOPMARK, "catalog", "create", str(image), "-o", catalog, *signing])
    trust = ["--catalogs", catalog, "--store", str(keys.root), "--offline", "--revocation", "off", "-q"]
    times = side_by_side(
        {
            LIST: lambda: process([CHOPMARK, "services", "list", "--root", str(image)]),
            CHECK: lambda: process([CHOPMARK, "services", "check", "--root", str(image), "-j", "2", *trust]),
            PEER: lambda: process(["systemd-analyze", f"--root={image}", "verify", "--man=no", *units]),
        },
        rounds,
    )
    note = f"{COUNT} units with {COUNT} drop-ins and {COUNT} programs of 8 KB"
    return [row(times, LIST, PEER, note=note), row(times, CHECK, PEER, note=f"{note}, all hashed and judged")]


def make(image: Path) -> list[str]:
    """An image whose programs are all there; the names of its units."""
    units, programs = image / "usr/lib/systemd/system", image / "usr/bin"
    units.mkdir(parents=True, exist_ok=True)
    programs.mkdir(parents=True, exist_ok=True)
    for name in ("sysinit.target", "basic.target", "shutdown.target"):
        (units / name).write_text("[Unit]\nDefaultDependencies=no\n")
    names = [f"unit-{number}.service" for number in range(COUNT)]
    for number, name in enumerate(names):
        (units / name).write_text(_UNIT % (number, f"/usr/bin/program-{number}"))
        dropins = image / "etc/systemd/system" / f"{name}.d"
        dropins.mkdir(parents=True, exist_ok=True)
        (dropins / "10-user.conf").write_text(f"[Service]\nUser=u{number}\n")
        _program(programs / f"program-{number}", b"\x7fELF%08d" % number + bytes(8192))
    _program(programs / "env", b"\x7fELF env")
    _program(programs / "true", b"\x7fELF true")
    return names


def _program(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0o755)
