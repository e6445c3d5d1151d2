"""Limits that a store puts on the names below one of its roots (RFC 5914 clause 2.3, RFC 5937), as text and as trees.

A name is written `dn:O=Example Ltd`, `dns:example.com`, `email:example.com`, `uri:example.com` or `ip:192.0.2.0/24`.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from chopmark.core.errors import UsageError
from chopmark.envelopes import der
from chopmark.envelopes import names as written
from chopmark.trust.paths import names

if TYPE_CHECKING:
    from collections.abc import Iterable

_TEXTS = {"email": 1, "dns": 2, "uri": 6}
_UNQUOTED = ":/=@*"


@lru_cache(maxsize=64)
def subtrees(permitted: tuple[str, ...], excluded: tuple[str, ...]) -> names.Subtrees | None:
    """The trees of names that are permitted and excluded; None without any. Raises UsageError."""
    if not permitted and not excluded:
        return None
    blocks = [der.explicit(number, *map(_tree, each)) for number, each in enumerate((permitted, excluded)) if each]
    try:
        return names.read_subtrees(der.sequence(*blocks))
    except der.DerError as error:
        raise UsageError(f"a limit on names: {error}") from None


def _tree(text: str) -> bytes:
    """A GeneralSubtree. Raises UsageError."""
    kind, _, value = text.partition(":")
    if kind == "dn" and value:
        return der.sequence(der.explicit(4, written.encode(written.ordered(written.parse(value)))))
    if kind in _TEXTS and value.isascii() and value:
        return der.sequence(der.implicit(_TEXTS[kind], value.encode()))
    if kind == "ip":
        try:
            network = ipaddress.ip_network(value)
        except ValueError as error:
            raise UsageError(f"a limit on names: {error}") from None
        return der.sequence(der.implicit(7, network.network_address.packed + network.netmask.packed))
    raise UsageError(
        f"not a name to permit or exclude: {text!r} (dn:O=Example, dns:example.com, email:, uri:, ip:192.0.2.0/24)"
    )


def join(limits: Iterable[str]) -> str:
    """Several names as one word of a remark."""
    return ",".join(quote(each, safe=_UNQUOTED) for each in limits)


def split(word: str) -> tuple[str, ...]:
    """What `join` made of."""
    return tuple(map(unquote, word.split(",")))
