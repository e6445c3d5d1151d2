"""Keys of Secure Boot, and lists and updates made with them, for tests."""

from __future__ import annotations

import datetime as dt
import struct
from typing import TYPE_CHECKING

from chopmark.core import digest as digests
from chopmark.core.artifact import Artifact
from chopmark.core.contracts import SealOptions
from chopmark.engine import sign
from chopmark.envelopes import timestamp
from chopmark.envelopes.efi import lists, making, update, variables
from tests.support import pki
from tests.vectors.pe import make

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.core.contracts import Stamper

PK = pki.leaf(None, "Example PK", kind="rsa4096")
KEK = pki.leaf(None, "Example KEK", kind="rsa3072")
DB = pki.leaf(None, "Example db", kind="rsa2048")
STRANGER = pki.leaf(None, "Example Stranger", kind="rsa2048")
TIME = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
OWNER = bytes(range(16))
VENDOR = pki.authority("Example Vendor CA", kind="rsa3072")
GRUB = (
    b"sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n"
    b"grub,3,Free Software Foundation,grub,2.06,https://www.gnu.org/software/grub/\n"
    b"grub.debian,4,Debian,grub2,2.06-3,https://tracker.debian.org/pkg/grub2\n"
)
LEVEL = b"sbat,1,2024010900\nshim,4\ngrub,3\ngrub.debian,4\n"


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


def image(**sections: bytes) -> bytes:
    """An EFI application with these sections (without their dots) behind its code."""
    own = (make.Section(b".text", make.RETURN_ZERO),)
    more = (make.Section(f".{name}".encode(), data, 0x40000040) for name, data in sections.items())
    return make.Pe(subsystem=make.EFI_APPLICATION, sections=(*own, *more)).build()


def sealed(
    data: bytes, *holders: pki.Entity, digest: str = "sha256", stamper: Stamper | None = None, at: dt.datetime = pki.NOW
) -> bytes:
    """An image signed by each of these, one beside the other."""
    for number, holder in enumerate(holders):
        artifact = Artifact.from_bytes(data, "image.efi")
        options = SealOptions(digest_algorithm=digest, append=bool(number))
        made = sign.sign(artifact, sign.SignRequest(holder, holder.certificates, at, options, stamper))
        data = made.patch.render(artifact)
    return data


class Clock:
    """A time-stamp authority at hand (core.contracts.Stamper) that always says the same time."""

    def __init__(self, tsa: pki.Entity, time: dt.datetime) -> None:
        self._tsa = tsa
        self._time = time

    def stamp(self, signature: bytes, digest_algorithm: str) -> bytes:
        """A token with this time."""
        imprint = digests.of(signature, digest_algorithm)
        info = timestamp.TstInfo("1.2.3.4", digest_algorithm, imprint, 7, self._time)
        return timestamp.make_token(info, self._tsa, self._tsa.certificates)


def efivars(folder: Path, **values: bytes) -> Path:
    """A folder of variables as efivarfs has them, each with its attributes."""
    folder.mkdir(exist_ok=True)
    for name, value in values.items():
        (folder / variables.file_name(name)).write_bytes(b"\x27\0\0\0" + value)
    return folder


def shim(allowed: bytes = VENDOR.der, forbidden: bytes = b"", level: bytes = LEVEL, **more: bytes) -> bytes:
    """An image that carries what shim carries, under names that stand behind the symbols."""
    table = struct.pack("<IIII", len(allowed), len(forbidden), 16, 16 + len(allowed)) + allowed + forbidden
    levels = struct.pack("<III", 0, 8, 8 + len(level) + 1) + level + b"\0sbat,1,2099010100\n\0"
    names = b"\0\0\0\0.vendor_cert\0.sbatlevel\0"
    built = make.Pe(
        subsystem=make.EFI_APPLICATION,
        sections=(
            make.Section(b".text", make.RETURN_ZERO),
            make.Section(b"/4", table),
            make.Section(b"/17", levels),
            *(make.Section(f".{name}".encode(), data) for name, data in more.items()),
        ),
        overlay=names,
    )
    data = bytearray(built.build())
    struct.pack_into("<II", data, built.lfanew + 12, len(data) - len(names), 0)
    return bytes(data)
