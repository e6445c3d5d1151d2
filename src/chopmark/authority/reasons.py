"""What an authority checks before it issues: each rule once, with its clause.

The sentences state the rule, because the same reason stands for a certificate that keeps it (ok) and one that breaks
it (no). CSBR is the CA/Browser Forum's Baseline Requirements for Code-Signing Certificates, version 3.10.
"""

from __future__ import annotations

from chopmark.core.reasons import NO, Reason

SERIAL = Reason(
    "issue.serial",
    NO,
    "The serial number is positive, of at most 20 octets, at least 64 bits of them random.",
    "Let the authority choose it.",
    "CSBR 7.1, RFC 5280 clause 4.1.2.2",
)
VALIDITY = Reason(
    "issue.validity",
    NO,
    "The certificate is valid no longer than its profile allows.",
    "Ask for fewer days.",
    "CSBR 6.3.2",
)
VALIDITY_NOW = Reason(
    "issue.validity_now",
    NO,
    "The certificate is valid from the time it is issued.",
    "Leave the times to the authority; certificates for tests are issued under an internal profile.",
    "CSBR 6.3.2",
)
VALIDITY_NESTED = Reason(
    "issue.validity_nested",
    NO,
    "The certificate is valid only while the CA that issues it is.",
    "Ask for fewer days, or issue from a younger CA.",
    "RFC 5280 clause 6.1.3",
)
KEY_SIZE = Reason(
    "issue.key_size",
    NO,
    "The key is RSA from 3072 bits on (4096 for a CA), or on P-256, P-384 or P-521.",
    "Make a larger key: `chopmark key new`.",
    "CSBR 6.1.5",
    ("T1588.004",),
)
KEY_QUALITY = Reason(
    "issue.key_quality",
    NO,
    "The private key cannot be computed from the public one by a known method.",
    "Make a new key with another library or device.",
    "CSBR 6.1.1.3, 6.1.6",
    ("T1588.004",),
)
KEY_COMPROMISED = Reason(
    "issue.key_compromised",
    NO,
    "The key has not been reported as compromised.",
    "Make a new key.",
    "CSBR 6.1.1.3",
    ("T1588.003", "T1553.002"),
)
KEY_OF_AUTHORITY = Reason(
    "issue.key_of_authority",
    NO,
    "The key is not one of the authority's own.",
    "Make a key for this purpose alone.",
    "CSBR 6.1.7",
)
SIGNATURE = Reason(
    "issue.signature",
    NO,
    "The certificate is signed with RSA or ECDSA and SHA-256, SHA-384 or SHA-512.",
    "Use an authority whose key is RSA or on a NIST curve.",
    "CSBR 7.1.3.2",
)
NAME = Reason(
    "issue.name",
    NO,
    "The subject's attributes are known, unique, within their lengths, and of characters that can be seen.",
    "Correct the subject.",
    "RFC 5280 appendix A, CSBR 7.1.4.2.2",
    ("T1036.001",),
)
NAME_COMPLETE = Reason(
    "issue.name_complete",
    NO,
    "The subject has what its profile requires: common name, organisation, locality or state, country; for EV also "
    "the registration number, its jurisdiction and the kind of organisation.",
    "Add what is missing: CN, O, L or ST, C; for EV serialNumber, jurisdictionC, businessCategory.",
    "CSBR 7.1.4.2.2 to 7.1.4.2.4",
)
NAME_ALLOWED = Reason(
    "issue.name_allowed",
    NO,
    "The subject has nothing that a code-signing certificate must not have: no domain component.",
    "Leave it out.",
    "CSBR 7.1.4.2.2 c",
)
NAME_CHAINED = Reason(
    "issue.name_chained",
    NO,
    "The issuer's name is that of the CA's certificate, byte for byte.",
    "Issue it with the CA whose name it carries.",
    "CSBR 7.1.4.1",
)
KEY_USAGE = Reason(
    "issue.key_usage",
    NO,
    "Key usage is critical and is digitalSignature alone.",
    "Issue it anew from a profile of the authority.",
    "CSBR 7.1.2.3 e",
)
PURPOSE = Reason(
    "issue.purpose",
    NO,
    "The extended key usage is code signing alone, or time stamping alone and critical; the CA has it too.",
    "Issue it from the CA for this purpose.",
    "CSBR 7.1.2.2 g, 7.1.2.3 f, RFC 3161 clause 2.3",
)
POLICY = Reason(
    "issue.policy",
    NO,
    "The certificate carries the policy of its profile.",
    "Issue it anew from a profile of the authority.",
    "CSBR 7.1.6.4",
)
CRL_PLACE = Reason(
    "issue.crl_place",
    NO,
    "The certificate says where its CRL is, as an HTTP URL.",
    "Give the authority a URL when it is made: `chopmark ca init --url`.",
    "CSBR 7.1.2.3 b",
)
ISSUER_PLACE = Reason(
    "issue.issuer_place",
    NO,
    "The certificate says where its issuer's certificate is, as an HTTP URL.",
    "Give the authority a URL when it is made: `chopmark ca init --url`.",
    "CSBR 7.1.2.3 c",
)
KEY_IDENTIFIERS = Reason(
    "issue.key_identifiers",
    NO,
    "The certificate names its own key and that of its issuer by identifiers, neither of them critical.",
    "Issue it anew from a profile of the authority.",
    "CSBR 7.1.2.3 g, RFC 5280 clauses 4.2.1.1 and 4.2.1.2",
)
EXTENSIONS = Reason(
    "issue.extensions",
    NO,
    "The certificate has no extension besides those of its profile.",
    "Issue it anew from a profile of the authority.",
    "CSBR 7.1.2.4",
)
