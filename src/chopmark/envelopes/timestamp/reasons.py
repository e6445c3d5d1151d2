"""What checking a time stamp can find."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, UNKNOWN, Reason

_STAMP_ANEW = "Have it time-stamped anew by its publisher."
_GET_ANEW = "Get an unchanged copy from its publisher."

STAMP_INTACT = Reason("timestamp.intact", OK, "The time stamp is sound and belongs to this signature.")
STAMP_BROKEN = Reason(
    "timestamp.broken",
    NO,
    "The time stamp is not sound, or belongs to another signature.",
    _STAMP_ANEW,
    "RFC 3161 clause 2.4.2",
    ("T1553.002", "T1036.001"),
)
STAMP_UNDECIDED = Reason(
    "timestamp.undecided",
    UNKNOWN,
    "The time stamp uses an algorithm that chopmark does not check.",
    _STAMP_ANEW,
    "RFC 3161 clause 2.4.2",
)
STAMP_MALFORMED = Reason(
    "timestamp.malformed",
    NO,
    "There is something in the place of a time stamp that is none.",
    _STAMP_ANEW,
    "RFC 3161 clause 2.4.2",
    ("T1553.002", "T1036.001"),
)
STAMPS_TOO_MANY = Reason(
    "timestamp.too_many",
    NO,
    "There are more time stamps on one signature than anybody needs.",
    _STAMP_ANEW,
    techniques=("T1553.002",),
)
IMPRINT_MATCH = Reason(
    "timestamp.imprint_match", OK, "The time stamp is over this signature.", cites="RFC 3161 clause 2.4.2"
)
IMPRINT_MISMATCH = Reason(
    "timestamp.imprint_mismatch",
    NO,
    "The time stamp is over something else: it was taken from another signature.",
    _STAMP_ANEW,
    "RFC 3161 clause 2.4.2",
    ("T1553.002", "T1036.001"),
)
CONTENT_TYPE_WRONG = Reason(
    "timestamp.content_type_wrong",
    NO,
    "The token's content is not time-stamp information.",
    _STAMP_ANEW,
    "RFC 3161 clause 2.4.2",
)
SIGNERS_WRONG = Reason(
    "timestamp.signers_wrong",
    NO,
    "A time-stamp token has exactly one signature, that of the authority.",
    _STAMP_ANEW,
    "RFC 3161 clause 2.4.2",
)
PURPOSE_RIGHT = Reason(
    "timestamp.purpose_right", OK, "The authority's certificate is for time-stamping.", cites="RFC 3161 clause 2.3"
)
PURPOSE_WRONG = Reason(
    "timestamp.purpose_wrong",
    NO,
    "The authority's certificate is not for time-stamping alone.",
    "Have it stamped by an authority whose certificate has timeStamping as its sole, critical extended key usage.",
    "RFC 3161 clause 2.3",
    ("T1553.002",),
)
PURPOSE_NOT_CRITICAL = Reason(
    "timestamp.purpose_not_critical",
    NO,
    "The authority's certificate is for time-stamping alone, but does not mark that as critical (Microsoft's do not).",
    "Have it stamped by an authority whose certificate has timeStamping as its sole, critical extended key usage.",
    "RFC 3161 clause 2.3",
)
SIGNER_NOT_NAMED = Reason(
    "timestamp.signer_not_named",
    NO,
    "The token does not name its authority's certificate (ESSCertID), so that another one could be put in its place.",
    _STAMP_ANEW,
    "RFC 3161 clause 2.4.2, RFC 5816",
    ("T1553.002",),
)
AUTHORITY_NAME_WRONG = Reason(
    "timestamp.authority_name_wrong",
    NO,
    "The token gives its authority a name that the certificate does not have.",
    _STAMP_ANEW,
    "RFC 3161 clause 2.4.2",
)
EXTENSION_UNKNOWN = Reason(
    "timestamp.extension_unknown",
    NO,
    "The token has a critical extension that chopmark does not know.",
    _STAMP_ANEW,
    "RFC 3161 clause 2.4.2",
)
BARE_DIGEST = Reason(
    "timestamp.bare_digest",
    INFO,
    "The old time stamp's RSA signature holds the digest without naming its algorithm, as Symantec's do.",
    cites="PKCS #1 1.5 clause 10.1",
)
