"""Rules about places, and what somebody with mounts of their own puts there: a user namespace lets anybody."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.guarding import Guarded, Mounted, place, policy, program, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "a guard can be tested")

GOOD, EVIL = program(0), program(7)
NOBODY = 65534


@pytest.fixture
def where() -> Iterator[Path]:
    """A file system where nobody but root may write to the way there, with a folder for everybody else."""
    with tempfile.TemporaryDirectory(dir="/run") as above:
        Path(above).chmod(0o755)
        with Mounted(Path(above)) as folder:
            (folder / "bin").mkdir()
            (folder / "home").mkdir()
            os.chown(folder / "home", NOBODY, NOBODY)
            place(folder / "bin" / "tool", GOOD)
            place(folder / "home" / "evil", EVIL)
            yield folder


def by_place(folder: Path, more: str = "") -> str:
    return policy(more=f'[[rule]]\naction = "allow"\npath = "{folder}/bin/**"\n{more}')


def tried(*command: str) -> str:
    """What becomes of a command that somebody without rights runs: "denied", or its exit status."""
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=60, user=NOBODY, group=NOBODY)
    except PermissionError:
        return "denied"
    return "denied" if b"not permitted" in done.stderr else str(done.returncode)


def with_mount(source: Path, target: Path, command: str) -> str:
    """The same in a user namespace with a mount in it."""
    if subprocess.run(["unshare", "-Urm", "true"], check=False, user=NOBODY, group=NOBODY).returncode:
        pytest.skip("nobody may make user namespaces here")
    return tried("unshare", "-Urm", "sh", "-c", f"mount --bind {source} {target} || exit 99; exec {command}")


def test_a_file_that_is_mounted_over_an_allowed_one_does_not_run(where: Path, tmp_path: Path) -> None:
    tool, evil = where / "bin" / "tool", where / "home" / "evil"
    with Guarded(where, tmp_path / "home", by_place(where)) as guard:
        assert (tried(str(tool)), tried(str(evil))) == ("0", "denied")
        assert with_mount(evil, tool, str(tool)) == "denied"
        assert with_mount(where / "home", where / "bin", f"{where}/bin/evil") == "denied"
        assert with_mount(where / "bin", where / "home", f"{where}/home/tool") == "denied"  # nobody knows where it lies
        assert tried(str(tool)) == "0"
        reasons = {event["reason"] for event in guard.events("deny")}
        assert reasons <= {"policy.nothing", "policy.undecided"}


def test_nor_does_one_that_is_mounted_away_from_where_it_is_denied(where: Path, tmp_path: Path) -> None:
    home = where / "home"
    rules = policy(
        [EVIL], more=f'[[rule]]\naction = "deny"\npath = "{home}/**"\n[[rule]]\naction = "allow"\npath = "/x"\n'
    )
    with Guarded(where, tmp_path / "home", rules):
        assert tried(place(where / "bin" / "evil", EVIL)) == "7"
        assert tried(str(home / "evil")) == "denied"
        assert with_mount(home, where / "bin", f"{where}/bin/evil") == "denied"


def test_ways_round_that_are_no_mounts(where: Path, tmp_path: Path) -> None:
    home = where / "home"
    odd = home / "bin\n"
    odd.mkdir()
    shutil.copy(home / "evil", odd / "tool")
    (where / "bin" / "link").symlink_to(home / "evil")
    with Guarded(where, tmp_path / "home", by_place(where)):
        for path in (
            f"{where}/bin/../home/evil",
            f"{where}/bin/link",
            f"/proc/self/root{where}/home/evil",
            f"{home}//evil",
            f"{home}/./evil",
            str(odd / "tool"),
            f"{where}/BIN/tool",
        ):
            assert tried("sh", "-c", 'exec "$0"', path) in ("denied", "127"), path
        assert tried("sh", "-c", f"exec 3<{home}/evil; exec /proc/self/fd/3") == "denied"
        assert tried("sh", "-c", f"exec /proc/self/cwd{where}/../{where.name}/bin/tool") in ("127", "0")


def test_a_program_is_known_by_its_path_only_where_it_lies(where: Path, tmp_path: Path) -> None:
    shell = Path("/bin/sh").resolve()
    launcher, target = where / "bin" / "launcher", str(where / "home" / "good")
    place(launcher, shell.read_bytes())
    place(Path(target), GOOD)
    digests = [hashlib.sha256(each).hexdigest() for each in (shell.read_bytes(), GOOD)]
    rules = policy(more=f'[[rule]]\naction = "allow"\ndigest = "{digests[0]}"\n')
    rules += f'[[rule]]\naction = "allow"\ndigest = "{digests[1]}"\nprogram = "{launcher}"\n'
    with Guarded(where, tmp_path / "home", rules):
        assert tried(str(launcher), "-c", f"{target}; exit $?") == "0"
        assert tried("sh", "-c", f"exec {target}") == "denied"
        assert with_mount(shell, launcher, f"{launcher} -c '{target}; exit $?'") != "0"
