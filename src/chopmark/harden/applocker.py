"""AppLocker: rules by the hash of images, and on request by publisher, product and version.

A publisher is a name, and any authority that Windows believes may give it to somebody. That allows more than a policy
by keys and roots, so publisher rules are made only when somebody says that no other has these names. A denial wins; in
a collection with a rule, what no rule allows is denied, so one in which nothing is allowed denies everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.counting import counted
from chopmark.envelopes import x509
from chopmark.harden import naming, reasons, windows, xml
from chopmark.harden.contract import Degree, Export, Exporter, File, WiderError, exact, partly, scope
from chopmark.policy.deciding import Mode
from chopmark.policy.facts import EXEC, LIBRARY, PACKAGE, SCRIPT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chopmark.core.finding import Finding
    from chopmark.harden.contract import Capability, Request
    from chopmark.harden.material import AtHand, Identity
    from chopmark.harden.windows import Denied, Plan, Signed

_COLLECTIONS = {"Exe": EXEC, "Dll": LIBRARY, "Script": SCRIPT, "Msi": PACKAGE}
_ORDER = ("Appx", "Dll", "Exe", "Msi", "Script")
_EVERYBODY = "S-1-1-0"
_PUBLISHER = ("O", "L", "ST", "C")
_HASHES = 500
"""Hashes in one rule."""
_NAME = 1000
_DIFFERENT = {
    "certificates": "of a publisher the name counts; Windows says which roots are believed, and when",
    "signatures of listed files": "an image counts whatever signature is attached to it",
    "what happens later": "listed files count as of the export, until it is made anew",
    "version resources": "what cannot be read has no name and no version",
    "administrators": "who may stop the service or change the policy",
}


class AppLocker:
    """A policy as Windows exports and imports it."""

    name = "applocker"
    title = "AppLocker (Windows)"
    governs = frozenset(_COLLECTIONS.values())
    options: Mapping[str, str] = {
        "publishers": "rules by publisher: that nobody else has these names from an authority that Windows believes",
        "windows": "what is in the folder of Windows and in Program Files counts, as in AppLocker's own default rules",
    }

    def capabilities(self) -> dict[str, Capability]:
        """Names of publishers, and files at hand."""
        table = windows.capabilities(
            sorted(self.governs),
            "with the option publishers, by the name in certificates at hand; else through the files at hand",
            mode_audit=exact("AuditOnly"),
        )
        for name in ("product", "version", "below", "require.min-version"):
            table[name] = partly(Degree.NARROWER, Degree.EXACT, "in rules by publisher: original file name and version")
        return table

    def export(self, request: Request) -> Export:
        """`applocker.xml`, with a collection for each use that is exported."""
        wanted = request.uses & self.governs if request.uses else self.governs
        table = self.capabilities()
        plans = {
            name: windows.Planner(
                request, table, [kind], lambda each: _unnamed(each, request), signers="publishers" in request.options
            ).plan()
            for name, kind in _COLLECTIONS.items()
            if kind in wanted
        }
        found = [*windows.merged(list(plans.values())), *_signers(request, plans), *scope(request, self)]
        found += [reasons.UNCHECKED.found(detail, subject=subject) for subject, detail in _DIFFERENT.items()]
        if "windows" in request.options:
            found.append(reasons.ADDED.found("%WINDIR% and %PROGRAMFILES%, whatever is in them"))
        if not any(plan.signed or plan.listing.common([_COLLECTIONS[name]]) for name, plan in plans.items()):
            found.append(reasons.EMPTY.found(", ".join(plans)))
        if any(each.outcome == "no" for each in found):
            raise WiderError(found)
        return Export((File("applocker.xml", _policy(request, plans)),), tuple(found))


def publisher(identity: Identity) -> str:
    """As AppLocker writes the subject of a signer; empty for one without an organization."""
    parts = x509.name_parts(identity.certificate.subject)
    held = {name: text for name, text in reversed(parts) if name in _PUBLISHER}
    if "O" not in held or any(character in text for text in held.values() for character in ',"*+;=<>\\'):
        return ""
    shown = {"ST": "S"}
    return ", ".join(f"{shown.get(name, name)}={held[name]}" for name in _PUBLISHER if name in held).upper()


def _unnamed(identity: Identity, request: Request) -> str:
    """Why a signer cannot be named: it has no organization, or others at hand have the same name."""
    name = publisher(identity)
    if not name:
        return "no organization in its name"
    same = [each for each in request.material.identities if publisher(each) == name]
    return "" if len(same) == 1 else "another certificate at hand has the same name"


def _signers(request: Request, plans: Mapping[str, Plan]) -> Iterator[Finding]:
    if "publishers" not in request.options:
        return
    taken = {each.identity for plan in plans.values() for each in plan.signed}
    for each in request.material.identities:
        if each in taken:
            yield reasons.SIGNER_TAKEN.found(publisher(each), subject=each.seal.subject)
        else:
            why = each.problem or _unnamed(each, request) or "no rule allows it here"
            yield reasons.SIGNER_OUT.found(why, subject=each.seal.subject)


def _policy(request: Request, plans: Mapping[str, Plan]) -> bytes:
    root = xml.root("AppLockerPolicy", {"Version": "1"})
    mode = "Enabled" if request.policy.main.mode is Mode.ENFORCE else "AuditOnly"
    for name in _ORDER:
        if name in plans:
            collection = root.add("RuleCollection", {"Type": name, "EnforcementMode": mode})
            _Collection(request, name, collection).fill(plans[name])
    return xml.written(root)


class _Collection:
    """The rules of one collection, numbered for their identifiers."""

    def __init__(self, request: Request, name: str, element: xml.Element) -> None:
        self._request = request
        self._name = name
        self._element = element
        self._count = 0

    def fill(self, plan: Plan) -> None:
        for denied in plan.denied:
            self._deny(denied)
        for signed in plan.signed:
            self._publisher("Allow", signed, publisher(signed.identity))
        files = plan.listing.common([_COLLECTIONS[self._name]])
        for start in range(0, len(files), _HASHES):
            self._hashes("Allow", files[start : start + _HASHES])
        if "windows" in self._request.options:
            for place in ("%WINDIR%\\*", "%PROGRAMFILES%\\*"):
                self._path("Allow", place, "as asked")
        elif not (plan.signed or files):
            self._path("Deny", "*", "the policy allows nothing of this kind")

    def _rule(self, kind: str, action: str, name: str) -> xml.Element:
        self._count += 1
        main = self._request.policy.main
        identifier = naming.identifier("applocker", main.name, str(main.version), self._name, str(self._count))
        attributes = {
            "Id": str(identifier),
            "Name": name[:_NAME],
            "Description": naming.about(self._request.policy)[:_NAME],
            "UserOrGroupSid": _EVERYBODY,
            "Action": action,
        }
        return self._element.add(kind, attributes).add("Conditions")

    def _publisher(self, action: str, each: Signed | Denied, by: str) -> None:
        conditions = self._rule("FilePublisherRule", action, f"{each.rule.shown}: {by} {each.product}".rstrip())
        names = {"PublisherName": by, "ProductName": "*", "BinaryName": each.product.upper() or "*"}
        low = "*" if each.lowest == windows.LOWEST else each.lowest
        high = "*" if each.highest == windows.HIGHEST else each.highest
        condition = conditions.add("FilePublisherCondition", names)
        condition.add("BinaryVersionRange", {"LowSection": low, "HighSection": high})

    def _deny(self, each: Denied) -> None:
        if each.image:
            conditions = self._rule("FileHashRule", "Deny", each.rule.shown)
            data = {"Type": "SHA256", "Data": f"0x{each.image.hex().upper()}"}
            conditions.add("FileHashCondition").add("FileHash", data)
        else:
            self._publisher("Deny", each, publisher(each.identity) if each.identity else "*")

    def _hashes(self, action: str, files: list[AtHand]) -> None:
        condition = self._rule("FileHashRule", action, counted(len(files), "file")).add("FileHashCondition")
        for each in files:
            data = {"Type": "SHA256", "Data": f"0x{each.image.hex().upper()}"}
            source = {"SourceFileName": each.file.path.rpartition("/")[2], "SourceFileLength": str(each.size)}
            condition.add("FileHash", data | source)

    def _path(self, action: str, place: str, why: str) -> None:
        self._rule("FilePathRule", action, f"{place}: {why}").add("FilePathCondition", {"Path": place})


BACKEND: Exporter = AppLocker()
