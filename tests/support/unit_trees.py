"""Folder trees of systemd units, made up at random, and what systemd itself makes of them."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from chopmark.engine.services.units import words

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

FOLDERS = ("etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system")
"""Those that systemd-analyze looks into below a root that nobody has booted."""
_STEMS = ("web", "web-one", "web-one-two", "web-", "db", "a@", "a-b@", "a-b@x", "a@x", "a@x-y")
NAMES = tuple(f"{stem}.service" for stem in _STEMS)
_PROGRAMS = ("/bin/nope", "/opt/none", "-/opt/minus", "@/opt/at zero", ":/opt/colon", "+/opt/plus", "!/opt/one",
             "!!/opt/two", "-@/opt/both zero", "+-/opt/mixed", "named", "/opt//double/./dot",
             '"/opt/quo ted"')  # fmt: skip
_ARGUMENTS = ("plain", '"two words"', "'single q'", "mid'dle q'uote", r"\x41\102", r"esc\ttab", r"un\known", "%n",
              "%i", "%p", "%%",
              "%j", "%P", "%I", "%N", "$VAR", "${VAR}", ";", r"\;", "\\;x", "a;b", "'", '""', "\\", "%f", "%t/x",
              "%S", "%h",
              "é", "#no", r"\u00e9", r"\s", "%Q", "=", "a=b", "[x]")  # fmt: skip


class Theirs(NamedTuple):
    """A unit as systemd has it: its files, its names, and its command lines by key."""

    fragment: str
    dropins: tuple[str, ...]
    names: frozenset[str]
    commands: tuple[tuple[str, tuple[str, ...]], ...]
    is_loaded: bool


def make(root: Path, chance: random.Random) -> None:
    """Write a tree with fragments, drop-ins, aliases and masks in all folders."""
    for name in ("sysinit.target", "basic.target", "shutdown.target"):
        _write(root / "usr/lib/systemd/system" / name, "[Unit]\nDefaultDependencies=no\n")
    for name in NAMES:
        if chance.random() < 0.75:
            for folder in chance.sample(FOLDERS, chance.choice((1, 1, 1, 2))):
                if not (root / folder / name).exists():
                    _write(root / folder / name, _fragment(chance))
    for _ in range(chance.randrange(6)):
        _link(root, chance)
    for _ in range(chance.randrange(10)):
        name = chance.choice(
            (*NAMES, "service", "web-.service", "a-.service", "a-@.service", "a-@x.service", "alias.service")
        )
        dropins = root / chance.choice(FOLDERS) / f"{name}.d"
        path = dropins / chance.choice(("10-a.conf", "20-b.conf", "zz.conf", "no.txt", ".hidden.conf"))
        if chance.random() < 0.12:
            dropins.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(path):
                path.symlink_to("/dev/null")
        else:
            _write(path, _dropin(chance))


def _link(root: Path, chance: random.Random) -> None:
    name = chance.choice(
        (*NAMES, "alias.service", "alias2.service", "alias@.service", "alias@x.service", "alias.socket")
    )
    path = root / chance.choice(FOLDERS) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(path):
        return
    target = chance.choice((*NAMES, "alias.service"))
    if chance.random() < 0.2:
        target = "/dev/null"
    elif chance.random() < 0.4:
        target = f"/{chance.choice(FOLDERS)}/{target}"
    elif chance.random() < 0.2:
        _write(root / "opt/elsewhere.service", _fragment(chance))
        target = f"{'../' * (len(path.relative_to(root).parts) - 1)}opt/elsewhere.service"
    path.symlink_to(target)


def _fragment(chance: random.Random) -> str:
    extra = _noise(chance) if chance.random() < 0.3 else ""
    return f"[Unit]\nDefaultDependencies=no\n{extra}[Service]\nType=oneshot\n{_lines(chance)}"


def _dropin(chance: random.Random) -> str:
    section = chance.choice(("Service", "Service", "Service", "Unit", "X-Other", "Nonsense"))
    return f"{_noise(chance)}[{section}]\n{_lines(chance)}"


def _lines(chance: random.Random) -> str:
    found = []
    for _ in range(chance.randrange(1, 5)):
        key = chance.choice(("ExecStart", "ExecStart", "ExecStartPre", "ExecStop", "ExecStopPost", "Environment"))
        if key == "Environment":
            found.append(f"Environment={chance.choice(('', 'A=1', 'B=%n', 'C=x y'))}")
        elif chance.random() < 0.15:
            found.append(f"{key}=")
        else:
            words = chance.choices(_ARGUMENTS, k=chance.randrange(5))
            found.append(f"{key} = {chance.choice(_PROGRAMS)} {' '.join(words)}")
        if chance.random() < 0.15:
            found.append(_noise(chance).rstrip("\n"))
    return _broken(chance, found)


def _broken(chance: random.Random, lines: list[str]) -> str:
    """Some lines are continued, some end in other ways than with LF."""
    text = ""
    for line in lines:
        end = chance.choice(
            ("\n", "\n", "\n", "\n", "\r\n", "\r", "\n\n", " \\\n  more\n", " \\\n# comment\n more\\\n\n", "\0")
        )
        text += line + end
    return text


def _noise(chance: random.Random) -> str:
    return chance.choice(("# comment\n", "; other\n", "\n", "nonsense\n", "=empty\n", "  # indented\\\n", "\ufeff",
    "[X-Foo]\nA=b\n",
                          "#c\rExecStopPost=/opt/hidden\n", ""))  # fmt: skip


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


_ENTRY = re.compile(r"^\t\t-> (Exec\w+):$|^\t\t\tCommand Line: (.*)$", re.MULTILINE)


def ask(root: Path, name: str) -> Theirs | None:
    """What `systemd-analyze verify` loads for a unit below a root; None when it finds none, or refuses to load it."""
    return _asked(name, f"--root={root}", str(root))


def ask_host(name: str) -> Theirs | None:
    """The same for the system that this runs on."""
    return _asked(name, "--system", "")


def _asked(name: str, where: str, base: str) -> Theirs | None:
    done = subprocess.run(
        ["systemd-analyze", where, "verify", "--man=no", "--recursive-errors=no", "--", name],
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "debug", "LC_ALL": "C.UTF-8", "HOME": "/root"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    text = (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace")
    start = text.find("\t-> Unit ")
    if start < 0:
        return None
    text = text[start:]
    fields = re.findall(r"^\t\t(Fragment Path|DropIn Path|Alias|Unit Load State): (.*)$", text, re.MULTILINE)
    found: dict[str, list[str]] = {}
    for field, value in fields:
        found.setdefault(field, []).append(value)
    commands, key = [], ""
    for match in _ENTRY.finditer(text):
        if match[1]:
            key = match[1]
        else:
            commands.append((key, tuple(_words(match[2].replace("\\$", "$").replace("\\`", "`")))))
    own = re.match(r"\t-> Unit (.*):", text)
    assert own is not None
    return Theirs(
        next(iter(found.get("Fragment Path", [])), "").removeprefix(base),
        tuple(path.removeprefix(base) for path in found.get("DropIn Path", ())),
        frozenset((own[1], *found.get("Alias", ()))),
        tuple(commands),
        found.get("Unit Load State") == ["loaded"],
    )


def _words(line: str) -> Iterator[str]:
    each, place = words.word(line, 0)
    while each is not None:
        yield each
        each, place = words.word(line, place)
