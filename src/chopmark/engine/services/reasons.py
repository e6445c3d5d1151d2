"""What looking at what starts by itself can find."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, UNKNOWN, Reason

_REVIEW = "Find out who put it there; where it belongs there, have it signed."
_PERSISTENCE = ("T1543.002", "T1543")

# The definition
UNREADABLE = Reason(
    "service.unreadable",
    UNKNOWN,
    "Something that says what starts could not be read.",
    "Check permissions and the medium.",
)
NOTHING = Reason(
    "service.nothing",
    UNKNOWN,
    "Nothing that starts by itself was found: this is not the root of a system, or parts of it are not mounted.",
    "Name the root of a host or image, with all of it mounted.",
)
SIGNED = Reason("service.signed", OK, "Every file of the definition is signed by somebody trusted, for this place.")
UNSIGNED = Reason(
    "service.unsigned", NO, "Nobody vouches for a file of the definition.",
    "Sign it after review (chopmark services sign), or list it in a signed catalog.", techniques=_PERSISTENCE,
)  # fmt: skip
DEFINITION = Reason(
    "service.definition", NO, "A file of the definition is signed, but not trusted.", _REVIEW, techniques=_PERSISTENCE
)
ELSEWHERE = Reason(
    "service.elsewhere", NO,
    "A catalog lists a file with this content, but at another path: what a definition says counts where it stands.",
    _REVIEW, techniques=(*_PERSISTENCE, "T1036.005"),
)  # fmt: skip
UNPLACED = Reason(
    "service.unplaced", INFO, "The signature is over the file alone: it says nothing of where it belongs.",
    "Sign the whole unit with chopmark services sign.",
)  # fmt: skip
CHANGING = Reason(
    "service.changing", UNKNOWN, "A file of the definition changed while it was looked at.",
    "Look again when nothing writes to it.", techniques=("T1554",),
)  # fmt: skip

# What it starts
PROGRAM = Reason("service.program", OK, "A program that it starts is signed by somebody trusted.")
PROGRAM_UNSIGNED = Reason(
    "service.program_unsigned", NO, "A program that it starts is signed by nobody.",
    "Have it signed by its publisher, or list it in a signed catalog.", techniques=(*_PERSISTENCE, "T1554"),
)  # fmt: skip
PROGRAM_REJECTED = Reason(
    "service.program_rejected",
    NO,
    "A program that it starts is not trusted.",
    _REVIEW,
    techniques=(*_PERSISTENCE, "T1554"),
)
PROGRAM_UNDECIDED = Reason(
    "service.program_undecided", UNKNOWN, "Whether a program that it starts is trusted could not be decided.",
    "Get what was missing: see the program's own findings.",
)  # fmt: skip
MISSING = Reason(
    "service.missing",
    UNKNOWN,
    "A program that it starts is not there, so that nothing can be said of it.",
    "Install it, or remove the definition.",
    techniques=("T1574", "T1543.002"),
)
DANGLING = Reason("service.dangling", INFO, "A link leads to a file that is not there.")
MISSING_IGNORED = Reason("service.missing_ignored", INFO, "A program is not there, and the definition does without it.")
OPAQUE = Reason(
    "service.opaque", UNKNOWN, "What is started there is only known when it runs.",
    "Name programs by their absolute paths, and put code into a file of its own that can be signed.",
    techniques=("T1059", "T1027"),
)  # fmt: skip
OPAQUE_CODE = Reason(
    "service.inline_code", UNKNOWN,
    "Code stands in the line itself: it is signed with the definition, but what it starts is not known.",
    "Put it into a file of its own that can be signed.", techniques=("T1059",),
)  # fmt: skip
NOT_EXECUTABLE = Reason(
    "service.not_executable",
    NO,
    "What it starts is no program that can be executed.",
    "Correct its mode or the definition.",
)
WRITABLE = Reason(
    "service.writable", NO, "Everybody may write to a file, or to a folder on the way to it.",
    "Take the permission away (chmod o-w).", techniques=("T1574.010", "T1574.005", "T1222.002"),
)  # fmt: skip
OUTSIDE = Reason(
    "service.outside", INFO, "What it starts stands outside of the folders for programs.", _REVIEW,
    techniques=("T1036.005", "T1543.002"),
)  # fmt: skip
TEMPORARY = Reason(
    "service.temporary", NO, "What it starts stands in a folder for temporary or private files.", _REVIEW,
    techniques=("T1036.005", "T1543.002", "T1564.001"),
)  # fmt: skip
MASQUERADE = Reason(
    "service.masquerade", NO, "It has the name of a program of the system, but stands elsewhere.", _REVIEW,
    techniques=("T1036.005", "T1036.004"),
)  # fmt: skip
ESCAPE = Reason(
    "service.escape", NO, "A link leads out of the root: what is started depends on who looks.",
    "Make the link stay within the root.", techniques=("T1036", "T1574"),
)  # fmt: skip
PRELOADED = Reason(
    "service.preloaded",
    INFO,
    "A library is loaded into every program that it starts.",
    _REVIEW,
    techniques=("T1574.006",),
)
GENERATED = Reason(
    "service.generated", INFO, "It was made by a program at boot, not installed.",
    "Its generator is looked at by itself.",
)  # fmt: skip

# Units
UNIT_LINE = Reason("unit.line", INFO, "A line of a unit is none that systemd understands; it is passed over.")
UNIT_HIDDEN_LINE = Reason(
    "unit.hidden_line", NO,
    "A line ends with a CR or NUL alone: editors show one line where systemd reads two.",
    "Write the file anew with LF.", "systemd.syntax(7)", ("T1027", "T1564", "T1543.002"),
)  # fmt: skip
UNIT_BROKEN = Reason(
    "unit.broken", NO, "A unit is not written as systemd demands; what comes after does not count.",
    "Correct the file.", "systemd.syntax(7)",
)  # fmt: skip
UNIT_COMMAND = Reason(
    "unit.command", NO, "A command line of a unit is none that systemd accepts.", "Correct the line.",
    "systemd.service(5)",
)  # fmt: skip
UNIT_ALIAS = Reason(
    "unit.alias", NO, "A link among the units is no alias: it leads in a circle, nowhere, or to another kind.",
    "Remove the link.", "systemd.unit(5)", ("T1543.002",),
)  # fmt: skip
UNIT_MASKED = Reason("unit.masked", INFO, "The unit is masked: it cannot be started.")
UNIT_IMAGE = Reason(
    "unit.image", UNKNOWN, "The unit runs in an image of its own, which was not looked into.",
    "Check the image by itself.", "systemd.exec(5)",
)  # fmt: skip
STEERED = Reason(
    "service.steered", UNKNOWN, "A variable decides what is loaded into what it starts.",
    "Take the variable out, or put what it names into a signed place.", techniques=("T1574.006", "T1574.007"),
)  # fmt: skip
LINE = Reason("service.line", INFO, "A line is none that is understood there; it starts nothing.")

# The seal of a unit
_SEAL_AGAIN = "Restore it, or review the change and sign the unit again (chopmark services sign)."
SEALED = Reason("service.sealed", OK, "A trusted signature is over all files that the unit is made of.")
SEAL_UNTRUSTED = Reason(
    "service.seal_untrusted", NO, "The seal of the unit is not trusted itself.", "Have it signed by somebody trusted.",
    techniques=(*_PERSISTENCE, "T1036.001"),
)  # fmt: skip
SEAL_OTHER = Reason(
    "service.seal_other", NO, "The seal belongs to another unit.", _SEAL_AGAIN, techniques=(*_PERSISTENCE, "T1036.005")
)
SEAL_ADDED = Reason(
    "service.seal_added", NO, "A file was added to the unit after it was signed.", _SEAL_AGAIN, techniques=_PERSISTENCE
)
SEAL_MISSING = Reason(
    "service.seal_missing", NO, "A file of the unit is gone, or stands elsewhere, since it was signed.", _SEAL_AGAIN,
    techniques=(*_PERSISTENCE, "T1562"),
)  # fmt: skip
SEAL_CHANGED = Reason(
    "service.seal_changed", NO, "A file of the unit was changed after it was signed.", _SEAL_AGAIN,
    techniques=_PERSISTENCE,
)  # fmt: skip
SEAL_LINK = Reason(
    "service.seal_link", NO, "A link that gives the unit a name was added or removed since it was signed.", _SEAL_AGAIN,
    techniques=_PERSISTENCE,
)  # fmt: skip
SEAL_MASKED = Reason(
    "service.seal_masked", NO, "The unit was masked after it was signed: it does not start any more.", _SEAL_AGAIN,
    techniques=("T1562",),
)  # fmt: skip
