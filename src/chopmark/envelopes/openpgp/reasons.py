"""What checking signatures of OpenPGP's can find."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, UNKNOWN, Reason

_GET_ANEW = "Get an unchanged copy from its publisher."
_AGAIN = "Have it signed anew, for what it is."

FORM = Reason(
    "openpgp.form",
    NO,
    "The signature is not as OpenPGP writes it, or something else is with it.",
    _GET_ANEW,
    "RFC 9580 clauses 4, 5.2, 6 and 7",
    ("T1036.001",),
)
UNSUPPORTED = Reason(
    "openpgp.unsupported",
    UNKNOWN,
    "The signature is of a version, or uses an algorithm, that is not checked here.",
    "Have it signed with RSA, ECDSA or Ed25519 and SHA-2.",
    "RFC 9580 clause 9",
)
SIGNATURE = Reason("openpgp.signature", OK, "The signature is the key's own over this content.", cites="RFC 9580")
SIGNATURE_WRONG = Reason(
    "openpgp.signature_wrong",
    NO,
    "The signature is not the key's own over this content: the file was changed, or another key signed it.",
    _GET_ANEW,
    "RFC 9580 clause 5.2.4",
    ("T1554", "T1036.001"),
)
TYPE = Reason(
    "openpgp.type",
    NO,
    "The signature is of a type for something else than content, and could have been taken from there.",
    _AGAIN,
    "RFC 9580 clause 5.2.1",
    ("T1036.001",),
)
CRITICAL = Reason(
    "openpgp.critical",
    NO,
    "The signature says something that must be understood, and is not.",
    _AGAIN,
    "RFC 9580 clause 5.2.3.7",
)
RECIPIENT = Reason(
    "openpgp.recipient",
    NO,
    "The signature was made for somebody in particular, in a message, and could have been taken from there.",
    _AGAIN,
    "RFC 9580 clause 5.2.3.36",
    ("T1036.001",),
)
UNSIGNED = Reason(
    "openpgp.unsigned",
    NO,
    "The signature carries statements that nobody signed.",
    _GET_ANEW,
    "RFC 9580 clause 5.2.3.1",
    ("T1036.001",),
)
VERSION_3 = Reason(
    "openpgp.version_3",
    INFO,
    "The signature is of version 3, as rpm made them for long: it says nothing but when it was made.",
    cites="RFC 9580 clause 5.2.2",
)
HEADERS = Reason(
    "openpgp.headers",
    INFO,
    "The armour has headers (such as Comment), which are not signed.",
    cites="RFC 9580 clause 6.2",
)
TEXT = Reason(
    "openpgp.text", INFO, "The signature is over a text: its line ends are not signed.", cites="RFC 9580 clause 5.2.1.2"
)
LOOSE = Reason(
    "openpgp.loose", INFO, "There is white space at the end of lines, which is not signed.", cites="RFC 9580 clause 7.2"
)
OUTSIDE = Reason(
    "openpgp.outside",
    NO,
    "Something that is not signed stands with the signed text, and could be taken for part of it.",
    "Get the signed text alone, from its publisher.",
    "RFC 9580 clause 7",
    ("T1036.001",),
)
HASH = Reason(
    "openpgp.hash",
    NO,
    "The head of the signed text names another digest than the signature uses.",
    _GET_ANEW,
    "RFC 9580 clause 7",
)
