"""Santa on macOS: rules by the content of a program, for execution alone.

Santa asks the most particular rule first (CDHash, binary, signing id, certificate, team id), so that a rule that allows
a binary would overrule one that denies its signer. Only what the policy allows is listed, so no rule denies.
"""

from __future__ import annotations

import json
import plistlib
from typing import TYPE_CHECKING

from chopmark.harden import listing, naming, reasons
from chopmark.harden.contract import Export, Exporter, File, WiderError, exact, scope
from chopmark.policy.deciding import Mode
from chopmark.policy.facts import EXEC

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.harden.contract import Capability, Request

_LOCKDOWN, _MONITOR = 2, 1
_DIFFERENT = {
    "what happens later": "expiry, revocation and new releases count when it is exported anew",
    "scripts and libraries": "Santa decides about programs that are executed",
}


class Santa:
    """Rules for Santa's sync service, and the same as a configuration profile's payload."""

    name = "santa"
    title = "Santa (macOS)"
    governs = frozenset({EXEC})
    options: Mapping[str, str] = {}

    def capabilities(self) -> dict[str, Capability]:
        """A list of contents."""
        return listing.capabilities(self.governs, mode_audit=exact("client mode Monitor"))

    def export(self, request: Request) -> Export:
        """A rule for each content that the policy allows."""
        kinds = [EXEC]
        found = listing.listed(request, kinds)
        told = [*listing.findings(request, found, kinds, digests=True), *scope(request, self)]
        told += [reasons.UNCHECKED.found(detail, subject=subject) for subject, detail in _DIFFERENT.items()]
        contents = found.contents(kinds)
        if not contents:
            told.append(reasons.EMPTY.found(EXEC))
        if any(each.outcome == "no" for each in told):
            raise WiderError(told)
        at_hand = {each.file.sha256: each.file.path for each in found.files[EXEC]}
        about = naming.about(request.policy)
        rules = [
            {
                "identifier": content,
                "policy": "ALLOWLIST",
                "rule_type": "BINARY",
                "custom_msg": f"{at_hand.get(content, 'by its digest')} ({about})",
            }
            for content in contents
        ]
        mode = _LOCKDOWN if request.policy.main.mode is Mode.ENFORCE else _MONITOR
        static = [{key: rule[key] for key in ("identifier", "policy", "rule_type")} for rule in rules]
        profile = {"ClientMode": mode, "StaticRules": static, "EnableBundles": False}
        files = (
            File("rules.json", json.dumps({"rules": rules}, indent=1).encode() + b"\n"),
            File("preflight.json", json.dumps({"client_mode": ("MONITOR", "LOCKDOWN")[mode - 1]}).encode() + b"\n"),
            File("configuration.plist", plistlib.dumps(profile)),
        )
        return Export(files, tuple(told))


BACKEND: Exporter = Santa()
