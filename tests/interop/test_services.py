"""Units beside systemd itself: the same files, names, commands and variables; and what a host of today starts."""

from __future__ import annotations

import random
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from chopmark.engine.services import gathering
from chopmark.engine.services.commands import Found
from chopmark.engine.services.entry import Call
from chopmark.engine.services.host import Host
from chopmark.engine.services.rooted import Root
from chopmark.engine.services.units import environment, merging, names, paths, specifiers, words
from chopmark.engine.services.units.specifiers import LineError
from chopmark.engine.services.units.tree import Tree
from tests.support import unit_trees
from tests.support.image import Image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.unit_trees import Theirs

pytestmark = pytest.mark.interop

_ORDER = ("ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost")
_ASKED = (
    *(name.replace("@.", "@in-st.") for name in unit_trees.NAMES),
    "alias.service",
    "alias@x.service",
    "web-one-x.service",
)


@pytest.mark.parametrize("first", range(0, 100, 20))
def test_trees_at_random_are_merged_as_systemd_merges_them(first: int, tmp_path: Path) -> None:
    loaded = 0
    for seed in range(first, first + 20):
        folder = tmp_path / str(seed)
        unit_trees.make(folder, random.Random(seed))  # noqa: S311 - trees that are the same every time
        for name in _ASKED:
            theirs = unit_trees.ask(folder, name)
            ours = _ours(folder, name)
            if (
                ours is not None
                and theirs is not None
                and name not in (ours.fragment.rpartition("/")[2], _template(ours))
            ):
                # Asked by an alias, systemd expands specifiers by it in the unit's own file, and not in its drop-ins.
                ours, theirs = ours._replace(commands=()), theirs._replace(commands=())
            assert _compared(ours, theirs) == _compared(theirs, theirs), f"seed {seed}, {name}\n{ours}\n{theirs}"
            loaded += theirs is not None and theirs.is_loaded
    assert loaded > 50, "too few units to say anything"


def _template(unit: Theirs) -> str:
    """The name of the instance that was asked about, if its file is a template's."""
    return unit.fragment.rpartition("/")[2].replace("@.", "@in-st.")


def _compared(one: Theirs | None, theirs: Theirs | None) -> object:
    """What of a unit can be compared: systemd tells nothing of the commands of one that it refuses."""
    if one is None or theirs is None or not theirs.is_loaded:
        return one is not None and one.is_loaded
    return one


def _ours(folder: Path, name: str) -> Theirs | None:
    with Root(str(folder)) as root:
        made = Tree(root, paths.system()).made(name)
        if made is None:
            return None
        merged = merging.merge(root, made, paths.system())
        commands = tuple(_commands(merged, root.outside(made.fragment), name))
        fatal = merged.is_refused or all(key != "ExecStart" for key, _ in commands)
        called = frozenset(made.names)
        return unit_trees.Theirs(made.fragment, made.dropins, called, commands, not (made.is_masked or fatal))


def _commands(merged: merging.Merged, fragment: str, name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    expand = specifiers.expander(name, fragment, paths.system())
    for key in _ORDER:
        for each in merged.values("Service", key):
            try:
                for command in words.commands(each.value, expand):
                    yield key, command.argv
            except LineError:
                continue


def test_every_unit_of_this_host_is_loaded_with_the_files_that_we_say() -> None:
    with Root("/") as root:
        tree = Tree(root, paths.system())
        looked = 0
        for name in tree.unit_names():
            parsed = names.parse(name)
            made = tree.made(name)
            if parsed is None or made is None or made.is_masked or parsed.type != "service":
                continue
            asked = parsed._replace(instance="x").text if parsed.is_template else name
            theirs = unit_trees.ask_host(asked)
            if theirs is None or not theirs.is_loaded:
                continue
            looked += 1
            assert root.find(made.fragment).path == root.find(theirs.fragment).path
            assert _real(root, made.dropins) == _real(root, theirs.dropins)
    assert looked > 20


def _real(root: Root, files: tuple[str, ...]) -> list[str]:
    return [root.find(path).path for path in files]


def test_the_load_path_is_that_of_systemd_analyze() -> None:
    done = subprocess.run(["systemd-analyze", "unit-paths"], capture_output=True, text=True, check=True)
    theirs = [path for path in done.stdout.split() if path != "/lib/systemd/system"]
    assert theirs == [path for path in paths.SYSTEM if path != "/lib/systemd/system"]


def test_programs_that_systemd_misses_are_missing(tmp_path: Path) -> None:
    image = Image(tmp_path / "image")
    image.unit("sysinit.target", "[Unit]\nDefaultDependencies=no\n")
    image.program("/bin/there")
    image.unit(
        "web.service",
        "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStartPre=-/bin/gone1\nExecStart=/bin/there\n"
        'ExecStart=@/bin/gone2 x ; /bin/gone3\nExecStopPost=+/bin/gone4 "a b"\n',
    )
    done = subprocess.run(
        ["systemd-analyze", f"--root={image.folder}", "verify", "--man=no", "web.service"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    theirs = set(re.findall(r"Command (\S+) is not executable", done.stderr))
    with image.root() as root:
        [entry] = [each for each in gathering.entries(Host(root)) if each.name == "web.service"]
        ours = {start.name for start in entry.starts if root.get(start.name) is None}
    assert theirs == {"/bin/gone4"}, "it looks at the first command of each kind, and not where there is a -"
    assert ours == {"/bin/gone1", "/bin/gone2", "/bin/gone3", "/bin/gone4"}


_SHELL = (
    "a", "b", "c ", " ", "; ", "&& ", "| ", "& ", "\n", "(", ")", "{ ", "; }", "$(", "`", "'", '"', "\\", "#", "if ",
    "; then ", "; fi", "while false; do ", "; done", "X=b ", "$X ", "; X=c", " > w", "! ", "eval ", "exec ",
    "[ a ] ", "case x in x) ", ";; esac", "for i in 1; do ", "$((1+1))", "${X:-b}", "<<E\n", "\nE\n", "\\\n", "time ",
    "()", "a () { c; }; ", "<(", "a=(b)", "{a,b}", "[[ a ]]", "trap ", "$'a'", "alias a=b\n", "else ", "|& ",
    "command ", 'set -- a; "$1" ',
)  # fmt: skip


@pytest.mark.parametrize("program", ["dash", "bash"])
def test_what_shells_run_is_named_or_unknown(program: str, tmp_path: Path) -> None:
    """Lines at random, in a folder of programs that tell when they are run."""
    log, chance, ran = tmp_path / "log", random.Random(program), 0  # noqa: S311 - lines that are the same every time
    written = tmp_path / "written"
    written.mkdir()
    for name in "abc":
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\necho {name} >> {log}\n")
        path.chmod(0o755)
    for _ in range(600):
        line = "".join(chance.choice(_SHELL) for _ in range(chance.randrange(1, 9)))
        log.write_text("")
        subprocess.run(
            [f"/bin/{program}", "-c", line], env={"PATH": str(tmp_path)}, stdin=subprocess.DEVNULL, capture_output=True,
            cwd=written, timeout=60, check=False,
        )  # fmt: skip
        found = Found()
        found.script(line, Call("/x:1", folders=(str(tmp_path),)))
        is_unknown = any(each.code in ("service.opaque", "service.inline_code") for each in found.findings)
        assert is_unknown or {*log.read_text().split()} <= {each.name for each in found.starts}, repr(line)
        ran += bool(log.read_text())
    assert ran > 10, "too few lines to say anything"


_GENERATOR = "/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator"
_PIECES = ("A", "B", "=", "=x", "\n", "\n", " ", "'", '"', "\\", "\\\n", "x", "/", "\nA=", "\nB=", "_", "1", "\n#x\n")


def test_files_of_variables_are_read_as_systemd_reads_them(tmp_path: Path) -> None:
    """The generator for environment.d has the parser of EnvironmentFile=, and leaves out what is empty."""
    chance, compared = random.Random(1), 0  # noqa: S311 - files that are the same every time
    file = tmp_path / "environment.d" / "a.conf"
    file.parent.mkdir()
    for _ in range(150):
        data = "".join(chance.choice(_PIECES) for _ in range(chance.randrange(1, 18)))
        file.write_text(data)
        environment_ = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
        done = subprocess.run([_GENERATOR], env=environment_, capture_output=True, text=True, check=True)
        if "invalid syntax" in done.stderr:
            continue
        script = (
            f'{done.stdout}\nfor each in A B; do [ -n "${{!each+s}}" ] && printf \'%s=%s\\0\' $each "${{!each}}"; done'
        )
        shown = subprocess.run(["bash", "-c", script], env={}, capture_output=True, text=True, check=False).stdout
        theirs = {name: value for name, _, value in (each.partition("=") for each in shown.split("\0")[:-1])}
        ours = {name: value.replace("\n", "\\n") for name, value in environment.assignments(data.encode()) if value}
        assert {name: ours[name] for name in ours if name in ("A", "B")} == theirs, repr(data)
        compared += bool(theirs)
    assert compared > 30, "too few files to say anything"


def test_systemd_passes_over_seals(tmp_path: Path) -> None:
    image = Image(tmp_path / "image")
    image.unit("web.service", "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/x\n")
    image.write("/etc/systemd/system/web.service.seal", "chopmark unit 1\n[Service]\nExecStart=/evil\n")
    theirs = unit_trees.ask(image.folder, "web.service")
    assert theirs is not None
    assert theirs.commands == (("ExecStart", ("/bin/x",)),)
    assert theirs.dropins == ()


@pytest.mark.parametrize(
    ("name", "heeded"),
    [("job", True), ("job-2_x", True), ("job.sh", False), ("job~", False), (".job", False), ("job.dpkg-old", False)],
)
def test_names_in_cron_folders_are_those_that_run_parts_runs(name: str, heeded: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a column
    image = Image(tmp_path / "image")
    image.program(f"/etc/cron.daily/{name}", "#!/bin/sh\n")
    done = subprocess.run(
        ["run-parts", "--test", str(image.path("/etc/cron.daily"))], capture_output=True, text=True, check=True
    )
    assert bool(done.stdout.strip()) is heeded
    assert [bool(each.starts) for each in image.entries("cron")] == [heeded]
