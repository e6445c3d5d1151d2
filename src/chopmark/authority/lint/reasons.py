"""What the linter checks, and an authority before it issues: each rule once, with its clause.

The sentences state the rule, because the same reason stands for a certificate that keeps it (ok) and one that breaks
it (no, or info where the requirements say SHOULD). CSBR is the CA/Browser Forum's Baseline Requirements for
Code-Signing Certificates, version 3.10.
"""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, Reason

SERIAL = Reason(
    "lint.serial",
    NO,
    "The serial number is positive, of at most 20 octets, at least 64 bits of them random.",
    "Let the authority choose it.",
    "CSBR 7.1, RFC 5280 clause 4.1.2.2",
)
VALIDITY = Reason(
    "lint.validity",
    NO,
    "The certificate is valid no longer than its kind allows: code signing 460 days (39 months when issued before "
    "2026-03-01), time stamping 135 months.",
    "Ask for fewer days.",
    "CSBR 6.3.2",
)
VALIDITY_NOW = Reason(
    "lint.validity_now",
    NO,
    "The certificate is valid from the time it is issued.",
    "Leave the times to the authority; certificates for tests are issued under an internal profile.",
    "CSBR 6.3.2",
)
VALIDITY_NESTED = Reason(
    "lint.validity_nested",
    INFO,
    "The certificate is valid only while the CA that issues it is.",
    "Ask for fewer days, or issue from a younger CA.",
    "RFC 5280 clause 6.1.3",
)
KEY_SIZE = Reason(
    "lint.key_size",
    NO,
    "The key is RSA from 3072 bits on (4096 for a CA), or on P-256, P-384 or P-521.",
    "Make a larger key: `chopmark key new`.",
    "CSBR 6.1.5",
    ("T1588.004",),
)
KEY_QUALITY = Reason(
    "lint.key_quality",
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
    "lint.signature",
    NO,
    "It is signed with RSA or ECDSA and SHA-256, SHA-384 or SHA-512.",
    "Use an authority whose key is RSA or on a NIST curve.",
    "CSBR 7.1.3.2",
)
NAME = Reason(
    "lint.name",
    NO,
    "The subject's attributes are known, unique, within their lengths, of their types, and of characters that can be "
    "seen.",
    "Correct the subject.",
    "RFC 5280 clause 4.1.2.4 and appendix A, CSBR 7.1.4.2.2 d",
    ("T1036.001",),
)
NAME_COMPLETE = Reason(
    "lint.name_complete",
    NO,
    "The subject has what its profile requires: common name, organisation, locality or state, country; for EV also "
    "the registration number, its jurisdiction and the kind of organisation.",
    "Add what is missing: CN, O, L or ST, C; for EV serialNumber, jurisdictionC, businessCategory.",
    "CSBR 7.1.4.2.2 to 7.1.4.2.4",
)
NAME_ALLOWED = Reason(
    "lint.name_allowed",
    NO,
    "The subject has nothing that a code-signing certificate must not have: no domain component.",
    "Leave it out.",
    "CSBR 7.1.4.2.2 c",
)
NAME_CHAINED = Reason(
    "lint.name_chained",
    NO,
    "The issuer's name is that of the CA's certificate, byte for byte.",
    "Issue it with the CA whose name it carries.",
    "CSBR 7.1.4.1",
)
KEY_USAGE = Reason(
    "lint.key_usage",
    NO,
    "Key usage is critical, and what the kind of certificate wants: digitalSignature for signers; keyCertSign and "
    "cRLSign for a CA.",
    "Issue it anew from a profile of the authority.",
    "CSBR 7.1.2.1 b, 7.1.2.2 e, 7.1.2.3 e",
)
PURPOSE = Reason(
    "lint.purpose",
    NO,
    "The extended key usage is code signing, or time stamping alone and critical, never any purpose or TLS servers; "
    "the CA has it too, and a root has none.",
    "Issue it from the CA for this purpose.",
    "CSBR 7.1.2.1 d, 7.1.2.2 g, 7.1.2.3 f, RFC 3161 clause 2.3",
)
POLICY = Reason(
    "lint.policy",
    NO,
    "The certificate names a policy, a CA one of the reserved ones or any; none stands twice.",
    "Issue it anew from a profile of the authority.",
    "CSBR 7.1.2.2 a, 7.1.2.3 a, 7.1.6, RFC 5280 clause 4.2.1.4",
)
CRL_PLACE = Reason(
    "lint.crl_place",
    NO,
    "The certificate says where its CRL is, as an HTTP URL.",
    "Give the authority a URL when it is made: `chopmark ca init --url`.",
    "CSBR 7.1.2.2 b, 7.1.2.3 b",
)
ISSUER_PLACE = Reason(
    "lint.issuer_place",
    NO,
    "The certificate says where its issuer's certificate is, as an HTTP URL.",
    "Give the authority a URL when it is made: `chopmark ca init --url`.",
    "CSBR 7.1.2.2 c, 7.1.2.3 c",
)
KEY_IDENTIFIERS = Reason(
    "lint.key_identifiers",
    NO,
    "The certificate names its own key and that of its issuer by identifiers, neither of them critical.",
    "Issue it anew from a profile of the authority.",
    "CSBR 7.1.2.2 h, 7.1.2.3 g, RFC 5280 clauses 4.2.1.1 and 4.2.1.2",
)
EXTENSIONS = Reason(
    "lint.extensions",
    NO,
    "Critical extensions are known, values can be read, and one of the authority's own has those of its profile alone.",
    "Issue it anew from a profile of the authority.",
    "RFC 5280 clause 4.2, CSBR 7.1.2.4",
)
DER = Reason(
    "lint.der",
    NO,
    "The encoding is DER: one way to write each value, and defaults left out.",
    "Have it issued anew by software that writes DER.",
    "RFC 5280 clause 4.1, ITU-T X.690 clauses 8 to 11",
)
VERSION = Reason(
    "lint.version",
    NO,
    "The certificate is of version 3 and has no unique identifiers.",
    "Have it issued anew.",
    "CSBR 7.1.1, RFC 5280 clause 4.1.2.8",
)
SERIAL_LENGTH = Reason(
    "lint.serial_length",
    INFO,
    "The serial number is long enough to hold 64 random bits and its sign.",
    "Have the CA draw more bits: eight octets hold 63.",
    "CSBR 7.1",
)
TIMES = Reason(
    "lint.times",
    NO,
    "Times end after they begin, are UTCTime until 2049 and GeneralizedTime from 2050, without fractions.",
    "Have it issued anew.",
    "RFC 5280 clause 4.1.2.5",
)
ALGORITHM_PARAMETERS = Reason(
    "lint.algorithm_parameters",
    NO,
    "The signature algorithm stands twice alike, with NULL parameters for RSA and none for ECDSA and Ed25519.",
    "Have it issued anew.",
    "RFC 5280 clause 4.1.1.2, RFC 4055 clause 5, RFC 5758 clause 3.2",
)
EXPONENT = Reason(
    "lint.exponent",
    INFO,
    "The RSA exponent is between 2^16 + 1 and 2^256 - 1.",
    "Make a key with the exponent 65537.",
    "CSBR 6.1.6",
)
BASIC_CONSTRAINTS = Reason(
    "lint.basic_constraints",
    NO,
    "A CA says so in critical basic constraints; a signer does not claim to be one.",
    "Issue it anew from a profile of the authority.",
    "CSBR 7.1.2.1 a, 7.1.2.2 d, 7.1.2.3 d",
)
ROOT_PLAIN = Reason(
    "lint.root_plain",
    INFO,
    "A root has neither a path length nor policies.",
    "Leave them to the CAs below it.",
    "CSBR 7.1.2.1 a, 7.1.2.1 c, 7.1.6.2",
)
KEY_USAGE_MORE = Reason(
    "lint.key_usage_more",
    INFO,
    "Key usage has no bits besides the required ones.",
    "Issue it anew from a profile of the authority.",
    "CSBR 7.1.2.3 e",
)
PURPOSE_MORE = Reason(
    "lint.purpose_more",
    INFO,
    "The extended key usage has no other purposes than the requirements name.",
    "A platform's own purpose needs an agreement with that platform.",
    "CSBR 7.1.2.2 g, 7.1.2.3 f",
)
CRITICALITY = Reason(
    "lint.criticality",
    INFO,
    "Policies, and a CA's extended key usage, are not critical.",
    "Issue it anew from a profile of the authority.",
    "CSBR 7.1.2.2 a, 7.1.2.2 g, 7.1.2.3 a",
)
POLICY_RESERVED = Reason(
    "lint.policy_reserved",
    INFO,
    "The certificate names the reserved policy of its kind: 2.23.140.1.4.1, 2.23.140.1.3 or 2.23.140.1.4.2.",
    "A policy of the CA's own says the same only to those who know it.",
    "CSBR 7.1.6.1, 7.1.6.3",
)
OCSP_PLACE = Reason(
    "lint.ocsp_place",
    NO,
    "Where the certificate names an OCSP responder, it is an HTTP URL.",
    "Have it issued anew.",
    "CSBR 7.1.2.2 c, 7.1.2.3 c",
)
COUNTRY = Reason(
    "lint.country",
    NO,
    "Countries are two-letter codes of ISO 3166-1, or XX.",
    "Correct the subject.",
    "CSBR 7.1.4.2.3 f, 7.1.4.2.4 c",
)
JURISDICTION = Reason(
    "lint.jurisdiction",
    INFO,
    "A jurisdiction's locality stands with its state or province.",
    "Leave the locality out where the registration is not kept there.",
    "CSBR 7.1.4.2.4 c",
)
SIGNED_BY = Reason(
    "lint.signed_by",
    NO,
    "The signature is the issuer's.",
    "Get an undamaged copy, or the issuer's right certificate.",
    "RFC 5280 clause 6.1.3",
)
TIME_CA_LIFE = Reason(
    "lint.time_ca_life",
    INFO,
    "A CA for time stamps whose key is not kept offline in hardware lives at most 72 months.",
    "Keep its key offline in hardware, or issue it for a shorter time.",
    "CSBR 6.2.7.2",
)
NOCHECK = Reason(
    "lint.nocheck",
    NO,
    "An OCSP responder's certificate has the extension nocheck.",
    "Issue it anew from a profile of the authority.",
    "CSBR 4.9.9, RFC 6960 clause 4.2.2.2.1",
)
IN_FORCE = Reason(
    "lint.in_force",
    INFO,
    "It is a certificate for code signing, time stamping, their CAs or responders, issued since the requirements bind.",
    "What is older, or is for something else, is held against RFC 5280 alone.",
    "CSBR 1.2.1",
)
UNREADABLE = Reason(
    "lint.unreadable",
    NO,
    "It can be read as a certificate or a CRL.",
    "Get an undamaged copy.",
    "RFC 5280 clauses 4.1 and 5.1",
)
CRL_FIELDS = Reason(
    "lint.crl_fields",
    NO,
    "The CRL is of version 2, names its next update, its number and its issuer's key, and leaves an empty list out.",
    "Have it issued anew.",
    "RFC 5280 clauses 5.1.2, 5.2.1 and 5.2.3",
)
CRL_PERIOD = Reason(
    "lint.crl_period",
    NO,
    "The next CRL is due within ten days for code signing, twelve months for time stamping and CAs.",
    "Publish more often.",
    "CSBR 4.9.7",
)
CRL_ENTRIES = Reason(
    "lint.crl_entries",
    NO,
    "Each entry has a positive serial number of its own, a date not after the CRL's, and well-formed extensions.",
    "Have it issued anew.",
    "RFC 5280 clauses 5.1.2.6 and 5.3",
)
CRL_HOLD = Reason(
    "lint.crl_hold",
    NO,
    "No certificate is suspended.",
    "Revoke it, or release it.",
    "CSBR 4.9.13",
)
CRL_INVALIDITY = Reason(
    "lint.crl_invalidity",
    NO,
    "An invalidity date equals the revocation date.",
    "Move the revocation date back instead.",
    "CSBR 7.2.2",
)
CRL_SCOPE = Reason(
    "lint.crl_scope",
    NO,
    "The extensions that narrow what a CRL covers are critical, and nothing else unknown is.",
    "Have it issued anew.",
    "RFC 5280 clauses 5.2.4 and 5.2.5",
)
NAME_CATEGORY = Reason(
    "lint.name_category",
    NO,
    "The kind of organisation is one of four: Private Organization, Government Entity, Business Entity, "
    "Non-Commercial Entity.",
    "Correct the subject.",
    "CSBR 7.1.4.2.4 b",
)
EXTENSIONS_MORE = Reason(
    "lint.extensions_more",
    INFO,
    "There is no extension that the requirements do not name.",
    "The CA must know a reason for each.",
    "CSBR 7.1.2.4",
)
KEY_BLOCKED = Reason(
    "issue.key_blocked",
    NO,
    "The key is on none of the authority's lists of bad keys, such as Debian's of 2008.",
    "Make a new key.",
    "CSBR 6.1.1.3",
    ("T1588.004",),
)
