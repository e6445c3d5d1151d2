"""Overlays, as containers have them: files with inodes of their own over those of other file systems."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from chopmark.agent import mounts
from chopmark.agent.processes import executable
from tests.support.guarding import Guarded, Mounted, opened, place, policy, program, ran, why_not
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "a guard can be tested")

GOOD, EVIL = program(0), program(7)
SCRIPT = b"#!/bin/sh\necho evil\n"


class Layers(NamedTuple):
    """Two file systems and what they look like on top of each other."""

    lower: Path
    upper: Path
    merged: Path

    def mount(self, target: Path) -> None:
        """Put them together on a folder."""
        target.mkdir()
        layers = f"lowerdir={self.lower},upperdir={self.upper}/files,workdir={self.upper}/work"
        mount = ["mount", "-t", "overlay", "-o", layers, "chopmark-test", str(target)]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("no overlay can be mounted here")


@pytest.fixture
def layers(tmp_path: Path) -> Iterator[Layers]:
    with ExitStack() as stack:
        for name in ("lower", "upper"):
            (tmp_path / name).mkdir()
        lower, upper = (stack.enter_context(Mounted(tmp_path / name)) for name in ("lower", "upper"))
        for name in ("files", "work"):
            (upper / name).mkdir()
        place(lower / "good", GOOD)
        place(lower / "evil", EVIL)
        place(lower / "script", SCRIPT)
        found = Layers(lower, upper, tmp_path / "merged")
        found.mount(found.merged)
        stack.callback(lambda: subprocess.run(["umount", "-l", found.merged], check=True))
        yield found


def test_files_of_an_overlay_are_judged_and_none_is_kept(layers: Layers, tmp_path: Path) -> None:
    """Whoever writes to a layer breaks no lease on the overlay."""
    good = str(layers.merged / "good")
    with Guarded(layers.merged, tmp_path / "home", policy([GOOD])) as guard:
        assert (ran(good), ran(str(layers.merged / "evil"))) == ("0", "denied")
        assert ran(str(layers.merged / "script")) == "denied"
        assert "evil" not in ran("sh", str(layers.merged / "script")).replace(str(layers.merged), "")
        assert (guard.status()["kept"], guard.status()["ignored"]) == (0, 0)
        (layers.lower / "good").write_bytes(EVIL)
        assert ran(good) == "denied"
        (layers.lower / "good").write_bytes(GOOD)
        assert ran(good) == "0"
        (layers.merged / "good").write_bytes(EVIL)  # copied to the upper layer
        assert ran(good) == "denied"
        assert ran(place(layers.merged / "new", EVIL)) == "denied"
        assert (layers.upper / "files" / "new").read_bytes() == EVIL
        assert (ran(str(layers.lower / "evil")), ran(str(layers.upper / "files" / "new"))) == (
            "7",
            "7",
        )  # not protected


def test_layers_that_are_protected_are_so_below_every_overlay(layers: Layers, tmp_path: Path) -> None:
    good, evil = (str(layers.merged / name) for name in ("good", "evil"))
    place(layers.merged / "new", EVIL)
    with Guarded(layers.lower, tmp_path / "home", policy([GOOD]), "--mount", str(layers.upper)) as guard:
        if ran(evil) == "7":
            pytest.skip("this kernel does not tell who guards a layer what is opened through an overlay")
        assert (ran(good), ran(str(layers.merged / "script"))) == ("0", "denied")
        assert ran(str(layers.merged / "new")) == "denied"
        assert guard.status()["kept"] > 0
        (layers.lower / "good").write_bytes(EVIL)
        assert ran(good) == "denied"
        (layers.lower / "good").write_bytes(GOOD)
        assert ran(good) == "0"
        (layers.merged / "good").write_bytes(EVIL)
        assert ran(good) == "denied"


@pytest.mark.parametrize("over", ["overlay", "layers"])
def test_what_runs_from_an_overlay_is_judged_again(layers: Layers, tmp_path: Path, over: str) -> None:
    """Where mappings show the overlay's device, and files that of a layer; unless an unprotected layer hides it."""
    sleeper = Path("/bin/sleep").read_bytes()
    place(layers.lower / "sleeper", sleeper)
    place(layers.merged / "above", sleeper)
    protected = layers.merged if over == "overlay" else layers.lower
    with Guarded(protected, tmp_path / "home", policy([GOOD, sleeper]), "--kill") as guard, ExitStack() as stack:
        names = ("sleeper", "above", "gone")
        place(layers.merged / "gone", sleeper)
        started = [subprocess.Popen([layers.merged / name, "60"]) for name in names]
        for each in started:
            stack.callback(each.wait)
            stack.callback(each.kill)
        (layers.merged / "gone").unlink()
        guard.change_policy(policy([GOOD], version=2))
        killed = names[:2] if over == "overlay" else names[:1]
        eventually(lambda: len(guard.events("running-denied")) == len(killed))
        eventually(lambda: bool(guard.events("running-replaced")))
        assert {each["detail"] for each in guard.events("running-denied")} == {
            str(layers.merged / each) for each in killed
        }
        assert {each["process"] for each in guard.events("running-replaced")} == {started[2].pid}
        assert started[0].wait(PATIENCE) == -signal.SIGKILL
        assert started[2].poll() is None
        assert guard.events("running-unknown") == []


@pytest.mark.parametrize(
    ("options", "folders"),
    [
        ("rw,lowerdir=/a:/b,upperdir=/u,workdir=/w", ["/u", "/a", "/b"]),
        ("ro,lowerdir=/a\\134:b::/c", ["/a:b", "/c"]),
        ("ro,lowerdir+=/a\\054b,datadir+=/d,lowerdir+=/c\\040d", ["/a,b", "/c d"]),
        ("ro,lowerdir=/a\rb:/c\u2028d", ["/a\rb", "/c\u2028d"]),
    ],
)
def test_layers_are_found_by_the_options_of_an_overlay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, folders: list[str]
) -> None:
    shown = tmp_path / "mountinfo"
    there = f"22 1 0:5 / /proc rw - proc proc rw\n49 27 0:44 / /x\\040y\rz rw - overlay none {options}\n"
    shown.write_bytes(there.encode())
    monkeypatch.setattr(mounts, "open", lambda *_, **how: Path.open(shown, **how), raising=False)
    assert mounts.overlays(1) == [(49, os.makedev(0, 44), "/x y\rz", tuple(folders))]
    assert [each.place for each in mounts.mounted()] == ["/proc", "/x y\rz"]
    assert [number for number, _ in mounts.above("/x y\rz/a")] == [49], "nobody asks a file system that may not answer"


@pytest.mark.parametrize("use", ["run", "read", "run and copied up", "run and removed"])
def test_a_writer_to_a_layer_waits_for_those_who_use_the_file_by_an_overlay(
    layers: Layers, tmp_path: Path, use: str
) -> None:
    """Their mappings have another device, and the kernel does not say that the file is busy."""
    sleeper = Path("/bin/sleep").read_bytes()
    place(layers.lower / "sleeper", sleeper)
    place(layers.lower / "script", b"read x\n")
    name, command = ("script", ["sh"]) if use == "read" else ("sleeper", [])
    path = str(layers.merged / name)
    with Guarded(layers.lower, tmp_path / "home", policy([GOOD, sleeper, b"read x\n"])) as guard, ExitStack() as stack:
        arguments = [path] if use == "read" else [path, "60"]
        user = stack.enter_context(subprocess.Popen([*command, *arguments], stdin=subprocess.PIPE))
        stack.callback(user.kill)
        eventually(lambda: guard.status()["kept"] > 0)
        eventually(lambda: path in (opened(user.pid) if use == "read" else [executable(user.pid)]))
        if use == "run and copied up":
            Path(path).chmod(0o700)
        if use == "run and removed":
            Path(path).unlink()
        writes = f"open({str(layers.lower / name)!r}, 'ab').write(b'x')"
        writer = stack.enter_context(subprocess.Popen([sys.executable, "-c", writes]))
        stack.callback(writer.kill)
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(1)
        user.kill()
        assert writer.wait(PATIENCE) == 0
