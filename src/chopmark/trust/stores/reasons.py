"""What a trust store says about its roots, and about keys without certificates."""

from __future__ import annotations

from chopmark.core.reasons import NO, OK, Reason

_ROOT = ("T1553.004",)

# What it says about its roots
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
STORE_NO_IDENTITY = Reason(
    "store.no_identity",
    NO,
    "The trust store has this root for identities (OpenID Connect), and the certificate has none that is sound.",
    "Have it signed with a certificate that names one issuer and one subject.",
    "Fulcio, Certificate Specification",
    ("T1036.001", "T1587.002"),
)
STORE_ISSUED_LATE = Reason(
    "store.issued_late",
    NO,
    "The trust store no longer trusts what this root issues, and the certificate was issued after that.",
    "Have it signed with a certificate of an authority that is still trusted.",
    "Microsoft Trusted Root Program, NotBefore",
    _ROOT,
)

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
