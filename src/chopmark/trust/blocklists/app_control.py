"""App Control for Business policies (SiPolicy XML) as blocklists: the form of Microsoft's vulnerable-driver list.

Of a policy only what denies is used: hashes, names with versions, and signers. As on Windows, a rule counts when a
signing scenario refers to it; rules by name or signer count for the kind of code that the scenario is about (131:
kernel mode, 12: user mode), a hash for any. Allow rules allow nothing here: they make exceptions from denied signers.

XML is read with expat: a document type, and with it every entity, is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import der

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NAMESPACE = "urn:schemas-microsoft-com:sipolicy"
KERNEL, USER = "131", "12"
_HASHES = {20: "sha1", 32: "sha256"}
_TBS = {16: "md5", 20: "sha1", 32: "sha256", 48: "sha384", 64: "sha512"}
TBS_ALGORITHMS = tuple(_TBS.values())
_VERSION = re.compile(r"[0-9]{1,5}(\.[0-9]{1,5}){3}")
NAMES = {
    "FileName": "OriginalFilename",
    "InternalName": "InternalName",
    "FileDescription": "FileDescription",
    "ProductName": "ProductName",
}
"""What a rule calls a name, and the string of a version resource that it is compared with."""
_ELSEWHERE = ("FilePath", "PackageFamilyName", "AppIDs")
"""Attributes about where a file lies or what runs it: the file alone never matches."""

Version = tuple[int, int, int, int]
_Entry = TypeVar("_Entry")


class Facts(NamedTuple):
    """What rules are compared with: the strings of a version resource, its version, and whether it runs in the kernel.

    `readable` is False where there is a version resource that could not be read: then names are not known.
    """

    strings: Mapping[str, str]
    version: Version | None
    kernel: bool
    readable: bool = True


class FileRule(NamedTuple):
    """A rule about files (Deny, Allow or FileAttrib): a hash, or names and a range of versions."""

    identifier: str
    friendly: str
    digest: bytes
    names: tuple[tuple[str, str], ...]
    lowest: Version | None
    highest: Version | None
    elsewhere: bool

    def matches(self, facts: Facts) -> bool | None:
        """Whether names and version are those of a file; None when that cannot be told."""
        if self.elsewhere or not (self.names or self.lowest or self.highest):
            return False
        if not facts.readable:
            return None
        for name, wanted in self.names:
            held = facts.strings.get(NAMES[name])
            if wanted != "*" and (held is None or held.casefold() != wanted.casefold()):
                return False
        return self._in_range(facts.version)

    def _in_range(self, version: Version | None) -> bool:
        """A lone MinimumFileVersion of a rule that denies is the last version denied, as Microsoft's lists use it."""
        if self.lowest is None and self.highest is None:
            return True
        if version is None:
            return False
        if self.highest is None:
            return self.lowest is not None and version <= self.lowest
        return (self.lowest is None or self.lowest <= version) and version <= self.highest


class Signer(NamedTuple):
    """A signer by conditions: a certificate on the way by its TBS digest, and more about the signer's own.

    `root` is None where the policy names a well-known root by its number, which is not evaluated.
    """

    identifier: str
    name: str
    root: tuple[str, bytes] | None
    publisher: str
    issuer: str
    program: str
    purposes: tuple[str, ...]
    files: tuple[FileRule, ...]


class Denied(NamedTuple):
    """A signer that a scenario denies, except for some files."""

    scenario: str
    signer: Signer
    exceptions: tuple[FileRule, ...]


class Policy(NamedTuple):
    """What a policy denies: hashes (algorithm, digest) with what they are called, names by scenario, and signers."""

    hashes: dict[tuple[str, bytes], str]
    names: tuple[tuple[str, FileRule], ...]
    signers: tuple[Denied, ...]

    @property
    def size(self) -> int:
        """How many rules there are."""
        return len(self.hashes) + len(self.names) + len(self.signers)

    @property
    def algorithms(self) -> frozenset[str]:
        """The digests in which files are named."""
        return frozenset(algorithm for algorithm, _ in self.hashes)


def parse(data: bytes) -> Policy:
    """Read a policy. Raises MalformedError."""
    from xml.parsers import expat  # only who has such a list needs it

    reader = _Reader()
    parser = expat.ParserCreate("utf-8", " ")  # whatever it says of itself: no other codec is asked
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    try:
        parser.Parse(data, True)  # noqa: FBT003 - expat's own way to say that this is all
    except expat.ExpatError as error:
        raise MalformedError(f"not XML: {error}") from None
    if not reader.found:
        raise MalformedError("not an App Control policy (SiPolicy)")
    return reader.policy()


class _Raw(NamedTuple):
    """A Signer element as it is read."""

    attributes: dict[str, str]
    parts: list[tuple[str, dict[str, str]]]


class _Reader:
    """Collects elements; the references between them are followed at the end."""

    def __init__(self) -> None:
        self.found = False
        self._way: list[str] = []
        self._count = 0
        self._files: dict[str, tuple[str, FileRule]] = {}
        self._signers: dict[str, _Raw] = {}
        self._purposes: dict[str, str] = {}
        self._signer: _Raw | None = None
        self._scenario = ""
        self._denied: list[tuple[str, str, list[str]]] = []
        self._referred: list[tuple[str, str]] = []

    def refuse(self, *_: object) -> None:
        raise MalformedError("it has a document type, which no policy needs")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        namespace, _, name = tag.rpartition(" ")
        if not self._way:
            self.found = (namespace, name) == (NAMESPACE, "SiPolicy")
            if not self.found:
                raise MalformedError("not an App Control policy (SiPolicy)")
        self._way.append(name)
        self._count += 1
        if self._count > limits.BLOCKLIST_ENTRIES_MAX or len(self._way) > limits.BLOCKLIST_DEPTH_MAX:
            raise MalformedError("more elements than a policy has")
        self._take(name, attributes)

    def end(self, _: str) -> None:
        if self._way.pop() == "Signer":
            self._signer = None

    def _take(self, name: str, attributes: dict[str, str]) -> None:
        above = self._way[-2] if len(self._way) > 1 else ""
        if above == "FileRules" and name in ("Deny", "Allow", "FileAttrib"):
            self._add(self._files, attributes, (name, _file_rule(attributes)))
        elif name == "EKU" and above == "EKUs":
            self._purposes[attributes.get("ID", "")] = attributes.get("Value", "").lower()
        elif name == "Signer" and above == "Signers":
            self._signer = _Raw(attributes, [])
            self._add(self._signers, attributes, self._signer)
        elif self._signer is not None:
            self._signer.parts.append((name, attributes))
        elif name == "SigningScenario":
            self._scenario = attributes.get("Value", "")
        elif above == "DeniedSigners" and name == "DeniedSigner":
            self._denied.append((self._scenario, attributes.get("SignerId", ""), []))
        elif name == "ExceptAllowRule" and self._way[-3:-1] == ["DeniedSigners", "DeniedSigner"]:
            self._denied[-1][2].append(attributes.get("AllowRuleID", ""))
        elif above == "FileRulesRef" and name == "FileRuleRef":
            self._referred.append((self._scenario, attributes.get("RuleID", "")))

    @staticmethod
    def _add(known: dict[str, _Entry], attributes: dict[str, str], value: _Entry) -> None:
        identifier = attributes.get("ID", "")
        if not identifier or identifier in known:
            raise MalformedError(f"two rules are called {identifier[:64]!r}")
        known[identifier] = value

    def policy(self) -> Policy:
        """What the elements come to. Raises MalformedError for a reference that leads nowhere."""
        hashes: dict[tuple[str, bytes], str] = {}
        names = []
        for scenario, identifier in self._referred:
            kind, rule = self._rule(identifier)
            if kind != "Deny":
                continue
            if rule.digest:
                hashes[_HASHES[len(rule.digest)], rule.digest] = rule.friendly or rule.identifier
            else:
                names.append((scenario, rule))
        signers = []
        for scenario, identifier, exceptions in self._denied:
            if identifier not in self._signers:
                raise MalformedError(f"there is no signer {identifier[:64]!r}")
            excepted = tuple(self._rule(each)[1] for each in exceptions)
            signers.append(Denied(scenario, self._read_signer(self._signers[identifier]), excepted))
        return Policy(hashes, tuple(names), tuple(signers))

    def _rule(self, identifier: str) -> tuple[str, FileRule]:
        if identifier not in self._files:
            raise MalformedError(f"there is no rule {identifier[:64]!r}")
        return self._files[identifier]

    def _read_signer(self, raw: _Raw) -> Signer:
        texts: dict[str, str] = {}
        root: tuple[str, bytes] | None = None
        purposes, files = [], []
        for name, attributes in raw.parts:
            value = attributes.get("Value", "")
            if name == "CertRoot":
                root = _root(attributes.get("Type", ""), value)
            elif name in ("CertPublisher", "CertIssuer", "CertOemID"):
                texts[name] = value
            elif name == "CertEKU":
                purposes.append(self._purposes.get(attributes.get("ID", ""), ""))
            elif name == "FileAttribRef":
                files.append(self._rule(attributes.get("RuleID", ""))[1])
            else:
                raise MalformedError(f"a condition on a signer that is not known: {name[:64]}")
        return Signer(
            raw.attributes["ID"],
            raw.attributes.get("Name", ""),
            root,
            texts.get("CertPublisher", ""),
            texts.get("CertIssuer", ""),
            texts.get("CertOemID", ""),
            tuple(purposes),
            tuple(files),
        )


def _root(kind: str, value: str) -> tuple[str, bytes] | None:
    if kind != "TBS":
        return None
    octets = _hex(value)
    if len(octets) not in _TBS:
        raise MalformedError(f"a TBS digest of {len(octets)} bytes")
    return _TBS[len(octets)], octets


def _file_rule(attributes: dict[str, str]) -> FileRule:
    octets = _hex(attributes.get("Hash", ""))
    if octets and len(octets) not in _HASHES:
        raise MalformedError(f"a hash of {len(octets)} bytes")
    return FileRule(
        attributes.get("ID", ""),
        attributes.get("FriendlyName", ""),
        octets,
        tuple((name, attributes[name]) for name in NAMES if name in attributes),
        _version(attributes.get("MinimumFileVersion")),
        _version(attributes.get("MaximumFileVersion")),
        any(name in attributes for name in _ELSEWHERE),
    )


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise MalformedError(f"not hex digits: {text[:80]!r}") from None


def _version(text: str | None) -> Version | None:
    if text is None:
        return None
    if not _VERSION.fullmatch(text.strip()):
        raise MalformedError(f"not a version: {text[:80]!r}")
    first, second, third, fourth = (int(part) for part in text.strip().split("."))
    return first, second, third, fourth


class Match(NamedTuple):
    """A rule that is about a file; `certain` is False when only something unknown keeps it from being so."""

    text: str
    certain: bool


def names_of(policy: Policy, facts: Facts) -> list[Match]:
    """The rules by name and version alone that are about a file."""
    found = []
    for scenario, rule in policy.names:
        matched = rule.matches(facts) if _concerns(scenario, facts) else False
        if matched is not False:
            found.append(Match(f"{rule.friendly or rule.identifier}{_facts_shown(facts)}", matched is True))
    return found


class Signature(NamedTuple):
    """What signers are compared with.

    The TBS digests of all certificates on the way by algorithm; of the signer's own certificate the common names of
    subject and issuer, and its purposes as policies write them; and the name of the program in the signature
    (SpcSpOpusInfo; None where signatures have none).
    """

    digests: Mapping[str, frozenset[bytes]]
    publisher: str
    issuer: str
    purposes: frozenset[str]
    program: str | None


def purpose(oid: str) -> str:
    """An extended key usage as policies write it: DER in hex, with another tag."""
    return f"01{der.oid(oid)[1:].hex()}"


def signers_of(
    policy: Policy, facts: Facts, signature: Signature, digests: Iterable[tuple[str, bytes]] = ()
) -> list[Match]:
    """The rules by signer that are about a signature on a file; `digests` are those of the file, for exceptions."""
    known = frozenset(digests)
    found = []
    for denied in policy.signers:
        if not _concerns(denied.scenario, facts):
            continue
        answers = _conditions(denied, facts, signature, known)
        if False not in answers:
            text = f"{denied.signer.name or denied.signer.identifier}{_facts_shown(facts)}"
            found.append(Match(text, None not in answers))
    return found


def _conditions(
    denied: Denied, facts: Facts, signature: Signature, digests: frozenset[tuple[str, bytes]]
) -> Sequence[bool | None]:
    """The answers to all conditions of a rule, until one is no; None for what cannot be told."""
    signer = denied.signer
    root: bool | None = None
    if signer.root is not None:
        algorithm, octets = signer.root
        root = octets in signature.digests.get(algorithm, frozenset())
    if root is False:
        return [False]
    answers: list[bool | None] = [root]
    if signer.publisher:
        answers.append(_same(signer.publisher, signature.publisher))
    if signer.issuer:
        answers.append(_same(signer.issuer, signature.issuer))
    if signer.program:
        answers.append(None if signature.program is None else _same(signer.program, signature.program))
    answers += [purpose in signature.purposes if purpose else None for purpose in signer.purposes]
    if signer.files and False not in answers:
        each = [rule.matches(facts) for rule in signer.files]
        answers.append(True if True in each else None if None in each else False)
    excepted = [_excepted(rule, facts, digests) for rule in denied.exceptions]
    if True in excepted:
        return [False]
    return [*answers, *(None for answer in excepted if answer is None)]


def _excepted(rule: FileRule, facts: Facts, digests: frozenset[tuple[str, bytes]]) -> bool | None:
    if rule.digest:
        return (_HASHES[len(rule.digest)], rule.digest) in digests
    return rule.matches(facts)


def _same(wanted: str, held: str) -> bool:
    return wanted.casefold() == held.casefold()


def _concerns(scenario: str, facts: Facts) -> bool:
    """Whether a scenario is about this kind of code; one of an unknown number is about all."""
    return scenario not in (KERNEL, USER) or (scenario == KERNEL) is facts.kernel


def _facts_shown(facts: Facts) -> str:
    name = facts.strings.get("OriginalFilename", "")
    version = ".".join(map(str, facts.version)) if facts.version else ""
    return f" ({' '.join(part for part in (name, version) if part)})" if name or version else ""
