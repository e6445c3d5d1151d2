"""Key URIs: `scheme:path?parameter=value&...`, or a plain path."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from chopmark.core.errors import UsageError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(.*)", re.DOTALL)


class KeyUri(NamedTuple):
    """A parsed key URI. `path` is decoded; `parameters` are the rest, such as {"padding": "pss"}.

    `written` is the path as it was written, for schemes in which an encoded delimiter is not one (RFC 7512).
    """

    scheme: str
    path: str
    parameters: Mapping[str, str] = MappingProxyType({})
    written: str = ""

    def only(self, *names: str) -> None:
        """Refuse parameters that the scheme does not have, so that a misspelt one is not silently ignored."""
        for name in self.parameters:
            if name not in names:
                known = f"it has {', '.join(names)}" if names else "it has none"
                message = f"{self.scheme}: keys have no parameter {name!r} ({known})"
                raise UsageError(message)


def parse(text: str, far: Callable[[str], bool]) -> KeyUri:
    """Read a key URI. Without what looks like a scheme in front, known or not, it is a plain path, taken literally.

    In the schemes that are `far`, what follows `//` is somebody's address and stays in the path. Raises UsageError.
    """
    match = _SCHEME.fullmatch(text)
    if match is None:
        return _named("file", text, {}, text)
    from urllib.parse import unquote  # slow to import, and a plain path needs none of it

    path, _, query = match[2].partition("?")
    if path.startswith("//") and not far(match[1]):  # RFC 8089: file://host/path; the only host is this one
        host, slash, rest = path[2:].partition("/")
        if host not in ("", "localhost") or not slash:
            message = f"a key on another host: {host!r} (three slashes name a path on this one: {match[1]}:///...)"
            raise UsageError(message)
        path = "/" + rest
    return _named(match[1], unquote(path), _parameters(query), path)


def _named(scheme: str, path: str, parameters: Mapping[str, str], written: str) -> KeyUri:
    if not path or ("\0" in path and scheme != "pkcs11"):  # there it is an octet of an identifier
        message = f"the key has no name: {scheme}: wants a path"
        raise UsageError(message)
    return KeyUri(scheme, path, parameters, written)


def _parameters(query: str) -> dict[str, str]:
    from urllib.parse import unquote

    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not equals or name in found:
            message = f"not a parameter of a key, or there twice: {name!r} (expected name=value)"
            raise UsageError(message)
        found[name] = unquote(value)
    return found
