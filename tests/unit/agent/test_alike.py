"""Files of one signer: what is found out about them once is found out about each, whatever else comes in between."""

from __future__ import annotations

import os
import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from chopmark.agent import examining, memory
from chopmark.agent.world import Inputs
from chopmark.core import limits
from chopmark.core.artifact import Artifact
from chopmark.core.contracts import Content
from chopmark.core.digest import of
from chopmark.core.verdict import Status
from chopmark.engine.policing import facts as facts_of
from chopmark.envelopes import cms
from chopmark.envelopes.cms import alike
from chopmark.formats._appended import trailer
from chopmark.trust import judge
from tests.contract import laws
from tests.support import pki

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from chopmark.policy.facts import FileFacts

EXIT = (laws.VECTORS / "elf" / "sample-exit").read_bytes()
DATA = "1.2.840.113549.1.7.1"


def envelope(data: bytes, kind: str = "rsa2048") -> bytes:
    signer = pki.world(kind).signer
    draft = cms.draft(Content(DATA, "sha256", of(data, "sha256")), signer, signer.certificates, signing_time=pki.NOW)
    return draft.finish(signer.sign(draft.to_be_signed, "sha256"))


def program(number: int, kind: str = "rsa2048") -> bytes:
    data = EXIT + b"%04d" % number
    return data + trailer.appended(envelope(data, kind))


def flipped(data: bytes, place: int) -> bytes:
    made = bytearray(data)
    made[place] ^= 1
    return bytes(made)


def forget() -> None:
    alike._before.clear()  # noqa: SLF001 - as if nothing had been read
    alike._outlines.clear()  # noqa: SLF001 - likewise
    facts_of._last.clear()  # noqa: SLF001 - likewise


def fresh(folder: Path) -> examining.Examination:
    """One that knows nothing, with what it trusts."""
    context = laws.court(folder)
    state = SimpleNamespace(inputs=Inputs(), context=lambda _: context)
    return examining.Examination(cast("Any", state), memory.Memory("", pytest.fail))


@pytest.fixture
def look(tmp_path: Path) -> Callable[[examining.Examination, bytes, str], FileFacts]:
    def looked(examination: examining.Examination, content: bytes, name: str = "tool") -> FileFacts:
        path = tmp_path / name
        path.write_bytes(content)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return examination.examine(descriptor, str(path))
        finally:
            os.close(descriptor)

    return looked


def test_whatever_comes_in_between_each_is_what_it_is_by_itself(tmp_path: Path, look: Callable[..., FileFacts]) -> None:
    plain = [program(number) for number in range(6)]
    size = len(plain[0])
    contents = [
        *plain,
        program(7, "rsa1024"),
        program(8, "p256"),
        EXIT,
        *(flipped(plain[1], place) for place in (8, 70, len(EXIT), len(EXIT) + 40, size - 300, size - 60, size - 1)),
        plain[2] + b"x",
        plain[2] + trailer.appended(envelope(plain[2])),
    ]
    by_itself = []
    for content in contents:
        forget()
        by_itself.append(look(fresh(tmp_path), content))
    assert {each.status for each in by_itself[:6]} == {Status.TRUSTED}
    assert Status.TRUSTED not in {each.status for each in by_itself[8:]}
    forget()
    order = list(range(len(contents))) * 3
    random.Random(5).shuffle(order)  # noqa: S311 - no secret
    together = fresh(tmp_path)
    for number in order:
        assert look(together, contents[number]) == by_itself[number]
    for number in order:  # as contents that nobody knows, by what is known of their signer
        together._memory.forget(lambda _: True)  # noqa: SLF001 - likewise
        assert look(together, contents[number]) == by_itself[number]


def test_one_signer_is_judged_once(
    tmp_path: Path, look: Callable[..., FileFacts], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[object] = []
    judging = judge.judge

    def counting(*about: Any) -> judge.Judgement:  # noqa: ANN401 - as the judge has it
        judged.append(about)
        return judging(*about)

    monkeypatch.setattr(judge, "judge", counting)
    forget()
    examination = fresh(tmp_path)
    found = [look(examination, program(number)) for number in range(4)]
    assert len(judged) == 1
    assert all(each.seals is found[0].seals for each in found)
    assert look(examination, flipped(program(5), 8)).status is Status.REJECTED
    assert len(judged) == 2
    monkeypatch.setattr(limits, "JUDGED_SIZE_KEPT_MAX", 10)
    for number in (6, 7):
        look(examination, program(number))
    assert len(judged) == 4


def test_what_is_signed_in_itself_is_not_looked_for_beside_it(
    tmp_path: Path, look: Callable[..., FileFacts], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    keeping = Artifact.keep_companions

    def counting(artifact: Artifact, suffixes: Iterable[str]) -> dict[str, bytes]:
        looked.append(artifact.name)
        return keeping(artifact, suffixes)

    monkeypatch.setattr(Artifact, "keep_companions", counting)
    examination = fresh(tmp_path)
    (tmp_path / "signed.p7s").write_bytes(b"no signature")
    for _ in range(2):  # when it is found out, and when it is known
        assert look(examination, program(1), "signed").status is Status.TRUSTED
    assert look(examination, program(2) + b"x", "signed").status is Status.REJECTED
    assert not looked
    for _ in range(2):
        assert look(examination, EXIT, "plain").status is Status.UNSIGNED
    assert looked == [str(tmp_path / "plain")] * 2
    (tmp_path / "plain.p7s").write_bytes(b"no signature")
    assert look(examination, EXIT, "plain").status is Status.REJECTED
    (tmp_path / "plain.p7s").write_bytes(envelope(EXIT))
    for _ in range(2):
        assert look(examination, EXIT, "plain").status is Status.TRUSTED
    assert look(examination, EXIT, "other").status is Status.UNSIGNED
