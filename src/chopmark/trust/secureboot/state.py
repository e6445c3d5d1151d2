"""What a machine's firmware and shim know: the variables of Secure Boot, from a folder of efivarfs or from files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import read_small
from chopmark.core.errors import BrokenError, InputError, MalformedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import der, pem, x509
from chopmark.envelopes.efi import lists, update, variables
from chopmark.trust.secureboot import chains

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LIVE = "/sys/firmware/efi/efivars"
_FILE_MAX = limits.EFI_LISTS_MAX + limits.ENVELOPE_MAX
Entries = tuple[lists.Entry, ...]


class Databases(NamedTuple):
    """What is allowed (`db`), what is forbidden (`dbx`), and whose time stamps count (`dbt`).

    `mok`, `mokx` are the machine owner's, `vendor`, `vendorx` those that shim carries. `dbx_known` says whether there
    was a dbx at all; `enforcing` whether Secure Boot is on, None when nobody said; `level` is a level of SBAT
    revocations (CSV), None when none is known.
    """

    db: Entries = ()
    dbx: Entries = ()
    dbt: Entries = ()
    mok: Entries = ()
    mokx: Entries = ()
    vendor: Entries = ()
    vendorx: Entries = ()
    dbx_known: bool = False
    enforcing: bool | None = None
    level: bytes | None = None


def read_file(path: str) -> variables.Stored:
    """A list in any of its forms. Raises UsageError for what cannot be read or is none."""
    try:
        return variables.read(read_small(path, _FILE_MAX))
    except InputError as error:
        raise UsageError(str(error)) from None
    except MalformedError as error:
        raise UsageError(f"{path}: {error}") from None


def read_update(path: str) -> update.Update:
    """A signed update. Raises InputError where it cannot be read, MalformedError where it is none."""
    try:
        return update.read(read_small(path, _FILE_MAX))
    except BrokenError as error:
        raise BrokenError(error.reason, f"{path}: {error.detail}") from None


def entries(path: str) -> Entries:
    """What is in a list, in any of its forms, or in a file of certificates. Raises UsageError."""
    try:
        data = read_small(path, _FILE_MAX)
    except InputError as error:
        raise UsageError(str(error)) from None
    try:
        if not data:  # half a download of what is forbidden would forbid nothing
            raise MalformedError("the file is empty")
        if b"-----BEGIN " in data or data.startswith(b"\x30"):
            return tuple(lists.certificate_entry(raw) for raw in pem.certificates(data))
        return tuple(lists.read(variables.read(data).value))
    except MalformedError as error:
        raise UsageError(f"{path}: neither signature lists nor certificates: {error}") from None


def x509_entries(found: Iterable[lists.Entry]) -> list[x509.Certificate]:
    """The certificates among some entries that can be read; firmware passes over the others as well.

    What fills up an entry behind one does not matter to firmware: entries of one list are all of one size.
    """
    return chains.certificates(_first(each.data) for each in found if each.kind.name == "x509")


def _first(data: bytes) -> bytes:
    """The first value in some DER; all of it where there is none."""
    try:
        return data[: der.prefix(data).end]
    except MalformedError:
        return data


def certificates(path: str) -> list[x509.Certificate]:
    """The certificates in a list, or in a file of them. Raises UsageError when there is none."""
    try:
        found = [x509.certificate(each.data) for each in entries(path) if each.kind.name == "x509"]
    except MalformedError as error:
        raise UsageError(f"{path}: {error}") from None
    if not found:
        raise UsageError(f"{path}: there is no certificate in it")
    return found


def read_folder(path: str) -> Iterator[tuple[str, variables.Stored]]:
    """The variables of a folder that hold lists, by name. Raises UsageError for one that cannot be read."""
    for name in variables.LISTS:
        data = _variable(path, name)
        if data is None:
            continue
        try:
            stored = variables.Stored(data[variables.PREFIX :], int.from_bytes(data[: variables.PREFIX], "little"))
            lists.read(stored.value)
        except MalformedError as error:
            raise UsageError(f"{os.path.join(path, variables.file_name(name))}: {error}") from None
        yield name, stored


def require_folder(path: str) -> None:
    """Raises UsageError where there are no variables at all, as on machines that UEFI did not start."""
    if not os.path.isdir(path):
        raise UsageError(f"{path}: no folder of variables (not started by UEFI?); name files instead")


def machine(path: str) -> Databases:
    """All that a folder of variables says. Raises UsageError when it cannot be read, or has none of them."""
    require_folder(path)
    found = {name: tuple(lists.read(stored.value)) for name, stored in read_folder(path)}
    secure, setup = (_variable(path, name) for name in ("SecureBoot", "SetupMode"))
    if not found and secure is None:
        raise UsageError(f"{path}: none of the variables of Secure Boot is there")
    level = _variable(path, "SbatLevelRT")
    return Databases(
        db=found.get("db", ()),
        dbx=found.get("dbx", ()),
        dbt=found.get("dbt", ()),
        mok=found.get("MokListRT", ()),
        mokx=found.get("MokListXRT", ()),
        dbx_known="dbx" in found,
        enforcing=None if secure is None else secure[-1:] == b"\1" and (setup or b"\0")[-1:] == b"\0",
        level=level[variables.PREFIX :] if level is not None else None,
    )


def _variable(folder: str, name: str) -> bytes | None:
    """The file of a variable, with its attributes. Raises UsageError for one that is there and cannot be read."""
    path = os.path.join(folder, variables.file_name(name))
    if not os.path.lexists(path):
        return None
    try:
        data = read_small(path, _FILE_MAX)
    except InputError as error:
        raise UsageError(str(error)) from None
    if len(data) < variables.PREFIX:
        raise UsageError(f"{path}: shorter than its attributes")
    return data
