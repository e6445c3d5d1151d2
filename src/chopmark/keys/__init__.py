"""Who can sign: one module per scheme of key URIs, found by discovery.

A scheme is a module of this package, or an entry point in the group `chopmark.keys`, that offers
`open_key(uri: KeyUri, passphrase: Passphrase) -> Signer` under the name of the scheme (`_` stands for `-`). One whose
keys are behind HTTP offers `open_far_key(uri: KeyUri, web: Web) -> Signer` instead. A module may also offer
`make_key(uri: KeyUri, kind: str, existing: Passphrase, chosen: Passphrase) -> Signer` and
`list_keys(uri: KeyUri, passphrase: Passphrase) -> Iterable[Listed]`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from chopmark.core import discovery
from chopmark.core.errors import UsageError
from chopmark.core.named import NamedTuple
from chopmark.keys.passphrase import Passphrase, new_secret, nothing, secret
from chopmark.keys.uri import KeyUri, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chopmark.core.contracts import Signer, Web

__all__ = [
    "KeyUri",
    "Listed",
    "Passphrase",
    "list_keys",
    "makers",
    "new_key",
    "new_secret",
    "nothing",
    "open_key",
    "schemes",
    "secret",
]


class Listed(NamedTuple):
    """A key that is there: the URI that opens it, what people call it, and its public key in DER if it can be told."""

    uri: str
    kind: str
    public_key: bytes | None


def open_key(uri: str, passphrase: Passphrase = nothing, web: Callable[[], Web] | None = None) -> Signer:
    """The key that a URI names: `file:PATH`, `pkcs11:TOKEN` and so on, or a plain path, a file taken literally.

    `passphrase` is asked only when the key is protected, with a few words on what for (`keys.secret` makes one); `web`
    makes what speaks HTTP, for keys in clouds (`engine.keyring` opens keys with it). Raises UsageError
    (UnusableKeyError, PassphraseError) or InputError when there is no such key or it cannot be used, UnavailableError
    when it is out of reach.
    """
    named = _parsed(uri)
    scheme = _scheme(named.scheme)
    if scheme is None or (scheme.far and web is None):
        message = f"{named.scheme}: keys are behind the network, which is not used here"
        raise UsageError(message)
    signer: Signer = scheme.opener(named, web() if web and scheme.far else passphrase)
    return signer


def new_key(uri: str, kind: str, existing: Passphrase = nothing, chosen: Passphrase = nothing) -> Signer:
    """Make a key of a kind ("p256", "rsa-3072", ...) where the URI says, in one of `makers()`.

    `existing` answers what opens the place, such as a token's PIN, `chosen` what will protect the key by itself, where
    keys have that. Raises UsageError, UnavailableError.
    """
    named = _parsed(uri)
    if named.scheme not in makers():
        message = f"no keys are made in {named.scheme}: (in {', '.join(f'{scheme}:' for scheme in makers())} they are)"
        raise UsageError(message)
    maker: Callable[[KeyUri, str, Passphrase, Passphrase], Signer] = _offered("make_key")[named.scheme]
    return maker(named, kind, existing, chosen)


def list_keys(uri: str, passphrase: Passphrase = nothing) -> Iterable[Listed]:
    """The keys below what a URI names, such as `pkcs11:token=NAME` or `ssh-agent:`. Raises UsageError."""
    scheme, _, _ = uri.partition(":")
    listers: dict[str, Callable[[KeyUri, Passphrase], Iterable[Listed]]] = _offered("list_keys")
    if scheme not in listers:
        message = f"keys are listed in {', '.join(f'{known}:' for known in sorted(listers))}"
        raise UsageError(message)
    named = KeyUri(scheme, "") if uri == f"{scheme}:" else _parsed(uri)
    return listers[scheme](named, passphrase)


def makers() -> list[str]:
    """The schemes in which keys can be made."""
    return sorted(_offered("make_key"))


def schemes() -> dict[str, Callable[[KeyUri, Passphrase], Signer]]:
    """Every scheme whose keys can be opened without the network."""
    return _named(discovery.exported(__name__, "open_key"))


class _Scheme(NamedTuple):
    """How keys of a scheme are opened: with nothing else, or `far`, with what speaks HTTP."""

    opener: Any
    far: bool


@cache
def _scheme(name: str) -> _Scheme | None:
    """A scheme by name. Only its own module is loaded; all are when it is none of ours, but perhaps of a package."""
    module = name.replace("-", "_")
    if opener := discovery.member(__name__, module, "open_key"):
        return _Scheme(opener, far=False)
    if opener := discovery.member(__name__, module, "open_far_key"):
        return _Scheme(opener, far=True)
    return _Scheme(opener, far=False) if (opener := schemes().get(name)) else None


def _offered(attribute: str) -> dict[str, Any]:
    return _named(discovery.offered(__name__, attribute))


def _named(found: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "-"): thing for name, thing in found.items()}


def _parsed(uri: str) -> KeyUri:
    named = parse(uri, _is_far)
    if not _known(named.scheme):
        known = ", ".join(f"{scheme}:" for scheme in sorted({*schemes(), *_offered("open_far_key")}))
        message = f"unknown kind of key {named.scheme}: (known: {known}; a plain path is a file)"
        raise UsageError(message)
    return named


def _known(name: str) -> bool:
    return _scheme(name) is not None


def _is_far(name: str) -> bool:
    scheme = _scheme(name)
    return scheme is not None and scheme.far
