"""What checking the signature of a kernel module can find."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, UNKNOWN, Reason

_GET_ANEW = "Get an unchanged copy from its publisher."
_SIGN_ANEW = "Have it signed anew, as the kernel's scripts/sign-file or chopmark does."
_KERNEL = "Linux, Documentation/admin-guide/module-signing.rst"
_PARSER = "Linux, crypto/asymmetric_keys/pkcs7_parser.c"
_HIDING = ("T1547.006", "T1014", "T1027.009")

SIGNERS = Reason(
    "module.signers",
    NO,
    "What the kernel checks has one signer; this signature has another number of them.",
    _SIGN_ANEW,
    _KERNEL,
    ("T1547.006", "T1014"),
)
FORM = Reason(
    "module.form", OK, "The signature has the form that the kernel takes: over the content alone.", cites=_KERNEL
)
ATTRIBUTES = Reason(
    "module.attributes",
    NO,
    "The signature is over attributes and not over the content: the kernel refuses that in modules.",
    _SIGN_ANEW,
    "Linux, crypto/asymmetric_keys/pkcs7_verify.c: pkcs7_verify, VERIFYING_MODULE_SIGNATURE",
    ("T1547.006",),
)
CONTENT = Reason(
    "module.content",
    NO,
    "The signature carries a content of its own, or is over something else than plain data.",
    _SIGN_ANEW,
    "Linux, crypto/asymmetric_keys/pkcs7_verify.c: pkcs7_supply_detached_data",
    _HIDING,
)
LOADED = Reason(
    "module.loaded",
    NO,
    "The signature carries attributes or revocation lists that nobody signed and no kernel reads.",
    _SIGN_ANEW,
    _PARSER,
    _HIDING,
)
CERTIFICATES = Reason(
    "module.certificates",
    INFO,
    "Certificates travel along, which is unusual in modules; they have to lead to an anchor like all others.",
    cites=_PARSER,
)
ALGORITHM = Reason(
    "module.algorithm",
    NO,
    "The signature is made in a way that the kernel does not know.",
    "Have it signed with an RSA key (PKCS #1 v1.5) or an ECDSA key, and SHA-256, SHA-384 or SHA-512.",
    _PARSER + ": pkcs7_sig_note_pkey_algo",
    ("T1547.006",),
)
SIGNER_UNKNOWN = Reason(
    "module.signer_unknown",
    UNKNOWN,
    "The trust store does not have the certificate that the signature names, so that it could not be checked.",
    "Get the signer's certificate over a way that you trust, and add it to the store.",
    _KERNEL,
    ("T1547.006", "T1014", "T1587.002"),
)
SIGNER_FOUND = Reason(
    "module.signer_found", OK, "The certificate that the signature names is known.", cites="RFC 5652 clause 5.3"
)
SIGNATURE = Reason("module.signature", OK, "The signature is the signer's own over this content.", cites=_KERNEL)
SIGNATURE_WRONG = Reason(
    "module.signature_wrong",
    NO,
    "The signature is not the signer's own over this content: it was changed, or somebody else signed it.",
    _GET_ANEW,
    _KERNEL,
    ("T1547.006", "T1014", "T1036.001"),
)
