"""OCSP answers for tests of trust, every part of them to be chosen."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

from chopmark.envelopes import der, ocsp, public_keys, x509
from chopmark.envelopes.ocsp import writing
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import Cert, Extension, name, purposes

if TYPE_CHECKING:
    from collections.abc import Sequence

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
GOOD, UNKNOWN = (writing.UNREVOKED[each] for each in (ocsp.GOOD, ocsp.UNKNOWN))
NO_CHECK = Extension(x509.OCSP_NO_CHECK, der.null())
FOR_ANSWERS = purposes(x509.EKU_OCSP_SIGNING)


def responder(
    issuer: Cert,
    *extensions: Extension,
    label: str = "Responder",
    since: dt.datetime = pki.SINCE,
    until: dt.datetime = pki.UNTIL,
    digest: str = "sha256",
    key: pki.Key | None = None,
) -> Cert:
    """A delegated responder; with nocheck unless extensions are given."""
    key = key or pki.key("p256", label)
    more = extensions or (FOR_ANSWERS, NO_CHECK)
    return material.make(name(label), key, issuer, extensions=more, since=since, until=until, digest=digest)


class Single(NamedTuple):
    """One answer: about whom, what, from when until when."""

    certificate: Cert
    issuer: Cert
    status: bytes = GOOD
    since: dt.datetime = pki.NOW - HOUR
    until: dt.datetime | None = pki.NOW + DAY
    more: Sequence[bytes] = ()
    algorithm: str = "sha1"

    def encoded(self) -> bytes:
        identity = ocsp.for_certificate(self.certificate.view, self.issuer.view, self.algorithm).encoded()
        return single(identity, self.status, self.since, self.until, self.more)


def single(
    identity: bytes, status: bytes, since: dt.datetime, until: dt.datetime | None, more: Sequence[bytes] = ()
) -> bytes:
    """A SingleResponse by hand: without nextUpdate too."""
    return der.sequence(
        identity,
        status,
        der.generalized_time(since),
        der.explicit(0, der.generalized_time(until)) if until else b"",
        der.explicit(1, der.sequence(*more)) if more else b"",
    )


def revoked(since: dt.datetime, reason: int = 0) -> bytes:
    return writing.revoked(since, reason)


def answer(
    signer: Cert,
    *singles: Single | bytes,
    certificates: Sequence[bytes] | None = None,
    produced: dt.datetime | None = None,
    nonce: bytes | None = None,
    more: Sequence[bytes] = (),
    by_name: bool = False,
    named: Cert | None = None,
    digest: str = "sha256",
) -> bytes:
    """A response signed by somebody, whose certificate comes along unless others do."""
    named = named or signer
    key = x509.subject_key_identifier(material.spki(named.key))
    who = der.explicit(1, named.name) if by_name else der.explicit(2, der.octet_string(key))
    extensions = [*((ocsp.nonce(nonce),) if nonce else ()), *more]
    parts = [each if isinstance(each, bytes) else each.encoded() for each in singles]
    first = next((each.since for each in singles if isinstance(each, Single)), pki.NOW - HOUR)
    data = der.sequence(
        who,
        der.generalized_time(produced or first),
        der.sequence(*parts),
        der.explicit(1, der.sequence(*extensions)) if extensions else b"",
    )
    signature = material.signed(data, signer.key, digest)
    brought = (signer.raw,) if certificates is None else certificates
    return ocsp.response(data, identifier(signer.key, digest), signature, brought)


def identifier(key: pki.Key, digest: str) -> bytes:
    kind = public_keys.kind(material.spki(key))
    oids = {
        ("ec", "sha256"): "1.2.840.10045.4.3.2",
        ("ec", "sha1"): "1.2.840.10045.4.1",
        ("rsa", "sha256"): "1.2.840.113549.1.1.11",
        ("rsa", "sha1"): "1.2.840.113549.1.1.5",
        ("rsa", "md5"): "1.2.840.113549.1.1.4",
    }
    return der.sequence(der.oid(oids[kind, digest]), *((der.null(),) if kind == "rsa" else ()))


def extension(oid: str, value: bytes = b"\x05\x00", *, critical: bool = False) -> bytes:
    return Extension(oid, value, critical).encoded()
