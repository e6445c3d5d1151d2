"""What a restored register lacks, entered from what is out there: certificates that its CAs signed, and their CRLs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chopmark.authority.register.records import Revocation, serial_text
from chopmark.authority.register.search import Query
from chopmark.core.errors import MalformedError, RefusedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import x509
from chopmark.trust.crl.revocation_list import Crl

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator

    from chopmark.authority.ca import Authority
    from chopmark.authority.register.records import Issuer, Record

PROFILE = "adopted"
"""The profile of certificates whose own one nobody knows any more; the strictest rules hold for them."""


class Adopted(NamedTuple):
    """What was entered, or why not: a word, the serial number, and the particulars."""

    done: str
    serial: str
    detail: str


def adopt(authority: Authority, certificates: Iterable[bytes], lists: Iterable[bytes]) -> Iterator[Adopted]:
    """Enter certificates, then revocations from CRLs. Raises RefusedError for what no CA of this authority signed."""
    for raw in certificates:
        yield _certificate(authority, raw)
    for raw in lists:
        yield from _list(authority, raw)


def _certificate(authority: Authority, raw: bytes) -> Adopted:
    try:
        certificate = x509.certificate(raw)
        issuer = _issuer(authority, certificate.issuer, certificate.authority_key_id)
        certificate.verify_signed_by(issuer.certificate.spki)
    except MalformedError as error:
        message = f"not a certificate of this authority: {error}"
        raise RefusedError(message) from None
    serial = serial_text(certificate.serial)
    if _known(authority, serial):
        return Adopted("known", serial, certificate.subject_text)
    now = authority.clock().replace(microsecond=0)
    row = authority.register.reserve(issuer, certificate, PROFILE, now)
    authority.register.complete(row, issuer, certificate, now)
    return Adopted("adopted", serial, f"{certificate.subject_text}, issued by the {issuer.name} CA")


def _list(authority: Authority, raw: bytes) -> Iterator[Adopted]:
    """Hold every certificate of the CA that is not revoked here against its list."""
    try:
        crl = Crl(raw)
        issuer = _issuer(authority, crl.issuer, None)
        crl.check_signature(issuer.certificate)
    except MalformedError as error:
        message = f"not a CRL of this authority: {error}"
        raise RefusedError(message) from None
    now = authority.clock().replace(microsecond=0)
    for record in _unrevoked(authority, issuer, now):
        entry = crl.find(x509.certificate(record.certificate or b""))
        if entry is not None:
            authority.register.revoke(record, Revocation(entry.revoked, entry.reason, entry.invalid_since), now)
            yield Adopted("revoked", record.serial, record.subject)


def _unrevoked(authority: Authority, issuer: Issuer, now: dt.datetime) -> Iterator[Record]:
    for status in ("valid", "expired", "future"):
        query = Query(status=status, issuer=issuer.name)
        while page := authority.finder.search(query, now):
            yield from page
            query = replace(query, after=page[-1].id)


def _known(authority: Authority, serial: str) -> bool:
    try:
        return authority.register.find(serial).serial == serial
    except UsageError:
        return False


def _issuer(authority: Authority, name: bytes, key_id: bytes | None) -> Issuer:
    for issuer in authority.issuers():
        if issuer.certificate.subject == name and key_id in (None, issuer.certificate.subject_key_id):
            return issuer
    message = f"no CA of this authority is called {x509.name_text(name)}, or has this key"
    raise RefusedError(message)
