"""Why an OCSP answer does not count; loaded when somebody has one, or should have had.

What comes of it for a certificate is said by the reasons of `revocation`. Where revocation has to be known, and is not,
these come out as unknown as well.
"""

from __future__ import annotations

from chopmark.core.named import NamedTuple
from chopmark.core.reasons import INFO, Reason


class Doubt(NamedTuple):
    """Why an answer does not show that a certificate is good: one of these reasons, and the particulars."""

    reason: Reason
    detail: str = ""

    @property
    def text(self) -> str:
        """For people, within a line."""
        sentence = self.reason.sentence.removesuffix(".")
        return f"{sentence[0].lower()}{sentence[1:]}" + (f" ({self.detail})" if self.detail else "")


_AGAIN = "Check again later, or with the issuer's current list (--crl)."
_RESPONDER = "Have its issuer put its responder right; until then use the issuer's list (--crl)."
_FORGED = ("T1553.002", "T1557")

UNAVAILABLE = Reason(
    "ocsp.unavailable", INFO, "The issuer's OCSP responder could not be asked.", _AGAIN, "RFC 6960 clause 2.3"
)
MALFORMED = Reason(
    "ocsp.malformed", INFO, "What the OCSP responder sent is not an OCSP response.", _RESPONDER, "RFC 6960 clause 4.2.1"
)
TRY_LATER = Reason(
    "ocsp.try_later", INFO, "The OCSP responder asks to be asked again later.", _AGAIN, "RFC 6960 clause 2.3"
)
REFUSED = Reason("ocsp.refused", INFO, "The OCSP responder does not answer.", _RESPONDER, "RFC 6960 clause 2.3")
TOO_MANY = Reason(
    "ocsp.too_many",
    INFO,
    "More lists and OCSP answers came with the signature than are looked at.",
    "Get a copy of the file from its publisher, or leave out what its signature does not need.",
    "RFC 5280 clause 8",
)
OTHER = Reason(
    "ocsp.other",
    INFO,
    "The OCSP answer is about another certificate: issuer's name, issuer's key and serial number must all be the same.",
    _RESPONDER,
    "RFC 6960 clause 3.2 (1)",
    _FORGED,
)
SIGNER = Reason(
    "ocsp.signer",
    INFO,
    "Whoever signed the OCSP answer may not answer for this issuer.",
    _RESPONDER,
    "RFC 6960 clause 4.2.2.2",
    _FORGED,
)
SIGNATURE = Reason(
    "ocsp.signature",
    INFO,
    "The signature on the OCSP answer is not good: it was changed, or made by somebody else.",
    _RESPONDER,
    "RFC 6960 clause 3.2 (2)",
    _FORGED,
)
WEAK = Reason(
    "ocsp.weak",
    INFO,
    "The OCSP answer rests on a broken digest or a short key.",
    _RESPONDER,
    "NIST SP 800-131A r2 clause 9",
    _FORGED,
)
RESPONDER_ENDED = Reason(
    "ocsp.responder_ended",
    INFO,
    "The OCSP responder's certificate was not valid when it answered, or is not any more.",
    _RESPONDER,
    "RFC 6960 clause 4.2.2.2",
)
RESPONDER_REVOKED = Reason(
    "ocsp.responder_revoked",
    INFO,
    "The OCSP responder's certificate was revoked.",
    _RESPONDER,
    "RFC 6960 clause 4.2.2.2.1",
    _FORGED,
)
RESPONDER_UNCHECKED = Reason(
    "ocsp.responder_unchecked",
    INFO,
    "Whether the OCSP responder's own certificate was revoked could not be found out.",
    _RESPONDER,
    "RFC 6960 clause 4.2.2.2.1",
)
CRITICAL = Reason("ocsp.critical", INFO, "The OCSP answer has a critical extension that is not evaluated.", _RESPONDER)
FUTURE = Reason(
    "ocsp.future",
    INFO,
    "The OCSP answer is from later than the time asked about, or than its own signature.",
    "Check this machine's clock.",
    "RFC 6960 clause 4.2.2.1",
)
STALE = Reason("ocsp.stale", INFO, "The OCSP answer has ended.", _AGAIN, "RFC 6960 clause 4.2.2.1")
UNDATED = Reason(
    "ocsp.undated",
    INFO,
    "The OCSP answer does not say how long it counts, and is not from just now.",
    _AGAIN,
    "RFC 6960 clause 4.2.2.1, RFC 5019 clause 2.2.4",
)
ARCHIVE = Reason(
    "ocsp.archive",
    INFO,
    "The certificate has expired, and the OCSP responder does not say that it still knows about those.",
    "Check with the issuer's list (--crl), which has to name it for ten years.",
    "RFC 6960 clauses 2.2 and 4.4.4",
)
NOT_KNOWN = Reason(
    "ocsp.unknown",
    INFO,
    "The OCSP responder does not know the certificate.",
    "Ask its issuer whether it issued this certificate.",
    "RFC 6960 clause 2.2",
    ("T1587.003", "T1553.002"),
)
NONCE = Reason(
    "ocsp.nonce",
    INFO,
    "The OCSP answer is not to this question: its nonce is missing or another one.",
    "Ask without a nonce: many responders sign their answers ahead.",
    "RFC 9654 clause 2.1",
    ("T1557",),
)
