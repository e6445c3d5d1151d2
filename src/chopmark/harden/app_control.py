"""App Control for Business (WDAC): an SiPolicy in XML, by the certificates of signers and the hashes of images.

Elements stand in the order that ConvertFrom-CIPolicy and cipolicy.xsd want. A denial wins over everything that allows.
Windows verifies RSA signatures alone here: what others signed is listed by its hash.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from chopmark.envelopes import public_keys
from chopmark.harden import naming, reasons, windows, xml
from chopmark.harden.contract import Degree, Export, Exporter, File, WiderError, exact, partly, scope
from chopmark.policy.deciding import Mode
from chopmark.policy.facts import EXEC, LIBRARY, MODULE, PACKAGE, SCRIPT
from chopmark.trust.blocklists.app_control import KERNEL, NAMESPACE, USER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chopmark.core.finding import Finding
    from chopmark.harden.contract import Capability, Request
    from chopmark.harden.material import Identity
    from chopmark.harden.windows import Denied, Plan, Signed

_SCENARIOS = {KERNEL: ("KMCI", (MODULE,)), USER: ("UMCI", (EXEC, LIBRARY, PACKAGE, SCRIPT))}
_PLATFORM = "{2E07F7E4-194C-4D20-B7C9-6F44A6C5A234}"
"""The one that Microsoft's own policies name."""
_WINDOWS_ROOTS = {"06": "Microsoft Product Root 2010", "07": "Microsoft Standard Root 2011"}
_WINDOWS_EKU = "010A2B0601040182370A0306"
"""Windows System Component Verification (1.3.6.1.4.1.311.10.3.6)."""
_TBS = ("sha256", "sha384", "sha512")
_RULES = (
    "Enabled:Unsigned System Integrity Policy",
    "Enabled:Advanced Boot Options Menu",
    "Required:Enforce Store Applications",
    "Enabled:Update Policy No Reboot",
)
_DIFFERENT = {
    "validity of certificates": "App Control believes expired ones",
    "revocation": "nobody is asked; a signer is revoked by an export that denies it",
    "signatures of listed files": "an image counts whatever signature is attached to it",
    "what happens later": "listed files count as of the export, until it is made anew",
    "version resources": "what cannot be read has no name and no version",
}


class AppControl:
    """A base policy."""

    name = "app-control"
    title = "App Control for Business (Windows)"
    governs = frozenset(kind for _, kinds in _SCENARIOS.values() for kind in kinds)
    options: Mapping[str, str] = {
        "windows": "what Microsoft signed as a part of Windows counts; without it Windows itself does not start",
        "hvci": "the hypervisor enforces it for the kernel (memory integrity), strictly",
    }

    def capabilities(self) -> dict[str, Capability]:
        """Signers, products, versions and files."""
        return windows.capabilities(
            sorted(self.governs),
            "through the certificates at hand, if their keys are RSA; else through the files at hand",
            use_script=partly(Degree.EXACT, Degree.WIDER, "PowerShell and Windows Script Host ask; others do not"),
            mode_audit=exact("Enabled:Audit Mode"),
        )

    def export(self, request: Request) -> Export:
        """`app-control.xml`; a use that is not exported is not restricted, if all of its scenario are not."""
        wanted = request.uses & self.governs if request.uses else self.governs
        table = self.capabilities()
        kinds = {value: [kind for kind in of if kind in wanted] for value, (_, of) in _SCENARIOS.items()}
        plans = {
            value: windows.Planner(request, table, of, _unknown, signers=True).plan()
            for value, of in kinds.items()
            if of
        }
        found = [*windows.merged(list(plans.values())), *_signers(request, plans), *scope(request, self)]
        found += [reasons.UNCHECKED.found(detail, subject=subject) for subject, detail in _DIFFERENT.items()]
        if "windows" in request.options:
            found.append(reasons.ADDED.found("what Microsoft signed as a part of Windows"))
        else:
            found.append(reasons.NO_WINDOWS.found())
        if not any(plan.signed or plan.listing.common(kinds[value]) for value, plan in plans.items()):
            found.append(reasons.EMPTY.found(", ".join(sorted(wanted))))
        if any(each.outcome == "no" for each in found):
            raise WiderError(found)
        return Export((File("app-control.xml", _Policy(request, plans, kinds).written()),), tuple(found))


def _unknown(identity: Identity) -> str:
    """Why App Control does not know a signer."""
    kind = public_keys.kind(identity.certificate.spki)
    if kind != "rsa":
        return f"it knows RSA signatures alone, not {kind}: list the files (--root)"
    digest = identity.certificate.signature_algorithm.digest
    return "" if digest in _TBS else f"a certificate signed over {digest}"


def _signers(request: Request, plans: Mapping[str, Plan]) -> Iterator[Finding]:
    taken = {each.identity for plan in plans.values() for each in plan.signed}
    for each in request.material.identities:
        if each in taken:
            yield reasons.SIGNER_TAKEN.found(f"TBS {tbs(each)}", subject=each.seal.subject)
        else:
            yield reasons.SIGNER_OUT.found(each.problem or _unknown(each) or "no rule", subject=each.seal.subject)


def tbs(identity: Identity) -> str:
    """The digest of the certificate's TBSCertificate by the algorithm of its own signature, as policies write it."""
    certificate = identity.certificate
    digest = certificate.signature_algorithm.digest or _TBS[0]
    return hashlib.new(digest, certificate.tbs, usedforsecurity=False).hexdigest().upper()


class _Policy:
    """One policy: rules and signers are collected, scenarios refer to them."""

    def __init__(self, request: Request, plans: Mapping[str, Plan], kinds: Mapping[str, list[str]]) -> None:
        self._request = request
        self._plans = plans
        self._kinds = kinds
        self._name = request.policy.main.name
        self._files = xml.root("FileRules", {})
        self._signers = xml.root("Signers", {})
        self._known: set[str] = set()

    def written(self) -> bytes:
        """All of it."""
        scenarios = xml.root("SigningScenarios", {})
        for value, (label, _) in _SCENARIOS.items():
            self._scenario(scenarios, value, label)
        root = xml.root("SiPolicy", {"xmlns": NAMESPACE, "PolicyType": "Base Policy", "FriendlyName": self._name})
        root.add("VersionEx", text=naming.version(self._request.policy, 4))
        root.add("PlatformID", text=_PLATFORM)
        rules = root.add("Rules")
        for option in self._options():
            rules.add("Rule").add("Option", text=option)
        root.add("EKUs").children.extend(self._purposes())
        for part in (self._files, self._signers, scenarios):
            if part.children:
                root.children.append(part)
        if EXEC in self._kinds.get(USER, ()) and self._ci_signers():
            root.add("CiSigners").children.extend(self._ci_signers())
        identifier = f"{{{str(naming.identifier('app-control', self._name)).upper()}}}"
        root.add("HvciOptions", text="2" if "hvci" in self._request.options else "0")
        root.add("BasePolicyID", text=identifier)
        root.add("PolicyID", text=identifier)
        return xml.written(root)

    def _options(self) -> list[str]:
        options = [*_RULES]
        if USER in self._plans:
            options.insert(0, "Enabled:UMCI")
        if self._request.policy.main.mode is not Mode.ENFORCE:
            options.append("Enabled:Audit Mode")
        return options

    def _purposes(self) -> Iterator[xml.Element]:
        if "windows" in self._request.options:
            names = {"ID": "ID_EKU_WINDOWS", "FriendlyName": "Windows component", "Value": _WINDOWS_EKU}
            yield xml.root("EKU", names)

    def _ci_signers(self) -> list[xml.Element]:
        """Signers of user-mode code, which code integrity shall know as well."""
        plan = self._plans[USER]
        names = dict.fromkeys(self._signer(each) for each in plan.signed)
        return [xml.root("CiSigner", {"SignerId": name}) for name in names]

    def _scenario(self, scenarios: xml.Element, value: str, label: str) -> None:
        attributes = {"ID": f"ID_SIGNINGSCENARIO_{label}", "FriendlyName": label, "Value": value}
        signers = scenarios.add("SigningScenario", attributes).add("ProductSigners")
        plan = self._plans.get(value)
        if plan is None:  # a scenario without signers denies everything, so one that is not exported allows all
            rule = self._file("Allow", "ALL", {"FileName": "*"}, f"{label} is not restricted")
            signers.add("FileRulesRef").add("FileRuleRef", {"RuleID": rule})
            return
        windows_ = self._windows() if "windows" in self._request.options else []
        allowed = [*windows_, *dict.fromkeys(self._signer(each) for each in plan.signed)]
        if allowed:
            inside = signers.add("AllowedSigners")
            for name in allowed:
                inside.add("AllowedSigner", {"SignerId": name})
        denied = dict.fromkeys(self._signer(each) for each in plan.denied if each.identity is not None)
        if denied:
            inside = signers.add("DeniedSigners")
            for name in denied:
                inside.add("DeniedSigner", {"SignerId": name})
        rules = [self._denial(each) for each in plan.denied if each.identity is None]
        for each in plan.listing.common(self._kinds[value]):
            about = {"Hash": each.image.hex().upper()}
            rules.append(self._file("Allow", each.image.hex(), about, each.file.path))
        if rules:
            inside = signers.add("FileRulesRef")
            for name in dict.fromkeys(rules):
                inside.add("FileRuleRef", {"RuleID": name})

    def _windows(self) -> Iterator[str]:
        for number, name in _WINDOWS_ROOTS.items():
            identifier = f"ID_SIGNER_WINDOWS_{number}"
            if identifier not in self._known:
                self._known.add(identifier)
                signer = self._signers.add("Signer", {"ID": identifier, "Name": name})
                signer.add("CertRoot", {"Type": "Wellknown", "Value": number})
                signer.add("CertEKU", {"ID": "ID_EKU_WINDOWS"})
            yield identifier

    def _signer(self, each: Signed | Denied) -> str:
        """The signer with products and versions; the same one is written once."""
        assert each.identity is not None  # noqa: S101 - denials without a signer are rules about files
        names = (each.identity.certificate.sha256, each.product, each.lowest, each.highest)
        identifier = f"ID_SIGNER_{self._short(*names)}"
        if identifier not in self._known:
            self._known.add(identifier)
            label = each.identity.certificate.common_name or each.identity.seal.subject
            signer = self._signers.add("Signer", {"ID": identifier, "Name": f"{label} {each.product}".rstrip()})
            signer.add("CertRoot", {"Type": "TBS", "Value": tbs(each.identity)})
            if each.product or (each.lowest, each.highest) != (windows.LOWEST, windows.HIGHEST):
                rule = self._file("FileAttrib", "".join(names[1:]), _versions(each), each.rule.shown)
                signer.add("FileAttribRef", {"RuleID": rule})
        return identifier

    def _denial(self, each: Denied) -> str:
        if each.image:
            return self._file("Deny", each.image.hex(), {"Hash": each.image.hex().upper()}, each.rule.shown)
        about = _versions(each)
        return self._file("Deny", "".join(about.values()), about, each.rule.shown)

    def _file(self, kind: str, key: str, about: Mapping[str, str], why: str) -> str:
        short = "ALL" if key == "ALL" else self._short(kind, key)
        identifier = f"ID_{kind.upper()}_{short}"
        if identifier not in self._known:
            self._known.add(identifier)
            self._files.add(kind, {"ID": identifier, "FriendlyName": why, **about})
        return identifier

    @staticmethod
    def _short(*parts: str) -> str:
        """An identifier begins with a letter and has letters, digits and underscores."""
        return f"C_{naming.identifier(*parts).hex.upper()}"


def _versions(each: Signed | Denied) -> dict[str, str]:
    return {
        "FileName": each.product or "*",
        "MinimumFileVersion": each.lowest,
        "MaximumFileVersion": each.highest,
    }


BACKEND: Exporter = AppControl()
