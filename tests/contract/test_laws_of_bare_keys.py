"""The laws for formats that are signed with bare keys, mostly in a file beside the signed one.

`tests/vectors/<format>/laws.toml` names a test key and its public half under [signer], and lists what the format's
specification leaves unsigned, as for all others (see laws.py).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest

from chopmark.core.contracts import Format, SealOptions
from chopmark.core.errors import ChopmarkError, MalformedError, RefusedError, UsageError
from chopmark.core.verdict import Status
from chopmark.engine import check, identify, inspect, sign
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.contract import laws
from tests.support import bare_keys, pki

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.core.verdict import Verdict
    from chopmark.trust.context import Context
    from tests.contract.laws import State, Subject

FORMATS = [format_ for name, format_ in sorted(identify.formats().items()) if not sign.certified(name)]
SUBJECTS = [laws.Subject(format_, path) for format_ in FORMATS for path in sorted(laws.samples(format_.name))]
BESIDE = [subject for subject in SUBJECTS if hasattr(subject.format, "companion")]
every_subject_beside = pytest.mark.parametrize("subject", BESIDE, ids=str)
every_subject = pytest.mark.parametrize("subject", SUBJECTS, ids=str)
every_format = pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)


def believing(public: str, folder: Path) -> Context:
    """Whoever believes this one key."""
    return contexts.Context(store.load([public]), pki.NOW, contexts.OFF, origins.CrlSource(cache=str(folder)))


def request(format_: Format, options: SealOptions = laws.OPTIONS) -> sign.SignRequest:
    signer = bare_keys.signer(format_.name)
    return sign.SignRequest(signer, (), pki.NOW, options, format_name=format_.name)


def signed(subject: Subject, state: State | None = None, options: SealOptions = laws.OPTIONS) -> State:
    state = state or subject.unsigned
    made = sign.sign(state.artifact(), request(subject.format, options))
    return state.patched(made.patch, made.prepared)


@functools.cache
def once(subject: Subject) -> State:
    return signed(subject)


def judged(state: State, context: Context, name: str = "") -> Verdict:
    return check.check(state.artifact(), context, name)


@every_format
def test_a_format_keeps_the_contract(format_: Format) -> None:
    assert isinstance(format_, Format)
    assert format_.name == format_.name.lower()
    assert format_.title
    assert not (format_.suffixes and hasattr(format_, "companion"))
    assert laws.samples(format_.name)
    assert (laws.VECTORS / format_.name / "SOURCES.md").exists()


@every_subject_beside
def test_nothing_is_detected_as_one(subject: Subject) -> None:
    assert identify.identify(once(subject).artifact()) is not subject.format


@every_subject
def test_what_was_signed_is_trusted_by_who_knows_the_key(subject: Subject, tmp_path: Path) -> None:
    context = believing(bare_keys.public(subject.format.name), tmp_path)
    for name in ("", subject.format.name):
        verdict = judged(once(subject), context, name)
        assert verdict.status is Status.TRUSTED, verdict
        [seal] = verdict.seals
        assert seal.intact
        assert seal.signer is not None
        assert seal.signer.kind in ("key", "ssh", "openpgp")
        assert seal.signed_at is None


@every_subject
def test_without_the_key_nobody_is_trusted(subject: Subject, tmp_path: Path) -> None:
    verdict = judged(once(subject), laws.court(tmp_path))
    carried = subject.rules["signer"].get("carried", False)
    assert verdict.status is (Status.REJECTED if carried else Status.UNDECIDED)
    [seal] = verdict.seals
    assert seal.intact is carried
    assert ("key.untrusted" if carried else "key.unknown") in {finding.code for finding in seal.findings}
    [shown] = inspect.inspect(once(subject).artifact())["seals"]
    assert bool(shown["signer"]["key_sha256"]) is carried


@every_subject
def test_another_key_of_the_same_name_is_refused(subject: Subject, tmp_path: Path) -> None:
    [key] = store.load([bare_keys.public(subject.format.name)]).keyring.every()
    stranger = pki.world("ed25519").signer.public_key
    context = believing(bare_keys.public(subject.format.name), tmp_path)
    context.store.keyring = type(context.store.keyring)([key._replace(key=key.key._replace(raw=stranger))])
    assert judged(once(subject), context).status is Status.REJECTED


@every_subject_beside
def test_signing_anew_gives_one_signature_and_leaves_the_file_alone(subject: Subject) -> None:
    again = signed(subject, once(subject))
    assert again.data == subject.unsigned.data
    assert len(again.companions) == 1


@every_subject
def test_a_second_signature_is_refused(subject: Subject) -> None:
    with pytest.raises(RefusedError):
        signed(subject, once(subject), SealOptions(append=True))


@every_subject
def test_strip_takes_the_signature_away(subject: Subject) -> None:
    state = once(subject)
    for name in ("", subject.format.name):
        [patch] = sign.stripped(state.artifact(), name)
        assert state.patched(patch) == subject.unsigned


@every_subject
def test_every_flipped_bit_is_noticed(subject: Subject, tmp_path: Path) -> None:
    context = believing(bare_keys.public(subject.format.name), tmp_path)
    state = once(subject)
    listed = laws.areas(subject, state)
    for part, data in state.parts.items():
        for offset in range(len(data)):
            for bit in range(8):
                changed = bytearray(data)
                changed[offset] ^= 1 << bit
                verdict = judged(state.with_part(part, bytes(changed)), context, subject.format.name)
                if verdict.status is Status.TRUSTED:
                    assert any(area.holds(part, offset) for area in listed), (part, offset, bit)


@every_subject
def test_every_truncation_and_anything_behind_is_noticed(subject: Subject, tmp_path: Path) -> None:
    context = believing(bare_keys.public(subject.format.name), tmp_path)
    state = once(subject)
    for part, data in state.parts.items():
        for changed in (*(data[:length] for length in range(len(data))), data + b"\n", data + b"\0", data + data):
            if changed != data:
                verdict = judged(state.with_part(part, changed), context, subject.format.name)
                assert verdict.status is not Status.TRUSTED, (part, len(changed))


@every_subject
def test_two_steps_are_not_for_bare_keys(subject: Subject) -> None:
    with pytest.raises(UsageError):
        sign.draft(subject.unsigned.artifact(), request(subject.format))


@every_format
@pytest.mark.parametrize("junk", [b"", b"\n", b"\0" * 300, b"untrusted comment: \n", b"A" * 100_000], ids=repr)
def test_junk_beside_a_file_is_an_answer(format_: Format, junk: bytes, tmp_path: Path) -> None:
    suffix = getattr(format_, "companion", "")
    state = laws.State("file", b"content", ((suffix, junk),)) if suffix else laws.State("file", junk)
    verdict = judged(state, believing(bare_keys.public(format_.name), tmp_path), format_.name)
    broken = bool(suffix or format_.suffixes)  # a text is always one; a file of a kind of its own has a form
    assert verdict.status is (Status.REJECTED if broken else Status.UNSIGNED)
    try:
        list(format_.extract(state.artifact()))
    except ChopmarkError as error:
        assert isinstance(error, MalformedError)  # noqa: PT017 - the other answer is that there is nothing
