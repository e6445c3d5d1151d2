"""The catalogue of reason codes: every check's answer has one entry, from which text, JSON, SARIF and docs render.

A reason is declared once, next to the check that gives it (each room and each format has a `reasons` module; those that
belong to everybody stand here), and registers itself in CATALOG. Tests assert codes, not messages.
"""

from __future__ import annotations

from chopmark.core.finding import Finding, Outcome

CATALOG: dict[str, Reason] = {}


class Reason:
    """Why a check answered as it did.

    `code` is `area.what`; `sentence` is for people, without the particulars; `remedy` says what would have to change
    in the artifact or its surroundings, never in the policy; `cites` names the clause; `techniques` are MITRE ATT&CK
    ids. Making one enters it into the catalogue; a code declared twice is a programming error (ValueError).
    """

    __slots__ = ("_plain", "cites", "code", "outcome", "remedy", "sentence", "techniques")

    def __init__(
        self,
        code: str,
        outcome: Outcome,
        sentence: str,
        remedy: str = "",
        cites: str = "",
        techniques: tuple[str, ...] = (),
    ) -> None:
        if code in CATALOG:
            message = f"reason code declared twice: {code}"
            raise ValueError(message)
        self.code = code
        self.outcome = outcome
        self.sentence = sentence
        self.remedy = remedy
        self.cites = cites
        self.techniques = techniques
        self._plain = Finding(code, outcome, "", "", cites)
        CATALOG[code] = self

    def found(self, detail: str = "", *, subject: str = "", outcome: Outcome | None = None) -> Finding:
        """A finding for this reason; `subject` is what was looked at, `detail` the particulars of this case."""
        if not (detail or subject or outcome):
            return self._plain  # nothing about this case: one for all
        return Finding(self.code, outcome or self.outcome, subject, detail, self.cites)


OK, NO, UNKNOWN, INFO = Outcome.OK, Outcome.NO, Outcome.UNKNOWN, Outcome.INFO

# Input: could this be looked at?
INPUT_MISSING = Reason("input.missing", UNKNOWN, "There is no such file.", "Check the path.")
INPUT_NOT_A_FILE = Reason(
    "input.not_a_file",
    UNKNOWN,
    "This is not a regular file.",
    "Name the files themselves; chopmark catalog lists and signs whole folders.",
)
INPUT_UNREADABLE = Reason(
    "input.unreadable", UNKNOWN, "The file could not be read.", "Check permissions and the medium."
)
INPUT_CHANGED = Reason(
    "input.changed",
    UNKNOWN,
    "The file changed while it was being checked.",
    "Check it again when nothing writes to it.",
    techniques=("T1554",),
)
INPUT_TOO_LARGE = Reason(
    "input.too_large", UNKNOWN, "The file is larger than this format's limit.", "Sign it detached (FILE.p7s)."
)

# Format: what is this?
FORMAT_DETECTED = Reason("format.detected", INFO, "The format was recognised from the content.")
FORMAT_AMBIGUOUS = Reason(
    "format.ambiguous",
    NO,
    "Two formats claim this file with equal certainty: it could be run as either.",
    "Ship a file that is one thing only.",
    techniques=("T1036",),
)
FORMAT_MALFORMED = Reason(
    "format.malformed",
    NO,
    "The file breaks the rules of its own format.",
    "Get an undamaged copy from its publisher.",
    techniques=("T1036.001",),
)

UNPACKED_TOO_LARGE = Reason(
    "format.unpacked_too_large",
    NO,
    "What is compressed in the file is larger than any such file holds: a bomb.",
    "Get an undamaged copy from its publisher.",
    techniques=("T1499",),
)
COMPRESSION_UNSUPPORTED = Reason(
    "format.compression_unsupported",
    UNKNOWN,
    "The file is compressed in a way for which a library is not installed, so that it could not be looked at.",
    "Install chopmark with its extra for packages.",
)

# Seals: what is signed, and is it still that?
SEAL_NONE = Reason(
    "seal.none",
    NO,
    "It carries no signature.",
    "Have its publisher sign it, or sign it yourself after review.",
    techniques=("T1059", "T1554"),
)
SEAL_ELSEWHERE = Reason(
    "seal.elsewhere",
    INFO,
    "What vouches for such a file stands elsewhere: another command judges it.",
)
SEAL_OF_ANOTHER = Reason(
    "seal.of_another",
    INFO,
    "It is called like the signature of another file, and is verified together with that.",
)
KEY_UNKNOWN = Reason(
    "key.unknown",
    UNKNOWN,
    "The trust store does not have the key that the signature names, so that it could not be checked.",
    "Get the publisher's public key over a way that you trust, and add it to the store.",
    techniques=("T1036.001", "T1587.002"),
)
DIGEST_MATCH = Reason("digest.match", OK, "The content is what was signed.")
DIGEST_MISMATCH = Reason(
    "digest.mismatch",
    NO,
    "The content is not what was signed: it was changed, or the signature belongs to another file.",
    "Get an unchanged copy from its publisher.",
    techniques=("T1554", "T1036.001"),
)
DIGEST_WEAK = Reason(
    "digest.weak",
    NO,
    "The digest algorithm is broken (MD5, or SHA-1 after its sunset): others can make a file with the same digest.",
    "Have it signed anew with SHA-256 or better.",
    "NIST SP 800-131A r2 clause 9",
    techniques=("T1036.001",),
)
DIGEST_DATED = Reason(
    "digest.dated",
    INFO,
    "SHA-1 was used, but a trusted time stamp shows it was before collisions became practical.",
    "Have it signed anew with SHA-256 or better.",
    "NIST SP 800-131A r2 clause 9",
)
DIGEST_UNSUPPORTED = Reason(
    "digest.unsupported", UNKNOWN, "The digest algorithm is not one chopmark knows.", "Have it signed with SHA-256."
)
