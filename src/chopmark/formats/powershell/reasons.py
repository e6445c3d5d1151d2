"""What checking a PowerShell file can find."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, Reason

_GET_ANEW = "Get an unchanged copy from its publisher."
_SAVE_WITH_BOM = "Have it saved as UTF-8 with a byte order mark and signed anew."
_SCRIPT = ("T1059.001",)
_HIDDEN = ("T1059.001", "T1036.001", "T1546.013")

BLOCK_SOUND = Reason(
    "powershell.block_sound", OK, "The signature block is written as Windows writes it, and ends the file."
)
BLOCK_FORM = Reason(
    "powershell.block_form",
    NO,
    "The signature block is not written as Windows writes it: something was put into it, or it was edited.",
    _GET_ANEW,
    techniques=_HIDDEN,
)
BLOCK_LINE_BREAKS = Reason(
    "powershell.block_line_breaks",
    NO,
    "The line breaks of the signature block were changed, so that Windows sees no signature.",
    "Get a copy that no version control or mail program converted; keep such files as binary.",
    techniques=_SCRIPT,
)
BLOCK_OPEN = Reason(
    "powershell.block_open",
    NO,
    "One line of a signature block's begin and end is missing.",
    _GET_ANEW,
    techniques=_HIDDEN,
)
BLOCK_BASE64 = Reason(
    "powershell.block_base64",
    NO,
    "What stands in the signature block cannot be read as base64 in comments.",
    _GET_ANEW,
    techniques=_HIDDEN,
)
BLOCK_SEVERAL = Reason(
    "powershell.block_several",
    NO,
    "There is more than one signature block; Windows reads the first, and what follows is unsigned.",
    _GET_ANEW,
    techniques=_HIDDEN,
)
BLOCK_TRAILING = Reason(
    "powershell.block_trailing",
    NO,
    "Something follows the signature block: it is not signed, and PowerShell runs it.",
    _GET_ANEW,
    techniques=_HIDDEN,
)
BLOCK_LAST_BREAK = Reason(
    "powershell.block_last_break",
    INFO,
    "The last line break is not the one that Windows writes; it is not signed and means nothing.",
)
BLOCK_LOOKALIKE = Reason(
    "powershell.block_lookalike",
    NO,
    "A line looks like the begin or end of a signature block, but is not.",
    "Remove the line, or have its publisher sign the file anew.",
    techniques=("T1036", *_HIDDEN),
)
HANDLER = Reason("powershell.handler", OK, "The signature was made for a PowerShell file.")
HANDLER_WRONG = Reason(
    "powershell.handler_wrong",
    NO,
    "The signature was made for another kind of file and put into this one.",
    _GET_ANEW,
    techniques=("T1036.001", "T1553.003"),
)
ENCODING_UNKNOWN = Reason(
    "powershell.encoding_unknown",
    NO,
    "The text cannot be decoded without loss: PowerShell would not see the bytes that were signed.",
    _SAVE_WITH_BOM,
    techniques=_SCRIPT,
)
ENCODING_UNMARKED = Reason(
    "powershell.encoding_unmarked",
    INFO,
    "There are characters beyond ASCII and no byte order mark: readers disagree about them.",
    _SAVE_WITH_BOM,
    techniques=_SCRIPT,
)
ENCODING_AMBIGUOUS = Reason(
    "powershell.encoding_ambiguous",
    NO,
    "Without a byte order mark it is signed as UTF-8, while Windows reads other quotes or dashes in it: two programs.",
    _SAVE_WITH_BOM,
    techniques=("T1059.001", "T1036"),
)
ENCODING_DECLARED = Reason(
    "powershell.encoding_declared",
    NO,
    "The XML declares an encoding in which the signature block need not be a comment.",
    "Have it saved as UTF-8 and signed anew.",
    "XML 1.0 clause 4.3.3",
    ("T1027", "T1059.001"),
)
INTERPRETER = Reason(
    "powershell.interpreter",
    INFO,
    "The name says PowerShell, the first line hands the file to another interpreter.",
    "Name the file after the interpreter that runs it.",
    techniques=("T1036", "T1059.004"),
)
CHANGED_LINE_BREAKS = Reason(
    "powershell.changed_line_breaks",
    NO,
    "The line endings were changed; with those it was signed with, the content is what was signed.",
    "Get a copy that no version control or mail program converted; keep such files as binary.",
    techniques=_SCRIPT,
)
CHANGED_BOM = Reason(
    "powershell.changed_bom",
    NO,
    "The byte order mark was added, removed or exchanged; without that, the content is what was signed.",
    "Get a copy that no editor saved in another encoding.",
    techniques=_SCRIPT,
)
