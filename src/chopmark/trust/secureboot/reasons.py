"""What firmware (UEFI Secure Boot) and shim find about an image, and what firmware finds about a signed update."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, UNKNOWN, Reason

_VERIFY = "UEFI 2.10 clause 32.5.3.3; EDK II, DxeImageVerificationLib"
_UPDATES = "UEFI 2.10 clause 8.2.2"
_VARIABLES = "UEFI 2.10 clause 32.3"
_SBAT = "shim, SBAT.md"
_SHIM = "shim, shim.c: verify_buffer"
_BOOT = ("T1542.001", "T1542.003")
_SIGN = "Have it signed with a key that db trusts, or enter its digest into db."
_NEWER = "Install a newer version, whose publisher was not revoked."
_SIGN_ANEW = "Have it signed anew (chopmark sign)."

# An image, as firmware sees it
CERTIFICATE = Reason("secureboot.certificate", OK, "A signature leads to a certificate in db.", cites=_VERIFY)
DIGEST = Reason("secureboot.digest", OK, "The image's digest is in db.", cites=_VERIFY)
NOT_FORBIDDEN = Reason(
    "secureboot.not_forbidden", OK, "The list dbx names neither the image nor a signer.", cites=_VERIFY
)
UNSIGNED = Reason(
    "secureboot.unsigned", NO, "The image is not signed, and its digest is not in db.", _SIGN, _VERIFY, _BOOT
)
UNTRUSTED = Reason(
    "secureboot.untrusted",
    NO,
    "No signature leads to a certificate in db, and the image's digest is not there.",
    _SIGN,
    _VERIFY,
    _BOOT,
)
FORBIDDEN_DIGEST = Reason(
    "secureboot.forbidden_digest", NO, "The list dbx names the image by its digest.", _NEWER, _VERIFY, _BOOT
)
FORBIDDEN_OTHER_DIGEST = Reason(
    "secureboot.forbidden_other_digest",
    NO,
    "The list dbx names the image by a digest that none of its signatures uses: the specification forbids it, EDK II"
    " passes over that.",
    _NEWER,
    _VERIFY,
    _BOOT,
)
FORBIDDEN_CERTIFICATE = Reason(
    "secureboot.forbidden_certificate", NO, "A signature leads to a certificate in dbx.", _NEWER, _VERIFY, _BOOT
)
REVOKED_CERTIFICATE = Reason(
    "secureboot.revoked_certificate",
    NO,
    "The list dbx revokes a certificate of a signature, and no time stamp trusted by dbt shows that it is older.",
    _NEWER,
    _VERIFY,
    _BOOT,
)
STAMPED_BEFORE = Reason(
    "secureboot.stamped_before",
    OK,
    "The list dbx revokes a certificate of a signature, which a time stamp trusted by dbt shows to be older.",
    cites=_VERIFY,
)
DIGEST_MISMATCH = Reason(
    "secureboot.digest_mismatch", NO, "The image is not the one that was signed.", "Get an unchanged copy.", _VERIFY,
    (*_BOOT, "T1554"),
)  # fmt: skip
SIGNATURE_WRONG = Reason(
    "secureboot.signature_wrong",
    NO,
    "The mathematics of a signature does not hold, or firmware does not know it.",
    _SIGN_ANEW,
    _VERIFY,
    _BOOT,
)
PASSED_OVER = Reason(
    "secureboot.passed_over",
    INFO,
    "Another signature was enough, so that what is wrong with this one does not count for firmware.",
    cites=_VERIFY,
)
TABLE = Reason(
    "secureboot.table", NO, "The image or its certificate table cannot be read to its end.", "Get an unchanged copy.",
    _VERIFY, _BOOT,
)  # fmt: skip
ALGORITHM = Reason(
    "secureboot.algorithm",
    UNKNOWN,
    "Whether the signature holds depends on the firmware: not all know keys or digests of this kind.",
    "Have it signed with an RSA key of 2048 bits and SHA-256, which all firmware knows.",
    "UEFI 2.10 clause 32.2.4; EDK II, BaseCryptLib",
)
NOT_VALID = Reason(
    "secureboot.not_valid",
    INFO,
    "A certificate of the signature is not within its validity: firmware does not look at that.",
    cites=_VERIFY,
)
PURPOSE = Reason(
    "secureboot.purpose",
    INFO,
    "The signer's certificate is not for code signing: firmware does not look at that.",
    cites=_VERIFY,
)
UNREADABLE = Reason(
    "secureboot.unreadable",
    INFO,
    "An entry is no certificate that could be read; firmware passes over it as well.",
    cites=_VARIABLES,
)
FORBIDDEN_UNREADABLE = Reason(
    "secureboot.forbidden_unreadable",
    UNKNOWN,
    "An entry of what is forbidden is no certificate that could be read here; firmware may read it, and forbid more.",
    "Look at the entry (chopmark secureboot list), and have it written anew.",
    _VARIABLES,
    _BOOT,
)
STATE_OFF = Reason(
    "secureboot.state_off",
    INFO,
    "Secure Boot is switched off, or in set-up mode, on the machine that the variables are from: it starts anything.",
    cites=_VARIABLES,
)
DBX_MISSING = Reason(
    "secureboot.dbx_missing",
    INFO,
    "There is no dbx: nothing was held against revocations.",
    cites=_VARIABLES,
)

# The same image, as shim sees it
SHIM_TRUSTED = Reason("shim.trusted", OK, "The shim knows who signed the image, or its digest.", cites=_SHIM)
SHIM_UNTRUSTED = Reason(
    "shim.untrusted",
    NO,
    "Neither db, nor the certificates that shim carries, nor the machine owner's keys lead to the image.",
    "Have it signed by the distribution, or enrol the key (mokutil --import).",
    _SHIM,
    _BOOT,
)
SHIM_FORBIDDEN = Reason(
    "shim.forbidden", NO, "Either dbx, MokListX or the list that shim carries forbids the image.", _NEWER, _SHIM, _BOOT
)
SHIM_MODULES_ONLY = Reason(
    "shim.modules_only",
    NO,
    "The signer's certificate is for kernel modules alone: shim starts nothing by it.",
    _SIGN_ANEW,
    "shim, shim.c: check_cert_eku",
    _BOOT,
)
SBAT = Reason("shim.sbat", OK, "No component of the image is older than the generation that SBAT demands.", cites=_SBAT)
SBAT_REVOKED = Reason("shim.sbat_revoked", NO, "SBAT revokes this generation of a component.", _NEWER, _SBAT, _BOOT)
SBAT_MISSING = Reason(
    "shim.sbat_missing", NO, "The image has no .sbat section, without which shim starts nothing.",
    "Have it built anew with SBAT data (objcopy --add-section .sbat=...).", _SBAT, _BOOT,
)  # fmt: skip
SBAT_ABSENT = Reason(
    "shim.sbat_absent",
    INFO,
    "The kernel has no .sbat section: a boot loader that asks shim about it starts it, shim itself does not.",
    cites="shim, sbat.c: verify_sbat_section, in_protocol",
)
SBAT_BROKEN = Reason(
    "shim.sbat_broken", NO, "SBAT data is not written as the specification says.",
    "Have it built anew with SBAT data as SBAT.md says.", _SBAT, _BOOT,
)  # fmt: skip
SBAT_UNKNOWN = Reason(
    "shim.sbat_unknown",
    INFO,
    "No level of revocations is known (SbatLevelRT, or the one in a shim), so that nothing was held against it.",
    cites=_SBAT,
)

# A signed update of a variable
UPDATE_SIGNED = Reason(
    "secureboot.update_signed", OK, "The update is signed by who may change the variable.", cites=_UPDATES
)
UPDATE_UNTRUSTED = Reason(
    "secureboot.update_untrusted",
    NO,
    "The update is not signed by anybody who may change the variable: PK for PK and KEK, KEK or PK for all others.",
    "Have it signed with such a key.",
    _UPDATES,
    _BOOT,
)
UPDATE_SIGNER_UNASKED = Reason(
    "secureboot.update_signer_unasked",
    UNKNOWN,
    "It was not said who may change the variable, so that the signer could not be judged.",
    "Name the certificates that may (those in PK or KEK).",
    _UPDATES,
)
UPDATE_OTHER = Reason(
    "secureboot.update_other",
    NO,
    "The signature does not hold for this variable, with these attributes, this time and this value.",
    "Name the variable that it was made for, and whether it appends; else get an unchanged copy.",
    _UPDATES,
    _BOOT,
)
UPDATE_MEANT = Reason(
    "secureboot.update_meant", INFO, "For another variable, or appending instead of replacing, the signature holds.",
    cites=_UPDATES,
)  # fmt: skip
UPDATE_OLD = Reason(
    "secureboot.update_old",
    NO,
    "The update is not newer than what the variable holds: firmware refuses it, because it may have been replayed.",
    "Make an update with a later time; only what is appended may be older.",
    _UPDATES,
    _BOOT,
)
UPDATE_NEW = Reason("secureboot.update_new", OK, "The update is newer than what the variable holds.", cites=_UPDATES)
UPDATE_AGE_UNKNOWN = Reason(
    "secureboot.update_age_unknown",
    INFO,
    "It was not said how old the variable is; firmware refuses updates that are not newer.",
    cites=_UPDATES,
)
UPDATE_PAYLOAD = Reason(
    "secureboot.update_payload", NO, "The new value is not one that this variable can have.",
    "Make it anew (chopmark secureboot create).", "UEFI 2.10 clause 32.3", _BOOT,
)  # fmt: skip
