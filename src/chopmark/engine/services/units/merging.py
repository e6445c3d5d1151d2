"""All settings of a unit in the order they are read, and what is in force of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import UnreadableError
from chopmark.core.named import NamedTuple
from chopmark.engine.services import reasons
from chopmark.engine.services.units import specifiers, text, words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.core.finding import Finding
    from chopmark.engine.services.rooted import Root
    from chopmark.engine.services.units.paths import Scope
    from chopmark.engine.services.units.text import Setting
    from chopmark.engine.services.units.tree import Made

COMMANDS = {
    "Service": ("ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecReloadPost",
        "ExecStop",
                "ExecStopPost"),
    "Socket": ("ExecStartPre", "ExecStartPost", "ExecStopPre", "ExecStopPost"),
}  # fmt: skip
"""What starts programs, by section (systemd.service(5), systemd.socket(5))."""
_DEPENDENCIES = frozenset(
    ("Wants", "Requires", "Requisite", "BindsTo", "PartOf", "Upholds", "Conflicts", "Before", "After", "OnFailure",
     "OnSuccess", "PropagatesReloadTo", "ReloadPropagatedFrom", "PropagatesStopTo", "StopPropagatedFrom",
     "JoinsNamespaceOf", "RequiresMountsFor", "WantsMountsFor")
)  # fmt: skip
"""An empty assignment takes nothing back (systemd.unit(5))."""
_LISTS = frozenset(
    ("Environment", "EnvironmentFile", "UnsetEnvironment", "PassEnvironment", "ExecSearchPath", "Documentation",
    "WantedBy",
     "RequiredBy", "UpheldBy", "Also", "Alias", "Sockets", "SupplementaryGroups", "ReadWritePaths", "ReadOnlyPaths",
     "InaccessiblePaths", "ExecPaths", "NoExecPaths", "BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem",
     "MountImages", "ExtensionImages", "ExtensionDirectories", "RuntimeDirectory", "StateDirectory", "CacheDirectory",
     "LogsDirectory", "ConfigurationDirectory", "LoadCredential", "LoadCredentialEncrypted", "SetCredential",
     "SetCredentialEncrypted", "ImportCredential", "SystemCallFilter", "RestrictAddressFamilies",
     "CapabilityBoundingSet",
     "AmbientCapabilities", "DeviceAllow", "IPAddressAllow", "IPAddressDeny", "OpenFile", "Symlinks", "SystemCallLog",
     "LogExtraFields")
)  # fmt: skip
_TOGETHER = {
    "Timer": frozenset(("OnActiveSec", "OnBootSec", "OnStartupSec", "OnUnitActiveSec", "OnUnitInactiveSec",
    "OnCalendar")),
    "Path": frozenset(("PathExists", "PathExistsGlob", "PathChanged", "PathModified", "DirectoryNotEmpty")),
    "Socket": frozenset(
        ("ListenStream", "ListenDatagram", "ListenSequentialPacket", "ListenFIFO", "ListenSpecial", "ListenNetlink",
         "ListenMessageQueue", "ListenUSBFunction")
    ),
}  # fmt: skip
"""Lists that are one: an empty assignment to any of them empties all."""


class Merged(NamedTuple):
    """A unit: what it is made of, all that was read, what is in force, what is wrong with it.

    `is_refused` where systemd does not load it because of what its own file says.
    """

    made: Made
    settings: tuple[Setting, ...]
    effective: tuple[Setting, ...]
    findings: tuple[Finding, ...]
    is_refused: bool = False

    def values(self, section: str, key: str) -> list[Setting]:
        """What is in force for one key."""
        return [each for each in self.effective if each.section == section and each.key == key]

    def value(self, section: str, key: str) -> str:
        """The one value of a key; empty when it is not set."""
        found = self.values(section, key)
        return found[-1].value if found else ""


def merge(root: Root, made: Made, scope: Scope) -> Merged:
    """Read the files of a unit, its own first. A command that systemd refuses ends the file that it stands in."""
    if made.is_masked:
        return Merged(made, (), (), (reasons.UNIT_MASKED.found(made.fragment),))
    settings: list[Setting] = []
    findings: list[Finding] = []
    refused = False
    expand = specifiers.expander(made.name, root.outside(made.fragment), scope)
    for path in (made.fragment, *made.dropins):
        try:
            found = text.read(root.read(path, limits.SERVICE_FILE_MAX), path)
        except UnreadableError as error:
            if path != made.fragment and root.link(path) == "/dev/null":
                continue  # a drop-in that is masked
            findings.append(reasons.UNREADABLE.found(error.reason.sentence, subject=path))
            continue
        count, ends_early = _up_to_error(found.settings, expand, findings)
        settings += found.settings[:count]
        findings += found.findings
        refused = refused or (path == made.fragment and (found.is_broken or ends_early))
    return Merged(made, tuple(settings), tuple(_in_force(settings)), tuple(findings), refused)


def _up_to_error(
    settings: Sequence[Setting], expand: Callable[[str], str], findings: list[Finding]
) -> tuple[int, bool]:
    """How many settings count, and whether a command that is refused ends them; it counts as far as it was read."""
    for count, each in enumerate(settings, 1):
        if each.key in COMMANDS.get(each.section, ()):
            try:
                for _ in words.commands(each.value, expand):
                    pass
            except specifiers.LineError as error:
                findings.append(reasons.UNIT_COMMAND.found(f"{each.key}: {error}", subject=each.where))
                if not error.is_ignored:
                    return count, True
    return len(settings), False


def _in_force(settings: list[Setting]) -> list[Setting]:
    kept: dict[tuple[str, str], list[Setting]] = {}
    for each in settings:
        key = (each.section, _list_of(each))
        if each.key in _DEPENDENCIES:
            if each.value:
                kept.setdefault(key, []).append(each)
        elif not each.value:
            kept.pop(key, None)
        elif _is_list(each):
            kept.setdefault(key, []).append(each)
        else:
            kept[key] = [each]
    order = {id(each): number for number, each in enumerate(settings)}
    return sorted((each for found in kept.values() for each in found), key=lambda each: order[id(each)])


def _list_of(setting: Setting) -> str:
    """The name of the list that a setting is of."""
    together = _TOGETHER.get(setting.section, frozenset())
    return "" if setting.key in together else setting.key


def _is_list(setting: Setting) -> bool:
    return (
        setting.key in _LISTS
        or setting.key in COMMANDS.get(setting.section, ())
        or setting.key in _TOGETHER.get(setting.section, ())
        or setting.key.startswith(("Condition", "Assert"))
    )
