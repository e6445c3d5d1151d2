"""`ssh:PATH`: a private key in OpenSSH's own format, as ssh-keygen makes it.

An encrypted one needs the package bcrypt; an agent (`ssh-agent:`) is the usual way to use such a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from chopmark.keys.errors import PassphraseError, UnusableKeyError
from chopmark.keys.file import read, refuse_exposed
from chopmark.keys.software import SoftwareSigner, checked

if TYPE_CHECKING:
    from chopmark.keys.file import KeyFile
    from chopmark.keys.passphrase import Passphrase
    from chopmark.keys.uri import KeyUri

_MARK = b"-----BEGIN OPENSSH PRIVATE KEY-----"


def open_key(uri: KeyUri, passphrase: Passphrase) -> SoftwareSigner:
    """Open a private key. Raises UnusableKeyError, PassphraseError (both UsageError), InputError."""
    uri.only("padding")
    file = read(uri.path)
    if not file.data.startswith(_MARK):
        message = f"{uri.path}: not a private key in OpenSSH's format"
        raise UnusableKeyError(message)
    try:
        key = _loaded(file, passphrase)
    except UnsupportedAlgorithm as error:
        message = f"{uri.path}: {error}; load it into an agent and use ssh-agent:"
        raise UnusableKeyError(message) from None
    except (TypeError, ValueError) as error:
        message = f"{uri.path}: it cannot be read ({error})"
        raise UnusableKeyError(message) from None
    return SoftwareSigner(checked(key, uri.path), scheme=uri.parameters.get("padding", ""))


def _loaded(file: KeyFile, passphrase: Passphrase) -> object:
    try:
        key = load_ssh_private_key(file.data, None)
    except (TypeError, ValueError) as error:
        if "encrypted" not in str(error):
            raise
    else:
        refuse_exposed(file)
        return key
    given = passphrase(file.path)
    if given is None:
        message = f"{file.path}: it is encrypted, and nobody is there to ask for the passphrase"
        raise PassphraseError(message)
    return load_ssh_private_key(file.data, given)
