"""Signers and files as both a policy and another system see them, and naive readers of what was exported."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import plistlib
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree as ET

from hypothesis import strategies as st

from chopmark.core.verdict import Status
from chopmark.engine.policing.loading import Policy
from chopmark.envelopes import x509
from chopmark.harden import applocker as applocker_module
from chopmark.harden.contract import Request
from chopmark.harden.material import AtHand, Identity, Material
from chopmark.policy import language
from chopmark.policy.deciding import Compiled
from chopmark.policy.facts import FileFacts, SealFacts
from tests.support import pki, policies, policy_oracle
from tests.support.policies import HEX, MIDDLE, NOW, ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.policy.facts import Process


def seal(subject: str, key: str, certificate: str, **more: Any) -> SealFacts:  # noqa: ANN401 - fields of SealFacts
    return SealFacts("cms", Status.TRUSTED, "x509", subject, key, certificate, **{"store": "corp", **more})


SEALS = (
    seal("CN=A", HEX[0], HEX[2], authorities=(MIDDLE, ROOT), purposes=("1.2.3", "1.2.4")),
    seal("CN=B", HEX[1], HEX[3], authorities=(ROOT,)),
    seal("CN=A", HEX[0], HEX[3], store="else"),
)
"""The third has the key of the first, and another certificate."""


LISTED = seal("CN=Lists", HEX[5], HEX[5], store="lists", catalog="/etc/host.catalog")
"""Through a catalog, by somebody whom no rule denies: targets do not see other signatures, as each export says."""


@cache
def certificate(label: str, kind: str = "rsa2048") -> x509.Certificate:
    """A real one for each, since targets are given real ones; each with an organization of its own."""
    made = pki.issue(pki.name(label, f"Example {label[3:]}"), pki.key(kind, label), pki.world().issuing, ())
    return x509.certificate(made.der)


def identity(of: SealFacts, kind: str = "rsa2048", problem: str = "") -> Identity:
    found = certificate(f"{of.subject} {of.certificate[:4]} {kind}", kind)
    return Identity(found, of, (found,), problem)


IDENTITIES = tuple(map(identity, SEALS))


class View(NamedTuple):
    """A file in use, as another system sees it: its own kind of signature is by `signer`, if it is intact."""

    file: FileFacts
    kind: str
    process: Process
    signer: SealFacts | None


def request(rules: list[dict[str, Any]], mode: str = "enforce", **more: Any) -> Request:  # noqa: ANN401 - its fields
    """Everything is at hand unless `more` says otherwise."""
    main = language.parse(policy_oracle.written(rules, mode), "p.toml")
    policy = Policy((main,), Compiled(main.rules, main.mode))
    return Request(**{"policy": policy, "material": Material(IDENTITIES), "at": NOW, **more})


def allowed(asked: Request, view: View, at: dt.datetime = NOW) -> bool:
    """Whether the policy allows it, by the oracle's word for rules that were not left out."""
    rules = [rule for rule in asked.rules if str(rule.place) not in asked.left_out]
    return Compiled(rules, asked.policy.main.mode).decide(view.file, view.kind, view.process, at).allowed


@st.composite
def views(draw: st.DrawFn, kinds: list[str]) -> View:
    """A file with at most one signature of its own kind, intact or not, and perhaps a catalog that has it."""
    file = draw(policies.files())._replace(blocked="")
    signer = draw(st.sampled_from([None, *SEALS, *SEALS, "stranger", "tampered"]))
    seals: tuple[SealFacts, ...] = ()
    status = Status.UNSIGNED
    if isinstance(signer, SealFacts):
        signed_at = draw(st.sampled_from([None, NOW - dt.timedelta(days=2)]))
        seals, status = (signer._replace(signed_at=signed_at),), Status.TRUSTED
    elif signer == "stranger":
        seals, status = (SEALS[0]._replace(key=HEX[5], certificate=HEX[5], status=Status.UNDECIDED),), Status.UNDECIDED
    elif signer == "tampered":
        seals, status = (SEALS[0]._replace(status=Status.REJECTED),), Status.REJECTED
    if draw(st.booleans()) and status in (Status.TRUSTED, Status.UNSIGNED):
        seals = (*seals, LISTED)
        status = Status.TRUSTED
    if not file.sha256:
        seals, status, signer = (), Status.UNDECIDED, None
    return View(
        file._replace(seals=seals, status=status),
        draw(st.sampled_from(kinds)),
        draw(policies.PROCESSES),
        signer if isinstance(signer, SealFacts) else None,
    )


def at_hand(view: View) -> AtHand:
    """A file that is there when a policy is exported."""
    image = bytes.fromhex(image_of(view.file.sha256))
    return AtHand(view.file, 1000, view.kind, image, hashlib.sha256(view.file.sha256.encode()).digest())


def files_at_hand(*files: FileFacts) -> tuple[AtHand, ...]:
    """Programs that are there when a policy is exported."""
    return tuple(AtHand(each, 1000, "exec", bytes.fromhex(image_of(each.sha256)), b"v" * 32) for each in files)


def of_content(view: View, known: dict[str, View]) -> View:
    """The same use of a file whose content is known: then everything about the content is."""
    held = known.get(view.file.sha256)
    if held is None:
        return view
    file = held.file._replace(path=view.file.path, writable=view.file.writable)
    return held._replace(file=file, kind=view.kind, process=view.process)


Files = dict[str, bytes]


def in_ring(files: Files, signer: SealFacts | None) -> bool:
    """Whether the key that signed is that of a certificate in the folder of keys."""
    raw = {data for path, data in files.items() if path.startswith("keys/")}
    keys = {each.seal.key for each in IDENTITIES if each.certificate.raw in raw}
    return signer is not None and signer.key in keys


def ima(files: Files, view: View, options: Mapping[str, str]) -> bool:  # noqa: ARG001 - one shape for all
    """Every hook that a use passes through has to be satisfied; without a rule it is (ima_policy)."""
    hooks = {"exec": ["BPRM_CHECK"], "script": ["BPRM_CHECK"], "library": ["MMAP_CHECK"], "module": ["MODULE_CHECK"]}
    asked = set()
    for line in files["ima-policy"].decode().splitlines():
        words = line.split()
        if words[0] == "appraise":
            asked.add(words[1].removeprefix("func="))
            assert words[2:] == ["appraise_type=imasig"]
    return in_ring(files, view.signer) or asked.isdisjoint(hooks[view.kind])


def ipe(files: Files, view: View, options: Mapping[str, str]) -> bool:  # noqa: ARG001 - one shape for all
    """The first rule that fits decides, else the operation's default, else the default for all."""
    operation = "KMODULE" if view.kind == "module" else "EXECUTE"
    rules = [line.split() for line in files["ipe-policy"].decode().splitlines()[1:] if not line.startswith("#")]
    defaults = {}
    for words in rules:
        if words[0] == "DEFAULT":
            defaults[words[1] if len(words) > 2 else ""] = words[-1]
        elif words[0] == f"op={operation}":
            name, _, value = words[1].partition("=")
            digest = f"sha256:{hashlib.sha256(view.file.sha256.encode()).hexdigest()}"
            if in_ring(files, view.signer) if name == "fsverity_signature" else value == digest:
                return words[2] == "action=ALLOW"
    return defaults.get(f"op={operation}", defaults[""]) == "action=ALLOW"


def fapolicyd(files: Files, view: View, options: Mapping[str, str]) -> bool:  # noqa: ARG001 - one shape for all
    """The first rule that fits decides (fapolicyd.rules(5)); whoever interprets a script opens it."""
    sets: dict[str, list[str]] = {}
    perm = "execute" if view.kind == "exec" else "open"
    ftype = {"exec": "application/x-executable", "library": "application/x-sharedlib", "script": "text/x-python"}
    for line in files["rules.d/10-chopmark.rules"].decode().splitlines():
        if line.startswith("#"):
            continue
        if line.startswith("%"):
            name, _, values = line.partition("=")
            sets[name] = values.split(",")
            continue
        decision, asked, rest = line.split(" ", 2)
        subject, _, thing = rest.partition(" : ")
        assert subject == "all"
        held = {"ftype": ftype[view.kind], "sha256hash": view.file.sha256}
        conditions = [] if thing == "all" else [each.split("=") for each in thing.split()]
        fits = all(held[name] in sets.get(value, [value]) for name, value in conditions)
        if fits and asked in (f"perm={perm}", "perm=any"):
            return decision == "allow"
    return True


def santa(files: Files, view: View, options: Mapping[str, str]) -> bool:  # noqa: ARG001 - one shape for all
    """Locked down, what no rule allows is denied."""
    profile = plistlib.loads(files["configuration.plist"])
    assert profile["ClientMode"] == 2
    rules = json.loads(files["rules.json"])["rules"]
    assert {rule["rule_type"] for rule in rules} == {"BINARY"}
    static = {rule["identifier"] for rule in profile["StaticRules"] if rule["policy"] == "ALLOWLIST"}
    assert static == {rule["identifier"] for rule in rules if rule["policy"] == "ALLOWLIST"}
    return view.file.sha256 in static


def image_of(sha256: str) -> str:
    """Every content has one image here, told apart from the content."""
    return hashlib.sha256(sha256.encode()).hexdigest().upper()


def told_by_windows(view: View) -> bool:
    """Whether its version can be read, and is one as Windows has them; else nothing is said of rules by version."""
    release = view.file.release
    if release is None:
        return view.file.release_readable
    return all(part.isdigit() for part in release.version.split("."))


def numbers(version: str) -> list[int]:
    found = [int(part) for part in version.split(".")]
    return found + [0] * (4 - len(found))


def in_range(view: View, low: str, high: str) -> bool:
    if low in ("*", "0.0.0.0") and high in ("*", "65535.65535.65535.65535"):  # noqa: S104 - a version
        return True
    if view.file.release is None:
        return False
    version = numbers(view.file.release.version)
    return (low == "*" or numbers(low) <= version) and (high == "*" or version <= numbers(high))


def applocker(files: Files, view: View, options: Mapping[str, str]) -> bool:  # noqa: ARG001 - one shape for all
    """A denial wins; a collection with rules denies the rest, and one without rules allows all."""
    wanted = {"exec": "Exe", "library": "Dll", "script": "Script", "package": "Msi"}[view.kind]
    root = ET.fromstring(files["applocker.xml"])  # noqa: S314 - our own
    rules = [rule for each in root if each.get("Type") == wanted for rule in each]
    fitting = [rule.get("Action") for rule in rules if any(fits_applocker(each, view) for each in rule[0])]
    return ("Allow" in fitting and "Deny" not in fitting) if rules else True


def fits_applocker(condition: Any, view: View) -> bool:  # noqa: ANN401 - an element
    if condition.tag == "FileHashCondition":
        return f"0x{image_of(view.file.sha256)}" in [each.get("Data") for each in condition]
    if condition.tag == "FilePathCondition":
        return bool(condition.get("Path") == "*")
    if view.signer is None:
        return False
    [named] = [
        each
        for each in IDENTITIES
        if each.seal.certificate == view.signer.certificate and each.seal.key == view.signer.key
    ]
    product = view.file.release.product.upper() if view.file.release else ""
    return (
        condition.get("PublisherName") in ("*", applocker_module.publisher(named))
        and condition.get("BinaryName") in ("*", product)
        and in_range(view, condition[0].get("LowSection"), condition[0].get("HighSection"))
    )


def app_control(files: Files, view: View, options: Mapping[str, str]) -> bool:  # noqa: ARG001 - one shape for all
    """Denials of files and signers win, then what is allowed by files or signers (Microsoft Learn, App Control)."""
    space = {"": "urn:schemas-microsoft-com:sipolicy"}
    root = ET.fromstring(files["app-control.xml"])  # noqa: S314 - our own
    kernel = view.kind == "module"
    if not kernel and "Enabled:UMCI" not in [each.text for each in root.iterfind("Rules/Rule/Option", space)]:
        return True
    [scenario] = [
        each
        for each in root.iterfind("SigningScenarios/SigningScenario", space)
        if each.get("Value") == ("131" if kernel else "12")
    ]
    rules = {each.get("ID"): each for each in root.iterfind("FileRules/*", space)}
    signers = {each.get("ID"): each for each in root.iterfind("Signers/Signer", space)}

    def signed(identifier: str | None) -> bool:
        signer = signers[identifier]
        held = [each for each in IDENTITIES if view.signer and each.seal == view.signer._replace(signed_at=None)]
        root_ = signer.find("CertRoot", space)
        assert root_ is not None
        digests = [hashlib.sha256(each.certificate.tbs).hexdigest().upper() for each in held]
        parts = signer.findall("FileAttribRef", space)
        return root_.get("Value") in digests and all(fits_file(rules[each.get("RuleID")], view) for each in parts)

    here = [rules[each.get("RuleID")] for each in scenario.iterfind("*/FileRulesRef/FileRuleRef", space)]
    fitting = [each.tag.rpartition("}")[2] for each in here if fits_file(each, view)]
    fitting += ["Deny" for e in scenario.iterfind("*/DeniedSigners/DeniedSigner", space) if signed(e.get("SignerId"))]
    fitting += [
        "Allow" for e in scenario.iterfind("*/AllowedSigners/AllowedSigner", space) if signed(e.get("SignerId"))
    ]
    return "Allow" in fitting and "Deny" not in fitting


def fits_file(rule: Any, view: View) -> bool:  # noqa: ANN401 - an element
    if rule.get("Hash"):
        return bool(rule.get("Hash") == image_of(view.file.sha256))
    product = view.file.release.product.lower() if view.file.release else None
    if rule.get("FileName") != "*" and rule.get("FileName").lower() != product:
        return False
    return in_range(view, rule.get("MinimumFileVersion", "*"), rule.get("MaximumFileVersion", "*"))


READERS = {
    "ima": ima,
    "ipe": ipe,
    "fapolicyd": fapolicyd,
    "santa": santa,
    "applocker": applocker,
    "app-control": app_control,
}
