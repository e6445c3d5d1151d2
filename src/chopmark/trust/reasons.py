"""What asking for trust can find: time stamps and revocation; what else there is, its own package says."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, UNKNOWN, Reason

_RENEW = "Have it signed anew with a certificate that is valid now, and time-stamped."
_SUBVERTED = ("T1553.002", "T1588.003")

# Time stamps
STAMP_TRUSTED = Reason(
    "timestamp.trusted", OK, "A trusted authority says when the signature existed.", cites="RFC 3161 clause 4"
)
STAMP_NONE = Reason(
    "timestamp.none",
    INFO,
    "No trusted time stamp: the signature is judged as if it were made at the time of this check.",
)
STAMP_UNSOUND = Reason(
    "timestamp.unsound",
    NO,
    "A time stamp on the signature does not hold: it was changed, or belongs to another signature.",
    "Get an unchanged copy from its publisher.",
    "RFC 3161 clause 2.4.2",
    ("T1070.006", "T1036.001"),
)
STAMP_UNCHECKED = Reason(
    "timestamp.unchecked",
    UNKNOWN,
    "A time stamp on the signature is of a kind that chopmark does not check.",
    "Have it time-stamped with RSA, ECDSA, Ed25519 or ML-DSA and SHA-2.",
)
STAMP_UNTRUSTED = Reason(
    "timestamp.untrusted",
    INFO,
    "The authority of a time stamp is not trusted, so what it says about time does not count.",
    "Have it time-stamped by an authority that is trusted here.",
    techniques=("T1070.006",),
)
STAMP_REVOKED = Reason(
    "timestamp.revoked",
    INFO,
    "The certificate of a time-stamp authority was revoked in a way that voids what it said.",
    "Have it signed and time-stamped anew.",
    "RFC 3161 clause 4 (1) and (2)",
    ("T1070.006",),
)
STAMP_WEAK = Reason(
    "timestamp.weak",
    INFO,
    "A time stamp rests on a broken digest (MD5, or SHA-1 after its sunset), so it does not count.",
    "Have it time-stamped with SHA-256 or better.",
    "NIST SP 800-131A r2 clause 9",
    ("T1070.006",),
)
STAMP_LATER = Reason(
    "timestamp.later", INFO, "A time stamp is later than the time of this check, so it does not count."
)
STAMP_SPARE = Reason("timestamp.spare", INFO, "A further trusted time stamp; the earliest one counts.")
STAMP_OUTSIDE = Reason(
    "timestamp.outside_validity",
    NO,
    "The signature was time-stamped when the signer's certificate was not valid.",
    _RENEW,
    "CA/Browser code-signing requirements clause 6.3.2",
    ("T1070.006", *_SUBVERTED),
)

# Revocation
REVOCATION_GOOD = Reason(
    "revocation.good",
    OK,
    "The issuer's list does not name this certificate, or its OCSP responder says that it is good.",
    cites="RFC 5280 clause 6.3, RFC 6960 clause 3.2",
)
REVOCATION_REVOKED = Reason(
    "revocation.revoked",
    NO,
    "The certificate was revoked, and no trusted time shows that the signature is older than that.",
    "Do not use it; get a version that is signed with another certificate.",
    "RFC 5280 clauses 5.3.1 and 5.3.2",
    _SUBVERTED,
)
REVOCATION_HELD = Reason(
    "revocation.on_hold",
    NO,
    "The certificate is on hold, and no trusted time shows that the signature is older than that.",
    "Ask its publisher, and check again when the hold has ended.",
    "RFC 5280 clause 5.3.1",
    _SUBVERTED,
)
REVOCATION_LATER = Reason(
    "revocation.later",
    OK,
    "The signature is older than the revocation of its certificate, as a trusted time shows.",
    cites="RFC 5280 clauses 5.3.1 and 5.3.2",
)
REVOCATION_UNAVAILABLE = Reason(
    "revocation.unavailable",
    UNKNOWN,
    "Whether the certificate was revoked could not be found out.",
    "Check again with the network at hand, or with the issuer's current list (--crl).",
    "RFC 5280 clause 6.3.3",
)
REVOCATION_UNKNOWN = Reason(
    "revocation.unknown",
    UNKNOWN,
    "The issuer's own OCSP responder does not know this certificate, though it has not expired: it may be forged.",
    "Ask its issuer whether it issued this certificate.",
    "RFC 6960 clause 2.2",
    _SUBVERTED,
)
REVOCATION_NOT_CHECKED = Reason(
    "revocation.not_checked",
    INFO,
    "Whether the certificate was revoked could not be found out, and was not required.",
    "Check again with the network at hand, or with the issuer's current list (--crl).",
    "RFC 5280 clause 6.3.3",
)
REVOCATION_DELTA = Reason(
    "revocation.delta_unavailable",
    INFO,
    "The delta beside the issuer's list could not be had; the list counts by itself until it ends.",
    "Check again with the network at hand.",
    "RFC 5280 clause 5.2.6",
)
REVOCATION_NOBODY = Reason(
    "revocation.nobody",
    INFO,
    "The trust store has this very certificate, so nobody is asked whether it was revoked; taking it out revokes it.",
)
REVOCATION_OFF = Reason("revocation.off", INFO, "Revocation was not asked about.")
