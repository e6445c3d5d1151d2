"""fapolicyd: rules by the SHA-256 of contents, in the order in which it reads them (fapolicyd.rules(5), 1.1.7).

Its trust database alone would not do: with Debian's settings (`integrity = none`) it compares paths and no contents.
The rules here name contents, whatever the settings; the trust file has the same ones for rules of the host's own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.harden import listing, naming, reasons
from chopmark.harden.contract import Degree, Export, Exporter, File, WiderError, exact, partly, scope
from chopmark.policy.deciding import Mode
from chopmark.policy.facts import EXEC, LIBRARY, SCRIPT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chopmark.harden.contract import Capability, Request
    from chopmark.harden.listing import Listing

_LANES = {"execute": (EXEC, SCRIPT), "library": (LIBRARY,), "script": (SCRIPT,)}
"""What is asked about, and the kinds of use that it may be: whoever executes may execute a script."""
_TYPES = {
    "library": ("application/x-sharedlib",),
    "script": (
        *("application/javascript", "application/java-archive", "application/x-bytecode.ocaml"),
        *("application/x-bytecode.python", "application/x-elc", "application/x-java-applet", "text/javascript"),
        *("text/x-R", "text/x-awk", "text/x-gawk", "text/x-java", "text/x-lisp", "text/x-lua", "text/x-luatex"),
        *("text/x-m4", "text/x-nftables", "text/x-perl", "text/x-php", "text/x-python", "text/x-ruby"),
        *("text/x-script.guile", "text/x-shellscript", "text/x-systemtap", "text/x-tcl"),
    ),
}
_PLAIN = re.compile(r"/[!-\"$-~]*")
_DIFFERENT = {
    "what happens later": "expiry, revocation and new releases count when it is exported anew",
    "scripts": "those that libmagic takes for one; any text may be one for a shell",
    "writers": "it has no leases: a file that is written to while it is looked at is looked at once",
}


class Fapolicyd:
    """Rules, a trust file, and settings."""

    name = "fapolicyd"
    title = "fapolicyd"
    governs = frozenset({EXEC, LIBRARY, SCRIPT})
    options: Mapping[str, str] = {}

    def capabilities(self) -> dict[str, Capability]:
        """A list of contents."""
        return listing.capabilities(
            self.governs,
            use_script=partly(Degree.EXACT, Degree.WIDER, "what libmagic takes for a script"),
            mode_audit=exact("permissive = 1"),
        )

    def export(self, request: Request) -> Export:
        """Rules that allow what is listed, then deny the rest of what the export is about."""
        wanted = request.uses & self.governs if request.uses else self.governs
        lanes = {lane: [kind for kind in kinds if kind in wanted] for lane, kinds in _LANES.items()}
        lanes = {lane: kinds for lane, kinds in lanes.items() if kinds}
        kinds = sorted(wanted)
        found = listing.listed(request, kinds)
        contents = {lane: found.contents(of) for lane, of in lanes.items()}
        told = [*listing.findings(request, found, kinds, digests=True), *scope(request, self)]
        told += [reasons.UNCHECKED.found(detail, subject=subject) for subject, detail in _DIFFERENT.items()]
        if not any(contents.values()):
            told.append(reasons.EMPTY.found(", ".join(kinds)))
        if any(each.outcome == "no" for each in told):
            raise WiderError(told)
        about = f"# {naming.about(request.policy)}\n"
        files = (
            File("rules.d/10-chopmark.rules", (about + "".join(_rules(contents))).encode()),
            File("trust.d/chopmark", (about + "".join(_trust(found, kinds))).encode()),
            File("fapolicyd.conf", (about + _settings(request)).encode()),
        )
        return Export(files, tuple(told))


def _rules(contents: Mapping[str, list[str]]) -> Iterator[str]:
    """The first rule that fits decides; what no rule is about may be opened.

    Contents have a rule each: a set of them is one of numbers when the first one begins with a digit, and then refused.
    """
    yield "deny_syslog perm=any all : ftype=application/x-bad-elf\n"
    for lane, hashes in contents.items():
        types, perm = "", "execute"
        if lane in _TYPES:
            types, perm = f"ftype=%{lane}types", "open"
            yield f"%{lane}types={','.join(_TYPES[lane])}\n"
        for each in hashes:
            yield f"allow perm={perm} all : {types} sha256hash={each}\n".replace(":  ", ": ")
        yield f"deny_syslog perm={perm} all : {types or 'all'}\n"
    yield "allow perm=open all : all\n"


def _trust(found: Listing, kinds: list[str]) -> Iterator[str]:
    """Path, size and content; paths with blanks cannot be written there."""
    for each in found.common(kinds):
        if _PLAIN.fullmatch(each.file.path):
            yield f"{each.file.path} {each.size} {each.file.sha256}\n"


def _settings(request: Request) -> str:
    permissive = 0 if request.policy.main.mode is Mode.ENFORCE else 1
    return f"permissive = {permissive}\ntrust = file\nintegrity = sha256\n"


BACKEND: Exporter = Fapolicyd()
