"""Signing an update: PKCS #7 over the variable's name, GUID, attributes, time and value, without signed attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError, RefusedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import belonging, der, public_keys
from chopmark.envelopes.efi import guid, moment, update, variables
from chopmark.envelopes.module.building import BareDraft

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from chopmark.core.contracts import Signer


_DIGEST = "sha256"
_ATTRIBUTES = 4
"""Octets of the attributes in what is signed."""


class Wish(NamedTuple):
    """Which variable is to be changed: by name; whether the value is added to what is there; when; its new value."""

    variable: str
    time: dt.datetime
    value: bytes
    append: bool = False

    @property
    def attributes(self) -> int:
        """Those that firmware puts into what is signed."""
        return variables.ATTRIBUTES | (variables.APPEND if self.append else 0)

    @property
    def message(self) -> bytes:
        """What the key signs, with SHA-256. Raises BrokenError for a variable that takes no updates."""
        vendor = variables.vendor(self.variable)
        return update.message(self.variable, vendor, self.attributes, moment.encode(self.time), self.value)


def time_in(message: bytes, variable: str) -> dt.datetime:
    """The time in a message for a variable. Raises MalformedError."""
    start = len(variable.encode("utf-16-le")) + guid.SIZE + _ATTRIBUTES
    time = moment.read(message[start : start + moment.SIZE].ljust(moment.SIZE, b"\0"))
    if time is None:
        raise MalformedError("there is no time in what was signed")
    return time


def sign(wish: Wish, signer: Signer, certificates: Sequence[bytes], *, content_info: bool = False) -> bytes:
    """The file of a signed update; `certificates` are DER, the signer's first, and travel along.

    SHA-256 always, because firmware before UEFI 2.9 takes nothing else. Raises RefusedError for a key that firmware
    does not take.
    """
    belonging.certificate_of(signer, certificates)
    _refuse_key(signer.algorithm)
    return finish(wish, signer.sign(wish.message, _DIGEST), certificates, content_info=content_info)


def finish(wish: Wish, signature: bytes, certificates: Sequence[bytes], *, content_info: bool = False) -> bytes:
    """The same with a signature made elsewhere. Raises RefusedError when it is not the signer's over `wish.message`."""
    certificate = belonging.first(certificates)
    _refuse_key(public_keys.kind(certificate.spki))
    made = BareDraft(wish.message, _DIGEST, certificate, certificates, null=True).finish(signature)
    if not content_info:
        made = der.parse(made).children()[1].only_child().raw
    return update.write(update.Update(moment.encode(wish.time), made, wish.value))


def _refuse_key(kind: str) -> None:
    if kind != "rsa":
        raise RefusedError(f"firmware takes updates that are signed with RSA keys, not {kind}")
