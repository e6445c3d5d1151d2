"""What a `pkcs11:` URI says (RFC 7512): which token, which key on it, through which module, and where the PIN is."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.core.errors import UsageError
from chopmark.keys.errors import PassphraseError
from chopmark.keys.passphrase import secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.keys.passphrase import Passphrase
    from chopmark.keys.uri import KeyUri

TOKEN_ATTRIBUTES = ("token", "manufacturer", "model", "serial", "slot-id")
"""Path attributes that choose the token."""
KEY_ATTRIBUTES = ("object", "id", "type")
"""Path attributes that choose the key on it."""
PARAMETERS = ("module-path", "module-name", "pin-source", "padding")

_MODULE_FOLDERS = (
    "/usr/lib/{machine}-linux-gnu/pkcs11",
    "/usr/lib/{machine}-linux-gnu",
    "/usr/lib/{machine}-linux-gnu/softhsm",
    "/usr/lib64/pkcs11",
    "/usr/lib64",
    "/usr/lib/pkcs11",
    "/usr/lib/softhsm",
    "/usr/lib",
    "/usr/local/lib/pkcs11",
    "/usr/local/lib",
)
"""Where distributions and vendors put modules."""
_PROXY = "p11-kit-proxy"
_PROXY_LIBRARY = ("libp11-kit.so.0",)
"""What the proxy is a link to; some distributions leave the link to a development package."""
_SLOT_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class TokenUri:
    """A `pkcs11:` URI, read. What is None was not said and matches anything."""

    token: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    slot_id: int | None = None
    object: str | None = None
    id: bytes | None = None
    module_path: str = ""
    module_name: str = ""
    pin_source: str = ""
    padding: str = ""


def read(uri: KeyUri) -> TokenUri:
    """Read a `pkcs11:` URI. Raises UsageError; nothing that could be a PIN is repeated."""
    attributes = _attributes(uri.written)
    for name in (*attributes, *uri.parameters):
        if name == "pin-value":
            message = "a PIN never goes into a key URI, where others can read it: say pin-source=fd:N or env:NAME"
            raise UsageError(message)
    uri.only(*PARAMETERS)
    for name in attributes:
        if name not in (*TOKEN_ATTRIBUTES, *KEY_ATTRIBUTES):
            message = f"pkcs11: keys have no attribute {name!r} ({', '.join((*TOKEN_ATTRIBUTES, *KEY_ATTRIBUTES))})"
            raise UsageError(message)
    if attributes.get("type", b"private") != b"private":
        message = "pkcs11: a signing key is of type=private; this URI names something else"
        raise UsageError(message)
    if "module-path" in uri.parameters and "module-name" in uri.parameters:
        message = "pkcs11: module-path and module-name both say which module; one is enough"
        raise UsageError(message)
    return TokenUri(
        token=_text(attributes, "token"),
        manufacturer=_text(attributes, "manufacturer"),
        model=_text(attributes, "model"),
        serial=_text(attributes, "serial"),
        slot_id=_slot(_text(attributes, "slot-id")),
        object=_text(attributes, "object"),
        id=attributes.get("id"),
        module_path=uri.parameters.get("module-path", ""),
        module_name=uri.parameters.get("module-name", ""),
        pin_source=uri.parameters.get("pin-source", ""),
        padding=uri.parameters.get("padding", ""),
    )


def _attributes(written: str) -> dict[str, bytes]:
    """The `name=value` pairs of the path, decoded after they were taken apart (RFC 7512 clause 2.3)."""
    from urllib.parse import unquote_to_bytes

    found: dict[str, bytes] = {}
    for part in filter(None, written.split(";")):
        name, equals, value = part.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
            message = "pkcs11: expected attributes like token=NAME;object=NAME"  # it may be a PIN: not repeated
            raise UsageError(message)
        if name in found:
            message = f"pkcs11: the attribute {name} is there twice"
            raise UsageError(message)
        if re.search(r"%(?![0-9A-Fa-f]{2})", value):
            message = f"pkcs11: the value of {name} has a % that encodes nothing (%25 is a percent sign)"
            raise UsageError(message)
        found[name] = unquote_to_bytes(value)
    return found


def _text(attributes: Mapping[str, bytes], name: str) -> str | None:
    try:
        return attributes[name].decode() if name in attributes else None
    except UnicodeDecodeError:
        message = f"pkcs11: the value of {name} is not UTF-8"
        raise UsageError(message) from None


def _slot(value: str | None) -> int | None:
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,20}", value) or int(value) > _SLOT_MAX:
        message = "pkcs11: slot-id is a decimal number"
        raise UsageError(message)
    return int(value)


def module(uri: TokenUri) -> str:
    """The path of the PKCS #11 module to load. Raises UsageError.

    Without one in the URI it is p11-kit's proxy, which offers every module that the system is configured with.
    """
    if uri.module_path:
        if not os.path.isabs(uri.module_path):
            message = "pkcs11: module-path is an absolute path: what it names is loaded and run"
            raise UsageError(message)
        if not os.path.isfile(uri.module_path):
            message = f"pkcs11: there is no module {uri.module_path}"
            raise UsageError(message)
        return uri.module_path
    name = uri.module_name or _PROXY
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+-]*", name):
        message = "pkcs11: module-name is a bare name, such as softhsm2; module-path takes a path"
        raise UsageError(message)
    for folder in _MODULE_FOLDERS:
        for file in (f"{name}.so", f"lib{name}.so", *(() if uri.module_name else _PROXY_LIBRARY)):
            path = os.path.join(folder.format(machine=os.uname().machine), file)
            if os.path.isfile(path):
                return path
    if uri.module_name:
        message = f"pkcs11: no module {name} in the usual folders: say ?module-path=/path/to/module.so"
    else:
        message = "pkcs11: say which module the token needs: ?module-path=/path/to/module.so or ?module-name=NAME"
    raise UsageError(message)


def pin_of(uri: TokenUri, passphrase: Passphrase) -> Passphrase:
    """Where the PIN comes from: the URI's pin-source, else the caller's source. Raises UsageError."""
    if not uri.pin_source:
        return passphrase
    if uri.pin_source.startswith("file:"):
        return _PinFile(uri.pin_source.removeprefix("file:"))
    return secret(uri.pin_source)


class _PinFile:
    """The first line of a file that only its owner can read."""

    def __init__(self, path: str) -> None:
        self._path = "/" + path.lstrip("/") if path.startswith("//") else path

    def __call__(self, what: str) -> bytes:
        from chopmark.keys.file import read as read_file

        file = read_file(self._path)
        if file.exposed:
            message = f"{what}: others can read the PIN in {self._path}: chmod 600 it"
            raise PassphraseError(message)
        return file.data.split(b"\n", 1)[0].removesuffix(b"\r")
