"""Who signed."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    import datetime as dt


class Terms(NamedTuple):
    """How far a bare key is trusted: for which namespaces (patterns; none: all), since and until when (None: always).

    `authority` says that it vouches for other keys (an SSH CA), namely for those of `principals` (patterns), and signs
    nothing itself. What a key says of itself (OpenPGP): `barred` why it never signs, `weak` why it is too weak,
    `revoked` why it is revoked and `revoked_at` since when (None: for all time), `expires` when it ends.
    """

    principals: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    valid_after: dt.datetime | None = None
    valid_before: dt.datetime | None = None
    authority: bool = False
    barred: str = ""
    weak: str = ""
    revoked: str = ""
    revoked_at: dt.datetime | None = None
    expires: dt.datetime | None = None


class PublicKey(NamedTuple):
    """A public key that people trust as it is, without a certificate.

    `kind` says whose signatures it is for (minisign, ssh, ...); `identifier` is what these name it by; `raw` is the key
    in the form that its fingerprint is over (DER SubjectPublicKeyInfo, or a kind's own); `name` is for people; `holder`
    is the fingerprint, in hex, of the key that it comes with (OpenPGP's primary key), empty for one that is alone.
    """

    kind: str
    identifier: bytes
    raw: bytes
    name: str = ""
    terms: Terms = Terms()
    holder: str = ""

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the key, in hex: what a signer is recognised by."""
        return _sha256(self.raw)


@lru_cache(maxsize=1024)
def _sha256(raw: bytes) -> str:
    """Of a key: a run meets the same few ones again and again."""
    return hashlib.sha256(raw).hexdigest()


class Authority(NamedTuple):
    """A certificate above a signer's, on the way that was judged: its subject, and SHA-256 of key and certificate."""

    subject: str
    key_sha256: str
    certificate_sha256: str


class SignerId(NamedTuple):
    """A signer as the envelope shows them; whether to believe it is trust's business.

    `kind` is x509, openpgp, ssh, oidc or key; `subject` is a name for people (never matched on alone); `fingerprint` is
    the SHA-256 of the public key (SubjectPublicKeyInfo; ssh has a form of its own), in hex; `claims` are further facts
    in order, such as ("issuer", ...), ("serial", ...), ("certificate_sha256", ...).
    """

    kind: str
    subject: str
    fingerprint: str
    claims: tuple[tuple[str, str], ...] = ()
