"""Listing the private keys of a token, each with the URI that opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from chopmark.keys import Listed, pkcs11_uri
from chopmark.keys.pkcs11_session import TokenSession

if TYPE_CHECKING:
    from collections.abc import Callable

    import pkcs11

    from chopmark.keys.passphrase import Passphrase
    from chopmark.keys.uri import KeyUri


def listed(
    uri: KeyUri, passphrase: Passphrase, spki_of: Callable[[TokenSession, pkcs11.Object], bytes | None]
) -> list[Listed]:
    """The private keys that the URI names; `spki_of` tells a key's public half, None where it does not sign here."""
    wanted = pkcs11_uri.read(uri)
    session = TokenSession(wanted, passphrase, keyless=True)
    try:
        return session.use(lambda opened: _listed(opened, uri, spki_of))
    finally:
        session.close()


def _listed(
    session: TokenSession, uri: KeyUri, spki_of: Callable[[TokenSession, pkcs11.Object], bytes | None]
) -> list[Listed]:
    from pkcs11 import Attribute

    parameters = "&".join(f"{name}={quote(value, safe='/:')}" for name, value in uri.parameters.items())
    token = session.session.token
    found = []
    for key in session.private_keys():
        label = key[Attribute.LABEL]
        identifier = "".join(f"%{octet:02X}" for octet in key[Attribute.ID])
        path = f"pkcs11:token={quote(token.label, safe=' ')};object={quote(label, safe=' ')};id={identifier}"
        try:
            kind = key[Attribute.KEY_TYPE].name
        except (ValueError, AttributeError):  # the vendor's own
            kind = "?"
        found.append(Listed(path + (f"?{parameters}" if parameters else ""), f"{kind} {label}", spki_of(session, key)))
    return found
