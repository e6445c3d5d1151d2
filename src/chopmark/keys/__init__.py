"""Who can sign: one module per scheme of key URIs, found by discovery.

A scheme is a module of this package, or an entry point in the group `chopmark.keys`, that offers
`open_key(uri: KeyUri, passphrase: Passphrase) -> Signer` under the name of the scheme.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from chopmark.core import discovery
from chopmark.core.errors import UsageError
from chopmark.keys.passphrase import Passphrase, new_secret, nothing, secret
from chopmark.keys.uri import KeyUri, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.core.contracts import Signer

__all__ = ["KeyUri", "Passphrase", "new_secret", "nothing", "open_key", "schemes", "secret"]


def open_key(uri: str, passphrase: Passphrase = nothing) -> Signer:
    """The key that a URI names: `file:PATH`, `pkcs12:PATH`, or a plain path, which is a file taken literally.

    `passphrase` is asked only when the key is protected, with a few words on what for (`keys.secret` makes one). Raises
    UsageError (UnusableKeyError, PassphraseError) or InputError when there is no such key or it cannot be used.
    """
    named = parse(uri, schemes())
    opener: Callable[[KeyUri, Passphrase], Signer] | None = schemes().get(named.scheme)
    if opener is None:
        known = ", ".join(f"{scheme}:" for scheme in sorted(schemes()))
        message = f"unknown kind of key {named.scheme}: (known: {known}; a plain path is a file)"
        raise UsageError(message)
    return opener(named, passphrase)


def schemes() -> dict[str, Callable[[KeyUri, Passphrase], Signer]]:
    """Every scheme that can be opened here."""
    return cast("dict[str, Callable[[KeyUri, Passphrase], Signer]]", discovery.exported(__name__, "open_key"))
