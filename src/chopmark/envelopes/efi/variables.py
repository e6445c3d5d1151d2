"""The variables of UEFI that hold keys, and the forms in which their values lie in files."""

from __future__ import annotations

from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.envelopes.efi import guid, lists, reasons, update

NON_VOLATILE, BOOT, RUNTIME, TIME_BASED, APPEND = 0x01, 0x02, 0x04, 0x20, 0x40
ATTRIBUTES = NON_VOLATILE | BOOT | RUNTIME | TIME_BASED
"""Those of PK, KEK, db, dbx, dbt and dbr (UEFI 2.10 table 3-1)."""
_KNOWN_ATTRIBUTES = 0xFF
PREFIX = 4
"""Octets of attributes before the value in efivarfs (Linux, Documentation/filesystems/efivarfs.rst)."""
GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
SECURITY = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
SHIM = "605dab50-e046-4300-abb6-3dd810dd8b23"
SIGNED = {"PK": GLOBAL, "KEK": GLOBAL, "db": SECURITY, "dbx": SECURITY, "dbt": SECURITY, "dbr": SECURITY}
"""Variables that are changed by signed updates, and the GUID that belongs to the name."""
LISTS = {**SIGNED, **dict.fromkeys(("MokListRT", "MokListXRT", "MokList", "MokListX"), SHIM)}
"""Variables that hold signature lists."""


class Stored(NamedTuple):
    """A value as a file has it: its octets, its attributes in efivarfs, the update that it came in."""

    value: bytes
    attributes: int | None = None
    update: update.Update | None = None

    @property
    def form(self) -> str:
        """What kind of file it is, for people."""
        if self.update is not None:
            return "signed update"
        return "signature lists" if self.attributes is None else "efivarfs variable"


def recognised(data: bytes) -> bool:
    """Whether the beginning is that of a list of a type that is known, in any of the forms of files."""
    known = {kind.octets for kind in lists.KINDS}
    return data[: guid.SIZE] in known or data[PREFIX : PREFIX + guid.SIZE] in known or update.looks_like(data)


def read(data: bytes) -> Stored:
    """Signature lists, alone, in a signed update or in a file of efivarfs. Raises BrokenError for anything else."""
    if update.looks_like(data):
        found = update.read(data)
        lists.read(found.payload)
        return Stored(found.payload, update=found)
    try:
        lists.read(data)
    except BrokenError as error:
        stored = _efivarfs(data)
        if stored is None:
            raise error from None
        return stored
    return Stored(data)


def _efivarfs(data: bytes) -> Stored | None:
    attributes = int.from_bytes(data[:PREFIX], "little")
    if len(data) < PREFIX or not attributes & BOOT or attributes & ~_KNOWN_ATTRIBUTES:
        return None
    try:
        lists.read(data[PREFIX:])
    except BrokenError:
        return None
    return Stored(data[PREFIX:], attributes)


def vendor(name: str) -> bytes:
    """The GUID of a variable that takes signed updates. Raises BrokenError for another."""
    if name not in SIGNED:
        raise BrokenError(reasons.UPDATE, f"{name[:64]!r} is none of {', '.join(SIGNED)}")
    return guid.encode(SIGNED[name])


def file_name(name: str) -> str:
    """What efivarfs calls a variable."""
    return f"{name}-{LISTS.get(name) or OTHERS[name]}"


OTHERS = {"SecureBoot": GLOBAL, "SetupMode": GLOBAL, "SbatLevelRT": SHIM}
"""Variables that hold something else."""
