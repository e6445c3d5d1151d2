"""What checking an Authenticode signature can find, beyond what any CMS signature can."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, Reason

_PAPER = "Windows Authenticode Portable Executable Signature Format 1.0, "
_GET_ANEW = "Get an unchanged copy from its publisher."
_SIGN_ANEW = "Have it signed anew by its publisher."

SOUND = Reason(
    "authenticode.sound",
    OK,
    "There is one signer, and the digest of the file stands in the signature as Authenticode wants it.",
    cites=_PAPER + "SpcIndirectDataContent",
)
SIGNERS = Reason(
    "authenticode.signers",
    NO,
    "There is more than one signer in one signature, so that two verifiers may look at two different ones.",
    "Have it signed by one signer; further signatures are nested.",
    _PAPER + "SignerInfo",
    ("T1553.002",),
)
DIGESTS_DIFFER = Reason(
    "authenticode.digests_differ",
    NO,
    "The file is digested with one algorithm and the signature over that digest with another.",
    _SIGN_ANEW,
    _PAPER + "SignerInfo, digestAlgorithm",
    ("T1553.002",),
)
WRONG_SUBJECT = Reason(
    "authenticode.wrong_subject",
    NO,
    "The signature says that it was made over another kind of file.",
    _GET_ANEW,
    _PAPER + "SpcAttributeTypeAndOptionalValue",
    ("T1553.002", "T1036.001"),
)
WRAPPED = Reason(
    "authenticode.wrapped",
    INFO,
    "The digest of the file stands in an OCTET STRING, as .NET writes it; some verifiers do not look there.",
    cites="RFC 5652 clause 5.2.1",
)
PUBLISHER_TEXT = Reason(
    "authenticode.publisher_text",
    INFO,
    "What the signer says about the program (its name, a link) cannot be read.",
    cites=_PAPER + "SpcSpOpusInfo",
)
NESTED_BROKEN = Reason(
    "authenticode.nested_broken",
    NO,
    "A nested signature cannot be read: anybody can put a payload there.",
    _GET_ANEW,
    _PAPER + "Authenticode nested signatures (1.3.6.1.4.1.311.2.4.1)",
    ("T1553.002", "T1027.009"),
)
NESTED_TOO_MANY = Reason(
    "authenticode.nested_too_many",
    NO,
    "There are more nested signatures than chopmark looks at.",
    _SIGN_ANEW,
    _PAPER + "Authenticode nested signatures (1.3.6.1.4.1.311.2.4.1)",
    ("T1553.002", "T1027.009"),
)
