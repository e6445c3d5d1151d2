"""What checking a signature of IMA's or EVM's can find."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, UNKNOWN, Reason

_GET_ANEW = "Get an unchanged copy from its publisher."
_SIGN_ANEW = "Have it signed anew, with evmctl ima_sign or chopmark."
_HEADER = "Linux, security/integrity/integrity.h: struct signature_v2_hdr"
_KERNEL = "Linux, security/integrity/digsig_asymmetric.c: asymmetric_verify"

HEADER_WRONG = Reason(
    "ima.header_wrong",
    NO,
    "This is no signature of IMA's, or says something of itself that is not so.",
    _SIGN_ANEW,
    _HEADER,
    ("T1554", "T1027.009"),
)
UNSUPPORTED = Reason(
    "ima.unsupported",
    UNKNOWN,
    "The signature has a version or a digest algorithm that chopmark does not know, so that it could not be checked.",
    _SIGN_ANEW,
    _HEADER,
)
SIGNER_UNKNOWN = Reason(
    "ima.signer_unknown",
    UNKNOWN,
    "The trust store has no certificate with the key that the signature names, so that it could not be checked.",
    "Get the signer's certificate over a way that you trust, and add it to the store.",
    _HEADER,
    ("T1554", "T1587.002"),
)
KEY_KIND = Reason(
    "ima.key_kind",
    NO,
    "The key is of a kind that IMA does not know.",
    "Have it signed with an RSA or ECDSA key.",
    _KERNEL,
)
SIGNATURE = Reason("ima.signature", OK, "The signature is the signer's own over this content.", cites=_KERNEL)
SIGNATURE_WRONG = Reason(
    "ima.signature_wrong",
    NO,
    "The signature is not the signer's own over this content: the file was changed, or somebody else signed it.",
    _GET_ANEW,
    _KERNEL,
    ("T1554", "T1036.001"),
)
_EVM = "Linux, security/integrity/evm/evm_crypto.c: evm_calc_hmac_or_hash"

METADATA = Reason("ima.metadata", INFO, "The signature is over owner, group, mode and these attributes.", cites=_EVM)
METADATA_ALONE = Reason(
    "ima.metadata_alone",
    NO,
    "There is no digest or signature of the file in security.ima, so that its metadata are signed without the file.",
    "Have the file signed anew, with security.ima first and security.evm after it.",
    _EVM,
    ("T1554",),
)
FILE_DIGEST_WRONG = Reason(
    "ima.file_digest_wrong",
    NO,
    "What stands in security.ima is neither a digest of a known kind nor a signature.",
    _SIGN_ANEW,
    "Linux, security/integrity/integrity.h: enum evm_ima_xattr_type",
)
CONFUSABLE = Reason(
    "ima.confusable",
    NO,
    "The file is what a signature of another kind is over: this could be that signature, taken from another file.",
    "Have it signed by its fs-verity digest (evmctl ima_sign --veritysig, --variant verity).",
    "Linux, security/integrity/integrity.h: struct ima_file_id; evm_crypto.c: hmac_add_misc",
    ("T1036.001",),
)
