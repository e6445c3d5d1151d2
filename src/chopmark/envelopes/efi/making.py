"""Signing an update: PKCS #7 over the variable's name, GUID, attributes, time and value, without signed attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chopmark.core.errors import RefusedError
from chopmark.envelopes import der, x509
from chopmark.envelopes.efi import moment, update, variables
from chopmark.envelopes.module.building import BareDraft

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from chopmark.core.contracts import Signer


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


def sign(wish: Wish, signer: Signer, certificates: Sequence[bytes], *, content_info: bool = False) -> bytes:
    """The file of a signed update; `certificates` are DER, the signer's first, and travel along.

    SHA-256 always, because firmware before UEFI 2.9 takes nothing else. Raises RefusedError for a key that firmware
    does not take, and for a time that the variable cannot have.
    """
    if signer.algorithm != "rsa":
        raise RefusedError(f"firmware takes updates that are signed with RSA keys, not {signer.algorithm}")
    certificate = x509.certificate(certificates[0])
    if certificate.spki != signer.public_key:
        raise RefusedError(f"the certificate of {certificate.subject_text} is for another key")
    time_raw = moment.encode(wish.time)
    message = update.message(wish.variable, variables.vendor(wish.variable), wish.attributes, time_raw, wish.value)
    draft = BareDraft(message, "sha256", certificate, certificates, null=True)
    made = draft.finish(signer.sign(draft.to_be_signed, draft.digest_algorithm))
    if not content_info:
        made = der.parse(made).children()[1].only_child().raw
    return update.write(update.Update(time_raw, made, wish.value))
