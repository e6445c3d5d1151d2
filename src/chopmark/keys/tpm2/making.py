"""Making keys in a TPM, and listing those that stay in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError, UsageError
from chopmark.keys import Listed
from chopmark.keys.errors import UnusableKeyError
from chopmark.keys.generate import store
from chopmark.keys.tpm2 import signer, transport, wire
from chopmark.keys.tpm2.commands import HANDLE, OWNER, Tpm, TpmError, explained
from chopmark.keys.tpm2.keyfile import KeyFile

if TYPE_CHECKING:
    from chopmark.keys.passphrase import Passphrase
    from chopmark.keys.tpm2.signer import Place, TpmSigner
    from chopmark.keys.uri import KeyUri


def make_key(uri: KeyUri, kind: str, chosen: Passphrase) -> TpmSigner:
    """Make a signing key below the owner's primary storage key; see the package."""
    if kind not in (*wire.RSA_SIZES, *wire.CURVE_IDS):
        message = f"keys of the type {kind} are not made in TPMs ({', '.join((*wire.RSA_SIZES, *wire.CURVE_IDS))} are)"
        raise UsageError(message)
    where = signer.place(uri)
    if where.path:
        _refuse_taken(where.path)
    auth = signer.auth_value(chosen(where.name), where.name)
    template = wire.signing_key(kind, protected=bool(auth))
    with explained(where.name), transport.Channel(where.way) as channel:
        tpm = Tpm(channel)
        if where.handle:
            _refuse_occupied(tpm, where)
        with tpm.primary(OWNER, wire.storage_key(use_rsa=False)) as parent:
            made = tpm.create(parent, template, auth)
            if where.handle:
                with tpm.loaded(parent, made) as handle:
                    tpm.persist(handle, where.handle)
    if where.path:
        store(where.path, KeyFile(made, OWNER, empty_auth=not auth).encoded())
    return signer.open_key(uri, lambda _: auth or None)


def _refuse_taken(path: str) -> None:
    import os

    if os.path.lexists(path):
        message = f"{path}: exists already, and a key that is overwritten is lost"
        raise UsageError(message)


def _refuse_occupied(tpm: Tpm, where: Place) -> None:
    try:
        tpm.read_public(where.handle)
    except TpmError as error:
        if error.code != HANDLE:
            raise
        return
    message = f"{where.name}: there is a key already (tpm2_evictcontrol removes it)"
    raise UnusableKeyError(message)


def list_keys(uri: KeyUri) -> list[Listed]:
    """The persistent keys; those that do not sign here have no public key. Raises UsageError, UnavailableError."""
    uri.only("tcti")
    way = uri.parameters.get("tcti")
    found = []
    with explained("tpm2"), transport.Channel(transport.chosen(way)) as channel:
        tpm = Tpm(channel)
        for handle in tpm.persistent_handles():
            raw, _ = tpm.read_public(handle)
            spki, kind = None, "key"
            try:
                public = wire.public(raw)
                kind = "signing key" if public.attributes & wire.SIGN else "key that protects others"
                if public.attributes & wire.SIGN and not public.attributes & wire.RESTRICTED:
                    spki = public.spki
            except MalformedError as error:
                kind = str(error)
            found.append(Listed(f"tpm2:handle={handle:#010x}" + (f"?tcti={way}" if way else ""), kind, spki))
    return found
