"""What reading a signature list, or a signed update of one, can find."""

from __future__ import annotations

from chopmark.core.reasons import NO, OK, UNKNOWN, Reason

_GET_ANEW = "Get an unchanged copy from whoever made it."
_MAKE_ANEW = "Have it made anew (chopmark secureboot create, sign-update)."
_LISTS = "UEFI 2.10 clause 32.4.1"
_UPDATES = "UEFI 2.10 clause 8.2.2"
_BOOT = ("T1542.001", "T1542.003")

LIST = Reason("efi.list", NO, "This is no EFI signature list: its sizes do not add up.", _GET_ANEW, _LISTS, _BOOT)
ENTRY = Reason(
    "efi.entry", NO, "A signature list has entries of another size than their type has.", _GET_ANEW, _LISTS, _BOOT
)
TIME = Reason("efi.time", NO, "This is no time as UEFI writes it.", _MAKE_ANEW, "UEFI 2.10 clause 8.3")
UPDATE = Reason(
    "efi.update", NO, "This is no signed update of a variable (EFI_VARIABLE_AUTHENTICATION_2).", _GET_ANEW, _UPDATES
)
FORM = Reason("efi.form", OK, "The update has the form that firmware takes.", cites=_UPDATES)
FORM_WRONG = Reason(
    "efi.form_wrong", NO, "The update has not the form that firmware takes.", _MAKE_ANEW, _UPDATES, _BOOT
)
FORM_CONTENT = Reason(
    "efi.form_content",
    UNKNOWN,
    "The signature carries a content, which stays outside by the specification: some firmware takes such updates.",
    _MAKE_ANEW,
    _UPDATES,
)
