"""What an ELF file can do right or wrong in the way it carries its signature."""

from __future__ import annotations

from chopmark.core.reasons import NO, OK, Reason

_GET_ANEW = "Get an unchanged copy from its publisher."
_SIGN_ANEW = "Have it signed anew."
_LAYOUT = "Linux, include/linux/module_signature.h"
_HIDING = ("T1027.009", "T1554")

TRAILER = Reason("elf.trailer", OK, "The signature is appended to the program, and ends the file.", cites=_LAYOUT)
TRAILER_WRONG = Reason(
    "elf.trailer_wrong",
    NO,
    "What stands at the end is no appended PKCS #7 signature, or says something of itself that is not so.",
    _SIGN_ANEW,
    _LAYOUT,
    _HIDING,
)
TRAILING = Reason(
    "elf.trailing", NO, "Data was appended behind the signature, where nothing covers it.", _GET_ANEW, _LAYOUT, _HIDING
)
TWICE = Reason(
    "elf.twice",
    NO,
    "There is another signature below the last one.",
    "Have it signed anew; chopmark strip takes all of them out, and sign --append adds a signer.",
    _LAYOUT,
    _HIDING,
)
PROGRAM = Reason(
    "elf.program",
    OK,
    "What is signed is an ELF program or library, and no segment or section of it reaches into the signature.",
    cites="gABI 4.2, chapters 4 and 5",
)
PROGRAM_WRONG = Reason(
    "elf.program_wrong",
    NO,
    "What is signed is no sound ELF program or library, or reaches beyond what is signed.",
    _GET_ANEW,
    "gABI 4.2, chapters 4 and 5",
    ("T1554", "T1036.001"),
)
CONTENT = Reason(
    "elf.content",
    NO,
    "The signature carries a content of its own, or is over something else than plain data.",
    _SIGN_ANEW,
    "RFC 5652 clause 5.2",
    _HIDING,
)
