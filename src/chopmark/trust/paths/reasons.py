"""What can be wrong with the way from a signer's certificate to a root."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, UNKNOWN, Reason

_REISSUE = "Have it signed with a certificate that its authority issued correctly."
_RENEW = "Have it signed anew with a certificate that is valid now, and time-stamped."
_SUBVERTED = ("T1553.002", "T1588.003")
_ROOT = ("T1553.004",)

PATH_TRUSTED = Reason(
    "path.trusted", OK, "The signer's certificate leads to a root of the trust store.", cites="RFC 5280 clause 6.1"
)
PATH_VALID = Reason(
    "path.valid",
    OK,
    "Every certificate on the way was valid at the time that counts.",
    cites="RFC 5280 clause 6.1.3 (a)(2)",
)
PATH_FITTING = Reason(
    "path.fitting",
    OK,
    "Every certificate on the way is allowed to do what it did.",
    cites="RFC 5280 clauses 6.1.3 and 6.1.4",
)
PATH_UNTRUSTED_ROOT = Reason(
    "path.untrusted_root",
    NO,
    "The certificate leads to a root that is not in the trust store, whatever name it gives itself.",
    "Have it signed with a certificate of an authority that is trusted here.",
    "RFC 5280 clause 6.1.1 (d)",
    (*_ROOT, "T1036.001", "T1587.002"),
)
PATH_ISSUER_UNKNOWN = Reason(
    "path.issuer_unknown",
    NO,
    "Neither the signature nor the trust store has the certificate of the issuer, and nothing says where it could be.",
    "Have it signed with the intermediate certificates included.",
    "RFC 5280 clause 6.1.3 (a)(4)",
    _ROOT,
)
PATH_ISSUER_UNAVAILABLE = Reason(
    "path.issuer_unavailable",
    UNKNOWN,
    "The issuer's certificate is published elsewhere, and could not be fetched.",
    "Check again with the network at hand, or have it signed with the intermediate certificates included.",
    "RFC 5280 clause 4.2.2.1",
)
PATH_NO_CERTIFICATE = Reason(
    "path.no_certificate", UNKNOWN, "There is no certificate of the signer to judge.", _REISSUE, "RFC 5280 clause 6.1"
)
PATH_KEY_MISMATCH = Reason(
    "path.key_mismatch",
    NO,
    "The certificate is not that of the key which made the signature.",
    "Get an unchanged copy from its publisher.",
    techniques=("T1036.001",),
)
PATH_BAD_SIGNATURE = Reason(
    "path.bad_signature",
    NO,
    "A certificate on the way was not signed by the issuer it names: it is forged or damaged.",
    _REISSUE,
    "RFC 5280 clause 6.1.3 (a)(1)",
    ("T1553.002", "T1036.001"),
)
PATH_UNSUPPORTED = Reason(
    "path.unsupported",
    UNKNOWN,
    "A certificate on the way has a key or a signature of a kind that chopmark does not check.",
    "Have it signed with a certificate chain of RSA, ECDSA, Ed25519 or ML-DSA with SHA-2.",
    "RFC 5280 clause 6.1.3 (a)(1)",
)
PATH_MALFORMED = Reason(
    "path.malformed", NO, "A certificate on the way breaks the rules of X.509.", _REISSUE, "RFC 5280 clause 4"
)
PATH_EXPIRED = Reason(
    "path.expired",
    NO,
    "A certificate on the way had expired at the time that counts.",
    _RENEW,
    "RFC 5280 clause 6.1.3 (a)(2)",
    _SUBVERTED,
)
PATH_NOT_YET_VALID = Reason(
    "path.not_yet_valid",
    NO,
    "A certificate on the way was not valid yet at the time that counts.",
    _RENEW,
    "RFC 5280 clause 6.1.3 (a)(2)",
    _SUBVERTED,
)
PATH_LIFETIME = Reason(
    "path.lifetime_signing",
    NO,
    "The certificate says that its signatures end with it (lifetime signing), and it has expired.",
    _RENEW,
    "Microsoft lifetime signing, 1.3.6.1.4.1.311.10.3.13",
)
PATH_NOT_CA = Reason(
    "path.not_a_ca",
    NO,
    "A certificate was issued by somebody whose certificate does not make them an authority.",
    _REISSUE,
    "RFC 5280 clause 6.1.4 (k)",
    (*_SUBVERTED, "T1553.004"),
)
PATH_SIGNER_IS_CA = Reason(
    "path.signer_is_ca",
    NO,
    "The signer's certificate is that of an authority: such keys sign certificates, not files.",
    _REISSUE,
    "CA/Browser code-signing requirements clause 7.1.2.3",
    _SUBVERTED,
)
PATH_TOO_LONG = Reason(
    "path.too_long",
    NO,
    "There are more authorities on the way than one of them allows below itself.",
    _REISSUE,
    "RFC 5280 clause 6.1.4 (l) and (m)",
    _ROOT,
)
PATH_KEY_USAGE = Reason(
    "path.key_usage",
    NO,
    "A key on the way was used for something that its certificate does not allow.",
    _REISSUE,
    "RFC 5280 clause 4.2.1.3",
    _SUBVERTED,
)
PATH_PURPOSE = Reason(
    "path.purpose",
    NO,
    "The signer's certificate is not for this purpose.",
    "Have it signed with a certificate whose extended key usage names the purpose.",
    "RFC 5280 clause 4.2.1.12; CA/Browser code-signing requirements clause 7.1.2.3",
    _SUBVERTED,
)
PATH_PURPOSE_ABOVE = Reason(
    "path.purpose_above",
    NO,
    "An authority on the way may not issue certificates for this purpose.",
    _REISSUE,
    "CA/Browser code-signing requirements clause 7.1.2.2",
    _SUBVERTED,
)
PATH_PURPOSE_NOT_CRITICAL = Reason(
    "path.purpose_not_critical",
    INFO,
    "The sole purpose of this certificate, time-stamping, is not marked critical, as it has to be.",
    cites="RFC 3161 clause 2.3",
)
PATH_CRITICAL = Reason(
    "path.critical_extension",
    NO,
    "A certificate on the way has a critical extension that chopmark does not evaluate, so it must be refused.",
    _REISSUE,
    "RFC 5280 clauses 4.2 and 6.1.4 (o)",
)
PATH_NAME = Reason(
    "path.name_constraint",
    NO,
    "A certificate on the way has a name that an authority above it may not give out.",
    _REISSUE,
    "RFC 5280 clause 4.2.1.10",
    _ROOT,
)
PATH_PROFILE = Reason(
    "path.profile",
    NO,
    "A certificate on the way is not made as an authority has to make it.",
    _REISSUE,
    "RFC 5280 clause 4",
    _SUBVERTED,
)
PATH_POLICY = Reason(
    "path.policy",
    NO,
    "No certificate policy that an authority on the way, or whoever checks, demands holds for all of the way.",
    _REISSUE,
    "RFC 5280 clause 6.1.5 (g)",
    _SUBVERTED,
)
PATH_WEAK_DIGEST = Reason(
    "path.weak_algorithm",
    NO,
    "A certificate on the way is signed over a broken digest (MD5, or SHA-1 after its sunset): it can be forged.",
    _RENEW,
    "NIST SP 800-131A r2 clause 9",
    _SUBVERTED,
)
PATH_DATED_DIGEST = Reason(
    "path.dated_algorithm",
    INFO,
    "A certificate on the way is signed over SHA-1, but a trusted time is before collisions became practical.",
    cites="NIST SP 800-131A r2 clause 9",
)
PATH_WEAK_KEY = Reason(
    "path.weak_key",
    NO,
    "A key on the way is too short, or of a kind that was given up (DSA): others may come to sign with it.",
    _RENEW,
    "NIST SP 800-131A r2 clause 3",
    _SUBVERTED,
)
PATH_DATED_KEY = Reason(
    "path.dated_key",
    INFO,
    "A key on the way would not do any more, but did at a trusted time, or is that of a root that is still trusted.",
    cites="NIST SP 800-131A r2 clause 3",
)
PATH_BUDGET = Reason(
    "path.budget",
    UNKNOWN,
    "The search for a way to a root was given up: there are more certificates to try than anybody needs.",
    "Have it signed without certificates that do not belong to it.",
    techniques=("T1499",),
)
