"""Names of units: what is one, templates and instances, and what their parts stand for (systemd.unit(5))."""

from __future__ import annotations

import re

from chopmark.core.named import NamedTuple

TYPES = ("service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope")
ALIASED = ("service", "socket", "target", "device", "timer", "path")
"""The kinds that may have several names."""
_NAME_MAX = 255
_VALID = re.compile(r"[A-Za-z0-9:\-_.\\][A-Za-z0-9:\-_.\\@]*\.(?:" + "|".join(TYPES) + r")", re.ASCII)
_HEX = re.compile(r"\\x([0-9A-Fa-f]{2})")


class UnitName(NamedTuple):
    """A name taken apart. `instance` is None without an `@`, and empty for a template."""

    prefix: str
    instance: str | None
    type: str

    @property
    def is_template(self) -> bool:
        """Whether it stands for many units."""
        return self.instance == ""

    @property
    def is_instance(self) -> bool:
        """Whether it is one unit of a template."""
        return bool(self.instance)

    @property
    def text(self) -> str:
        """The name."""
        middle = "" if self.instance is None else f"@{self.instance}"
        return f"{self.prefix}{middle}.{self.type}"

    @property
    def template(self) -> UnitName:
        """The template of an instance."""
        return self._replace(instance="")


def parse(name: str) -> UnitName | None:
    """Take a name apart; None for what is no name of a unit."""
    if len(name) > _NAME_MAX or not _VALID.fullmatch(name):
        return None
    stem, _, kind = name.rpartition(".")
    prefix, at, instance = stem.partition("@")
    return UnitName(prefix, instance if at else None, kind)


def may_alias(alias: UnitName, target: UnitName) -> bool:
    """Whether a link of the one name to a file of the other makes them the same unit."""
    if alias.type != target.type or alias.type not in ALIASED:
        return False
    if alias.is_instance:
        return target.is_template or target.instance == alias.instance
    return alias.is_template == target.is_template and not target.is_instance


def unescape(text: str) -> str:
    """What an escaped name stands for: `-` is a slash, backslash x and two digits a byte (systemd-escape(1))."""
    raw = _HEX.sub(lambda found: chr(int(found[1], 16)), text.replace("-", "/"))
    return raw.encode("latin-1", "replace").decode("utf-8", "surrogateescape") if "\\" in text else raw


def folders(name: UnitName) -> list[str]:
    """Names of the folders with drop-ins of one name, without the one for its kind, the first that counts first.

    After the name comes its template; then the name cut behind each dash, from the last on. A template that is cut
    becomes a plain name, as systemd has it.
    """
    found = [f"{name.text}.d"]
    if name.is_instance:
        found += folders(name.template)
    cut = name.prefix.rfind("-", 0, len(name.prefix) - 1)
    if cut > 0:
        found += folders(UnitName(name.prefix[: cut + 1], name.instance or None, name.type))
    return list(dict.fromkeys(found))
