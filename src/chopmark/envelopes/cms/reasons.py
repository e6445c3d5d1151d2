"""What checking a CMS signature can find."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, UNKNOWN, Reason

_GET_ANEW = "Get an unchanged copy from its publisher."
_SIGN_ANEW = "Have it signed anew by its publisher."

SIGNATURE_VALID = Reason(
    "cms.signature_valid", OK, "The signature over the signed attributes is the signer's.", cites="RFC 5652 clause 5.6"
)
SIGNATURE_INVALID = Reason(
    "cms.signature_invalid",
    NO,
    "The signature is not the signer's over these signed attributes: one of them was changed or taken from elsewhere.",
    _GET_ANEW,
    "RFC 5652 clause 5.6",
    ("T1553.002", "T1036.001"),
)
SIGNATURE_UNSUPPORTED = Reason(
    "cms.signature_unsupported",
    UNKNOWN,
    "The signature's algorithm, key or parameters are none that chopmark checks.",
    "Have it signed with RSA, ECDSA, Ed25519 or ML-DSA and SHA-2.",
    "RFC 5754, RFC 8419, RFC 9882",
)
KEY_FORBIDDEN = Reason(
    "cms.key_forbidden",
    NO,
    "The signer's key brings its own elliptic curve: anybody can make one that fits another's public key.",
    "Have it signed with a key on a named curve.",
    "CVE-2020-0601",
    ("T1553.002", "T1553.004"),
)
SIGNER_FOUND = Reason(
    "cms.signer_found", OK, "The signer's certificate travels with the signature.", cites="RFC 5652 clause 5.3"
)
SIGNER_MISSING = Reason(
    "cms.signer_missing",
    NO,
    "The certificate that the signature names is not among those it carries.",
    "Have it signed anew with the certificate included.",
    "RFC 5652 clause 5.3",
    ("T1036.001",),
)
SIGNER_AMBIGUOUS = Reason(
    "cms.signer_ambiguous",
    NO,
    "Several different certificates answer to the one that the signature names.",
    _SIGN_ANEW,
    "RFC 5652 clause 5.3",
    ("T1036.001", "T1553.002"),
)
SIGNER_BOUND = Reason(
    "cms.signer_bound",
    OK,
    "The signed attributes name this very certificate of the signer.",
    cites="RFC 5035 clause 5",
)
SIGNER_NOT_BOUND = Reason(
    "cms.signer_not_bound",
    NO,
    "The signed attributes name another certificate of the signer than the one that came along.",
    _GET_ANEW,
    "RFC 5035 clause 5",
    ("T1036.001", "T1553.002"),
)
ATTRIBUTES_SOUND = Reason(
    "cms.attributes_sound",
    OK,
    "Content type and message digest stand among the signed attributes, once and with one value each.",
    cites="RFC 5652 clause 11",
)
ATTRIBUTES_MISSING = Reason(
    "cms.attributes_missing",
    NO,
    "There are no signed attributes, so that the signature does not say what kind of content it is over.",
    "Have it signed with signed attributes (openssl cms: without -noattr).",
    "RFC 5652 clause 5.3",
    ("T1553.002",),
)
ATTRIBUTES_AS_CONTENT = Reason(
    "cms.attributes_as_content",
    NO,
    "The content is the signed attributes of another signature: its signature is presented as one over them.",
    _GET_ANEW,
    "RFC 5652 clause 12, RFC 8933",
    ("T1553.002", "T1036.001"),
)
ATTRIBUTE_WRONG = Reason(
    "cms.attribute_wrong",
    NO,
    "A signed attribute is missing, stands twice, or has not exactly one value of the right type.",
    _SIGN_ANEW,
    "RFC 5652 clause 11",
    ("T1553.002",),
)
ATTRIBUTES_REENCODED = Reason(
    "cms.attributes_reencoded",
    INFO,
    "The signed attributes were not written in DER; their DER was verified.",
    cites="RFC 5652 clause 5.4",
)
CONTENT_TYPE_WRONG = Reason(
    "cms.content_type_wrong",
    NO,
    "The signed content type is not the type of the content.",
    _GET_ANEW,
    "RFC 5652 clause 11.1",
    ("T1553.002",),
)
CONTENT_MATCH = Reason(
    "cms.content_match", OK, "The content inside the signature is what was signed.", cites="RFC 5652 clause 5.4"
)
CONTENT_MISMATCH = Reason(
    "cms.content_mismatch",
    NO,
    "The content is not what was signed: it was changed or taken from elsewhere.",
    _GET_ANEW,
    "RFC 5652 clause 5.4",
    ("T1553.002", "T1036.001"),
)
CONTENT_OUTSIDE = Reason(
    "cms.content_outside", INFO, "The signature is detached: what it is over stands elsewhere and is compared there."
)
CONTENT_MISSING = Reason(
    "cms.content_missing",
    UNKNOWN,
    "The signature is detached, and what it is over was not given.",
    "Check it together with the file that it belongs to.",
    "RFC 5652 clause 5.2",
)
DIGEST_INCONSISTENT = Reason(
    "cms.digest_inconsistent",
    NO,
    "The signature says in one place that it rests on one digest algorithm, and in another place on another.",
    _SIGN_ANEW,
    "RFC 5652 clause 5.3, RFC 8933, RFC 8419 clause 3.1",
    ("T1553.002",),
)
VERSION_WRONG = Reason(
    "cms.version_wrong",
    NO,
    "The version number is not the one that this structure has.",
    _SIGN_ANEW,
    "RFC 5652 clauses 5.1, 5.3",
    ("T1036.001",),
)
UNSIGNED_UNKNOWN = Reason(
    "cms.unsigned_unknown",
    NO,
    "An unsigned attribute is of a kind that has no business there: anybody can put a payload into it.",
    _GET_ANEW,
    "RFC 5652 clause 5.3",
    ("T1553.002", "T1027.009"),
)
UNSIGNED_TOO_LARGE = Reason(
    "cms.unsigned_too_large",
    NO,
    "The unsigned attributes are larger than anything that belongs there: anybody can put a payload into them.",
    _GET_ANEW,
    "RFC 5652 clause 5.3",
    ("T1553.002", "T1027.009"),
)
CERTIFICATES_OTHER = Reason(
    "cms.certificates_other",
    INFO,
    "Certificates or revocation data of other kinds than X.509 came along; nothing rests on them.",
    cites="RFC 5652 clause 10.2",
)
CRLS = Reason(
    "cms.crls",
    INFO,
    "Revocation lists came along; nothing rests on them unless trust says so.",
    cites="RFC 5652 clause 10.2.1",
)
ANSWERS = Reason(
    "cms.answers",
    INFO,
    "OCSP answers came along; nothing rests on them unless trust says so.",
    cites="RFC 5940 clause 2",
)
CERTIFICATE_UNREADABLE = Reason(
    "cms.certificate_unreadable",
    NO,
    "Among the certificates, revocation lists or OCSP answers is something that is none: anybody can put a payload "
    "there.",
    _GET_ANEW,
    "RFC 5280 clauses 4.1, 5.1",
    ("T1553.002", "T1027.009"),
)
ORDER = Reason(
    "cms.order",
    INFO,
    "A set is not sorted as DER wants it; the bytes were taken as they are.",
    cites="X.690 clause 11.6",
)
BER = Reason("cms.ber", INFO, "The envelope is written in BER; its DER was checked.", cites="RFC 5652 clause 2")
