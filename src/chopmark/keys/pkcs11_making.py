"""Making a key pair in a token: it is born there, and sensitive and unextractable from the first moment."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chopmark.core.errors import UsageError
from chopmark.envelopes import algorithms, der
from chopmark.keys.errors import UnusableKeyError
from chopmark.keys.pkcs11_session import TokenSession

if TYPE_CHECKING:
    from chopmark.keys.passphrase import Passphrase
    from chopmark.keys.pkcs11_uri import TokenUri

_CURVES = {"p256": "1.2.840.10045.3.1.7", "p384": "1.3.132.0.34", "p521": "1.3.132.0.35"}
_RSA = {"rsa-2048": 2048, "rsa-3072": 3072, "rsa-4096": 4096}
_ID_OCTETS = 8


def make(uri: TokenUri, kind: str, passphrase: Passphrase) -> TokenUri:
    """Make a key pair of a kind under the label (and CKA_ID) that the URI gives; the URI of that very key.

    Raises UsageError, UnusableKeyError when there is one of that name or the token cannot, UnavailableError.
    """
    if not uri.object:
        message = "pkcs11: say what the new key is to be called: pkcs11:token=NAME;object=NAME"
        raise UsageError(message)
    if kind not in (*_CURVES, *_RSA, "ed25519"):
        message = f"keys of the type {kind} are not made in tokens ({', '.join((*_RSA, *_CURVES, 'ed25519'))} are)"
        raise UsageError(message)
    made = replace(uri, id=uri.id or secrets.token_bytes(_ID_OCTETS))
    # Looked for by its label alone: another key of the same name could not be told from it.
    session = TokenSession(replace(uri, id=None), passphrase, keyless=True, writable=True)
    try:
        session.use(lambda opened: _make(opened, made, kind))
    finally:
        session.close()
    return made


def _make(session: TokenSession, uri: TokenUri, kind: str) -> None:
    from pkcs11 import Attribute, Mechanism

    if session.private_keys():
        message = f"{session.name}: there is a private key of that name already"
        raise UnusableKeyError(message)
    mechanism = {"ed25519": Mechanism.EC_EDWARDS_KEY_PAIR_GEN}.get(
        kind, Mechanism.RSA_PKCS_KEY_PAIR_GEN if kind in _RSA else Mechanism.EC_KEY_PAIR_GEN
    )
    if mechanism not in session.mechanisms:
        message = f"{session.name}: it makes no keys of the type {kind}"
        raise UnusableKeyError(message)
    template: dict[str, Any] = {
        "id": uri.id,
        "label": uri.object,
        "store": True,
        "private_template": {
            Attribute.PRIVATE: True,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
            Attribute.SIGN: True,
            **dict.fromkeys((Attribute.DECRYPT, Attribute.UNWRAP, Attribute.DERIVE), False),
        },
        "public_template": {
            Attribute.VERIFY: True,
            **dict.fromkeys((Attribute.ENCRYPT, Attribute.WRAP, Attribute.DERIVE), False),
        },
    }
    _generate(session, kind, template)


def _generate(session: TokenSession, kind: str, template: dict[str, Any]) -> None:
    from pkcs11 import Attribute, KeyType, MechanismFlag

    template["capabilities"] = MechanismFlag.SIGN | MechanismFlag.VERIFY
    if kind in _RSA:
        session.session.generate_keypair(KeyType.RSA, _RSA[kind], **template)
        return
    family = KeyType.EC_EDWARDS if kind == "ed25519" else KeyType.EC
    parameters = der.oid(_CURVES.get(kind, algorithms.ED25519))
    domain = session.session.create_domain_parameters(family, {Attribute.EC_PARAMS: parameters}, local=True)
    domain.generate_keypair(**template)
