"""Profiles: what kind of certificate an authority issues, and for what it may be used.

Clauses are those of the CA/Browser Forum's Baseline Requirements for Code-Signing Certificates, version 3.10 (CSBR).
"""

from __future__ import annotations

import calendar
import datetime as dt
from dataclasses import dataclass

from chopmark.core.errors import UsageError
from chopmark.envelopes import x509

POLICY_OV = "2.23.140.1.4.1"
POLICY_EV = "2.23.140.1.3"
POLICY_TIME_STAMPING = "2.23.140.1.4.2"

ROOT = "root"
CODE_SIGNING = "code-signing"
TIME_STAMPING = "time-stamping"
OCSP_RESPONDER = "ocsp-responder"


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of certificate for those who sign.

    `issuer` is the role of the CA that issues it; `policies` go into the certificate; validity is at most `days_max`
    days and `months_max` months; `public` says that the CSBR hold, else the certificate is internal: its times may be
    chosen freely, and it may be suspended.
    """

    name: str
    title: str
    issuer: str
    purposes: tuple[str, ...]
    policies: tuple[str, ...]
    days: int
    days_max: int | None
    months_max: int | None
    public: bool = True

    @property
    def stamps(self) -> bool:
        """Whether it is for time stamps: the purpose is critical then (RFC 3161 clause 2.3)."""
        return self.issuer == TIME_STAMPING


_CODE = (x509.EKU_CODE_SIGNING,)
_TIME = (x509.EKU_TIME_STAMPING,)

PROFILES = {
    profile.name: profile
    for profile in (
        Profile(CODE_SIGNING, "code signing (OV)", CODE_SIGNING, _CODE, (POLICY_OV,), 365, 460, None),
        Profile("ev-code-signing", "code signing (EV)", CODE_SIGNING, _CODE, (POLICY_EV,), 365, 460, None),
        Profile(TIME_STAMPING, "time stamping", TIME_STAMPING, _TIME, (POLICY_TIME_STAMPING,), 5 * 365, None, 135),
        Profile("internal", "code signing, internal", CODE_SIGNING, _CODE, (), 365, None, None, public=False),
        Profile(
            "internal-time-stamping",
            "time stamping, internal",
            TIME_STAMPING,
            _TIME,
            (),
            5 * 365,
            None,
            None,
            public=False,
        ),
        # Any CA issues it, for its own responder and nobody else: authority.ocsp_delegates.
        Profile(OCSP_RESPONDER, "OCSP responses", "", (x509.EKU_OCSP_SIGNING,), (), 30, 366, None, public=False),
    )
}


@dataclass(frozen=True, slots=True)
class AuthorityProfile:
    """A CA certificate: its role, what it may issue certificates for, how long it lives."""

    role: str
    title: str
    purposes: tuple[str, ...]
    policies: tuple[str, ...]
    months: int
    crl_days: int
    crl_days_max: int


# One CA must not issue both kinds (CSBR 7.1.2.2 g); one for time stamps whose key is not kept offline in hardware
# lives at most 72 months (6.2.7.2). CRLs: 4.9.7.
AUTHORITIES = {
    profile.role: profile
    for profile in (
        AuthorityProfile(ROOT, "Root CA", (), (), 240, 180, 365),
        AuthorityProfile(CODE_SIGNING, "Code Signing CA", _CODE, (POLICY_EV, POLICY_OV), 120, 7, 10),
        AuthorityProfile(TIME_STAMPING, "Time Stamping CA", _TIME, (POLICY_TIME_STAMPING,), 72, 7, 365),
    )
}


def named(name: str) -> Profile:
    """The profile of that name. Raises UsageError."""
    if name not in PROFILES:
        message = f"unknown profile {name!r}: one of {', '.join(PROFILES)}"
        raise UsageError(message)
    return PROFILES[name]


def months_after(moment: dt.datetime, months: int) -> dt.datetime:
    """The same day and time so many months later, or the last day of that month."""
    year, month = divmod(moment.month - 1 + months, 12)
    year, month = moment.year + year, month + 1
    return moment.replace(year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1]))


def last_second(not_before: dt.datetime, *, days: int = 0, months: int = 0) -> dt.datetime:
    """The notAfter of a period: both ends count (RFC 5280 clause 4.1.2.5), so it ends a second early."""
    return months_after(not_before, months) + dt.timedelta(days=days, seconds=-1)
