"""What checking a detached signature can find."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, Reason

_GET_ANEW = "Get an unchanged copy from its publisher."

CONTENT_ALONG = Reason(
    "detached.content_along",
    INFO,
    "The signature carries a content along; the file itself is compared all the same.",
    cites="RFC 5652 clause 5.2",
)
CONTENT_TYPE = Reason(
    "detached.content_type",
    NO,
    "The signature is not over plain data but over another kind of object, whose bytes mean something else.",
    _GET_ANEW,
    "RFC 5652 clause 4",
    ("T1036.001",),
)
PEM_FORM = Reason(
    "detached.pem_form",
    NO,
    "The PEM file is more or other than one block: something was put into it.",
    "Have the signature saved anew as DER, or as one PEM block.",
    "RFC 7468 clause 3",
    ("T1036.001", "T1027.009"),
)
MIME = Reason(
    "detached.mime",
    NO,
    "The signature is an e-mail message (S/MIME), not a CMS object.",
    "Have it signed with openssl cms -sign -binary -outform DER.",
    "RFC 8551",
)
NOBODY = Reason("detached.nobody", NO, "The signature file carries no signature.", _GET_ANEW, "RFC 5652 clause 5.1")
CHANGED_AS_TEXT = Reason(
    "detached.changed_as_text",
    NO,
    "The signer converted the file as text before signing: what was signed is not this file.",
    "Have it signed anew with openssl cms -sign -binary.",
    "RFC 8551 clause 3.1.1",
)
CHANGED_LINE_BREAKS = Reason(
    "detached.changed_line_breaks",
    NO,
    "The line endings of the file were changed after it was signed.",
    "Get a copy that no version control or mail program converted.",
)
