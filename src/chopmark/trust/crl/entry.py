"""What a revocation list says of one certificate (RFC 5280 clause 5.3): since when it does not count, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    import datetime as dt

UNSPECIFIED, KEY_COMPROMISE, CA_COMPROMISE, AFFILIATION_CHANGED, SUPERSEDED, CESSATION_OF_OPERATION = range(6)
CERTIFICATE_HOLD, REMOVE_FROM_CRL, PRIVILEGE_WITHDRAWN, AA_COMPROMISE = 6, 8, 9, 10
REASON_NAMES = {
    UNSPECIFIED: "unspecified",
    KEY_COMPROMISE: "key compromise",
    CA_COMPROMISE: "CA compromise",
    AFFILIATION_CHANGED: "affiliation changed",
    SUPERSEDED: "superseded",
    CESSATION_OF_OPERATION: "cessation of operation",
    CERTIFICATE_HOLD: "certificate hold",
    REMOVE_FROM_CRL: "remove from CRL",
    PRIVILEGE_WITHDRAWN: "privilege withdrawn",
    AA_COMPROMISE: "AA compromise",
}

ALL_REASONS = frozenset(range(1, 9))
"""Every bit of ReasonFlags (clause 4.2.1.13) but the first, which is not used."""


class UnusableError(MalformedError):
    """The list is sound but says nothing about this certificate: another scope, or one that chopmark does not read."""


class Entry(NamedTuple):
    """One revoked certificate: when, why (a number of RFC 5280 clause 5.3.1), and since when its key is doubtful."""

    revoked: dt.datetime
    reason: int = UNSPECIFIED
    invalid_since: dt.datetime | None = None

    @property
    def effective(self) -> dt.datetime:
        """From when on signatures do not count: the earlier of both dates."""
        return min(self.revoked, self.invalid_since) if self.invalid_since else self.revoked
