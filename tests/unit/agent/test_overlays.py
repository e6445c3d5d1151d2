"""Overlays, as containers have them: files with inodes of their own over those of other file systems."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.guarding import Guarded, Mounted, place, policy, program, ran, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
