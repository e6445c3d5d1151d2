"""Identities of OpenID Connect in certificates, as Fulcio issues them: who somebody was for an issuer that knows them.

The extensions are those of Fulcio's certificate specification (docs/oid-info.md), below 1.3.6.1.4.1.57264.1. Any
authority can write them, so they count only below a root that the store trusts for identities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.signer import SignerId
from chopmark.envelopes import der, x509
from chopmark.trust.paths import names

if TYPE_CHECKING:
    from collections.abc import Iterator

_ARC = "1.3.6.1.4.1.57264.1"
_ISSUER_OLD = f"{_ARC}.1"
"""The issuer as it is, without a string type; certificates of today have both."""
_ISSUER = f"{_ARC}.8"
_USER_NAME = f"{_ARC}.7"
"""A name that is no e-mail address or URI: an OtherName of this type with a UTF8String."""
_CLAIMS = {
    9: "build-signer-uri",
    10: "build-signer-digest",
    11: "runner-environment",
    12: "source-repository-uri",
    13: "source-repository-digest",
    14: "source-repository-ref",
    15: "source-repository-identifier",
    16: "source-repository-owner-uri",
    17: "source-repository-owner-identifier",
    18: "build-config-uri",
    19: "build-config-digest",
    20: "build-trigger",
    21: "run-invocation-uri",
    22: "source-repository-visibility",
}
"""By the last arc; each is a UTF8String. The numbers 2 to 6 are older forms, and not read."""
_OTHER, _MAIL, _URI = der.context(0), der.context(1, constructed=False), der.context(6, constructed=False)


def identity(certificate: x509.Certificate) -> SignerId:
    """Who the certificate says its holder was: kind oidc, the issuer first among the claims.

    Raises DerError where it names no issuer or two of them, not exactly one subject, or anything else than text.
    """
    claims = [("issuer", _issuer(certificate))]
    claims += _others(certificate)
    known = certificate.signer_id.claims
    claims += [(name, value) for name, value in known if name != "issuer"]
    return SignerId("oidc", _subject(certificate), certificate.key_sha256, tuple(claims))


def _issuer(certificate: x509.Certificate) -> str:
    new, old = certificate.extensions.get(_ISSUER), certificate.extensions.get(_ISSUER_OLD)
    said = {_plain(each) for each in ([_utf8(new.value)] if new else []) + ([old.value] if old else [])}
    if len(said) != 1:
        raise der.DerError("it names two issuers of identities" if said else "it names no issuer of identities")
    return said.pop()


def _others(certificate: x509.Certificate) -> Iterator[tuple[str, str]]:
    for number, name in _CLAIMS.items():
        extension = certificate.extensions.get(f"{_ARC}.{number}")
        if extension is not None:
            yield name, _plain(_utf8(extension.value))


def _subject(certificate: x509.Certificate) -> str:
    """The one alternative name: an e-mail address, a URI, or a user name."""
    extension = certificate.extensions.get(x509.SUBJECT_ALT_NAME)
    found = names.alternative_names(extension) if extension else []
    if len(found) != 1:
        raise der.DerError(f"it has {len(found)} alternative names instead of one")
    [(form, node)] = found
    if form in (_MAIL, _URI):
        return _plain(node.value)
    if form == _OTHER:
        fields = node.fields(_OTHER)
        kind, value = fields.take().oid(), fields.take(der.context(0)).only_child()
        fields.done()
        if kind == _USER_NAME:
            return _plain(value.expect(der.UTF8_STRING).value)
    raise der.DerError("its alternative name is no e-mail address, URI or user name")


def _utf8(value: bytes) -> bytes:
    return der.parse(value).expect(der.UTF8_STRING).value


def _plain(value: bytes) -> str:
    """Text that looks like what it is: nothing that cannot be printed, no spaces at the ends."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise der.DerError("a part of an identity is not UTF-8") from None
    if not text or len(text) > limits.IDENTITY_TEXT_MAX or not text.isprintable() or text != text.strip():
        raise der.DerError("a part of an identity is empty, too long or not plain text")
    return text
