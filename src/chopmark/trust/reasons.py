"""What asking for trust can find: paths, stores, time stamps, revocation."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, UNKNOWN, Reason

_REISSUE = "Have it signed with a certificate that its authority issued correctly."
_RENEW = "Have it signed anew with a certificate that is valid now, and time-stamped."
_SUBVERTED = ("T1553.002", "T1588.003")
_ROOT = ("T1553.004",)

# The way to a root
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

# What a store says about its roots
STORE_PURPOSE = Reason(
    "store.purpose",
    NO,
    "The trust store has this root, but does not trust it for this purpose.",
    "Have it signed with a certificate of an authority that is trusted for this purpose.",
    "Microsoft Trusted Root Program, EKU removal",
    _ROOT,
)
STORE_DISALLOWED = Reason(
    "store.disallowed",
    NO,
    "The trust store ended its trust in this root before any time that is proven for the signature.",
    "Have it signed with a certificate of an authority that is still trusted.",
    "Microsoft Trusted Root Program, Disable",
    _ROOT,
)
STORE_NAME = Reason(
    "store.name",
    NO,
    "The trust store has this root, but does not trust it with this name.",
    "Have it signed with a certificate of an authority that is trusted with this name.",
    "RFC 5937 clause 3.2",
    _ROOT,
)
STORE_ISSUED_LATE = Reason(
    "store.issued_late",
    NO,
    "The trust store no longer trusts what this root issues, and the certificate was issued after that.",
    "Have it signed with a certificate of an authority that is still trusted.",
    "Microsoft Trusted Root Program, NotBefore",
    _ROOT,
)

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
REVOCATION_NOBODY = Reason(
    "revocation.nobody",
    INFO,
    "The trust store has this very certificate, so nobody is asked whether it was revoked; taking it out revokes it.",
)
REVOCATION_OFF = Reason("revocation.off", INFO, "Revocation was not asked about.")

# Keys without certificates
KEY_TRUSTED = Reason("key.trusted", OK, "The key is one that the trust store has.")
KEY_UNTRUSTED = Reason(
    "key.untrusted",
    NO,
    "The signature is by a key that the trust store does not have.",
    "Have it signed with a key that is trusted here.",
    techniques=("T1036.001", "T1587.002"),
)
KEY_TERMS = Reason(
    "key.terms",
    NO,
    "The trust store has the key, but not for this use or not at this time.",
    "Have it signed with a key that is trusted here for that, now.",
    "ssh-keygen(1), ALLOWED SIGNERS",
    ("T1036.001",),
)

KEY_REVOKED = Reason(
    "key.revoked",
    NO,
    "The key was revoked by itself, or by whom it lets do so.",
    "Have it signed with a key that is not revoked.",
    "RFC 9580 clauses 5.2.1 and 5.2.3.31",
    ("T1588.004", "T1036.001"),
)
KEY_EXPIRED = Reason(
    "key.expired",
    NO,
    "The key has ended, and nothing but its own word says that the signature is older.",
    "Get the key anew, in case its owner has extended it, or have the file signed with one that has not ended.",
    "RFC 9580 clause 5.2.3.13",
)
KEY_BARRED = Reason(
    "key.barred",
    NO,
    "The key is not one that signs: not for that, not valid by itself, or not proven to belong to the key it is with.",
    "Have it signed with a key that is for signing.",
    "RFC 9580 clauses 5.2.1.8, 5.2.1.9 and 5.2.3.29",
    ("T1036.001",),
)
KEY_WEAK = Reason(
    "key.weak",
    NO,
    "The key is of a kind or size that is not enough any more.",
    "Have it signed with RSA of 3072 bits, ECDSA or Ed25519.",
    "FIPS 186-5",
    ("T1036.001",),
)
KEY_EARLY = Reason(
    "key.early",
    NO,
    "The signature says that it was made later than now, or earlier than its key.",
    "Check the clock here; or have it signed anew.",
    "RFC 9580 clause 5.2.3.11",
)
KEY_SIGNATURE_EXPIRED = Reason(
    "key.signature_expired",
    NO,
    "The signature says that it holds no more.",
    "Get a newer one from its publisher.",
    "RFC 9580 clause 5.2.3.18",
)

# Blocklists
_BLOCKED = ("T1553.002", "T1588.003", "T1587.002")
_DRIVERS = ("T1543.003", "T1068", "T1014")
BLOCKED_CERTIFICATE = Reason(
    "blocklist.certificate",
    NO,
    "A blocklist names a certificate on the way: nothing that it vouches for is wanted here.",
    "Get a version that is signed with another certificate, or none of this publisher.",
    techniques=_BLOCKED,
)
BLOCKED_KEY = Reason(
    "blocklist.key",
    NO,
    "A blocklist names a key on the way: nothing that it signed is wanted here.",
    "Get a version that is signed with another key, or none of this publisher.",
    techniques=_BLOCKED,
)
BLOCKED_FILE = Reason(
    "blocklist.file",
    NO,
    "A blocklist names this very file: it is known to be malicious or vulnerable.",
    "Remove it; get a version in which its publisher mended what is wrong.",
    "Microsoft recommended driver block rules",
    _DRIVERS,
)
BLOCKED_RULE = Reason(
    "blocklist.rule",
    NO,
    "A rule of a blocklist is about this file: by its signer, its name and its version.",
    "Remove it; get a version in which its publisher mended what is wrong.",
    "Microsoft recommended driver block rules",
    (*_DRIVERS, "T1553.002"),
)
BLOCKLIST_UNDECIDED = Reason(
    "blocklist.undecided",
    UNKNOWN,
    "Whether a rule of a blocklist is about this file could not be found out.",
    "Get an undamaged copy from its publisher.",
    "Microsoft recommended driver block rules",
    _DRIVERS,
)
BLOCKLIST_CLEAR = Reason(
    "blocklist.clear", OK, "No blocklist names the file, or a certificate or key on the way of its signatures."
)
BLOCKLIST_STALE = Reason(
    "blocklist.stale",
    INFO,
    "A blocklist is old: what became known since then is not in it.",
    "Get the list's current issue, and add it with chopmark blocklist add.",
)
