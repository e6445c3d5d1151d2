"""`file:PATH`: a private key in PEM or DER, and the certificates beside it in the same PEM file.

PKCS #8 plain or encrypted (RFC 5958), and the traditional forms of RSA (RFC 8017) and EC keys (RFC 5915). Parameter:
`padding=pss` or `padding=pkcs1` for RSA.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import Artifact, FileView
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.core.seal import DATA
from chopmark.envelopes import algorithms, der, pem
from chopmark.keys import derivation, pkcs1
from chopmark.keys.errors import UNREADABLE, PassphraseError, UnusableKeyError
from chopmark.keys.passphrase import UNSAID
from chopmark.keys.software import SoftwareSigner, checked

if TYPE_CHECKING:
    from chopmark.keys.passphrase import Passphrase
    from chopmark.keys.software import PrivateKey
    from chopmark.keys.uri import KeyUri

_ENCRYPTED = "ENCRYPTED PRIVATE KEY"
_PRIVATE = ("PRIVATE KEY", _ENCRYPTED, "RSA PRIVATE KEY", "EC PRIVATE KEY")
_OTHER_PRIVATE = {
    "OPENSSH PRIVATE KEY": "name it ssh:{path}",
    "PGP PRIVATE KEY BLOCK": "name it openpgp:{path}",
    "DSA PRIVATE KEY": "no new signatures are made with DSA",
    "TSS2 PRIVATE KEY": "it is in a TPM: name it tpm2:file={path}",
}
"""What is not read here, and what to do about it."""
_MINISIGN = b"untrusted comment: "
"""How secret keys of minisign and signify begin."""
_PKCS7_DATA = der.oid(DATA)


class KeyFile(NamedTuple):
    """What a file held, and who else may read it."""

    path: str
    data: bytes
    exposed: bool


def open_key(uri: KeyUri, passphrase: Passphrase) -> SoftwareSigner:
    """Open the private key in a file. Raises InputError, UnusableKeyError, PassphraseError."""
    uri.only("padding")
    file = read(uri.path)
    private, others = _parts(file)
    key = _load(private, file, passphrase)
    try:
        return SoftwareSigner(
            checked(key, uri.path),
            [block.der for block in others if block.label in pem.CERTIFICATE],
            scheme=uri.parameters.get("padding", ""),
        )
    except MalformedError as error:
        message = f"{uri.path}: a certificate beside the key is malformed ({error})"
        raise UnusableKeyError(message) from None


def read(path: str) -> KeyFile:
    """A key file's bytes. Raises InputError, and UnusableKeyError when it is too large to be one."""
    with Artifact.open(path) as artifact:
        if artifact.view.size > limits.KEY_FILE_MAX:
            message = f"{path}: too large to be a key ({artifact.view.size} bytes)"
            raise UnusableKeyError(message)
        exposed = isinstance(artifact.view, FileView) and _exposed(artifact.view.descriptor)
        return KeyFile(path, artifact.view.read(0, artifact.view.size), exposed)


def refuse_exposed(file: KeyFile) -> None:
    """Refuse a key that needs no passphrase and that others on this machine can read, as ssh does."""
    if file.exposed:
        message = f"{file.path}: others can read this private key, which has no passphrase: chmod 600 it"
        raise UnusableKeyError(message)


def _exposed(descriptor: int) -> bool:
    """Mine, and open to group or others; somebody else's key is theirs to guard."""
    state = os.fstat(descriptor)
    return state.st_uid == os.geteuid() and bool(stat.S_IMODE(state.st_mode) & 0o077)


def _parts(file: KeyFile) -> tuple[pem.Block, list[pem.Block]]:
    """The one private key and everything else."""
    if not file.data:
        message = f"{file.path}: the file is empty"
        raise UnusableKeyError(message)
    if b"-----BEGIN " not in file.data:
        return _binary(file), []
    found = pem.blocks(file.data)
    private = [block for block in found if block.label in _PRIVATE]
    others = [block for block in found if block.label not in _PRIVATE]
    if len(private) == 1:
        return private[0], others
    if private:
        message = f"{file.path}: {len(private)} private keys in one file; which one is meant cannot be said"
    elif labels := [block.label for block in others if block.label in _OTHER_PRIVATE]:
        hint = _OTHER_PRIVATE[labels[0]].format(path=file.path)
        message = f"{file.path}: {labels[0]} is none of the forms of a plain path (PKCS #8 and alike): {hint}"
    else:
        held = ", ".join(sorted({block.label.lower() for block in others})) or "nothing whole"
        message = f"{file.path}: there is no private key in it (it holds: {held})"
    raise UnusableKeyError(message)


def _binary(file: KeyFile) -> pem.Block:
    """A DER key: PKCS #8 and the traditional forms begin with an INTEGER, encrypted PKCS #8 with a SEQUENCE."""
    try:
        inner = der.parse(file.data).children()
        tags = [node.tag for node in inner]
        if tags == [der.SEQUENCE, der.OCTET_STRING]:
            return pem.Block(_ENCRYPTED, b"", file.data)
        if tags[:2] == [der.INTEGER, der.SEQUENCE] and _PKCS7_DATA in inner[1].raw[:64]:
            message = f"{file.path}: this is a PKCS #12 file: name it pkcs12:{file.path}"
            raise UnusableKeyError(message)
        if tags[:1] == [der.INTEGER] and tags[1:]:
            return pem.Block("PRIVATE KEY", b"", file.data)
    except MalformedError:
        pass
    if file.data.startswith(_MINISIGN):
        message = f"{file.path}: if this is a secret key of minisign or signify, name it minisign:{file.path}"
        raise UnusableKeyError(message)
    message = f"{file.path}: there is no private key in it (neither PEM nor DER of a form chopmark reads)"
    raise UnusableKeyError(message)


def _encrypted(block: pem.Block) -> bool:
    return block.label == _ENCRYPTED or b"Proc-Type: 4,ENCRYPTED" in block.text


def _load(block: pem.Block, file: KeyFile, passphrase: Passphrase) -> PrivateKey | object:
    secret = None
    if _encrypted(block):
        derivation.refuse_endless(block.der, file.path)
        secret = passphrase(file.path)
        if secret is None:
            message = f"{file.path}: the key is encrypted: {UNSAID}"
            raise PassphraseError(message)
    else:
        refuse_exposed(file)
        _refuse_unusual(block.der, file.path)
        if (key := pkcs1.load(block.der)) is not None:
            return key
    from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key  # see pkcs1

    try:
        if block.text:  # without testing primes, likewise
            return load_pem_private_key(block.text, secret, unsafe_skip_rsa_key_validation=True)
        return load_der_private_key(block.der, secret, unsafe_skip_rsa_key_validation=True)
    except UNREADABLE as error:
        if (other := _ml_dsa(block, secret, file.path)) is not None:
            return other
        if _encrypted(block):
            message = f"{file.path}: wrong passphrase (or the file is damaged)"
            raise PassphraseError(message) from None
        message = f"{file.path}: not a private key that can be loaded ({_first_line(error)})"
        raise UnusableKeyError(message) from None


def _ml_dsa(block: pem.Block, secret: bytes | None, where: str) -> PrivateKey | None:
    """A key of a kind whose other forms cryptography does not load."""
    from chopmark.keys import ml_dsa, pbes2

    raw: bytes | None = block.der
    if _encrypted(block):
        try:
            raw = pbes2.decrypt(block.der, secret or b"")
        except MalformedError:
            return None
    return ml_dsa.from_pkcs8(raw, where) if raw else None


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0].split(". ", 1)[0][:120]


def _refuse_unusual(raw: bytes, where: str) -> None:
    """Keys that would load as something else than they say: explicit curve parameters, RSA bound to PSS."""
    try:
        fields = der.parse(raw).fields()
        fields.take(der.INTEGER)
        second = fields.take()
        if second.tag == der.SEQUENCE:  # PKCS #8: the algorithm
            algorithm = second.fields()
            oid = algorithm.take().oid()
            parameters = algorithm.optional(der.SEQUENCE)
        else:  # RFC 5915: [0] parameters after the octets of the key; an RSA key has only integers
            oid = algorithms.EC_PUBLIC_KEY
            tagged = fields.optional(der.context(0))
            parameters = tagged.only_child() if tagged and tagged.only_child().tag == der.SEQUENCE else None
    except MalformedError:
        return  # whoever loads it says what is wrong
    if oid == algorithms.EC_PUBLIC_KEY and parameters is not None:
        message = f"{where}: an elliptic-curve key with explicit parameters; only named curves are used (RFC 5480)"
        raise UnusableKeyError(message)
    if oid == algorithms.RSASSA_PSS:
        message = f"{where}: an RSA key bound to PSS by its own identifier; use a plain RSA key with ?padding=pss"
        raise UnusableKeyError(message)
