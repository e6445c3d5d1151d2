"""What a kernel module can do right or wrong in the way it carries its signature."""

from __future__ import annotations

from chopmark.core.reasons import NO, OK, UNKNOWN, Reason

_GET_ANEW = "Get an unchanged copy from its publisher."
_SIGN_ANEW = "Have it signed anew, as the kernel's scripts/sign-file or chopmark does."
_LAYOUT = "Linux, include/linux/module_signature.h and kernel/module_signature.c"
_HIDING = ("T1547.006", "T1014", "T1027.009")

TRAILER = Reason(
    "kmod.trailer", OK, "The signature is appended as the kernel wants it, and ends the module.", cites=_LAYOUT
)
TRAILER_WRONG = Reason(
    "kmod.trailer_wrong",
    NO,
    "What stands at the end is no PKCS #7 module signature, or says something of itself that is not so.",
    _SIGN_ANEW,
    _LAYOUT + ": mod_check_sig",
    _HIDING,
)
TRAILING = Reason(
    "kmod.trailing",
    NO,
    "Data was appended behind the signature: the kernel takes such a module for unsigned.",
    _GET_ANEW,
    _LAYOUT,
    _HIDING,
)
TWICE = Reason(
    "kmod.twice",
    NO,
    "There is another signature below the last one; the kernel looks at the last alone.",
    "Have it signed anew; chopmark strip takes all of them out.",
    _LAYOUT,
    _HIDING,
)
MODULE = Reason(
    "kmod.module", OK, "What is signed is a relocatable ELF file with .modinfo.", cites="ELF 1.2; modinfo(8)"
)
MODULE_WRONG = Reason(
    "kmod.module_wrong",
    NO,
    "What is signed is no kernel module.",
    _GET_ANEW,
    "Linux, kernel/module/main.c: elf_validity_cache_copy",
    ("T1547.006", "T1036.001"),
)
CONTAINER = Reason(
    "kmod.container",
    NO,
    "The compression around the module is damaged, or has room for data that no signature covers.",
    "Compress the module anew: gzip -n, or xz --check=crc32.",
    "RFC 1952 clause 2.3; The .xz File Format 1.2.1",
    _HIDING,
)
TOO_LARGE = Reason(
    "kmod.too_large",
    NO,
    "The module is larger than any, once it is uncompressed.",
    _GET_ANEW,
    techniques=("T1499",),
)
ZSTANDARD = Reason(
    "kmod.zstandard",
    UNKNOWN,
    "The module is compressed with Zstandard, which chopmark does not read yet, so that it could not be checked.",
    "Uncompress it (zstd -d) and check what comes out.",
    "RFC 8878",
)
