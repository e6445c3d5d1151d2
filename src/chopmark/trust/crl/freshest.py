"""Delta lists from where a certificate and its list say that they are published (RFC 5280 clauses 4.2.1.15, 5.2.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import x509
from chopmark.trust.crl import combining

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.trust.context import Context
    from chopmark.trust.crl.revocation_list import Crl


class Fetched(NamedTuple):
    """The delta that brings a list up to date, if there is one; why it could not be had, empty when that is not so."""

    delta: Crl | None
    problem: str


def named(certificate: x509.Certificate, crl: Crl) -> bool:
    """Whether a certificate or its list says that there are deltas."""
    return x509.FRESHEST_CRL in certificate.extensions or x509.FRESHEST_CRL in crl.extensions


def fetch(certificate: x509.Certificate, crl: Crl, context: Context, counts: Callable[[Crl], bool]) -> Fetched:
    """The delta for a complete list that counts. It may be one that does not, if there is no other.

    What the certificate names comes first (clause 6.3.3 (c)). A delta that has ended is given with its problem: whom it
    names is revoked all the same.
    """
    try:
        urls = dict.fromkeys(x509.freshest_urls(certificate.extensions) + x509.freshest_urls(crl.extensions))
    except MalformedError as error:
        return Fetched(None, f"the addresses of deltas cannot be read: {error}")
    problem = "no address of a delta that can be fetched"
    old: Crl | None = None
    for url in list(urls)[: limits.CRL_URLS_MAX]:
        delta, why = context.crls.at(url, context.at, lambda found: found.is_delta and counts(found))
        if delta is None:
            problem = why
        elif not delta.is_delta:
            problem = f"{url}: not a delta CRL"
        elif _adds_nothing(delta, crl) and counts(delta):
            return Fetched(None, "")
        elif next(combining.fitting(crl, [delta]), None) is None:
            problem = f"{url}: the delta CRL does not fit the complete one"
        elif why:
            old, problem = delta, why
        else:
            return Fetched(delta, "")
    return Fetched(old, problem)


def _adds_nothing(delta: Crl, crl: Crl) -> bool:
    """Whether a complete list is as new as the delta: both have numbers of one sequence (clause 5.2.3)."""
    try:
        newest, own = delta.number, crl.number
    except MalformedError:
        return False
    same = (delta.issuer_key, delta.partition) == (crl.issuer_key, crl.partition)
    return same and newest is not None and own is not None and newest <= own
