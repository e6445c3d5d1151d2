"""What is loaded and run when somebody logs in (pam.conf(5), pam_exec(8); T1556.003)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.engine.services.commands import Found
from chopmark.engine.services.entry import Call, Entry, Role
from chopmark.engine.services.host import assembled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.engine.services.host import Host

_MODULES = ("/lib/security", "/usr/lib/security", "/lib64/security", "/usr/lib64/security",
            "/lib/x86_64-linux-gnu/security", "/usr/lib/x86_64-linux-gnu/security", "/lib/aarch64-linux-gnu/security",
            "/usr/lib/aarch64-linux-gnu/security", "/lib/i386-linux-gnu/security", "/usr/lib/i386-linux-gnu/security",
            "/lib/arm-linux-gnueabihf/security", "/usr/lib/arm-linux-gnueabihf/security")  # fmt: skip
_RULE = re.compile(r"(-?)(?:auth|account|password|session)\s+(?:\[[^\]]*\]|\S+)\s+(\S+)\s*(.*)", re.IGNORECASE)
_CONTROL = re.compile(r"-?(?:auth|account|password|session)\s+(?:include|substack)\s|@include\s", re.IGNORECASE)
_FOLDERS = ("/etc/pam.d", "/usr/etc/pam.d", "/usr/lib/pam.d")
"""The first that has a service counts; the last two are those of distributions (pam.conf(5))."""


def entries(host: Host) -> Iterator[Entry]:
    """One entry for each service."""
    chosen: dict[str, str] = {}
    for folder in _FOLDERS:
        for name, path in host.files(folder):
            chosen.setdefault(name, path)
    for path in [*chosen.values(), *(["/etc/pam.conf"] if host.root.get("/etc/pam.conf") else [])]:
        lines, findings = host.text(path)
        found = Found()
        for line in assembled(lines):
            text = line.text.strip()
            if path == "/etc/pam.conf":
                text = re.sub(r"\A\S+\s+", "", text)
            match = _RULE.match(text)
            if match is None or _CONTROL.match(text):
                continue
            call = Call(f"{path}:{line.number}", _MODULES, is_optional=bool(match[1]))
            found.starts.append(call.start(match[2], Role.LIBRARY))
            if match[2].rpartition("/")[2] == "pam_exec.so":
                _executed(found, match[3], Call(call.where))
        yield Entry("pam", path, (path,), tuple(dict.fromkeys(found.starts)), (*findings, *found.findings), "enabled")


def _executed(found: Found, arguments: str, call: Call) -> None:
    """The command is the first word that is no option of the module."""
    words = arguments.split()
    while words and re.fullmatch(r"debug|expose_authtok|seteuid|quiet|quiet_log|stdout|(?:log|type)=\S*", words[0]):
        words.pop(0)
    if words:
        found.command(words, call)
