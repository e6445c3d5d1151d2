"""Capabilities of files, in words as in packages (cap_from_text(3)), and as the kernel has them (capabilities(7))."""

from __future__ import annotations

import re
import struct

from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple

_NAMES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
)  # fmt: skip
_BITS = {f"cap_{name}": 1 << number for number, name in enumerate(_NAMES)}
_ALL = (1 << len(_NAMES)) - 1
_CLAUSE = re.compile(r"([a-z_,]*)((?:[=+-][eip]*)+)").fullmatch
_CHANGE = re.compile(r"([=+-])([eip]*)")
_EFFECTIVE = 1
_SIZES = {1: 12, 2: 20, 3: 24}
"""Octets by revision (VFS_CAP_REVISION)."""


class Sets(NamedTuple):
    """What may be used at once, what may be passed on, and what may be used; as bits."""

    effective: int = 0
    inheritable: int = 0
    permitted: int = 0


def within(raw: bytes, text: bytes) -> bool:
    """Whether an extended attribute gives no more than the words say. What cannot be read gives more."""
    if not raw:
        return True
    try:
        has, may = stored(raw), said(text.decode("ascii"))
    except (MalformedError, UnicodeDecodeError):
        return False
    return not any(one & ~other for one, other in zip(has, may, strict=True))


def stored(raw: bytes) -> Sets:
    """The attribute security.capability (linux/capability.h). Raises MalformedError."""
    magic = int.from_bytes(raw[:4], "little")
    revision = magic >> 24
    if len(raw) != _SIZES.get(revision) or magic & 0xFFFFFE:
        raise MalformedError("no capabilities")
    words = struct.unpack("<4I", raw[4:20]) if revision > 1 else (*struct.unpack("<2I", raw[4:12]), 0, 0)
    permitted, inheritable = words[0] | words[2] << 32, words[1] | words[3] << 32
    return Sets(permitted | inheritable if magic & _EFFECTIVE else 0, inheritable, permitted)


def said(text: str) -> Sets:
    """What words come to, clause by clause. Raises MalformedError."""
    sets = {"e": 0, "i": 0, "p": 0}
    for clause in text.split():
        match = _CLAUSE(clause)
        if match is None:
            raise MalformedError(f"no capabilities: {clause}")
        which = _which(match[1])
        for sign, flags in _CHANGE.findall(match[2]):
            for flag in sets:
                if sign == "=" or (sign == "-" and flag in flags):
                    sets[flag] &= ~which
                if sign != "-" and flag in flags:
                    sets[flag] |= which
    return Sets(sets["e"], sets["i"], sets["p"])


def _which(names: str) -> int:
    if names in ("", "all"):
        return _ALL
    bits = 0
    for name in names.split(","):
        if name not in _BITS:
            raise MalformedError(f"no capability: {name}")
        bits |= _BITS[name]
    return bits
