"""What the laws of the formats need: subjects found by discovery, states, verdicts, and `laws.toml`.

A format's vectors are tests/vectors/<format>/sample-*: unsigned artifacts of its own. Beside them `laws.toml` may say
what the format's specification leaves open; whatever it does not say, the laws demand.

    [[unsigned]]                      # bytes whose change leaves every seal intact
    what = "the CheckSum field"       # for people
    clause = "where the specification says so"
    start = "u32(0x3c) + 88"          # first byte and length in the signed artifact: numbers, + - *, size,
    length = "4"                      #   u16(offset) and u32(offset) little-endian, find("text"), rfind("text")
    part = ""                         # the suffix of the companion that is meant (".p7s"), else the artifact itself
    noticed_by = "nobody"             # or "trust": not the seal, but whoever builds the certificate paths does

    [strip]
    loses = "what strip does not bring back"      # absent: the very bytes come back

    samples = ["sample-x"]            # where only these samples have them

    [append]
    refused = "why a second signature cannot be added"

    [stamp]
    refused = "why there is no place for a time stamp"

    [keys]
    refused = ["ed25519"]             # kinds of keys that the format's verifiers do not know

    [detection]
    asked = true                      # nobody is detected as one: the signature lies beside, the format is asked for

    [signature]
    like = "detached"                 # it lies where that format's does and is read by it: its kinds are tried there

    [certificates]
    carried = false                   # the signature has none: whoever judges it has to know the signer's

What the envelopes leave open, in whatever format they lie, stands in tests/contract/envelopes.toml, by scheme: `path`
names a part of the DER instead, a step per level: the number of the element (negative from the end), `#` and its
identifier octet in hex, or `*` for all.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import operator
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from chopmark.core import digest as digests
from chopmark.core.artifact import Artifact
from chopmark.core.contracts import Prepares, SealOptions
from chopmark.core.errors import MalformedError
from chopmark.core.verdict import Status
from chopmark.engine import identify, sign
from chopmark.envelopes import der, timestamp
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.support import pki

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chopmark.core.contracts import Format
    from chopmark.core.patch import Patch
    from chopmark.core.seal import Seal
    from chopmark.core.verdict import Verdict

VECTORS = Path(__file__).parent.parent / "vectors"
ENVELOPES = Path(__file__).parent / "envelopes.toml"
KINDS = ("p256", "p384", "ed25519", "rsa3072")
"""The kinds of keys that the laws sign with."""
EXHAUSTIVE = 20 * 1024
"""Signed artifacts up to this size have every byte flipped."""


class Subject(NamedTuple):
    """A format and one unsigned sample of it."""

    format: Format
    sample: Path

    def __str__(self) -> str:
        return f"{self.format.name}:{self.sample.name.removeprefix('sample-')}"

    @property
    def unsigned(self) -> State:
        asked = self.format.name if asked_for(self.format.name) else ""
        return State(self.sample.name, self.sample.read_bytes(), asked=asked)

    @property
    def rules(self) -> dict[str, Any]:
        return rules(self.format.name)

    @property
    def stamped(self) -> bool:
        """Whether there is a place for a time stamp."""
        return "stamp" not in self.rules

    @property
    def own(self) -> bool:
        """Whether its signatures are laid and read by itself."""
        return "like" not in self.rules.get("signature", {})

    @property
    def carried(self) -> bool:
        """Whether its signatures carry the signer's certificate."""
        return carried(self.format.name)


@functools.cache
def formats() -> dict[str, Format]:
    """Those that are signed with certificates; the laws of the others are in test_laws_of_bare_keys."""
    return {name: format_ for name, format_ in sorted(identify.formats().items()) if sign.certified(name)}


@functools.cache
def subjects() -> list[Subject]:
    return [Subject(format_, sample) for name, format_ in formats().items() for sample in sorted(samples(name))]


def asked_for(name: str) -> bool:
    """Whether files are never detected as this format but signed as one on request."""
    return bool(rules(name).get("detection", {}).get("asked", False))


def samples(name: str) -> list[Path]:
    return list((VECTORS / name).glob("sample-*"))


@functools.cache
def rules(name: str) -> dict[str, Any]:
    path = VECTORS / name / "laws.toml"
    return tomllib.loads(path.read_text("utf-8")) if path.exists() else {}


@dataclasses.dataclass(frozen=True)
class State:
    """An artifact and the files beside it, in memory; `asked` is the format that is asked for by name."""

    name: str
    data: bytes
    companions: tuple[tuple[str, bytes], ...] = ()
    asked: str = ""

    def artifact(self) -> Artifact:
        return Artifact.from_bytes(self.data, self.name, dict(self.companions))

    def patched(self, patch: Patch, prepared: Artifact | None = None) -> State:
        """What it becomes by a patch; core.patch.apply does the same to files."""
        rendered = patch.render(prepared or self.artifact())
        if not patch.companion:
            assert patch.pieces is not None, "an artifact is never removed"
            return dataclasses.replace(self, data=rendered)
        others = tuple(pair for pair in self.companions if pair[0] != patch.companion)
        beside = () if patch.pieces is None else ((patch.companion, rendered),)
        return dataclasses.replace(self, companions=(*others, *beside))

    @property
    def parts(self) -> dict[str, bytes]:
        """The artifact under "", its companions under their suffixes."""
        return {"": self.data, **dict(self.companions)}

    def with_part(self, part: str, data: bytes) -> State:
        if not part:
            return dataclasses.replace(self, data=data)
        return dataclasses.replace(
            self, companions=tuple((suffix, data if suffix == part else old) for suffix, old in self.companions)
        )


def carried(name: str) -> bool:
    return bool(rules(name).get("certificates", {}).get("carried", True))


class Stamper:
    """A time-stamp authority in this process, whose clock stands still at NOW."""

    def stamp(self, signature: bytes, digest_algorithm: str) -> bytes:
        tsa = pki.world().tsa
        info = timestamp.TstInfo("1.2.3.4", digest_algorithm, digests.of(signature, digest_algorithm), 7, pki.NOW)
        return timestamp.make_token(info, tsa, tsa.certificates)


OPTIONS = SealOptions()


def request(
    signer: pki.Entity | None = None, options: SealOptions = OPTIONS, *, format_name: str = "", stamped: bool = False
) -> sign.SignRequest:
    entity = signer or pki.world().signer
    return sign.SignRequest(
        signer=entity,
        certificates=entity.certificates,
        signing_time=pki.NOW,
        options=options,
        stamper=Stamper() if stamped else None,
        format_name=format_name,
    )


def signed(
    state: State, signer: pki.Entity | None = None, options: SealOptions = OPTIONS, *, stamped: bool = False
) -> State:
    """Sign it, with the test world's signer unless told otherwise."""
    made = sign.sign(state.artifact(), request(signer, options, format_name=state.asked, stamped=stamped))
    return state.patched(made.patch, made.prepared)


@functools.cache
def signed_subject(subject: Subject, kind: str = "p256", *, stamped: bool = False, append: bool = False) -> State:
    state = signed(subject.unsigned, pki.world(kind).signer, stamped=stamped)
    return signed(state, second_signer(), SealOptions(append=True)) if append else state


@functools.cache
def second_signer() -> pki.Entity:
    return pki.leaf(pki.world().issuing, "Example Second Signer")


def prepared(format_: Format, state: State, options: SealOptions = OPTIONS) -> Artifact:
    artifact = state.artifact()
    return format_.prepare(artifact, options) if isinstance(format_, Prepares) else artifact


def court(folder: Path, *, acquainted: bool = False) -> contexts.Context:
    """Whom the laws believe: the test world's root alone, at NOW; nobody asks about revocation.

    An acquainted one knows the certificates of the signers as well, none of which is an anchor.
    """
    path = folder / "root.pem"
    known = [pki.world().issuing, second_signer(), *(pki.world(kind).signer for kind in KINDS)] if acquainted else []
    path.write_bytes(b"".join(entity.pem for entity in (pki.world().root, *known)))
    return contexts.Context(store.load([str(path)]), pki.NOW, contexts.OFF, origins.CrlSource(cache=str(folder)))


class Level(NamedTuple):
    """How a change was noticed: by the seal itself; by trust alone, in the signer or in the time; or not at all."""

    by_seal: bool
    by_trust: bool

    def __str__(self) -> str:
        return "seal" if self.by_seal else "trust" if self.by_trust else "nobody"


def noticed(before: Verdict, after: Verdict) -> Level:
    """Compare a verdict with that of the unchanged state, which was trusted."""
    seals_ = len(after.seals) != len(before.seals) or not all(seal.intact for seal in after.seals)
    whole = any(finding.outcome in ("no", "unknown") for finding in after.findings)
    times = [seal.signed_at for seal in before.seals] != [seal.signed_at for seal in after.seals]
    return Level(seals_ or whole, after.status is not Status.TRUSTED or times)


# What is unsigned by specification


class Area(NamedTuple):
    """A listed part of a state: which bytes of which part, and who notices when they change."""

    part: str
    offset: int
    length: int
    noticed_by: str
    what: str

    def holds(self, part: str, offset: int) -> bool:
        return part == self.part and self.offset <= offset < self.offset + self.length


def areas(subject: Subject, state: State) -> list[Area]:
    """Everything that laws.toml lists, resolved for one signed state."""
    found = []
    for entry in subject.rules.get("unsigned", ()):
        assert entry["clause"], f"{subject}: {entry['what']} needs a clause"
        assert entry["noticed_by"] in ("nobody", "trust")
        if subject.sample.name not in entry.get("samples", (subject.sample.name,)):
            continue
        part = entry.get("part", "")
        data = state.parts[part]
        start, length = _number(entry["start"], data), _number(entry["length"], data)
        found.append(Area(part, start, length, entry["noticed_by"], entry["what"]))
    return found


_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


def _number(expression: str, data: bytes) -> int:
    """Evaluate the small arithmetic of `start` and `length`."""

    def value(node: ast.expr) -> int:
        match node:
            case ast.Constant(value=int(number)):
                return number
            case ast.Name(id="size"):
                return len(data)
            case ast.BinOp(left=left, op=kind, right=right) if type(kind) in _OPERATORS:
                return _OPERATORS[type(kind)](value(left), value(right))
            case ast.Call(func=ast.Name(id="u16" | "u32" as name), args=[place]):
                offset = value(place)
                return int.from_bytes(data[offset : offset + int(name[1:]) // 8], "little")
            case ast.Call(func=ast.Name(id="find" | "rfind" as name), args=[ast.Constant(value=str(text))]):
                return {"find": data.index, "rfind": data.rindex}[name](text.encode())
        message = f"laws.toml: {expression!r} is not understood"
        raise ValueError(message)

    return value(ast.parse(expression, mode="eval").body)


@functools.cache
def _envelope_rules(scheme: str) -> list[dict[str, str]]:
    known: dict[str, Any] = tomllib.loads(ENVELOPES.read_text("utf-8"))
    rules_: list[dict[str, str]] = known.get(known["like"].get(scheme, scheme), [])
    assert all(entry["clause"] for entry in rules_)
    return rules_


def envelope_areas(found: Sequence[Seal], outer: Seal) -> list[Area]:
    """What envelopes.toml lists in one envelope and in those nested in it; offsets are those in the outer one."""
    areas_ = []
    for seal in found:
        place = outer.envelope.raw.find(seal.envelope.raw)
        if place < 0:
            continue
        for entry in _envelope_rules(seal.envelope.scheme):
            for node in _walk(der.parse(seal.envelope.raw), entry["path"].split("/")):
                # The header stays under the law: a part that changes its size or kind is another part.
                area = Area("", place + node.body, node.end - node.body, entry["noticed_by"], entry["what"])
                areas_.append(area)
    return areas_


def _walk(node: der.Node, steps: Sequence[str]) -> Iterator[der.Node]:
    if not steps:
        yield node
        return
    step, rest = steps[0], steps[1:]
    children = node.children()
    if step == "*":
        chosen = children
    elif step.startswith("#"):
        chosen = [child for child in children if child.tag == int(step[1:], 16)]
    else:
        chosen = [children[int(step)]]
    for child in chosen:
        yield from _walk(child, rest)


def permitted(
    before: Sequence[Seal],
    after: Sequence[Seal],
    level: Level,
    listed: Sequence[Area],
    places: Sequence[tuple[str, int]],
) -> bool:
    """Whether a change of these places, which no seal noticed, is one that some specification leaves open."""
    ways = {"nobody", "trust"} if level.by_trust else {"nobody"}
    open_areas = [area for area in listed if area.noticed_by in ways]
    if all(any(area.holds(part, offset) for area in open_areas) for part, offset in places):
        return True
    old, new = ([seal for seal in found if not seal.nested] for found in (before, after))
    if len(old) != len(new) or all(was.envelope.raw == now.envelope.raw for was, now in zip(old, new, strict=True)):
        return False
    for was, now in zip(old, new, strict=True):
        raw, changed = was.envelope.raw, now.envelope.raw
        if len(raw) != len(changed):
            return False
        open_areas = [area for area in envelope_areas(before, was) if area.noticed_by in ways]
        offsets = [offset for offset, (one, other) in enumerate(zip(raw, changed, strict=True)) if one != other]
        if not all(any(area.holds("", offset) for area in open_areas) for offset in offsets):
            return False
    return True


def seals(format_: Format, state: State) -> list[Seal]:
    """The seals in a state; empty where the structure is broken."""
    try:
        return list(format_.extract(state.artifact()))
    except MalformedError:
        return []
