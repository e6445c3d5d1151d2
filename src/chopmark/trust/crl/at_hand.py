"""The revocation lists at hand, in files and in the store: what is the same for many certificates is asked once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import x509
from chopmark.trust.crl import signing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.trust.context import Context
    from chopmark.trust.crl.revocation_list import Crl

_OTHER_ISSUER = b"\xa2"
"""The tag of cRLIssuer: distribution points without this byte leave lists to the certificate's own issuer."""


class Near(NamedTuple):
    """By whom lists about a certificate may be issued; theirs in files and in the store, complete ones newest first."""

    issuers: list[object]
    complete: list[Crl]
    deltas: list[Crl]


NOBODY = Near([], [], [])


def near(certificate: x509.Certificate, context: Context) -> Near:
    """The same for all certificates that say the same of their lists. Raises MalformedError."""
    points = certificate.extensions.get(x509.CRL_DISTRIBUTION_POINTS)

    def gather() -> Near:
        issuers = _issuers(certificate)
        lists = [crl for issuer in issuers for crl in context.crls.by_issuer(issuer)]
        lists += [crl for crl in context.store_crls if crl.issuer_key in issuers]
        return Near(issuers, complete(lists), [crl for crl in lists if crl.is_delta])

    if len(certificate.raw) > limits.CERTIFICATE_KEPT_MAX:
        return gather()
    return context.settled(("near", certificate.issuer, points), gather)


def silent(certificate: x509.Certificate, issuer: x509.Certificate, context: Context) -> Crl | None:
    """The newest list at hand, if it settles by itself that a certificate is good: it holds and does not name it.

    None where there is more to ask, or something wrong; whoever asks step by step is told what it is.
    """
    if len(certificate.raw) > limits.CERTIFICATE_KEPT_MAX:
        return None
    alike = ("whole", issuer, certificate.issuer, certificate.extensions.get(x509.CRL_DISTRIBUTION_POINTS))
    (crl,) = context.settled(alike, lambda: (_whole(certificate, issuer, context),))
    try:
        named = crl is None or crl.find(certificate) is not None
    except MalformedError:
        return None
    return None if named or crl is None or crl.missing(certificate, context.at) else crl


def _whole(certificate: x509.Certificate, issuer: x509.Certificate, context: Context) -> Crl | None:
    """The newest list, if the issuer signed it, it is about all its certificates and reasons, and there is no delta."""
    try:
        found = near(certificate, context)
        if found.deltas or not found.complete:
            return None
        newest = found.complete[0]
        if newest.scope is not None or newest.issuer_key != issuer.subject_key:
            return None
        newest.coverage(certificate)
        newest.check_signature(issuer)
        return None if signing.weakness(issuer, context.at) else newest
    except MalformedError:
        return None


def complete(lists: Sequence[Crl]) -> list[Crl]:
    """Those that are no deltas, the newest first."""
    found = [crl for crl in lists if not crl.is_delta]
    return sorted(found, key=lambda each: each.this_update, reverse=True) if found[1:] else found


def _issuers(certificate: x509.Certificate) -> list[object]:
    """By whom lists about a certificate may be issued, as x509.name_key."""
    own: list[object] = [certificate.issuer_key]
    extension = certificate.extensions.get(x509.CRL_DISTRIBUTION_POINTS)
    if extension is None or _OTHER_ISSUER not in extension.value:
        return own
    from chopmark.trust.crl import scoping  # nearly all authorities issue their own lists

    return list(dict.fromkeys(own + scoping.other_issuers(certificate)))
