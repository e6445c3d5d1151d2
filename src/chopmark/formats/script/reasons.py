"""What checking a script can find."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, Reason

_SPEC = "docs/spec/script-signature.md"
_GET_ANEW = "Get an unchanged copy from its publisher."
_HIDDEN = ("T1059", "T1036.001")

BLOCK_SOUND = Reason(
    "script.block_sound",
    OK,
    "The signature block is written as the specification says, and ends the file.",
    cites=_SPEC,
)
BLOCK_FORM = Reason(
    "script.block_form",
    NO,
    "The signature block is not written as the specification says: something was put into it, or it was edited.",
    _GET_ANEW,
    _SPEC,
    _HIDDEN,
)
BLOCK_LINE_BREAKS = Reason(
    "script.block_line_breaks",
    NO,
    "The line breaks of the signature block were changed, or are not those of the script.",
    "Get a copy that no version control or mail program converted; keep signed scripts as binary.",
    _SPEC,
    ("T1059",),
)
BLOCK_COMMENT = Reason(
    "script.block_comment",
    NO,
    "The signature block is no comment in the language of the script: it would be run.",
    "Give the file the name it was signed under, or have it signed anew.",
    _SPEC,
    ("T1036", "T1059"),
)
BLOCK_OPEN = Reason(
    "script.block_open", NO, "One line of a signature block's begin and end is missing.", _GET_ANEW, _SPEC, _HIDDEN
)
BLOCK_BASE64 = Reason(
    "script.block_base64",
    NO,
    "What stands in the signature block cannot be read as base64 in comments.",
    _GET_ANEW,
    _SPEC,
    _HIDDEN,
)
BLOCK_TRAILING = Reason(
    "script.block_trailing",
    NO,
    "Something follows the signature block: it is not signed, and the interpreter runs it.",
    _GET_ANEW,
    _SPEC,
    _HIDDEN,
)
BLOCK_EARLIER = Reason(
    "script.block_earlier",
    INFO,
    "Another signature block stands within the signed text; it is text like any other and vouches for nothing.",
    cites=_SPEC,
    techniques=("T1036",),
)
BLOCK_LOOKALIKE = Reason(
    "script.block_lookalike",
    NO,
    "A line looks like the begin or end of a signature block, but is not.",
    "Remove the line, or have its publisher sign the file anew.",
    _SPEC,
    ("T1036", *_HIDDEN),
)
LANGUAGE_UNKNOWN = Reason(
    "script.language_unknown",
    NO,
    "There is a signature block, but neither name nor first line says which interpreter it is a comment for.",
    "Give the file the name it was signed under.",
    _SPEC,
    ("T1036",),
)
ENCODING = Reason(
    "script.encoding",
    NO,
    "The script declares an encoding in which the signature block need not be a comment.",
    "Have it saved as UTF-8 and signed anew.",
    _SPEC,
    ("T1059.006", "T1027"),
)
INTERPRETER = Reason(
    "script.interpreter",
    INFO,
    "The name says another language than the interpreter in the first line.",
    "Name the file after the interpreter that runs it.",
    techniques=("T1036", "T1059"),
)
CHANGED_LINE_BREAKS = Reason(
    "script.changed_line_breaks",
    NO,
    "The line endings were changed; with those it was signed with, the content is what was signed.",
    "Get a copy that no version control or mail program converted; keep signed scripts as binary.",
    _SPEC,
    ("T1059",),
)
CHANGED_BOM = Reason(
    "script.changed_bom",
    NO,
    "A byte order mark was added or removed; without that, the content is what was signed.",
    "Get a copy that no editor saved in another encoding.",
    _SPEC,
    ("T1059",),
)
