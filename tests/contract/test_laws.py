"""The laws that every format obeys, over every format that discovery finds, with its own vectors.

A law that a format's specification cannot keep is excepted in tests/vectors/<format>/laws.toml, with the clause.
"""

from __future__ import annotations

import functools
import os
import random
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core import patch as patches
from chopmark.core.artifact import ATTRIBUTE, Artifact
from chopmark.core.contracts import Format, Prepares, SealOptions, Versioned
from chopmark.core.errors import ChopmarkError, MalformedError, RefusedError, UsageError
from chopmark.core.verdict import Status
from chopmark.core.versions import SCHEMES
from chopmark.engine import check, identify, sign
from tests.contract import laws
from tests.contract.laws import State, Subject
from tests.support import pki, probing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from chopmark.core.verdict import Verdict
    from chopmark.trust.context import Context

SUBJECTS = laws.subjects()
FIRST = [subject for subject in SUBJECTS if subject == next(s for s in SUBJECTS if s.format is subject.format)]
"""One subject of each format."""
MASKS = range(8) if os.environ.get("LAWS") == "all" else None
"""`LAWS=all make test` flips every bit of every byte; otherwise one or two patterns are tried on each."""
WHOLE_STATES = MASKS is not None or os.environ.get("LAWS") == "whole"
"""`LAWS=whole`, as in CI: what a stamped or second signature has from the plain one is flipped there as well."""
SLICES = 4
"""Long work is cut into so many tests, which then run side by side."""
WHOLE = {"authenticode": "pe", "cms": "detached"}
"""By scheme, the format in which every byte of time stamps and second signatures is flipped, which all read alike."""

every_subject = pytest.mark.parametrize("subject", SUBJECTS, ids=str)
every_detected_subject = pytest.mark.parametrize("subject", [s for s in SUBJECTS if not s.unsigned.asked], ids=str)
every_format = pytest.mark.parametrize("format_", laws.formats().values(), ids=lambda format_: format_.name)


@pytest.fixture(scope="session")
def courts(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Context]:
    """By whether signatures carry the signer's certificate."""
    return {carried: laws.court(tmp_path_factory.mktemp("court"), acquainted=not carried) for carried in (True, False)}


@pytest.fixture
def context(request: pytest.FixtureRequest, courts: dict[bool, Context]) -> Context:
    given = request.node.callspec.params
    return courts[laws.carried((given["subject"].format if "subject" in given else given["format_"]).name)]


def judge(state: State, context: Context) -> Verdict:
    return check.check(state.artifact(), context, state.asked)


# What a format is


@every_format
def test_a_format_keeps_the_contract(format_: Format) -> None:
    assert isinstance(format_, Format)
    assert laws.formats()[format_.name] is format_
    assert format_.name == format_.name.lower()
    assert format_.title
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in format_.suffixes)
    assert laws.samples(format_.name), f"tests/vectors/{format_.name}/ has no sample-*"
    assert (laws.VECTORS / format_.name / "SOURCES.md").exists()


# Detection


def test_suffixes_belong_to_one_format() -> None:
    suffixes = [suffix for format_ in laws.formats().values() for suffix in format_.suffixes]
    assert sorted(suffixes) == sorted(set(suffixes))


@every_detected_subject
def test_a_sample_is_detected_signed_or_not(subject: Subject) -> None:
    for state in (subject.unsigned, laws.signed_subject(subject)):
        assert identify.identify(state.artifact()) is subject.format


@every_detected_subject
def test_no_name_makes_a_sample_anybodys_guess(subject: Subject) -> None:
    names = {other.sample.name for other in SUBJECTS} | {"x", "", ".", "x.", "x.txt", "X.EXE", "a b\n.ps1", "é.sh"}
    names |= {f"x{suffix}" for format_ in laws.formats().values() for suffix in format_.suffixes}
    head = subject.unsigned.artifact().head()
    for name in names:
        certainty = {other: format_.detect(head, name) for other, format_ in laws.formats().items()}
        best = max(certainty.values())
        assert best > 0, name
        assert list(certainty.values()).count(best) == 1, (name, certainty)


HEADS = [subject.unsigned.artifact().head() for subject in SUBJECTS]
HEADS += [
    start + bytes(300)
    for start in (b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\3\4", b"#!/bin/sh\n")
]
HEADS.append(b"It said:\n-----BEGIN PGP SIGNED MESSAGE-----\n")


@pytest.mark.parametrize("format_", identify.formats().values(), ids=lambda format_: format_.name)
def test_a_format_takes_nothing_that_begins_otherwise(format_: Format) -> None:
    """Whoever says how its files begin is not asked about others (core.contracts), so it must not want them."""
    begins = getattr(format_, "begins", None)
    if begins is None:
        begins = (b"",)
    assert begins == (b"",) or all(begins)
    otherwise = getattr(format_, "otherwise", 0)
    names = [f"x{suffix}" for suffix in format_.suffixes] or ["x"]
    for head in (*HEADS, b"", *(bytes([octet]) + head[1:] for octet in range(256) for head in HEADS[:2])):
        wanted = max(format_.detect(head, name) for name in names)
        assert wanted <= otherwise or head.startswith(begins), head[:16]
        assert wanted <= max((most for each, _, most in identify.asked(head[:1]) if each is format_), default=0)


@every_subject
def test_who_can_be_no_more_certain_need_not_be_asked(subject: Subject) -> None:
    """The same is found as when every format is asked."""
    sample = subject.unsigned
    for suffix in ("", *(each for format_ in identify.formats().values() for each in format_.suffixes)):
        artifact = Artifact.from_bytes(sample.artifact().head(), f"x{suffix}")
        certainty = {each.name: each.detect(artifact.head(), artifact.name) for each in identify.formats().values()}
        best = max(certainty.values())
        winners = [name for name, each in certainty.items() if each == best]
        try:
            assert [identify.identify(artifact).name] == winners
        except identify.AmbiguousError:
            assert len(winners) > 1


def test_who_may_be_as_sure_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = list(identify.formats().values())[:2]
    asked = ((first, lambda *_: 5, 9), (second, lambda *_: 5, 5))
    monkeypatch.setattr(identify, "asked", lambda _: asked)
    with pytest.raises(identify.AmbiguousError):
        identify.identify(Artifact.from_bytes(b"x"))


@every_subject
def test_what_is_asked_for_is_found_without_asking(subject: Subject, context: Context) -> None:
    verdict = check.check(laws.signed_subject(subject).artifact(), context)
    assert verdict.status is Status.TRUSTED, verdict


@every_subject
def test_a_path_in_front_of_the_name_does_not_matter(subject: Subject) -> None:
    head = subject.unsigned.artifact().head()
    for folder in ("/srv/", "./", "a.exe/", "b.ps1/"):
        name = folder + subject.sample.name
        assert subject.format.detect(head, name) == subject.format.detect(head, subject.sample.name)


# Signing


@every_subject
@pytest.mark.parametrize("kind", laws.KINDS)
def test_what_was_signed_is_trusted(subject: Subject, kind: str, context: Context) -> None:
    if kind in subject.rules.get("keys", {}).get("refused", ()):
        with pytest.raises(RefusedError):
            laws.signed(subject.unsigned, pki.world(kind).signer, SealOptions(digest_algorithm="sha512"))
        return
    digest = "sha512" if kind == "ed25519" else "sha384" if kind == "p384" else "sha256"
    state = laws.signed(subject.unsigned, pki.world(kind).signer, SealOptions(digest_algorithm=digest))
    verdict = judge(state, context)
    assert verdict.status is Status.TRUSTED, [f for seal in verdict.seals for f in seal.findings]
    [seal] = verdict.seals
    assert seal.intact
    assert seal.digest_algorithm == digest
    assert seal.signer == pki_id(pki.world(kind).signer)
    assert verdict.format == subject.format.name


def pki_id(entity: pki.Entity) -> object:
    from chopmark.envelopes import x509

    return x509.certificate(entity.der).signer_id


@every_subject
def test_signing_does_not_make_it_another_release(subject: Subject) -> None:
    versioned: object = subject.format
    if not isinstance(versioned, Versioned):
        assert not hasattr(versioned, "release")
        return
    before = versioned.release(subject.unsigned.artifact())
    assert before is None or before.scheme in SCHEMES
    assert versioned.release(laws.signed_subject(subject).artifact()) == before


@every_subject
def test_what_was_signed_and_stamped_has_its_time(subject: Subject, context: Context) -> None:
    if not subject.stamped:
        with pytest.raises(UsageError):
            laws.signed_subject(subject, stamped=True)
        return
    verdict = judge(laws.signed_subject(subject, stamped=True), context)
    assert verdict.status is Status.TRUSTED, [f for seal in verdict.seals for f in seal.findings]
    assert verdict.seals[0].signed_at == pki.NOW


@every_subject
def test_a_stranger_is_not_trusted(subject: Subject, context: Context) -> None:
    root = pki.authority("Example Root of somebody else")
    verdict = judge(laws.signed(subject.unsigned, pki.leaf(root)), context)
    assert verdict.seals[0].intact is subject.carried
    assert verdict.status is (Status.REJECTED if subject.carried else Status.UNDECIDED)


@every_subject
def test_a_sample_is_unsigned(subject: Subject, context: Context) -> None:
    assert list(subject.format.extract(subject.unsigned.artifact())) == []
    assert judge(subject.unsigned, context).status is Status.UNSIGNED


@every_subject
def test_embedding_and_extracting_give_the_envelope_back(subject: Subject) -> None:
    unsigned = subject.unsigned
    made = sign.sign(unsigned.artifact(), laws.request(format_name=unsigned.asked))
    [seal] = subject.format.extract(unsigned.patched(made.patch, made.prepared).artifact())
    assert seal.envelope.raw == made.envelope
    assert seal.nested == 0
    assert seal.where
    assert seal.claims


@every_subject
def test_signing_does_not_move_the_digest(subject: Subject) -> None:
    format_ = subject.format
    for algorithm in ("sha256", "sha384", "sha512"):
        options = SealOptions(digest_algorithm=algorithm)
        before = laws.prepared(format_, subject.unsigned, options)
        [expected] = format_.digest(before, [format_.recipe(before, options)])
        state = laws.signed(subject.unsigned, options=options)
        after = laws.prepared(format_, state, options)
        [again] = format_.digest(after, [format_.recipe(after, options)])
        assert again.value == expected.value
        [seal] = format_.extract(state.artifact())
        values = [payload.value for payload in format_.digest(state.artifact(), [c.recipe for c in seal.claims])]
        assert expected.value in values


@every_subject
def test_recipes_are_answered_one_by_one_and_in_order(subject: Subject) -> None:
    format_, artifact = subject.format, laws.prepared(subject.format, subject.unsigned)
    recipes = [format_.recipe(artifact, SealOptions(digest_algorithm=name)) for name in ("sha512", "sha256", "sha512")]
    payloads = format_.digest(artifact, recipes)
    assert [payload.recipe for payload in payloads] == recipes
    assert [len(payload.value) for payload in payloads] == [64, 32, 64]
    assert payloads[0].value == payloads[2].value
    assert list(format_.digest(artifact, [])) == []


@every_subject
def test_signing_again_replaces(subject: Subject) -> None:
    once = laws.signed_subject(subject)
    twice = laws.signed(once)
    other = laws.signed(once, laws.second_signer())
    assert twice == once
    assert other == laws.signed(subject.unsigned, laws.second_signer())


@every_subject
def test_appending_keeps_what_is_there(subject: Subject, context: Context) -> None:
    once = laws.signed_subject(subject)
    if reason := subject.rules.get("append", {}).get("refused"):
        with pytest.raises(RefusedError):
            laws.signed(once, laws.second_signer(), SealOptions(append=True))
        assert reason
        return
    verdict = judge(laws.signed_subject(subject, append=True), context)
    assert verdict.status is Status.TRUSTED, [f for seal in verdict.seals for f in seal.findings]
    signers = {pki_id(pki.world().signer), pki_id(laws.second_signer())}
    assert len(verdict.seals) == len({seal.where for seal in verdict.seals}) == 2
    assert {seal.signer for seal in verdict.seals} == signers


@every_subject
def test_appending_to_nothing_is_signing(subject: Subject) -> None:
    assert laws.signed(subject.unsigned, options=SealOptions(append=True)) == laws.signed_subject(subject)


@every_subject
def test_stripping_brings_the_unsigned_artifact_back(subject: Subject, context: Context) -> None:
    format_ = subject.format
    states = [laws.signed_subject(subject, stamped=stamped) for stamped in (False, *([True] * subject.stamped))]
    if "append" not in subject.rules:
        states.append(laws.signed_subject(subject, append=True))
    for state in states:
        bare = state.patched(format_.strip(state.artifact()))
        assert judge(bare, context).status is Status.UNSIGNED
        assert bare.patched(format_.strip(bare.artifact())) == bare
        assert laws.signed(bare) == laws.signed_subject(subject)
        if not subject.rules.get("strip", {}).get("loses"):
            assert bare == subject.unsigned


@every_subject
def test_two_steps_make_what_one_step_makes(subject: Subject) -> None:
    request = laws.request(format_name=subject.unsigned.asked)
    _, _, draft = sign.draft(subject.unsigned.artifact(), request)
    signature = request.signer.sign(draft.to_be_signed, draft.digest_algorithm)
    made = sign.attach(subject.unsigned.artifact(), request, draft.to_be_signed, signature)
    assert subject.unsigned.patched(made.patch, made.prepared) == laws.signed_subject(subject)


@every_subject
def test_a_signature_for_another_artifact_is_refused_or_seen(subject: Subject, context: Context) -> None:
    """A graft: the signature of one sample in another, or in a changed copy of the same."""
    made = sign.sign(subject.unsigned.artifact(), laws.request(format_name=subject.unsigned.asked))
    changed = State(subject.unsigned.name, subject.unsigned.data[:-1] + b"?")
    others = [other.unsigned for other in SUBJECTS if other.format is subject.format and other != subject]
    for other in (changed, *others):
        try:
            ready = laws.prepared(subject.format, other)
            grafted = other.patched(subject.format.embed(ready, made.envelope, SealOptions()), ready)
        except ChopmarkError:
            continue
        verdict = judge(grafted, context)
        assert verdict.status is Status.REJECTED
        assert not any(seal.intact for seal in verdict.seals)


# Purity


def stored(path: Path, part: str) -> bytes:
    """A part of a state, as it is kept with the file."""
    if part.startswith(ATTRIBUTE):
        return os.getxattr(path, part.removeprefix(ATTRIBUTE))
    return path.with_name(path.name + part).read_bytes()


@every_subject
def test_nothing_is_written_before_a_patch_is_applied(subject: Subject, tmp_path: Path, context: Context) -> None:
    if any(part.startswith(f"{ATTRIBUTE}security.") for part in laws.signed_subject(subject).parts) and os.getuid():
        pytest.skip("only root sets attributes of the kernel's own security modules")
    path = tmp_path / subject.sample.name
    path.write_bytes(subject.unsigned.data)
    path.chmod(0o755)
    before = path.stat()
    with Artifact.open(path) as artifact:
        made = sign.sign(artifact, laws.request(format_name=subject.unsigned.asked))
        assert (path.stat().st_mtime_ns, path.stat().st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
        sign.write(artifact, made)
    expected = laws.signed_subject(subject)
    for part, content in expected.parts.items():
        assert stored(path, part) == content
    files = [part for part in expected.parts if not part.startswith(ATTRIBUTE)]
    assert len(list(tmp_path.iterdir())) == len(files)
    assert path.stat().st_mode == before.st_mode
    assert check.check_path(str(path), context).status is Status.TRUSTED
    with Artifact.open(path) as artifact:
        [stripped] = sign.stripped(artifact)
        patches.apply(stripped, artifact)
    assert check.check_path(str(path), context).status is Status.UNSIGNED
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@every_subject
def test_an_artifact_is_read_in_bounded_pieces(subject: Subject) -> None:
    class Recorder:
        def __init__(self, data: bytes) -> None:
            self.data = data
            self.size = len(data)
            self.outside: list[tuple[int, int]] = []

        def read(self, offset: int, length: int) -> bytes:
            if offset < 0 or length < 0 or length > limits.SCRIPT_MAX:
                self.outside.append((offset, length))
            return self.data[offset : offset + length]

        def changed(self) -> bool:
            return False

    state = laws.signed_subject(subject)
    view = Recorder(state.data)
    artifact = Artifact(state.name, view, None, dict(state.companions))
    for seal in subject.format.extract(artifact):
        subject.format.digest(artifact, [claim.recipe for claim in seal.claims])
    assert view.outside == []


# Every change is noticed


def kinds_of_states(subject: Subject) -> list[str]:
    kinds = ["plain"]
    if subject in FIRST and subject.own:
        if subject.stamped:
            kinds.append("stamped")
        if "append" not in subject.rules:
            kinds.append("appended")
    return kinds


def is_thorough(subject: Subject, kind: str) -> bool:
    """Whether every byte of a state is flipped; of the others' middle, where their envelopes lie, a third suffices.

    So does a third of what a stamped or second signature has from the plain one. One subject of a format stands for
    the envelopes of all, one format for what envelopes of a scheme carry besides.
    """
    return subject in FIRST and subject.own and (kind == "plain" or subject.format.name in WHOLE.values())


def test_of_each_envelope_one_format_has_every_byte_flipped() -> None:
    by_scheme = {
        (seal.envelope.scheme, subject.format.name)
        for subject, kind in CASES
        if kind != "plain"
        for seal in laws.seals(subject.format, state_of(subject, kind))
    }
    assert {scheme for scheme, _ in by_scheme} == WHOLE.keys()
    assert WHOLE.items() <= by_scheme


def state_of(subject: Subject, kind: str) -> State:
    return laws.signed_subject(subject, stamped=kind == "stamped", append=kind == "appended")


CASES = [(subject, kind) for subject in SUBJECTS for kind in kinds_of_states(subject)]
every_case = pytest.mark.parametrize(("subject", "kind"), CASES, ids=str)


class Watch:
    """One signed state, and what may be changed in it unnoticed."""

    def __init__(self, subject: Subject, state: State, context: Context) -> None:
        self.format = subject.format
        self.state = state
        self.context = context
        self.before = judge(state, context)
        self.seals = laws.seals(subject.format, state)
        self.listed = laws.areas(subject, state)
        assert self.before.status is Status.TRUSTED

    def unnoticed(self, changed: State, places: Sequence[tuple[str, int]]) -> str:
        """Empty, or what was wrongly left unnoticed; `places` are what the change touched."""
        after = judge(changed, self.context)
        level = laws.noticed(self.before, after)
        if level.by_seal:
            return ""
        found = laws.seals(self.format, changed)
        if laws.permitted(self.seals, found, level, self.listed, places):
            return ""
        return f"{places[:3]}: noticed by {level}"


@every_case
@pytest.mark.parametrize("part", range(SLICES))
def test_every_flipped_byte_is_noticed(subject: Subject, kind: str, part: int, context: Context) -> None:
    watch = Watch(subject, state_of(subject, kind), context)
    plain = state_of(subject, "plain").parts if kind != "plain" else {}
    failures = []
    for suffix, data in watch.state.parts.items():
        is_content = not suffix and len(watch.state.parts) > 1  # the signature lies beside it, and is over its digest
        some = scattered(len(data))
        every = is_thorough(subject, kind) and not is_content
        for offset in (unlike(data, plain.get(suffix, b"")) if every else some)[part::SLICES]:
            for mask in masks(offset, twice=every and kind == "plain" and (WHOLE_STATES or offset in some)):
                flipped = data[:offset] + bytes([data[offset] ^ mask]) + data[offset + 1 :]
                if said := watch.unnoticed(watch.state.with_part(suffix, flipped), [(suffix, offset)]):
                    failures.append(f"{said} ({data[offset]:#04x} ^ {mask:#04x})")
    assert failures == []


def unlike(data: bytes, plain: bytes) -> list[int]:
    """Every place, but of what already stands in the plain state, where every byte is flipped as well, only some."""
    some = scattered(len(data))
    if len(data) > laws.EXHAUSTIVE:
        return some
    if WHOLE_STATES:
        return list(range(len(data)))
    known = set(some)
    return [at for at in range(len(data)) if at in known or data[max(0, at - 8) : at + 8] not in plain]


@functools.cache
def scattered(size: int) -> list[int]:
    """Of a small artifact the first and last bytes and a third of the others; of a large one fewer."""
    if size > laws.EXHAUSTIVE:
        chance = random.Random(size)  # noqa: S311 - places, not keys
        between = chance.sample(range(4096, size - 4096), 1500)
        return sorted({*range(4096), *between, *range(size - 4096, size)})
    if MASKS:
        return list(range(size))
    return sorted({*range(min(size, 300)), *range(size % 3, size, 3), *range(max(0, size - 300), size)})


def masks(offset: int, *, twice: bool) -> Sequence[int]:
    """Which bits to turn: one of them in turn, and also the one that makes a letter's case, or all."""
    if MASKS:
        return [1 << bit for bit in MASKS] + [0xFF]
    second = (0x20 if offset % 8 != 5 else 0xFF,) if twice else ()
    return 1 << offset % 8, *second


@every_case
def test_every_truncation_is_noticed(subject: Subject, kind: str, context: Context) -> None:
    watch = Watch(subject, state_of(subject, kind), context)
    failures = []
    for suffix, data in watch.state.parts.items():
        for length in lengths(data, thorough=subject in FIRST):
            cut = watch.state.with_part(suffix, data[:length])
            missing = [(suffix, offset) for offset in range(length, len(data))]
            if said := watch.unnoticed(cut, missing):
                failures.append(f"cut after {length}: {said}")
    assert failures == []


def lengths(data: bytes, *, thorough: bool) -> list[int]:
    """Every length of the last and first part, and some in between; of a format's further samples half as many."""
    near = {*range(min(len(data), 150)), *range(max(0, len(data) - 200), len(data))}
    found = sorted(near | set(range(0, len(data), max(1, len(data) // 100))))
    return found if thorough or WHOLE_STATES else sorted({*found[::2], *found[-20:]})


@every_case
def test_everything_appended_or_put_in_front_is_noticed(subject: Subject, kind: str, context: Context) -> None:
    watch = Watch(subject, state_of(subject, kind), context)
    additions = [b"\0", b"\0" * 8, b"\n", b"\r\n", b" ", b"x", b"\x1a", b"\xef\xbb\xbf", b"# ", b"MZ", bytes(4096)]
    failures = []
    for suffix, data in watch.state.parts.items():
        for addition in (*additions, data):
            for changed, place in ((data + addition, len(data)), (addition + data, -1)):
                same = changed == data
                if not same and (said := watch.unnoticed(watch.state.with_part(suffix, changed), [(suffix, place)])):
                    failures.append(f"{addition[:8]!r}: {said}")
    assert failures == []


@every_case
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(chance=st.randoms(use_true_random=False))
def test_pieces_moved_about_are_noticed(subject: Subject, kind: str, chance: random.Random, context: Context) -> None:
    watch = Watch(subject, state_of(subject, kind), context)
    suffix, data = chance.choice([(suffix, data) for suffix, data in watch.state.parts.items() if data])
    start, place = chance.randrange(len(data)), chance.randrange(len(data) + 1)
    length = chance.choice((1, 2, 4, 8, chance.randrange(1, len(data) + 1)))
    piece = data[start : start + length]
    rest = data[:start] + data[start + length :]
    changed = chance.choice((rest, data[:place] + piece + data[place:], rest[:place] + piece + rest[place:]))
    if changed != data:
        touched = [(suffix, offset) for offset in range(min(start, place), len(data))]
        assert not watch.unnoticed(watch.state.with_part(suffix, changed), touched)


# Nothing crashes, nothing hangs


def hostile(format_: Format) -> Iterator[State]:
    """Artifacts that are not what their name says."""
    own = [f"x{suffix}" for suffix in format_.suffixes[:1]] or ["x"]
    chance = random.Random(1)  # noqa: S311 - noise, not keys
    for name in [*own, *(path.name for path in laws.samples(format_.name)[:1])]:
        noise = (b"", b"\0", b"M", b"#", b"MZ", b"\xff\xfe", bytes(5000), chance.randbytes(5000), b"\n" * 5000)
        for data in noise:
            yield State(name, data, ((".p7s", data),))
        for other in SUBJECTS:
            yield State(name, other.unsigned.data, ((".p7s", other.unsigned.data[:10_000]),))
            yield State(name, laws.signed_subject(other).data)


@every_format
def test_no_artifact_of_another_kind_crashes_it(format_: Format, context: Context) -> None:
    for state in hostile(format_):
        probing.interrogate(format_, state.artifact())
        check.check(state.artifact(), context, format_.name)
        judge(state, context)


class Desert:
    """A view on far more zeros than memory holds, after some first bytes."""

    def __init__(self, head: bytes, size: int) -> None:
        self.head = head
        self.size = size
        self.total = 0
        self.largest = 0

    def read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        self.total += length
        self.largest = max(self.largest, length)
        return (self.head[offset : offset + length] if offset >= 0 else b"").ljust(length, b"\0")

    def changed(self) -> bool:
        return False


@every_subject
@pytest.mark.parametrize("size", [1 << 32, 1 << 40])
def test_looking_for_seals_in_an_enormous_file_is_quick(subject: Subject, size: int) -> None:
    for head in (b"", subject.unsigned.data[:4096], laws.signed_subject(subject).data):
        view = Desert(head, size)
        artifact = Artifact(subject.sample.name, view, None, {})
        started = time.perf_counter()
        probing.clearly(lambda artifact=artifact: list(subject.format.extract(artifact)))  # type: ignore[misc]
        assert time.perf_counter() - started < 10
        assert view.total <= 2 * limits.SCRIPT_MAX
        assert view.largest <= max(limits.SCRIPT_MAX, limits.ENVELOPE_MAX)


@every_subject
@settings(max_examples=40 if WHOLE_STATES else 25, suppress_health_check=[HealthCheck.too_slow])
@given(chance=st.randoms(use_true_random=False))
def test_no_damage_crashes_it(subject: Subject, chance: random.Random) -> None:
    """Damage in places where structures have their numbers: what may come out is an error in one line.

    A little of it: tests/fuzz/targets has every format, and `make fuzz` damages it without end.
    """
    state = laws.signed_subject(subject)
    suffix, content = chance.choice([(suffix, content) for suffix, content in state.parts.items() if content])
    data = bytearray(content)
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(len(data)) if chance.random() < 0.5 else chance.randrange(min(len(data), 600))
        number = chance.choice((0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF8, 0xFFFFFFFF))
        data[place : place + 4] = number.to_bytes(4, chance.choice(("little", "big")))
    probing.interrogate(subject.format, state.with_part(suffix, bytes(data)).artifact())


@every_subject
def test_an_unreadable_structure_is_not_unsigned(subject: Subject, context: Context) -> None:
    """Half an envelope: whoever sees it must not say that there never was a signature, unless nothing of it is left."""
    state = laws.signed_subject(subject)
    [seal] = subject.format.extract(state.artifact())
    raw = seal.envelope.raw
    for suffix, data in state.parts.items():
        if raw in data:
            broken = state.with_part(suffix, data.replace(raw, raw[:50] + bytes(len(raw) - 50)))
            verdict = judge(broken, context)
            assert verdict.status is not Status.TRUSTED
            if not verdict.seals:
                with pytest.raises(MalformedError):
                    assert list(subject.format.extract(broken.artifact())) == []


def test_formats_that_prepare_say_so() -> None:
    for format_ in laws.formats().values():
        assert isinstance(format_, Prepares) == hasattr(format_, "prepare")
