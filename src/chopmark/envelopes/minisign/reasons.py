"""What checking signatures of minisign and signify can find."""

from __future__ import annotations

from chopmark.core.reasons import NO, OK, Reason

_GET_ANEW = "Get an unchanged copy from its publisher."
_MINISIGN = "minisign, signature format"

FORM = Reason(
    "minisign.form",
    NO,
    "The signature file is not as minisign or signify writes it.",
    _GET_ANEW,
    _MINISIGN,
    ("T1036.001",),
)
ALGORITHM = Reason(
    "minisign.algorithm",
    NO,
    "The signature is of a kind that neither minisign nor signify makes.",
    _GET_ANEW,
    _MINISIGN,
)
SIGNATURE = Reason("minisign.signature", OK, "The signature is the key's own over this content.", cites="RFC 8032")
SIGNATURE_WRONG = Reason(
    "minisign.signature_wrong",
    NO,
    "The signature is not the key's own over this content: the file was changed, or another key signed it.",
    _GET_ANEW,
    "RFC 8032",
    ("T1554", "T1036.001"),
)
COMMENT = Reason("minisign.comment", OK, "The trusted comment is what the signer wrote.", cites=_MINISIGN)
COMMENT_WRONG = Reason(
    "minisign.comment_wrong",
    NO,
    "The trusted comment is not what the signer wrote, although the signature over the file holds.",
    _GET_ANEW,
    _MINISIGN,
    ("T1036.001",),
)
DIGEST_LIKE = Reason(
    "minisign.digest_like",
    NO,
    "The file is 64 bytes long and no text: this may be the signature over the digest of another file, put here.",
    "Have it signed by minisign as it does by default, over the digest.",
    _MINISIGN,
    ("T1036.001",),
)
