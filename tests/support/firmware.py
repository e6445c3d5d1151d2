"""Keys of Secure Boot, and lists and updates made with them, for tests."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from chopmark.envelopes.efi import lists, making, update
from tests.support import pki

if TYPE_CHECKING:
    from pathlib import Path

PK = pki.leaf(None, "Example PK", kind="rsa4096")
KEK = pki.leaf(None, "Example KEK", kind="rsa3072")
DB = pki.leaf(None, "Example db", kind="rsa2048")
STRANGER = pki.leaf(None, "Example Stranger", kind="rsa2048")
TIME = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
OWNER = bytes(range(16))


def entries(*holders: pki.Entity) -> list[lists.Entry]:
    """An entry for each certificate."""
    return [lists.certificate_entry(each.der, OWNER) for each in holders]


def written(*holders: pki.Entity) -> bytes:
    """A list of certificates."""
    return lists.write(entries(*holders))


def signed(
    variable: str = "db",
    value: bytes | None = None,
    by: pki.Entity = KEK,
    *,
    append: bool = False,
    time: dt.datetime = TIME,
    content_info: bool = False,
) -> update.Update:
    """An update, read back."""
    wish = making.Wish(variable, time, written(DB) if value is None else value, append)
    return update.read(making.sign(wish, by, by.certificates, content_info=content_info))


def efivars(folder: Path, **values: bytes) -> Path:
    """A folder of variables as efivarfs has them, each with its attributes."""
    from chopmark.envelopes.efi import variables

    folder.mkdir(exist_ok=True)
    for name, value in values.items():
        (folder / variables.file_name(name)).write_bytes(b"\x27\0\0\0" + value)
    return folder
