"""The kinds of file that Windows' signature handler for PowerShell takes, and how each writes its signature block.

All share the handler (subject interface package) pwrshsip.dll and its identifier.
"""

from __future__ import annotations

from chopmark.formats._text.style import Style

HANDLER = "603bcc1f-4b59-4e08-b724-d2c6297ef351"

_BEGIN = "SIG # Begin signature block"
_END = "SIG # End signature block"

MARKERS = (_BEGIN, _END)
HASH = Style("# ", "", _BEGIN, _END)
XML = Style("<!-- ", " -->", _BEGIN, _END)
C = Style("/* ", " */", _BEGIN, _END)

STYLES = {
    ".ps1": HASH,
    ".psm1": HASH,
    ".psd1": HASH,
    ".ps1xml": XML,
    ".psc1": XML,
    ".cdxml": XML,
    ".mof": C,
}

INTERPRETERS = ("pwsh", "powershell")


def suffix(name: str) -> str:
    """The extension of a path, in lower case, if it is one of these; else nothing."""
    dot = name.rfind(".")
    found = name[dot:].lower() if dot > name.rfind("/") else ""
    return found if found in STYLES else ""


def style(name: str, view: str) -> Style:
    """How this file writes its block: by its name, else by the block in it, else as scripts do."""
    if found := suffix(name):
        return STYLES[found]
    return next((each for each in (HASH, XML, C) if each.begin_line in view), HASH)
