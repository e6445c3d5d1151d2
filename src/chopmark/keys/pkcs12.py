"""`pkcs12:PATH`: a private key with its certificates (RFC 7292). Parameter: `padding`, as for `file:`."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from chopmark.core.errors import MalformedError
from chopmark.keys import derivation
from chopmark.keys.errors import UNREADABLE, PassphraseError, UnusableKeyError
from chopmark.keys.file import KeyFile, read, refuse_exposed
from chopmark.keys.passphrase import UNSAID
from chopmark.keys.software import SoftwareSigner, checked

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12KeyAndCertificates

    from chopmark.keys.passphrase import Passphrase
    from chopmark.keys.uri import KeyUri


def open_key(uri: KeyUri, passphrase: Passphrase) -> SoftwareSigner:
    """Open the private key in a PKCS #12 file. Raises InputError, UnusableKeyError, PassphraseError."""
    uri.only("padding")
    file = read(uri.path)
    if not file.data.startswith(b"0"):  # the identifier octet of a SEQUENCE
        message = f"{uri.path}: this is not a PKCS #12 file"
        raise UnusableKeyError(message)
    held = _load(file, passphrase)
    if held.key is None:
        message = f"{uri.path}: there is no private key in it, only certificates"
        raise UnusableKeyError(message)
    own = [held.cert] if held.cert else []
    certificates = [one.certificate.public_bytes(Encoding.DER) for one in (*own, *held.additional_certs)]
    try:
        return SoftwareSigner(checked(held.key, uri.path), certificates, scheme=uri.parameters.get("padding", ""))
    except MalformedError as error:
        message = f"{uri.path}: a certificate in it is malformed ({error})"
        raise UnusableKeyError(message) from None


def _load(file: KeyFile, passphrase: Passphrase) -> PKCS12KeyAndCertificates:
    """Without a passphrase first: some files have none, or an empty one."""
    derivation.refuse_endless(file.data, file.path)

    for unprotected in (None, b""):
        try:
            held = _opened(file.data, unprotected)
        except UNREADABLE:
            continue
        if held.key is not None:
            refuse_exposed(file)
        return held
    secret = passphrase(file.path)
    if secret is None:
        message = f"{file.path}: the file is encrypted: {UNSAID}"
        raise PassphraseError(message)
    try:
        return _opened(file.data, secret)
    except UNREADABLE:
        message = f"{file.path}: wrong passphrase (or the file is damaged, or encrypted in a way that is not supported)"
        raise PassphraseError(message) from None


def _opened(data: bytes, secret: bytes | None) -> PKCS12KeyAndCertificates:
    """What the library makes of it, without its warnings about BER, which many such files are."""
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12  # all of X.509: 50 ms

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_pkcs12(data, secret)
