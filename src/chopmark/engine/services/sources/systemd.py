"""systemd's units of the system and of users, and the programs that it runs by itself: generators, hooks."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import UnreadableError
from chopmark.engine.services import commands, reasons
from chopmark.engine.services.commands import Found
from chopmark.engine.services.entry import PATH, Call, Entry, Role
from chopmark.engine.services.host import unreadable
from chopmark.engine.services.units import environment, merging, paths, specifiers, words
from chopmark.engine.services.units.specifiers import UNKNOWN
from chopmark.engine.services.units.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chopmark.core.finding import Finding
    from chopmark.engine.services.entry import Start
    from chopmark.engine.services.host import Host
    from chopmark.engine.services.units.merging import Merged
    from chopmark.engine.services.units.paths import Scope

SEAL = ".seal"
"""What a signature over a whole unit is called: the unit's name and this, in a folder with units."""
_GENERATED = ("/run/systemd/generator", "/run/user/")
_STARTING = ("service", "socket", "timer", "path", "mount", "automount", "swap")
"""Kinds of units that start something; the others only group."""
_PLACES = ("/run/systemd", "/etc/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd")
_RUN = (("generator", "system-generators"), ("generator", "user-generators"),
        ("generator", "system-environment-generators"), ("generator", "user-environment-generators"),
        ("shutdown hook", "system-shutdown"), ("sleep hook", "system-sleep"))  # fmt: skip
_OVERLAYS = ("MountImages", "ExtensionImages", "ExtensionDirectories")
"""What puts other files over those of the host, for one unit."""
_BY_ITSELF = ("Mount", "Swap")
_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/opt")
_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_WHOLE = re.compile(r"\$([A-Za-z_]\w*)")


def entries(host: Host) -> Iterator[Entry]:
    """Every unit of every manager, and what is run beside them."""
    for scope in scopes(host):
        tree = Tree(host.root, scope)
        for name in tree.unit_names():
            entry = entry_of(host, tree, name)
            if entry is not None:
                yield entry
        host.findings += tree.findings
    for kind, folder in _RUN:
        yield from _run(host, kind, folder)


def scopes(host: Host) -> Iterator[Scope]:
    """The managers: the system's, what users have in common, each user who has units of his own."""
    yield paths.system()
    yield paths.users()
    for user in host.users:
        scope = paths.user(user.name, user.home, user.number)
        if any(host.root.get(folder) for folder in scope.folders if folder.startswith(f"{user.home}/")):
            yield scope


def entry_of(host: Host, tree: Tree, name: str) -> Entry | None:
    """The entry for one unit; None for kinds that start nothing, and for what a user has not made himself."""
    made = tree.made(name)
    scope = tree.scope
    if made is None or made.name.rpartition(".")[2] not in _STARTING:
        return None
    if scope.home and not any(path.startswith(scope.home) for path in (made.fragment, *made.dropins)):
        return None
    merged = merging.merge(host.root, made, scope)
    found = Found()
    findings = list(merged.findings)
    if not made.is_masked:
        _commands(host, merged, scope, found)
    if made.fragment.startswith(_GENERATED):
        findings.append(reasons.GENERATED.found(merged.value("Unit", "SourcePath"), subject=made.fragment))
    seals = tuple(f"{folder}/{made.name}{SEAL}" for folder in scope.folders)
    return Entry(
        kind="unit",
        name=made.name,
        files=(made.fragment, *made.dropins),
        starts=tuple(dict.fromkeys(found.starts)),
        findings=(*findings, *found.findings),
        state=_state(merged),
        scope=scope.name,
        seals=seals,
        links=made.links,
    )


def _state(merged: Merged) -> str:
    made = merged.made
    if made.is_masked:
        return "masked"
    if made.fragment.startswith(_GENERATED):
        return "generated"
    if made.wanted_by:
        return "enabled"
    return "disabled" if any(each.section == "Install" for each in merged.settings) else "static"


def _commands(host: Host, merged: Merged, scope: Scope, found: Found) -> None:
    made, section = merged.made, _section(merged)
    expand = specifiers.expander(made.name, host.root.outside(made.fragment), scope)
    variables, findings = _environment(host, merged, expand)
    found.findings += findings
    below = merged.value(section, "RootDirectory")
    if image := merged.value(section, "RootImage"):
        found.findings.append(reasons.UNIT_IMAGE.found(image, subject=made.name))
    if UNKNOWN in (below := _expanded(below, expand)):
        found.findings.append(reasons.UNIT_IMAGE.found(below.replace(UNKNOWN, "..."), subject=made.name))
        return
    found.findings += _surroundings(merged, expand)
    if section in _BY_ITSELF:  # mount(8) and swapon(8), which no line names
        found.environment(tuple(variables.items()), Call(made.fragment))
    search = tuple(part for each in merged.values(section, "ExecSearchPath") for part in each.value.split(":"))
    for each in merged.effective:
        if each.key not in merging.COMMANDS.get(each.section, ()) or image:
            continue
        call = Call(each.where, search or PATH, variables, below=below)
        guarded = _guarded(merged, expand)
        found.environment(tuple(variables.items()), call)
        try:
            for command in words.commands(each.value, expand):
                argv = [part for word in command.argv for part in _substituted(word, variables, command.prefixes)]
                optional = call._replace(is_optional="-" in command.prefixes or command.program in guarded)
                if "|" in command.prefixes:  # since systemd 258, by the user's shell
                    found.findings.append(reasons.OPAQUE.found(f"by a shell: {each.value}"[:200], subject=each.where))
                found.command(argv or [command.program], optional, command.program)
        except specifiers.LineError:
            continue  # merging has told
    found.findings += _bound(merged, found.starts, expand)


def _section(merged: Merged) -> str:
    """Where the settings of systemd.exec(5) stand in a unit of its kind."""
    return merged.made.name.rpartition(".")[2].capitalize()


def _surroundings(merged: Merged, expand: Callable[[str], str]) -> Iterator[Finding]:
    """What is put over the files of the host, and variables that are taken over from the manager."""
    section = _section(merged)
    for key in _OVERLAYS:
        for each in merged.values(section, key):
            yield reasons.UNIT_IMAGE.found(f"{key}={each.value}"[:200], subject=each.where)
    for each in merged.values(section, "PassEnvironment"):
        for name in sorted(commands.LOADING & set(_expanded(each.value, expand).split())):
            yield reasons.STEERED.found(f"PassEnvironment={name}", subject=each.where)


def _bound(merged: Merged, starts: Sequence[Start], expand: Callable[[str], str]) -> Iterator[Finding]:
    """Where a program comes to lie in the place of another, for this unit alone (systemd.exec(5), BindPaths=)."""
    named = [each.name for each in starts if each.name.startswith("/")]
    section = _section(merged)
    for each in (*merged.values(section, "BindPaths"), *merged.values(section, "BindReadOnlyPaths")):
        for word in _expanded(each.value, expand).split():
            source, _, rest = word.removeprefix("-").removeprefix("+").partition(":")
            place = rest.partition(":")[0].rstrip("/")
            covers = place.startswith(_PROGRAMS) or any(f"{name}/".startswith(f"{place}/") for name in named)
            if place and place != source.rstrip("/") and covers:
                yield reasons.UNIT_IMAGE.found(f"{source} at {place}"[:200], subject=each.where)


def _guarded(merged: Merged, expand: Callable[[str], str]) -> set[str]:
    """Programs without which the unit does not start, by its conditions (systemd.unit(5))."""
    keys = ("ConditionPathExists", "ConditionFileIsExecutable", "AssertPathExists", "AssertFileIsExecutable")
    values = (each.value for key in keys for each in merged.values("Unit", key))
    return {_expanded(value, expand) for value in values if value.startswith("/")}


def _expanded(text: str, expand: Callable[[str], str]) -> str:
    try:
        return expand(text)
    except specifiers.LineError:
        return UNKNOWN


def _substituted(word: str, variables: dict[str, str], prefixes: str) -> list[str]:
    """A word with the unit's variables in it; `$NAME` alone becomes as many words as its value has."""
    if ":" in prefixes or "$" not in word:
        return [word]
    if (match := _WHOLE.fullmatch(word)) is not None:
        return variables.get(match[1], UNKNOWN).split()
    text = _VARIABLE.sub(lambda found: variables.get(found[1], UNKNOWN), word.replace("$$", "\ue000"))
    return [text.replace("\ue000", "$")]


def _environment(host: Host, merged: Merged, expand: Callable[[str], str]) -> tuple[dict[str, str], list[Finding]]:
    """The variables that a unit sets, those in its files included (systemd.exec(5), Environment=)."""
    variables: dict[str, str] = {}
    findings: list[Finding] = []
    for each in merged.values(_section(merged), "Environment"):
        problems: list[str] = []
        variables.update(environment.listed(each.value, expand, problems))
        findings += [reasons.UNIT_LINE.found(f"Environment: {problem}", subject=each.where) for problem in problems]
    for each in merged.values(_section(merged), "EnvironmentFile"):
        for path in _files(host, _expanded(each.value.removeprefix("-"), expand)):
            try:
                variables.update(environment.assignments(host.root.read(path, limits.SERVICE_FILE_MAX)))
            except UnreadableError as error:
                findings.append(unreadable(path, error))
    for each in merged.values(_section(merged), "UnsetEnvironment"):
        for name in each.value.split():
            variables.pop(name, None)
    return variables, findings


def _files(host: Host, path: str) -> list[str]:
    """The files that a path with wildcards stands for, in the order of their names (glob(7))."""
    if not any(letter in path for letter in "*?["):
        return [path] if host.root.get(path) is not None else []
    found = [""]
    for part in path.strip("/").split("/"):
        if any(letter in part for letter in "*?["):
            found = [f"{above}/{name}" for above in found for name in _matching(host, above or "/", part)]
        else:
            found = [f"{above}/{part}" for above in found]
    return [each for each in found[: limits.SERVICE_INCLUDES_MAX] if host.root.get(each) is not None]


def _matching(host: Host, folder: str, pattern: str) -> list[str]:
    try:
        listed = host.root.names(folder)
    except OSError:
        return []
    return [name for name, _, _ in listed if fnmatchcase(name, pattern) and (name[:1] != "." or pattern[:1] == ".")]


def _run(host: Host, kind: str, folder: str) -> Iterator[Entry]:
    """Programs in folders that systemd executes all of (systemd.generator(7)); of one name the first that there is."""
    chosen: dict[str, str] = {}
    for place in _PLACES:
        for name, path in host.files(f"{place}/{folder}"):
            chosen.setdefault(name, path)
    for name, path in sorted(chosen.items(), key=lambda each: os.fsencode(each[0])):
        found = host.root.get(path)
        masked = host.is_masked(path)
        if masked or (found is not None and not found.is_program):
            yield Entry(kind, name, (), state="masked" if masked else "disabled")
            continue
        yield Entry(kind, name, (), (Call(path).start(path, Role.PROGRAM),), state="enabled")
