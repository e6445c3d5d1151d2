"""Profiles: what kind of certificate an authority issues, and for what it may be used.

Clauses are those of the CA/Browser Forum's Baseline Requirements for Code-Signing Certificates, version 3.10 (CSBR).
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from dataclasses import dataclass, replace

from chopmark.core.errors import UsageError
from chopmark.envelopes import der, x509

POLICY_OV = "2.23.140.1.4.1"
POLICY_EV = "2.23.140.1.3"
POLICY_TIME_STAMPING = "2.23.140.1.4.2"
POLICY_ANY = "2.5.29.32.0"

ROOT = "root"
CODE_SIGNING = "code-signing"
TIME_STAMPING = "time-stamping"
OCSP_RESPONDER = "ocsp-responder"
PLATFORM = "platform"
"""Internal: for what Windows kernels, Linux kernels and firmware load."""


CSBR_KEYS = ("rsa-3072", "p256", "p384", "p521")
ML_DSA_KEYS = ("ml-dsa-44", "ml-dsa-65", "ml-dsa-87")
INTERNAL_KEYS = (*CSBR_KEYS, "ed25519", *ML_DSA_KEYS)
CSBR_UNKNOWN = frozenset(INTERNAL_KEYS) - frozenset(CSBR_KEYS)
"""Kinds of keys that no public authority may have or sign for (CSBR 6.1.5.1)."""

EKU_WHQL = "1.3.6.1.4.1.311.10.3.5"
EKU_NT5 = "1.3.6.1.4.1.311.10.3.6"
EKU_KERNEL_MODE = "1.3.6.1.4.1.311.61.1.1"
EKU_MODULE_SIGNING = "1.3.6.1.4.1.2312.16.1.2"
"""Linux modules alone: shim refuses a boot loader signed by a certificate that has it."""

PURPOSES = {
    "codeSigning": x509.EKU_CODE_SIGNING,
    "timeStamping": x509.EKU_TIME_STAMPING,
    "OCSPSigning": x509.EKU_OCSP_SIGNING,
    "lifetimeSigning": x509.EKU_LIFETIME_SIGNING,
    "whqlCrypto": EKU_WHQL,
    "nt5Crypto": EKU_NT5,
    "kernelModeCodeSigning": EKU_KERNEL_MODE,
    "linuxModuleSigning": EKU_MODULE_SIGNING,
    "documentSigning": "1.3.6.1.4.1.311.3.10.3.12",
    "emailProtection": "1.3.6.1.5.5.7.3.4",
}
"""Purposes by the names that a file of profiles has for them."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of certificate for those who sign.

    `issuer` is the role of the CA that issues it; `policies` go into the certificate; validity is at most `days_max`
    days and `months_max` months; `public` says that the CSBR hold, else the certificate is internal: its times may be
    chosen freely, and it may be suspended. `keys` are the kinds allowed (of RSA the smallest), `subject` the attributes
    that a name must have, `usage` the bits of key usage; `constraints` writes empty basic constraints, for those who
    look for CA:FALSE; `more` are further extensions, not critical: (identifier, DER of the value).
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
    keys: tuple[str, ...] = CSBR_KEYS
    subject: tuple[str, ...] = ()
    usage: tuple[int, ...] = (x509.DIGITAL_SIGNATURE,)
    constraints: bool = False
    more: tuple[tuple[str, bytes], ...] = ()

    @property
    def stamps(self) -> bool:
        """Whether it is for time stamps: the purpose is critical then (RFC 3161 clause 2.3)."""
        return x509.EKU_TIME_STAMPING in self.purposes


_CODE = (x509.EKU_CODE_SIGNING,)
_TIME = (x509.EKU_TIME_STAMPING,)
_FIVE_YEARS = 5 * 365
_DRIVER = (*_CODE, EKU_KERNEL_MODE, EKU_NT5)
_MODULE = (*_CODE, EKU_MODULE_SIGNING)


def _internal(
    name: str,
    title: str,
    issuer: str,
    purposes: tuple[str, ...],
    days: int,
    keys: tuple[str, ...] = INTERNAL_KEYS,
    *,
    constraints: bool = False,
) -> Profile:
    return Profile(
        name, title, issuer, purposes, (), days, None, None, public=False, keys=keys, constraints=constraints
    )


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(CODE_SIGNING, "code signing (OV)", CODE_SIGNING, _CODE, (POLICY_OV,), 365, 460, None),
        Profile("ev-code-signing", "code signing (EV)", CODE_SIGNING, _CODE, (POLICY_EV,), 365, 460, None),
        Profile(
            TIME_STAMPING,
            "time stamping",
            TIME_STAMPING,
            _TIME,
            (POLICY_TIME_STAMPING,),
            _FIVE_YEARS,
            None,
            135,
            subject=("CN",),
        ),
        # Any CA issues it, for its own responder and nobody else: ocsp.delegates.
        Profile(
            OCSP_RESPONDER,
            "OCSP responses",
            "",
            (x509.EKU_OCSP_SIGNING,),
            (),
            30,
            366,
            None,
            public=False,
            keys=(*CSBR_KEYS, *ML_DSA_KEYS),
            more=((x509.OCSP_NO_CHECK, der.null()),),
        ),
        _internal("internal", "code signing, internal", CODE_SIGNING, _CODE, 365),
        _internal("internal-time-stamping", "time stamping, internal", TIME_STAMPING, _TIME, _FIVE_YEARS),
        # Windows wants the kernel-mode purposes in the CA too, which is what the platform CA is for. The key is RSA:
        # kernels before Windows 10 1703 check nothing else.
        _internal("driver", "Windows drivers, internal", PLATFORM, _DRIVER, 365, keys=("rsa-3072",)),
        # The kernel's parser takes digitalSignature and the absence of a CA from these extensions (x509_cert_parser.c),
        # and sign-file names a signer by its key identifier. RSA and NIST P-256/P-384 are what it verifies.
        _internal(
            "kernel-module",
            "Linux kernel modules",
            PLATFORM,
            _MODULE,
            3 * 365,
            keys=("rsa-2048", "p256", "p384"),
            constraints=True,
        ),
        # UEFI firmware has RSA-2048 and SHA-256 for certain (UEFI 2.10 clause 32.5.1), and does not look at dates.
        _internal("secure-boot", "UEFI Secure Boot", PLATFORM, _CODE, 3 * 365, keys=("rsa-2048",), constraints=True),
    )
}


@dataclass(frozen=True, slots=True)
class AuthorityProfile:
    """A CA certificate: its role, what it may issue certificates for, how long it lives.

    `founded` says that a new authority has one; `public` that the CSBR hold.
    """

    role: str
    title: str
    purposes: tuple[str, ...]
    policies: tuple[str, ...]
    months: int
    crl_days: int
    crl_days_max: int
    founded: bool = True
    public: bool = True

    def below(self, kind: str) -> AuthorityProfile:
        """Itself, or where the CSBR do not know the kind of key that signs it, its internal form, without policies."""
        return replace(self, policies=(), public=False) if kind in CSBR_UNKNOWN else self


# One CA must not issue both kinds (CSBR 7.1.2.2 g); one for time stamps whose key is not kept offline in hardware
# lives at most 72 months (6.2.7.2). CRLs: 4.9.7.
AUTHORITIES = {
    profile.role: profile
    for profile in (
        AuthorityProfile(ROOT, "Root CA", (), (), 240, 180, 365),
        AuthorityProfile(CODE_SIGNING, "Code Signing CA", _CODE, (POLICY_EV, POLICY_OV), 120, 7, 10),
        AuthorityProfile(TIME_STAMPING, "Time Stamping CA", _TIME, (POLICY_TIME_STAMPING,), 72, 7, 365),
        AuthorityProfile(
            PLATFORM,
            "Platform CA",
            (*_CODE, EKU_KERNEL_MODE, EKU_NT5, EKU_WHQL, EKU_MODULE_SIGNING),
            (),
            120,
            7,
            365,
            founded=False,
            public=False,
        ),
    )
}


def purpose(text: str) -> str:
    """The identifier of a purpose given by its name in PURPOSES or by itself. Raises UsageError."""
    return PURPOSES.get(text) or identifier(text, f"one of {', '.join(PURPOSES)}, or an object identifier")


def identifier(text: str, expected: str = "an object identifier such as 1.3.6.1.4.1.311.10.3.13") -> str:
    """An object identifier in dotted form, if it is one. Raises UsageError."""
    if not re.fullmatch(r"[0-2](?:\.(?:0|[1-9][0-9]{0,9})){1,20}", text):
        message = f"{text[:64]!r}: expected {expected}"
        raise UsageError(message)
    return text


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
