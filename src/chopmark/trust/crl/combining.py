"""Delta lists: what changed since a complete list (RFC 5280 clauses 5.2.4 and 6.3.3 (c))."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.envelopes import x509
from chopmark.trust.crl.entry import CERTIFICATE_HOLD, REMOVE_FROM_CRL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chopmark.trust.crl.entry import Entry
    from chopmark.trust.crl.revocation_list import Crl


def fitting(base: Crl, deltas: Iterable[Crl]) -> Iterator[Crl]:
    """The deltas that can be added to a complete list and are newer, the newest first."""
    numbered = [(number, delta) for delta in deltas if (number := _number(base, delta)) is not None]
    for _, delta in sorted(numbered, key=itemgetter(0), reverse=True):
        yield delta


def _number(base: Crl, delta: Crl) -> int | None:
    """The number of a delta that can be added to a complete list; None for another."""
    if delta.issuer_key != base.issuer_key or delta.partition != base.partition:
        return None
    if _identifier(base) != _identifier(delta):
        return None
    try:
        number, since, newest = base.number, delta.base_number, delta.number
    except MalformedError:
        return None  # anybody can put such a list beside a signature: it must not spoil the complete one
    if number is None or since is None or newest is None:
        return None
    return newest if since <= number < newest else None


def _identifier(crl: Crl) -> bytes:
    extension = crl.extensions.get(x509.AUTHORITY_KEY_ID)
    return extension.value if extension else b""


def applied(before: Entry | None, change: Entry | None, *, fresh: bool) -> Entry | None:
    """The entry for a certificate after a delta that has `change` for it.

    Only a hold can be taken back, and only by a delta that has not ended: an entry is also removed when its certificate
    has expired, which does not make good what was signed with it before.
    """
    if change is None:
        return before
    if change.reason != REMOVE_FROM_CRL:
        return change
    held = before is not None and before.reason == CERTIFICATE_HOLD
    return None if held and fresh else before
